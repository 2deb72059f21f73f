"""Where a machine's journal stands in the stream, found out before anything is replayed.

The stream is right. What a machine has beyond it was never acknowledged: a leader died, or was fenced, between its
own disk and the others'. It is set aside, and only ever one frame; anything else is no crash but a loss.
"""

import logging

from ringfence.exchange.journal import Entry, Frame, Journal, Stream, StreamLostError
from ringfence.exchange.journal.frame import GENESIS, decode
from ringfence.exchange.sequencer.recovery import Disks, acknowledged_below

log = logging.getLogger(__name__)


async def place_in(stream: Stream, disks: Disks) -> int:
    """Return the number of the entry that this machine's journal ends with, 0 = it is empty.

    A last frame that the stream does not have is set aside. Raises StreamLostError if the stream lacks or contradicts
    what was acknowledged, StreamUnavailableError, JournalError.
    """
    acknowledged = acknowledged_below(disks)
    journal = Journal(disks.journal, acknowledged=acknowledged, segment_bytes=disks.segment_bytes)
    try:
        return await _place(stream, journal, acknowledged)
    finally:
        journal.close()


async def _place(stream: Stream, journal: Journal, acknowledged: int) -> int:
    end = await stream.last()
    last = journal.last
    if last is None:
        return 0
    number = await _find(stream, last.first_sequence, end)
    if number and await _digest_at(stream, number) == last.digest:
        return number
    before = number - 1 if number else end
    is_before = await _digest_at(stream, before) == last.previous
    if not is_before or acknowledged > last.first_sequence:
        raise StreamLostError(
            f"this machine's journal ends with sequence {last.first_sequence}, of which everything below "
            f"{acknowledged} was acknowledged; the stream has {end} entries and not this one. Nothing was started and "
            "nothing was changed. If the stream's servers have lost data, make it anew with `ringfence cluster seed`."
        )
    kept_as = journal.withdraw()
    log.warning(
        "the last frame, of sequence %d, is not in the stream: nobody was told of it; it is kept as %s",
        last.first_sequence, kept_as,
    )  # fmt: skip
    return before


async def _entry(stream: Stream, number: int) -> Entry:
    found = await stream.read(number, at_most=1)
    if not found:
        raise StreamLostError(f"the stream has no entry {number} any more")
    return found[0]


async def _digest_at(stream: Stream, number: int) -> bytes:
    return GENESIS if number == 0 else frame_of(await _entry(stream, number)).digest


def frame_of(entry: Entry) -> Frame:
    """Return the frame of an entry. Raises StreamLostError if it is none."""
    found = decode(entry.raw, 0)
    if not isinstance(found, Frame):
        raise StreamLostError(f"entry {entry.number} of the stream is no frame: {found.what}")
    return found


async def _find(stream: Stream, first_sequence: int, end: int) -> int:
    """Return the number of the entry that begins with a sequence, 0 if there is none. Raises StreamLostError."""
    low, high = await stream.first(), end
    while low <= high:
        middle = (low + high) // 2
        found = frame_of(await _entry(stream, middle)).first_sequence
        if found == first_sequence:
            return middle
        low, high = (middle + 1, high) if found < first_sequence else (low, middle - 1)
    return 0
