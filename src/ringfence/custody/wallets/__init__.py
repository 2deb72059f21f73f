"""Wallets: which scripts are ours, and whose of us.

| module | what is in it                                    |
|--------|--------------------------------------------------|
| coins  | `Outpoint`, by which everything on a chain is named |
"""
