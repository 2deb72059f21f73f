"""The exchange itself: orders, positions, margins and fees as a pure function of ordered commands.

| module                | what is in it                                            |
|-----------------------|----------------------------------------------------------|
| engine                | the front door: step, digest, snapshots                  |
| kernel                | the compiled loop and what it prefetches                 |
| orders, matching      | place, amend, cancel; crossing the book                  |
| clearing, margin      | what a fill does; what must be locked                    |
| cancelling            | how orders end without a trade; orders linked with them  |
| settings, timers      | leverage, limits, transfers, coins; what time does       |
| listing               | instruments and venue settings                           |
| book, ladder          | price levels and queues; which prices have orders        |
| stops, waiting        | triggered, pegged, linked orders; where they wait        |
| marking, funding      | index to mark; what holders pay each other               |
| liquidation           | accounts that are short of margin, and the steps         |
| insurance,            | what the insurance account does with what it took over;  |
|   deleveraging        | what winners take over when it cannot                    |
| settlement            | the end of a contract                                    |
| halting               | what stands still when something was wrong, and goes on  |
| upkeep                | what is due, and what commands left over                 |
| levels                | the price levels as they are, for judges                 |
| state, snapshot       | the tables, and their file                               |
| records, views, tables| layouts; how the kernel sees memory; lookups             |
| native, compiler      | machine code kept between runs; from Python to it        |
"""

from ringfence.exchange.engine.engine import Engine
from ringfence.exchange.engine.snapshot import SnapshotError

__all__ = ["Engine", "SnapshotError"]
