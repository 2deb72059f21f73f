"""Chains: addresses, transactions, fees, confirmations, reorgs. One package a chain.

| module          | what is in it                                                                |
|-----------------|------------------------------------------------------------------------------|
| bitcoin         | Bitcoin Core's calls, following the chain, a regtest node                     |
| ethereum        | addresses, transactions, calls, JSON-RPC, blocks; anvil that forgets nothing  |
| solana          | addresses, messages, JSON-RPC, blocks; LiteSVM behind a node's calls          |
| accounts        | what the last two have in common: followers, rooms                            |
| address_table   | addresses of accounts by number, under the keys that they are derived from    |
| http_line       | a connection to a node that is kept                                           |
| loopback_server | how the embedded chains answer                                                |
| journal         | records of theirs that are on the disk before anybody is told                 |
"""
