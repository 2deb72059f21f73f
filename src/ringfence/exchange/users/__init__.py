"""People who sign in: what they know, what they have, what they did, and what programs may do for them.

| module       | what is in it                                                                            |
|--------------|------------------------------------------------------------------------------------------|
| userbook     | `Userbook`: everything about users, folded from one hash-chained log                      |
| sealing      | what of the log only this process can read                                               |
| founding     | the folder that all of it is in                                                          |
| house        | `House`: the book, the mail, the throttle and the challenges that all of the below share |
| signing_in   | registration, signing in, what was forgotten                                             |
| securing     | passwords, passkeys, one-time codes, recovery codes, sessions, keys of an account         |
| withdrawing  | withdrawals that a person asks for: confirmed by a factor, then by mail                   |
| passwords    | argon2id, and whether one is good enough, without asking anybody                          |
| passkeys     | WebAuthn ceremonies                                                                      |
| one_time     | RFC 6238 codes, each once                                                                |
| throttle     | how often somebody may be wrong; nobody can lock others out                              |
| mail         | what we write to people, and the folder it waits in                                      |
| keys         | API keys                                                                                 |
| desk         | `AccountDesk`: one question in, one answer out                                            |

One process holds all of it (`daemons/account_desk.py`); the gateway asks it and believes its answers.
"""
