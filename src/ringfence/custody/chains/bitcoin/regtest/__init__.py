"""A Bitcoin chain of one's own, for development: regtest rules, no peers, coins that are worth nothing.

Bitcoin Core's consensus library decides which blocks and spends are valid; what the library has not (mempool,
coins by outpoint, fee estimates, a miner, a journal that outlives kill -9) is here, and answers like Core.

| module  | what is in it                                                           |
|---------|-------------------------------------------------------------------------|
| chain   | the longest valid chain and its coins                                   |
| mempool | transactions that no block holds yet; replacement (BIP125)              |
| mining  | blocks made on request                                                  |
| fees    | what a transaction should pay                                           |
| node    | Bitcoin Core's calls                                                    |
| faucet  | coins for the asking                                                    |
| server  | the calls over HTTP with a cookie, as Core serves them                  |
"""
