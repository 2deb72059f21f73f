"""The embedded journal: append-only segments of frames on one disk.

A frame that is cut off at the very end, after which nothing whole follows and which nobody was told
of, is a *torn tail*: the machine stopped while writing it. It is kept aside and the space is blanked.
Anything else that does not check is *rot*, and the journal refuses to open.

Of the disk it is assumed that what was synced stays, and that a sector of 512 bytes that was being
written holds the old or the new bytes. Writing the same bytes again is therefore harmless.
"""

from typing import NamedTuple

from ringfence.exchange.disk import Disk, DiskFile
from ringfence.exchange.journal.errors import JournalGapError, JournalWriteError
from ringfence.exchange.journal.frame import GENESIS, Damage, Frame, decode, encode
from ringfence.exchange.journal.reader import JournalReader, Segment, segments
from ringfence.messages.records import RECORD_BYTES

SEGMENT_BYTES = 64 << 20


class TornTail(NamedTuple):
    """A frame that was being written when the machine stopped, and was acknowledged to nobody."""

    segment: str
    offset: int
    sequence: int
    kept_as: str


class Encoded(NamedTuple):
    """One frame as it is written."""

    raw: bytes
    digest: bytes
    next_sequence: int


class Journal:
    """The one writer. Recovered when it is opened; `append` returns when the frame is durable."""

    def __init__(self, disk: Disk, *, acknowledged: int = 0, segment_bytes: int = SEGMENT_BYTES) -> None:
        """Open the journal, creating it if there is none.

        Checks that no segment is missing, that the last one is whole and that it continues the one
        before; `ringfence journal verify` checks all. `acknowledged` = the sequence below which
        everything is known to have been published. Raises JournalError; unless it is a
        JournalWriteError nothing was changed.
        """
        self._disk = disk
        self._segment_bytes = segment_bytes
        self.torn_tail: TornTail | None = None
        self._failed = False
        self._file: DiskFile | None = None
        self._offset = self._size = 0
        known = segments(disk)
        newest = known[-1].first_sequence if known else 0
        reader = JournalReader(disk, first_sequence=newest, earlier_segments=1)
        last: Frame | None = None
        for frame in reader.frames():
            last = frame
        is_torn = reader.check_end(acknowledged=acknowledged)
        self.next_sequence = reader.next_sequence
        self.head = reader.head or GENESIS
        self._segments = len(known)
        self._last = last
        try:
            if reader.offset:
                self._continue(reader, last)
            if is_torn:
                self._set_tail_aside(reader)
            if not reader.offset and known:
                # Nothing in it counts, and a crash may have cut its creation short: it is made anew.
                disk.remove(known[-1].name)
                self._segments -= 1
        except OSError as error:
            self.close()
            raise JournalWriteError(sequence=self.next_sequence, cause=error) from error

    def _continue(self, reader: JournalReader, last: Frame | None) -> None:
        """Open the last segment for appending, and make sure that its last frame is durable.

        It may be the one that was written but not synced when the process died; if the sync failed,
        the kernel believes its pages to be clean. Written again and synced, it is durable in any case.
        """
        assert last is not None
        self._file = self._disk.open(reader.segment)
        self._offset, self._size = reader.offset, len(reader.raw)
        begin = reader.offset - last.size
        self._file.write_at(begin, reader.raw[begin : reader.offset])
        self._file.sync()

    def _set_tail_aside(self, reader: JournalReader) -> None:
        tail = reader.raw[reader.offset :].rstrip(b"\0")
        kept = self._disk.names(".torn")
        kept_as = f"{reader.next_sequence:020d}-{len(kept)}.torn"
        self._disk.put(kept_as, tail)
        if self._file is not None:
            self._file.write_at(reader.offset, bytes(len(tail)))
            self._file.sync()
        self.torn_tail = TornTail(reader.segment, reader.offset, reader.next_sequence, kept_as)

    def append(self, commands: bytes, *, timestamp_ns: int) -> None:
        """Write one frame and return when it is durable. Raises JournalWriteError, then for ever."""
        self.write(self.next_frame(commands, timestamp_ns=timestamp_ns))

    def next_frame(self, commands: bytes, *, timestamp_ns: int) -> Encoded:
        """Return the frame that these commands would be, here."""
        raw, digest = encode(
            commands, first_sequence=self.next_sequence, timestamp_ns=timestamp_ns, previous=self.head
        )
        return Encoded(raw, digest, self.next_sequence + len(commands) // RECORD_BYTES)

    def check(self, raw: bytes) -> Frame:
        """Return a frame that another writer made, if it is the next one. Raises JournalGapError."""
        found = decode(raw, 0)
        if isinstance(found, Damage):
            raise JournalGapError(segment="the stream", offset=0, what=found.what)
        if found.first_sequence != self.next_sequence or found.previous != self.head:
            what = (
                f"a frame of sequence {found.first_sequence} does not continue ours of {self.next_sequence}"
            )
            raise JournalGapError(segment="the stream", offset=0, what=what)
        return found

    def write(self, frame: Encoded) -> None:
        """Write the next frame as it is, and return when it is durable. Raises JournalWriteError, then for ever."""
        if self._failed:
            raise JournalWriteError(sequence=self.next_sequence, cause=OSError("an earlier write failed"))
        try:
            if self._file is None or self._offset + len(frame.raw) > self._size:
                self._begin_segment(len(frame.raw))
            assert self._file is not None
            self._file.write_at(self._offset, frame.raw)
            self._file.sync()
        except OSError as error:
            self._failed = True
            raise JournalWriteError(sequence=self.next_sequence, cause=error) from error
        self._offset += len(frame.raw)
        self.head = frame.digest
        self.next_sequence = frame.next_sequence

    @property
    def last(self) -> Frame | None:
        """The last frame that was there when the journal was opened, None if there was none."""
        return self._last

    def withdraw(self) -> str:
        """Set the last frame aside and return as what; only before anything was appended. Raises JournalWriteError.

        A leader's frame that the stream does not have was acknowledged to nobody, and another may have its place.
        """
        last, file = self._last, self._file
        assert last is not None
        assert file is not None
        assert last.next_sequence == self.next_sequence
        kept_as = f"{last.first_sequence:020d}-{last.digest.hex()[:8]}.fenced"
        begin = self._offset - last.size
        try:
            self._disk.put(kept_as, file.read_at(begin, last.size))
            file.write_at(begin, bytes(last.size))
            file.sync()
        except OSError as error:
            self._failed = True
            raise JournalWriteError(sequence=last.first_sequence, cause=error) from error
        self._offset, self.head, self.next_sequence, self._last = (
            begin,
            last.previous,
            last.first_sequence,
            None,
        )
        return kept_as

    def _begin_segment(self, frame_bytes: int) -> None:
        self.close()
        self._size = max(self._segment_bytes, frame_bytes)
        self._file = self._disk.create(Segment(self._segments, self.next_sequence).name, self._size)
        self._segments += 1
        self._offset = 0

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
