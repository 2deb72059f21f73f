"""The exchange itself: orders, positions, margins and fees as a pure function of ordered commands.

| module                | what is in it                                            |
|-----------------------|----------------------------------------------------------|
| engine                | the front door: step, digest, snapshots                  |
| kernel                | the compiled loop and what it prefetches                 |
| orders, matching      | place, amend, cancel; crossing the book                  |
| clearing, margin      | what a fill does; what must be locked                    |
| settings, timers      | leverage, limits, transfers, coins; what time does       |
| listing               | instruments, marks, venue settings                       |
| book, ladder          | price levels and queues; which prices have orders        |
| state, snapshot       | the tables, and their file                               |
| records, views, tables| layouts; how the kernel sees memory; lookups             |
| native, compiler      | machine code kept between runs; from Python to it        |
"""

from ringfence.exchange.engine.engine import Engine
from ringfence.exchange.engine.snapshot import SnapshotError

__all__ = ["Engine", "SnapshotError"]
