"""Many signers, one signature: what coordinator and co-signers say to each other, and how parts become a whole.

| module   | what is in it                                                                   |
|----------|---------------------------------------------------------------------------------|
| messages | what the coordinator may ask of a co-signer, and every answer, with its digests |
| multisig | the digests that are signed, the witness that parts make, the network's verdict |
| mpc      | keys that nobody has: the engine, the messages of a run, where shares are kept  |
| wire     | everything that goes over a line to a co-signer, and what comes back            |
"""
