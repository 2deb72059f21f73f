"""Chains: addresses, transactions, fees, confirmations, reorgs. One package a chain.

| package | what is in it                                             |
|---------|-----------------------------------------------------------|
| bitcoin | Bitcoin Core's calls, following the chain, a regtest node |
"""
