"""The sequencer: the single writer. It orders, stamps, journals, applies and publishes.

| module    | what is in it                                                            |
|-----------|--------------------------------------------------------------------------|
| sequencer | `Sequencer`: a batch at a time; nothing is published before it is durable |
| recovery  | newest valid snapshot, then the journal after it; snapshots              |
| replay    | the whole journal from nothing, held against feed and snapshots          |
"""

from ringfence.exchange.sequencer.recovery import (
    Recovered,
    acknowledged_below,
    apply,
    recover,
    remove_old_snapshots,
    sequence_of,
    snapshot_path,
    snapshots,
    write_snapshot,
)
from ringfence.exchange.sequencer.replay import Difference, Replay, Totals
from ringfence.exchange.sequencer.sequencer import Sequencer

__all__ = [
    "Difference", "Recovered", "Replay", "Sequencer", "Totals", "acknowledged_below", "apply", "recover",
    "remove_old_snapshots", "sequence_of", "snapshot_path", "snapshots", "write_snapshot",
]  # fmt: skip
