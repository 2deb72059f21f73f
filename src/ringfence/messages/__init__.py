"""What is said: commands in, events out, numbered refusals, and the identifiers of the wire.

| module      | what is in it                                                   |
|-------------|-----------------------------------------------------------------|
| layouts     | the 64-byte binary layouts                                      |
| records     | the same as NumPy arrays                                        |
| commands    | kinds, order types, flags and parameters                        |
| events      | kinds and what their fields mean                                |
| rejects     | numbered refusals and their texts                               |
| batch       | one journal frame with its events; text carried in DATA slots   |
| identifiers | handles, wire UUIDs, clOrdID hashes                             |
"""
