"""The sequencer: the single writer. It orders, stamps, journals, applies and publishes.

| module    | what is in it                                                            |
|-----------|--------------------------------------------------------------------------|
| sequencer | `Sequencer`: a batch at a time; nothing is published before it is durable |
| recovery  | newest valid snapshot, then the journal after it; snapshots              |
"""

from ringfence.exchange.sequencer.recovery import Recovered, recover, remove_old_snapshots, snapshot_path
from ringfence.exchange.sequencer.sequencer import Sequencer

__all__ = ["Recovered", "Sequencer", "recover", "remove_old_snapshots", "snapshot_path"]
