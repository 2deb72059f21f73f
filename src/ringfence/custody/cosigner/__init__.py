"""A co-signer: it checks everything again from its own facts, then signs or refuses by name.

| module   | what is in it                                                                   |
|----------|---------------------------------------------------------------------------------|
| cosigner | `Cosigner`: one answer for each question of `quorum.messages`                   |
| checks   | the chain of checks; each takes the proof of the one before                     |
| config   | `Charter`: members, people, vaults, policies; what is believed                  |
| facts    | what it knows by itself: node, ledger, memory                                   |
| memory   | a fold over the log: once for ever                                              |
| rail     | one chain from its own node; bitcoin_rail, hot_rail, account_rail                |
| mpc      | its part in keys that nobody has; joining: signing with the other nominees       |
| policies | which version of the policy is in force, by the own clock                       |
"""
