"""Wallets: which scripts are ours, and whose of us. Nothing here has a private key.

| module      | what is in it                                                              |
|-------------|----------------------------------------------------------------------------|
| coins       | `Outpoint`, by which everything on a chain is named, and `Coin`            |
| descriptors | `Vault`: whose keys, out of which HSMs; `Deriver`: the scripts that they make  |
| addresses   | `AddressBook`: which account has which address, derived twice before it is shown |
| owners      | `Wallets`: whose is a script: clients', the insurance fund's, the company's |
| building    | `build`, `consolidate`: transactions for the signers to look at            |
"""
