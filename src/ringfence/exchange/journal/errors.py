"""What can go wrong with the journal. Each error says what is known and what to do next."""


class JournalError(Exception):
    """The journal cannot do what was asked; what it holds is untouched."""


class JournalCorruptError(JournalError):
    """Bytes that were durable have changed. Remedy: restore the segment from a copy, then verify."""

    def __init__(self, *, segment: str, offset: int, sequence: int, what: str) -> None:
        self.segment, self.offset, self.sequence, self.what = segment, offset, sequence, what
        super().__init__(
            f"journal damaged in {segment} at byte {offset}, at sequence {sequence}: {what}. Nothing was "
            "started and nothing was changed. Restore this segment from a backup or a replica and run "
            "`ringfence journal verify`."
        )


class JournalGapError(JournalError):
    """A frame does not continue the one before it: a segment is missing or out of place."""

    def __init__(self, *, segment: str, expected_sequence: int, found_sequence: int) -> None:
        self.expected_sequence, self.found_sequence = expected_sequence, found_sequence
        super().__init__(
            f"journal has a gap before {segment}: expected sequence {expected_sequence}, found "
            f"{found_sequence}. Nothing was started. Put the missing segments back."
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
