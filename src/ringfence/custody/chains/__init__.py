"""Chains: addresses, transactions, fees, confirmations, reorgs. One package a chain.

| package  | what is in it                                                         |
|----------|-----------------------------------------------------------------------|
| bitcoin  | Bitcoin Core's calls, following the chain, a regtest node              |
| ethereum | addresses, transactions as bytes, what a call would move; no node yet |
| solana   | messages as bytes; no node yet                                        |
"""
