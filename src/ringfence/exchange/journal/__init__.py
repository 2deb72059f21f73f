"""The journal: what was said, in order, for ever. Everything else can be rebuilt from it.

| module  | what is in it                                                               |
|---------|-----------------------------------------------------------------------------|
| journal | `Journal`, the one writer: open, append; tells a torn tail from rot         |
| reader  | `JournalReader`: frames in order, checked; safe while the core appends      |
| frame   | the binary layout of one frame and its place in the hash chain              |
| errors  | what can go wrong, with what to do about it                                 |
| stream  | `Stream`: the journal on more than one machine, and who may write it        |
| jetstream | one of NATS's servers                                                     |
| etcd    | one of etcd's, which choose a leader sooner                                  |
"""

from ringfence.exchange.disk import Disk, DiskFile, RealDisk
from ringfence.exchange.journal.errors import (
    JournalCorruptError,
    JournalError,
    JournalGapError,
    JournalReadError,
    JournalVersionError,
    JournalWriteError,
)
from ringfence.exchange.journal.frame import GENESIS, Frame
from ringfence.exchange.journal.journal import SEGMENT_BYTES, Encoded, Journal, TornTail
from ringfence.exchange.journal.reader import JournalReader, Progress, read_frames
from ringfence.exchange.journal.stream import (
    EVENTS_NOTE,
    ROOT_NOTE,
    Entry,
    FencedError,
    Servers,
    Stream,
    StreamError,
    StreamLostError,
    StreamUnavailableError,
)

__all__ = [
    "EVENTS_NOTE", "GENESIS", "ROOT_NOTE", "SEGMENT_BYTES", "Disk", "DiskFile", "Encoded", "Entry", "FencedError",
    "Frame", "Journal", "JournalCorruptError", "JournalError", "JournalGapError", "JournalReadError",
    "JournalReader", "JournalVersionError", "JournalWriteError", "Progress", "RealDisk", "Servers", "Stream",
    "StreamError",
    "StreamLostError", "StreamUnavailableError", "TornTail", "read_frames",
]  # fmt: skip
