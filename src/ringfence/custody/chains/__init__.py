"""Chains: addresses, transactions, fees, confirmations, reorgs. One package a chain.

| package  | what is in it                                                         |
|----------|-----------------------------------------------------------------------|
| bitcoin  | Bitcoin Core's calls, following the chain, a regtest node              |
| ethereum | addresses, transactions, calls, JSON-RPC, blocks; anvil that forgets nothing |
| solana   | addresses, messages, JSON-RPC, blocks; LiteSVM behind a node's calls         |
| accounts | what the last two have in common: followers, rooms                           |
"""
