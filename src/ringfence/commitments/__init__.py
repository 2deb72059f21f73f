"""What the exchange commits itself to: the whole state in one hash a second, signed and chained.

| module    | what is in it                                                              |
|-----------|----------------------------------------------------------------------------|
| statement | what one account has, and how the venue stands, in bytes                    |
| tree      | the Merkle tree over the statements, with a proof for each account          |
| root      | one record of the chain: which cut, which state, who signed                 |
| chain     | the file of records: append, read, check                                    |
| statements_file | the statements under one root, and proofs of inclusion from them     |
| keys      | the key that signs, and the nonces that hide what a leaf says               |
| anchor    | where others keep a root that we cannot take back                           |

Engine and shadow, core and stranger make the same bytes; that is all that they share.
"""

from ringfence.commitments.anchor import Anchor, AnchorError, FileAnchor, OpenTimestampsAnchor
from ringfence.commitments.chain import ChainError, RootChain, latest_roots, read_roots
from ringfence.commitments.keys import CommitmentKeys, Nonces, load_keys, load_nonces, nonce_key, nonce_keys
from ringfence.commitments.root import Root, RootError
from ringfence.commitments.statement import (
    InstrumentLine,
    OrderLine,
    PositionLine,
    WalletLine,
    account_statement,
    venue_digest,
    venue_statement,
)
from ringfence.commitments.tree import Proof, leaf_of, leaves_of, proof_of, root_of

__all__ = [
    "Anchor",
    "AnchorError",
    "ChainError",
    "CommitmentKeys",
    "FileAnchor",
    "InstrumentLine",
    "Nonces",
    "OpenTimestampsAnchor",
    "OrderLine",
    "PositionLine",
    "Proof",
    "Root",
    "RootChain",
    "RootError",
    "WalletLine",
    "account_statement",
    "latest_roots",
    "leaf_of",
    "leaves_of",
    "load_keys",
    "load_nonces",
    "nonce_key",
    "nonce_keys",
    "proof_of",
    "read_roots",
    "root_of",
    "venue_digest",
    "venue_statement",
]  # fmt: skip
