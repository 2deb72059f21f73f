"""The sequencer: the single writer. It orders, stamps, journals, applies and publishes.

| module    | what is in it                                                            |
|-----------|--------------------------------------------------------------------------|
| sequencer | `Sequencer`: a batch at a time, the disk in a thread beside the engine   |
| cycle     | what happens to a batch; nothing is published before it is durable       |
| inbox     | what has arrived and waits for its batch; when time must be told         |
| lanes     | what waits under load, fairly between accounts                           |
| committer | once a second: the state hashed, signed and chained; cuts for the judges |
| statements| what every account has and how the venue stands, out of the tables       |
| recovery  | newest valid snapshot, then the journal after it; snapshots              |
| replay    | the whole journal from nothing, held against feed and snapshots          |
"""

from ringfence.exchange.sequencer.committer import Committer
from ringfence.exchange.sequencer.cycle import Cycle, InFlight
from ringfence.exchange.sequencer.inbox import Alarm, Inbox, InvalidSubmissionError, Shed
from ringfence.exchange.sequencer.joining import frame_of, place_in
from ringfence.exchange.sequencer.recovery import (
    Disks,
    Recovered,
    acknowledged_below,
    apply,
    recover,
    remove_old_snapshots,
    sequence_of,
    snapshots,
    write_snapshot,
)
from ringfence.exchange.sequencer.replay import Difference, Replay, Totals
from ringfence.exchange.sequencer.sequencer import DivergedError, Sequencer

__all__ = [
    "Alarm", "Committer", "Cycle", "Difference", "Disks", "DivergedError", "InFlight", "Inbox",
    "InvalidSubmissionError", "Recovered", "Replay", "Sequencer", "Shed", "Totals", "acknowledged_below",
    "apply", "frame_of", "place_in", "recover",
    "remove_old_snapshots", "sequence_of", "snapshots", "write_snapshot",
]  # fmt: skip
