"""Mutants that do what the original does: no test can mind them, and each says why.

They are named by the module's last name, the line of the source as it stands, and the change. One whose line is no
longer in the source is refused, so that the list does not outlive what it is about.
"""

from typing import NamedTuple


class Equivalent(NamedTuple):
    module: str
    line: str
    changes: tuple[str, ...]
    why: str


EQUIVALENT = (
    Equivalent(
        "arithmetic", "return lots_of(ins, size) if size < 2**31 else udiv(size, ins.lot_size)",
        ("31 became 32", "< became <="), "both ways give the same lots; the first is faster below",
    ),
    Equivalent(
        "arithmetic", "negative = (a < 0) != (b < 0)", ("< became <=",), "a product of nothing has no sign",
    ),
    Equivalent(
        "arithmetic", "if high == 0 or high == -1:", ("0 became -1", "0 became 1", "== became !="),
        "what is not short goes the long way, which is exact too",
    ),
    Equivalent(
        "arithmetic", "if (product < 0) == (high < 0):", ("0 became -1", "0 became 1", "< became <="),
        "what is not short goes the long way, which is exact too",
    ),
    Equivalent(
        "arithmetic", "if value < _SMALL:", ("< became <=",), "at the border both ways are exact",
    ),
    Equivalent(
        "arithmetic", "return -small if ppm < 0 else small", ("0 became 1", "< became <="),
        "a rate of nothing gives nothing",
    ),
    Equivalent(
        "arithmetic", "return -magnitude if ppm < 0 else magnitude", ("0 became 1", "< became <="),
        "a rate of nothing gives nothing",
    ),
    Equivalent(
        "margin", "return maintenance_of(ins, p, abs(p.cost), bool(p.qty > 0))", ("0 became -1", "> became >="),
        "a flat position has no cost, and nothing of nothing is needed",
    ),
    Equivalent(
        "margin", "if need > 0 and free < need:", ("0 became -1", "> became >="), "what is free is never below zero",
    ),
    Equivalent(
        "clearing", "if rate_ppm > 0:", ("0 became -1", "> became >="), "a discount off nothing is nothing",
    ),
    Equivalent(
        "value", "return rate_ppm * (100 - percent) // 100 if rate_ppm > 0 else rate_ppm",
        ("> became >=", "0 became -1"), "a discount off nothing is nothing",
    ),
    Equivalent(
        "value", "return exposure if qty >= 0 else -exposure", (">= became >", "0 became 1"), "nothing has no sign",
    ),
    Equivalent(
        "liquidation", "prefetch_position(h, np.int64(ahead.base))",
        ("gone: prefetch_position(h, np.int64(ahead.base))",), "a hint to the processor",
    ),
    Equivalent(
        "liquidation", "return bool(qty != 0 and (qty > 0) != (p.qty > 0))", ("0 became -1",),
        "no caller asks of a flat position",
    ),
    Equivalent(
        "liquidation", "if met >= FILLS_MAX:", (">= became >",),
        "with as many met nothing more is taken from the levels behind: it only ends later",
    ),
    Equivalent(
        "insurance", "if fits == ROOM:", ("== became !=", "the condition was negated"),
        "what was passed over has nothing to do, and is passed over again",
    ),
    Equivalent(
        "insurance", "if ins.state == _OPEN and ins.mark != 0 and not is_stale(h, ins):", ("0 became 1", "0 became -1"),
        "without a mark it is stale",
    ),
    Equivalent(
        "insurance", "if index != 0 and positions(h, index).qty != 0:", ("0 became -1",),
        "position 0 is nobody's and always flat",
    ),
    Equivalent(
        "settings", "if cmd.qty > 0 and available(h, m) < cmd.qty:", ("0 became -1",),
        "what is free is never below zero",
    ),
    Equivalent(
        "settlement", "if index == 0 or positions(h, index).account == 0:", ("0 became -1",),
        "a slot that nobody has taken has no orders, no contracts and nothing to lock",
    ),
    Equivalent(
        "funding", "if (qty > 0) != (rate > 0):", ("0 became -1",), "neither is nothing",
    ),
    Equivalent(
        "deleveraging", "shortfall = min(max(-spendable(h, np.int64(ins.settle)), 0), lost)",
        ("0 became 1", "0 became -1"), "it is asked only where the fund lacks at least one unit",
    ),
    Equivalent(
        "deleveraging", "if p.qty == 0 or (p.qty > 0) == (fp.qty > 0):", ("> became >=",), "neither position is flat",
    ),
    Equivalent(
        "deleveraging", "cancel_orders(h, fm, np.int64(ins.number), 0, _BY_ADL)", ("0 became -1",),
        "with every bit set both sides are named",
    ),
    Equivalent(
        "deleveraging", "return bool(x.key > y.key or (x.key == y.key and x.position < y.position))",
        ("< became <=",), "no position is in the queue twice",
    ),
    Equivalent(
        "deleveraging", "return min(max(r.key, 0), np.int64(2**40))",
        ("40 became 39", "40 became 41", "2 became 3"), "a cap that no profit reaches; it keeps products in 64 bits",
    ),
)  # fmt: skip
