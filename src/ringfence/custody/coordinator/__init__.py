"""The coordinator: it moves deposits and withdrawals along and holds no key. Whatever it says is checked by others.

| module       | what is in it                                                                     |
|--------------|-----------------------------------------------------------------------------------|
| rail         | one chain as the coordinator uses it; bitcoin_rail, hot_rail, account_rail         |
| deposits     | which outputs are whose, and when they count                                      |
| batches      | withdrawals on their way: sealed, nominated, built, signed, sent, confirmed       |
| instructions | what the exchange has to be told next: a function of ledger, chain and batches     |
| reconcile    | chain against ledger, to the satoshi, with every item in flight                   |
"""
