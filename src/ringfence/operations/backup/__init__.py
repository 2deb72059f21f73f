"""Backups: taken while the exchange runs, sealed for several recovery keys, restored with proof.

| module    | what is in it                                                                      |
|-----------|------------------------------------------------------------------------------------|
| contents  | what of a directory is kept, what is made again, and what is nobody's to copy       |
| recovery  | the key of a store of backups, shared among recovery keys by age                     |
| manifest  | what one backup holds, signed by the exchange; checks of it                          |
| taking    | `create`: a cut of a running exchange                                                |
| restoring | `restore`: into an empty directory, replayed, and compared with the signed roots     |
| proving   | one replay against what was signed                                                   |

A store is a folder: `recovery.json`, `NAME.manifest` for every backup, and `objects/`, which backups share: a
segment of the journal that is full goes there once.
"""

from ringfence.operations.backup.manifest import (
    BackupError,
    Checked,
    Manifest,
    MissingError,
    Store,
    check_objects,
    manifests,
    open_store,
    read_manifest,
)
from ringfence.operations.backup.proving import ProofError
from ringfence.operations.backup.recovery import RecoveryError, new_identity, read_identities
from ringfence.operations.backup.restoring import Restored, restore
from ringfence.operations.backup.taking import Taken, create

__all__ = [
    "BackupError", "Checked", "Manifest", "MissingError", "ProofError", "RecoveryError", "Restored", "Store", "Taken",
    "check_objects", "create", "manifests", "new_identity", "open_store", "read_identities", "read_manifest", "restore",
]  # fmt: skip
