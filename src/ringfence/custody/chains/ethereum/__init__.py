"""Ethereum: addresses, transactions as bytes, what a call would move, and what the chain has done.

| module       | what is in it                                                                     |
|--------------|-----------------------------------------------------------------------------------|
| addresses    | the address of a public key, and the one spelling of each address                  |
| transactions | EIP-1559 transactions: bytes to sign, taken apart again, with their signature      |
| calls        | ERC-20 transfers; every other call is refused by what it would do                  |
| rpc          | the calls of a node that we make                                                   |
| blocks       | what blocks have in them for us: ETH, tokens, fees                                 |
| devnet       | the development chain, anvil kept safe, with a dollar token                        |
| faucet       | coins of the development chain for the asking                                      |
"""
