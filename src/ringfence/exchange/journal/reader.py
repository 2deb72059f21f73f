"""Frames in order, each checked against the one before it.

Segments are named `<number>-<first sequence>.journal`; the number shows at once when one is missing. A
segment is allocated whole and filled from the front, so what is blank was never written.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from ringfence.exchange.disk import Disk
from ringfence.exchange.journal.errors import (
    JournalCorruptError,
    JournalGapError,
    JournalReadError,
    JournalVersionError,
)
from ringfence.exchange.journal.frame import GENESIS, Damage, Frame, decode, find_frame
from ringfence.messages.records import VERSION

SUFFIX = ".journal"

Progress = Callable[[int, int], None]
"""Called with (bytes read, bytes in all)."""


class Segment(NamedTuple):
    number: int
    first_sequence: int

    @property
    def name(self) -> str:
        return f"{self.number:08d}-{self.first_sequence:020d}{SUFFIX}"


def segments(disk: Disk) -> list[Segment]:
    """Return the segments in order. Raises JournalGapError if one is missing, JournalReadError."""
    found: list[Segment] = []
    try:
        names = disk.names(SUFFIX)
    except OSError as error:
        raise JournalReadError(segment="the folder", offset=0, cause=error) from error
    for expected_number, name in enumerate(names):
        parts = name.removesuffix(SUFFIX).split("-")
        if len(parts) != 2 or not all(part.isdecimal() for part in parts):
            raise JournalCorruptError(segment=name, offset=0, sequence=0, what="this is no segment's name")
        segment = Segment(int(parts[0]), int(parts[1]))
        if segment.number != expected_number:
            raise JournalGapError(segment=name, offset=0, what=f"segment {expected_number} is missing")
        if segment.first_sequence <= found[-1].first_sequence if found else segment.first_sequence != 0:
            raise JournalGapError(segment=name, offset=0, what="its name does not continue the one before")
        found.append(segment)
    return found


class JournalReader:
    """Reads from the segment that holds `first_sequence`, or from an earlier one.

    The core may append meanwhile: a frame that it is writing is passed over. Each frame must continue
    the hash chain; the first of a later segment is taken at its word, so a reader that wants to be
    sure of the border begins one segment earlier.
    """

    def __init__(
        self,
        disk: Disk,
        *,
        first_sequence: int = 0,
        earlier_segments: int = 0,
        on_progress: Progress | None = None,
    ) -> None:
        """Raises JournalGapError if a segment is missing."""
        self._disk = disk
        self._on_progress = on_progress
        found = segments(disk)
        begin = sum(segment.first_sequence <= first_sequence for segment in found) - 1
        self.segments = found[max(0, begin - earlier_segments) :]
        self.next_sequence = self.segments[0].first_sequence if self.segments else 0
        self.head: bytes | None = GENESIS if self.next_sequence == 0 else None
        """The hash of the last frame read; None before the first one of a later segment."""
        self.segment, self.offset = "", 0
        """Where the next frame belongs."""
        self.raw = b""
        self.damage: Damage | None = None

    def frames(self) -> Iterator[Frame]:
        """Yield frames until the end or the first damage; then `damage` says what stopped it."""
        total = self._total_bytes()
        done = 0
        for segment in self.segments:
            self.segment, self.offset, self.raw = segment.name, 0, self._read(segment.name)
            if segment.first_sequence != self.next_sequence:
                what = f"expected sequence {self.next_sequence}, found {segment.first_sequence}"
                raise JournalGapError(segment=segment.name, offset=0, what=what)
            self.damage = None
            while self.offset < len(self.raw):
                found = self._decode()
                if isinstance(found, Damage):
                    self.damage = found
                    break
                self.offset += found.size
                self.head, self.next_sequence = found.digest, found.next_sequence
                if self._on_progress:
                    self._on_progress(done + self.offset, total)
                yield found
            done += len(self.raw)
            if self.damage and not self.damage.is_blank:
                break
        if self._on_progress:
            self._on_progress(total, total)

    def _decode(self) -> Frame | Damage:
        """Return the frame at this place. Raises if it is whole and does not belong here."""
        found = decode(self.raw, self.offset)
        if isinstance(found, Damage):
            if found.version != VERSION:
                raise JournalVersionError(
                    segment=self.segment, offset=self.offset, found=found.version, known=VERSION
                )
            return found
        if found.first_sequence != self.next_sequence:
            what = f"expected sequence {self.next_sequence}, found {found.first_sequence}"
            raise JournalGapError(segment=self.segment, offset=self.offset, what=what)
        if self.head is not None and found.previous != self.head:
            raise self.corrupt("the frame does not continue the hash chain")
        return found

    def check_end(self, *, acknowledged: int = 0) -> bool:
        """Return whether the last frame is not whole: it is being written, or was when it all stopped.

        `acknowledged` = the sequence below which everything is known to have been published. Raises
        JournalCorruptError if that is not there, or if what does not check is not the last frame.
        """
        if self.next_sequence < acknowledged:
            what = self.damage.what if self.damage else "the journal ends"
            raise self.corrupt(f"{what}, but everything below {acknowledged} had been acknowledged")
        if self.damage is None or self.damage.is_blank:
            return False
        if self.segment != self.segments[-1].name:
            raise self.corrupt(f"{self.damage.what}, and later segments follow")
        later = find_frame(self.raw, self.offset + 1, first_sequence=self.next_sequence)
        # A reader beside the core may have passed here before a frame was written and have come to the
        # place of the next one after that. What is before a whole frame is whole, so look again.
        if later is not None and isinstance(decode(self._read(self.segment), self.offset), Damage):
            raise self.corrupt(f"{self.damage.what}, and a whole frame follows at byte {later}")
        return True

    def corrupt(self, what: str) -> JournalCorruptError:
        return JournalCorruptError(
            segment=self.segment, offset=self.offset, sequence=self.next_sequence, what=what
        )

    def _read(self, name: str) -> bytes:
        try:
            return self._disk.read(name)
        except OSError as error:
            raise JournalReadError(segment=name, offset=0, cause=error) from error

    def _total_bytes(self) -> int:
        try:
            return sum(self._disk.size(segment.name) for segment in self.segments)
        except OSError as error:
            raise JournalReadError(segment=self.segments[0].name, offset=0, cause=error) from error


def read_frames(
    disk: Disk, *, first_sequence: int = 0, on_progress: Progress | None = None
) -> Iterator[Frame]:
    """Yield the frames from the one that holds `first_sequence`; one that is not whole is passed over.

    Raises JournalError: what was durable has changed or cannot be read.
    """
    reader = JournalReader(disk, first_sequence=first_sequence, on_progress=on_progress)
    for frame in reader.frames():
        if frame.next_sequence > first_sequence:
            yield frame
    reader.check_end()
