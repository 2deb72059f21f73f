"""I07: the journal is one unbroken chain, and the feed says what the journal says."""

import struct
from collections import OrderedDict
from hashlib import blake2b

import crc32c

from ringfence.assurance.audit.books import Books
from ringfence.assurance.audit.evidence import Evidence
from ringfence.assurance.audit.law import Fault, Findings, Law, When
from ringfence.exchange.journal import Frame
from ringfence.messages.batch import Batch
from ringfence.messages.commands import HaltScope
from ringfence.messages.records import RECORD_BYTES, VERSION

_HEADER = struct.Struct("<8sIIQQ32sI")
_HEADER_BYTES = 128
_GENESIS = blake2b(b"ringfence journal", digest_size=32).digest()
_KEPT = 65_536
"""Batches that are remembered until the journal's frame for them, or the other way round, was seen."""


def _change_command(evidence: Evidence) -> None:
    """A byte of a command, with every checksum after it made to fit."""
    at = evidence.place * len(evidence.frames) // 20
    frame = evidence.frames[at]
    commands = bytearray(frame.commands)
    commands[8 + evidence.place % 8] ^= 1
    evidence.frames[at] = frame._replace(commands=bytes(commands), digest=_digest(frame, bytes(commands)))


def _cut_chain(evidence: Evidence) -> None:
    at = evidence.place * len(evidence.frames) // 20
    frame = evidence.frames[at]
    evidence.frames[at] = frame._replace(previous=bytes(32))


def _skip_frame(evidence: Evidence) -> None:
    del evidence.frames[evidence.place * (len(evidence.frames) - 1) // 20]


def _change_time(evidence: Evidence) -> None:
    at = evidence.place * len(evidence.frames) // 20
    evidence.frames[at] = evidence.frames[at]._replace(timestamp_ns=evidence.frames[at].timestamp_ns + 1)


class ChainOfFrames(Law):
    id = "I07"
    says = "Each frame of the journal carries the hash of the one before it, and the feed says what the frames say."
    when = (When.BATCH, When.FRAME)
    halts = HaltScope.VENUE
    faults = (
        Fault("a byte of a command, with its checksums", _change_command),
        Fault("a frame that continues another chain", _cut_chain),
        Fault("a frame left out", _skip_frame),
        Fault("a frame of another time", _change_time),
    )

    def __init__(self) -> None:
        self._head = _GENESIS
        self._next = 0
        self._said: OrderedDict[int, bytes] = OrderedDict()
        """First sequence: what the feed says of it, or the journal, whichever came first."""

    def begin(self, books: Books, batch: Batch) -> Findings:
        return self._compare(batch.first_sequence, _content(batch.timestamp_ns, batch.commands.tobytes()))

    def frame(self, frame: Frame) -> Findings:
        if frame.first_sequence != self._next:
            yield self.broken(
                frame.first_sequence, "the first sequence of a frame", self._next, frame.first_sequence
            )
        if frame.previous != self._head:
            yield self.broken(
                frame.first_sequence, "the hash before a frame", self._head.hex(), frame.previous.hex()
            )
        digest = _digest(frame, frame.commands)
        if digest != frame.digest:
            yield self.broken(frame.first_sequence, "the hash of a frame", digest.hex(), frame.digest.hex())
        self._head, self._next = digest, frame.next_sequence
        yield from self._compare(frame.first_sequence, _content(frame.timestamp_ns, frame.commands))

    def _compare(self, sequence: int, content: bytes) -> Findings:
        other = self._said.pop(sequence, None)
        if other is None:
            self._said[sequence] = content
            if len(self._said) > _KEPT:
                self._said.popitem(last=False)
            return ()
        if other == content:
            return ()
        return [self.broken(sequence, "what journal and feed say", other.hex(), content.hex())]


def _content(timestamp_ns: int, commands: bytes) -> bytes:
    return blake2b(timestamp_ns.to_bytes(8, "little") + commands, digest_size=16).digest()


def _digest(frame: Frame, commands: bytes) -> bytes:
    """Return the hash of a frame, from its layout in docs/operating/journal-and-recovery.md."""
    count = len(commands) // RECORD_BYTES
    header = _HEADER.pack(
        b"RFJRNL01",
        VERSION,
        count,
        frame.first_sequence,
        frame.timestamp_ns,
        frame.previous,
        crc32c.crc32c(commands),
    )
    header += struct.pack("<I", crc32c.crc32c(header))
    return blake2b(header.ljust(_HEADER_BYTES, b"\0") + commands, digest_size=32).digest()
