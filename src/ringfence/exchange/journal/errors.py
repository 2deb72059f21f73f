"""What can go wrong with the journal. Each error says what is known and what to do next."""


class JournalError(Exception):
    """The journal cannot do what was asked; what it holds is untouched."""


class JournalCorruptError(JournalError):
    """Bytes that were durable have changed. Remedy: restore the segment from a copy, then verify."""

    def __init__(self, *, segment: str, offset: int, sequence: int, what: str) -> None:
        self.segment, self.offset, self.sequence, self.what = segment, offset, sequence, what
        super().__init__(
            f"journal damaged in {segment or 'the folder'} at byte {offset}, at sequence {sequence}: {what}. "
            "Nothing was started and nothing was changed. Restore this segment from a backup or a replica "
            "and run `ringfence journal verify`."
        )


class JournalGapError(JournalError):
    """A segment is missing or out of place. Remedy: put the segments back as they were."""

    def __init__(self, *, segment: str, offset: int, what: str) -> None:
        self.segment, self.offset, self.what = segment, offset, what
        super().__init__(
            f"journal has a gap at byte {offset} of {segment}: {what}. Nothing was started and nothing was "
            "changed. Put the missing segments back and run `ringfence journal verify`."
        )


class JournalVersionError(JournalError):
    """A whole frame of a version that this program does not read. Remedy: start the one that wrote it."""

    def __init__(self, *, segment: str, offset: int, found: int, known: int) -> None:
        self.segment, self.offset, self.found, self.known = segment, offset, found, known
        super().__init__(
            f"the frame at byte {offset} of {segment} has version {found}, this program reads {known}. "
            "Nothing was started and nothing was changed. Start the release that wrote it."
        )


class JournalReadError(JournalError):
    """The disk did not give back what it holds. Nothing is known to be lost; look at the disk."""

    def __init__(self, *, segment: str, offset: int, cause: OSError) -> None:
        self.segment, self.offset = segment, offset
        super().__init__(
            f"the journal could not read {segment} from byte {offset}: {cause.strerror or cause}. Nothing "
            "was started and nothing was changed. Check the disk, then start again."
        )


class JournalWriteError(JournalError):
    """A frame could not be made durable. Nothing of it was acknowledged and nothing will be any more.

    After a failed sync the kernel may have dropped the pages and would report the next one as good,
    so a process that meets this stops; recovery on restart finds out what is on the disk.
    """

    def __init__(self, *, sequence: int, cause: OSError) -> None:
        self.sequence = sequence
        super().__init__(
            f"the journal could not write sequence {sequence}: {cause.strerror or cause}. It was not "
            "acknowledged. Free disk space or replace the disk, then start again."
        )
