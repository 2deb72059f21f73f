"""The journal: what was said, in order, for ever. Everything else can be rebuilt from it.

| module  | what is in it                                                             |
|---------|---------------------------------------------------------------------------|
| journal | `Journal`: open, append, read, verify; tells a torn tail from rot         |
| frame   | the binary layout of one frame and its place in the hash chain            |
| disk    | every access to files goes through `Disk`, so that a test can pull the plug |
| errors  | what can go wrong, with what to do about it                               |
"""

from ringfence.exchange.journal.disk import Disk, DiskFile, RealDisk
from ringfence.exchange.journal.errors import (
    JournalCorruptError,
    JournalError,
    JournalGapError,
    JournalWriteError,
)
from ringfence.exchange.journal.frame import GENESIS, Frame
from ringfence.exchange.journal.journal import Journal, Progress, TornTail, read_frames

__all__ = [
    "GENESIS", "Disk", "DiskFile", "Frame", "Journal", "JournalCorruptError", "JournalError",
    "JournalGapError", "JournalWriteError", "Progress", "RealDisk", "TornTail", "read_frames",
]  # fmt: skip
