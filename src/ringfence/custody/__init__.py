"""Coins. Each signer is a process of its own that trusts nobody, and no person, machine or role moves funds alone.

| package    | what is in it                                                                   |
|------------|---------------------------------------------------------------------------------|
| intents    | what should move, for whom and why                                              |
| wallets    | which scripts are ours: descriptors, addresses, who owns what                   |
| policy     | one rule a file; every rule gives its verdict and its reason                    |
| nomination | which signers must sign a batch: random, verifiable, fixed before it is known   |
| quorum     | many signers, one signature                                                     |
| hsm        | where keys live, and the evidence that nobody has touched the token             |
| chains     | addresses, transactions, fees, confirmations, reorgs                            |
| cosigner   | checks everything again from its own facts, then signs or refuses by name       |
| coordinator| deposits and withdrawals as state machines; it holds no key                     |
| ledger     | custody's own replica of the exchange's ledger                                  |
| clients    | what accounts have said of their withdrawals, and signed: keys, address books   |
| client_facts | from the ledger to the policy                                                 |
| annex      | one more chain, with its key and its policies; people sign it                   |
| explained  | what a chain of accounts holds, and how much of it the ledger explains          |
| beacon     | randomness that nobody of the venue makes                                       |
| demonstration | who is who in the custody of `ringfence up`                                  |
"""
