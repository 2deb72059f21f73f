"""Proofs of liabilities and reserves: what everybody is owed, what lies on the chains, for strangers to check.

Formats byte by byte: docs/reference/proofs.md, docs/reference/proof-of-reserves.md.

| module           | what is in it                                                                  |
|------------------|--------------------------------------------------------------------------------|
| claims           | what every account is owed, as a pure function of one state of the engine      |
| pieces           | how a balance becomes leaves that find nobody                                  |
| secrets          | what hides an account in a file and lets its owner find it                     |
| header, tree     | what a file says of itself; the two trees over leaves with values              |
| porl2, bitmex    | the two formats: writing, strict reading                                       |
| liabilities      | one asset's files of one cut                                                   |
| snapshot         | all assets of one cut                                                          |
| verify           | what a client finds out from a file                                            |
| claims_tree      | one hash over everybody, kept up to date                                       |
| minutes          | the chain of minutes, and which of them a block opens                          |
| stamps           | that a digest was there before a block of Bitcoin                              |
| index            | the signed list of everything that was published                               |
| publication      | whole snapshots or nothing                                                     |
| history, watch   | everything that was published, held together; looking again and again          |
| publisher        | who signs, and how the exchange has named them                                 |
| schedule, report | when; and the page for auditors, with its plots                                |
| reserves/        | coins: lists, control of keys, and how a stranger checks them                  |
| verifier.html    | all of it in a browser, offline; `seal` writes the hashes that its policy names |
| errors, hashes   | how a check ends; names for hashes, JSON of one form                           |
"""
