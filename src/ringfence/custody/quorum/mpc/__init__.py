"""Keys that nobody has: made, used, refreshed and restored by parties that each hold a share.

| module   | what is in it                                                                      |
|----------|-------------------------------------------------------------------------------------|
| engine   | one run of a threshold protocol, in a process of its own (`mpc-engine/`)             |
| sessions | what parties say to each other: signed, in rounds with deadlines, the same to all    |
| shares   | where a share is kept: under an HSM key of its epoch, in a manifest with a generation |
| keys     | orders of people, what a key is, and what parties sign of a ceremony                 |

`cosigner/mpc.py` puts them together for one co-signer.
"""
