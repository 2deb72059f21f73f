"""Ethereum: addresses, transactions as bytes, and what a call would move.

| module       | what is in it                                                                     |
|--------------|-----------------------------------------------------------------------------------|
| addresses    | the address of a public key, and the one spelling of each address                  |
| transactions | EIP-1559 transactions: bytes to sign, taken apart again, with their signature      |
| calls        | ERC-20 transfers; every other call is refused by what it would do                  |
"""
