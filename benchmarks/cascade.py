"""How fast the safety net is: `python benchmarks/cascade.py [--json] [--quick]`.

A cascade: 10,000 leveraged accounts on 10 instruments, all prices fall by 30 % in a minute, a price a second
for each index. And one mark that moves on an instrument with a million positions: how long until every
account has been looked at, and how long the longest single piece of that kept trading waiting.
"""

import sys
from collections.abc import Iterator
from statistics import median

from ringfence.testing.cascade import Cascade, run_cascade
from ringfence.testing.measure import Result, pin_to_one_core, report
from ringfence.testing.remark import remark_milliseconds

QUICK = "--quick" in sys.argv[1:]


def results() -> Iterator[Result]:
    shape = Cascade(accounts=1_000, instruments=3) if QUICK else Cascade()
    runs = [run_cascade(shape) for _ in range(1 if QUICK else 3)]
    seconds = median(run.engine_seconds for run in runs)
    yield Result("cascade.engine_seconds", seconds, "s", "the limit of 2 s", seconds / 2)
    yield Result("cascade.longest_batch_ms", median(run.longest_batch_ms for run in runs), "ms")
    yield Result("cascade.liquidated_accounts", runs[0].liquidated, "accounts", "all accounts",
                 runs[0].liquidated / shape.accounts)  # fmt: skip
    yield Result("cascade.deleveraged_accounts", runs[0].deleveraged, "accounts")
    yield Result("cascade.fund_paid_share", runs[0].fund_paid_share, "of the fund")
    accounts = 100_000 if QUICK else 1_000_000
    whole, longest = zip(*remark_milliseconds(accounts, runs=3 if QUICK else 15), strict=True)
    yield Result("margin.remark_1m_ms", median(whole), "ms", "the limit of 20 ms", median(whole) / 20)
    yield Result("margin.remark_1m_ms.best", min(whole), "ms")
    yield Result("margin.remark_longest_piece_ms", median(longest), "ms")


if __name__ == "__main__":
    pin_to_one_core()
    report(results())
