"""Writes the feed; after a crash, continues where it is still whole."""

from pathlib import Path

from ringfence.exchange.disk import Disk, DiskFile, RealDisk, disk_at
from ringfence.exchange.feed import segment
from ringfence.messages.batch import Batch

FILE_BYTES = 64 << 20


class FeedWriteError(Exception):
    """A durable batch could not be published. Remedy: free disk space and start again.

    The journal has it, so the feed is continued from there; until then nobody is told of it.
    """

    def __init__(self, *, sequence: int, cause: OSError) -> None:
        self.sequence = sequence
        super().__init__(
            f"the feed could not write sequence {sequence}: {cause.strerror or cause}. It is safe in the "
            "journal. Free disk space, then start again."
        )


class FeedWriter:
    """Appends durable batches. `next_sequence` says where it stands after opening."""

    def __init__(self, place: Path | Disk, *, durable_below: int = 0, file_bytes: int = FILE_BYTES) -> None:
        """Find out how far the feed is whole; nothing is changed before the first append.

        `durable_below` = a sequence below which it was synced. From the file that holds it on, every
        batch is checked: a power cut may have taken any page, of an older file too.
        """
        self._disk = RealDisk(place) if isinstance(place, Path) else place
        self._file_bytes = file_bytes
        self._durable_below = durable_below
        self._file: DiskFile | None = None
        self.next_sequence = 0
        self._offset = 0
        self._kept = ""
        """The file that `_offset` is in: the last that is whole up to there, later the one that is written to."""
        self._is_cut = False
        self._find_end(durable_below)

    def _find_end(self, durable_below: int) -> None:
        names = segment.names(self._disk)
        if not names or names[0] != segment.name_of(0):
            return
        begin = [name for name in names if segment.first_sequence_of(name) <= durable_below][-1]
        self.next_sequence = segment.first_sequence_of(begin)
        next_event: int | None = None
        for name in names[names.index(begin) :]:
            if segment.first_sequence_of(name) != self.next_sequence:
                return
            raw = self._disk.read(name)
            self._kept, self._offset = name, 0
            while (batch := segment.decode_at(raw, self._offset)) is not None:
                if batch.first_sequence != self.next_sequence or next_event not in (None, batch.first_event):
                    return
                self.next_sequence = batch.next_sequence
                next_event = batch.first_event + len(batch.events)
                self._offset += segment.size_of(batch)
            if self._offset != len(raw):
                return

    def _cut(self) -> None:
        """Drop what is not whole and everything after it."""
        self._is_cut = True
        for name in reversed(segment.names(self._disk)):
            if name > self._kept or (name == self._kept and not self._offset) or not self._kept:
                self._disk.remove(name)
        if self._offset:
            self._file = self._disk.open(self._kept)
            self._file.truncate(self._offset)

    def append(self, batch: Batch) -> None:
        """Write a batch that is durable in the journal; one that is there already is passed over.

        Raises FeedWriteError; then the process must end.
        """
        if batch.next_sequence <= self.next_sequence:
            return
        assert batch.first_sequence == self.next_sequence
        try:
            if not self._is_cut:
                self._cut()
            if self._file is None or self._offset >= self._file_bytes:
                self._begin_file(batch.first_sequence)
            assert self._file is not None
            raw = segment.encode(batch)
            self._file.write_at(self._offset, raw)
        except OSError as error:
            raise FeedWriteError(sequence=batch.first_sequence, cause=error) from error
        self._offset += len(raw)
        self.next_sequence = batch.next_sequence

    def _begin_file(self, first_sequence: int) -> None:
        # What is below the newest snapshot is taken to be synced when the core starts. If it had to be
        # written again, each file is made durable before the next one says by its name that it is whole.
        is_written_again = first_sequence < self._durable_below
        if is_written_again and self._file is not None:
            self._sync_or_remove()
        self.close()
        self._kept = segment.name_of(first_sequence)
        self._file = self._disk.begin(self._kept)
        self._offset = 0
        if is_written_again:
            self._disk.sync_names()

    def _sync_or_remove(self) -> None:
        """Make the file durable or take it away: its pages count as clean now, and the next start would believe it."""
        assert self._file is not None
        try:
            self._file.sync()
        except OSError:
            self._disk.remove(self._kept)
            raise

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def rewrite_feed(place: Path | Disk, *, first_sequence: int, next_sequence: int) -> None:
    """Write batches of the feed again where they are, byte for byte, so that the next sync writes them. Raises OSError.

    After a sync has failed, the system takes the pages for clean: the next sync succeeds and writes
    nothing, reads give what was written, and a power cut takes it away. So what an earlier sync may have failed
    on is written again first: from the file that holds `first_sequence` up to `next_sequence`, which readers and the
    writer of later batches do not notice.
    """
    disk = disk_at(place)
    names = segment.names(disk)
    earlier = [name for name in names if segment.first_sequence_of(name) <= first_sequence]
    for name in names[max(len(earlier) - 1, 0) :]:
        if segment.first_sequence_of(name) >= next_sequence:
            return
        raw = disk.read(name)
        end, sequence = 0, segment.first_sequence_of(name)
        while sequence < next_sequence and (batch := segment.decode_at(raw, end)) is not None:
            end, sequence = end + segment.size_of(batch), batch.next_sequence
        file = disk.open(name)
        try:
            file.write_at(0, raw[:end])
        finally:
            file.close()


def sync_feed(place: Path | Disk) -> None:
    """Return when every batch that was published before is durable. Raises OSError."""
    disk = disk_at(place)
    names = segment.names(disk)
    for name in names:
        file = disk.open_to_read(name)
        try:
            file.sync()
        finally:
            file.close()
    if names:
        disk.sync_names()
