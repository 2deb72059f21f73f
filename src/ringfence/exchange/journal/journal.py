"""The embedded journal: append-only segments of frames on one disk.

Segments are allocated whole and filled from the front; what is blank was never written. A frame that
is cut off at the very end, after which nothing whole follows and which nobody was told of, is a *torn
tail*: the machine stopped while writing it. It is kept aside and the space is blanked. Anything else
that does not check is *rot*, and the journal refuses to open.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from ringfence.exchange.journal.disk import Disk, DiskFile
from ringfence.exchange.journal.errors import JournalCorruptError, JournalGapError, JournalWriteError
from ringfence.exchange.journal.frame import GENESIS, Damage, Frame, decode, encode, find_frame

SEGMENT_BYTES = 64 << 20
_SUFFIX = ".journal"

Progress = Callable[[int, int], None]
"""Called with (bytes read, bytes in all)."""


class TornTail(NamedTuple):
    """A frame that was being written when the machine stopped, and was acknowledged to nobody."""

    segment: str
    offset: int
    sequence: int
    kept_as: str


def segment_name(first_sequence: int) -> str:
    return f"{first_sequence:020d}{_SUFFIX}"


class _Reader:
    """Frames in order, checked one against the next."""

    def __init__(self, disk: Disk, *, first_sequence: int, on_progress: Progress | None) -> None:
        self.disk = disk
        self.names = disk.names(_SUFFIX)
        self.on_progress = on_progress
        begin = 0
        for index, name in enumerate(self.names):
            if int(name.split(".")[0]) <= first_sequence:
                begin = index
        self.names = self.names[begin:]
        self.previous: bytes | None = GENESIS if begin == 0 else None
        self.next_sequence = int(self.names[0].split(".")[0]) if self.names else 0
        self.segment, self.offset = "", 0
        self.damage: Damage | None = None
        self.raw = b""

    def frames(self) -> Iterator[Frame]:
        """Yield frames until the end or the first damage; then `damage` says what stopped it."""
        total = sum(self.disk.size(name) for name in self.names)
        done = 0
        for name in self.names:
            named = int(name.split(".")[0])
            if named != self.next_sequence:
                raise JournalGapError(
                    segment=name, expected_sequence=self.next_sequence, found_sequence=named
                )
            self.segment, self.offset, self.raw = name, 0, self.disk.read(name)
            while self.offset < len(self.raw):
                found = decode(self.raw, self.offset)
                if isinstance(found, Damage):
                    self.damage = found
                    break
                if found.first_sequence != self.next_sequence:
                    raise JournalGapError(
                        segment=name,
                        expected_sequence=self.next_sequence,
                        found_sequence=found.first_sequence,
                    )
                if self.previous is not None and found.previous != self.previous:
                    raise self.corrupt("the frame does not continue the hash chain")
                self.previous, self.next_sequence = found.digest, found.next_sequence
                self.offset += found.size
                if self.on_progress:
                    self.on_progress(done + self.offset, total)
                yield found
            done += len(self.raw)
            if self.damage and not (self.damage.is_blank and name != self.names[-1]):
                break
            if name != self.names[-1]:
                self.damage = None
        if self.on_progress:
            self.on_progress(total, total)

    def corrupt(self, what: str) -> JournalCorruptError:
        return JournalCorruptError(
            segment=self.segment, offset=self.offset, sequence=self.next_sequence, what=what
        )

    def check_end(self, *, acknowledged: int) -> bool:
        """Return whether the journal ends in a torn tail. Raises JournalCorruptError if it is rot."""
        if self.next_sequence < acknowledged:
            what = self.damage.what if self.damage else "the journal ends"
            raise self.corrupt(f"{what}, but everything below {acknowledged} had been acknowledged")
        if self.damage is None or self.damage.is_blank:
            return False
        if self.segment != self.names[-1]:
            raise self.corrupt(f"{self.damage.what}, and later segments follow")
        later = find_frame(self.raw, self.offset + 1)
        if later is not None:
            raise self.corrupt(f"{self.damage.what}, and a whole frame follows at byte {later}")
        return True


def read_frames(
    disk: Disk, *, first_sequence: int = 0, on_progress: Progress | None = None
) -> Iterator[Frame]:
    """Yield the frames from the one that holds `first_sequence`, verified; a torn tail is passed over.

    Raises JournalCorruptError or JournalGapError.
    """
    reader = _Reader(disk, first_sequence=first_sequence, on_progress=on_progress)
    for frame in reader.frames():
        if frame.next_sequence > first_sequence:
            yield frame
    reader.check_end(acknowledged=0)


class Journal:
    """The one writer. Recovered when it is opened; `append` returns when the frame is durable."""

    def __init__(self, disk: Disk, *, acknowledged: int = 0, segment_bytes: int = SEGMENT_BYTES) -> None:
        """Open the journal, creating it if there is none.

        `acknowledged` = the sequence below which everything is known to have been published. Raises
        JournalCorruptError, JournalGapError.
        """
        self._disk = disk
        self._segment_bytes = segment_bytes
        self.torn_tail: TornTail | None = None
        self._failed = False
        names = disk.names(_SUFFIX)
        last = int(names[-1].split(".")[0]) if names else 0
        reader = _Reader(disk, first_sequence=last, on_progress=None)
        for _ in reader.frames():
            pass
        torn = reader.check_end(acknowledged=acknowledged)
        self.next_sequence = reader.next_sequence
        self._file: DiskFile | None = disk.open(reader.segment) if names else None
        self._offset = reader.offset
        self._size = len(reader.raw)
        if torn:
            self._set_tail_aside(reader)
        self.head = self._head_of(reader, names)

    def _head_of(self, reader: _Reader, names: list[str]) -> bytes:
        """Return the hash of the last frame; a blank last segment continues the one before it."""
        if reader.previous is not None or len(names) < 2:
            return reader.previous or GENESIS
        before = _Reader(self._disk, first_sequence=int(names[-2].split(".")[0]), on_progress=None)
        before.names = [names[-2]]
        for _ in before.frames():
            pass
        return before.previous or GENESIS

    def _set_tail_aside(self, reader: _Reader) -> None:
        tail = reader.raw[reader.offset :].rstrip(b"\0")
        kept_as = f"{reader.next_sequence:020d}.torn"
        self._disk.put(kept_as, tail)
        assert self._file is not None
        self._file.write_at(reader.offset, bytes(len(tail)))
        self._file.sync()
        self.torn_tail = TornTail(reader.segment, reader.offset, reader.next_sequence, kept_as)

    def append(self, commands: bytes, *, timestamp_ns: int) -> None:
        """Write one frame and return when it is durable. Raises JournalWriteError, then for ever."""
        if self._failed:
            raise JournalWriteError(sequence=self.next_sequence, cause=OSError("an earlier write failed"))
        raw, digest = encode(
            commands, first_sequence=self.next_sequence, timestamp_ns=timestamp_ns, previous=self.head
        )
        try:
            if self._file is None or self._offset + len(raw) > self._size:
                self._begin_segment(len(raw))
            assert self._file is not None
            self._file.write_at(self._offset, raw)
            self._file.sync()
        except OSError as error:
            self._failed = True
            raise JournalWriteError(sequence=self.next_sequence, cause=error) from error
        self._offset += len(raw)
        self.head = digest
        self.next_sequence += len(commands) // 64

    def _begin_segment(self, frame_bytes: int) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        self._size = max(self._segment_bytes, frame_bytes)
        self._file = self._disk.create(segment_name(self.next_sequence), self._size)
        self._offset = 0

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
