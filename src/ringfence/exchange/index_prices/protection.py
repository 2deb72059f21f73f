"""Which constituents count, and what the index is: a pure function of a state, ticks and the time.

The rules are BitMEX's, and three of our own that make one bad source harmless: no constituent pulls
further from the median than `pull_ppm`, a large step needs a quorum, and what was dropped stays dropped
through a restart. Everything is integers; what is no price cannot be written down as one.
"""

from collections.abc import Sequence
from typing import NamedTuple

from ringfence.exchange.index_prices.constituents import Index, Rules
from ringfence.messages.commands import IndexStatus
from ringfence.messages.constituents import AGE_MS_MAX, Hold, Said, Verdict
from ringfence.units.limits import INDEX_UNITS_MAX
from ringfence.units.rounding import PPM, round_div
from ringfence.units.time import NS_PER_MS, NS_PER_SECOND

_GAP_NS = 60 * NS_PER_SECOND
"""What lies between two decisions further apart than this was not looked at, so it was not continuous."""


class Tick(NamedTuple):
    """The newest that one source has said: a price in index units, or what is wrong with it."""

    price: int
    at_ns: int
    fault: Verdict = Verdict.COUNTED
    """NO_PRICE, NOT_A_PRICE, OUT_OF_RANGE; COUNTED = there is a price."""


NO_TICK = Tick(0, 0, Verdict.NO_PRICE)


class Standing(NamedTuple):
    """What is remembered of one constituent."""

    dropped_for: Verdict = Verdict.COUNTED
    near_since_ns: int = 0
    """Since when a dropped one is back near the others without a break; 0 = it is not."""


class State(NamedTuple):
    """What is remembered of an index between two prices."""

    price: int
    """The last one; 0 = there was none."""
    decided_ns: int
    standings: tuple[Standing, ...]


class Decision(NamedTuple):
    """One price of an index, and why it is that."""

    price: int
    """0 = there is none yet, and nothing to publish."""
    status: IndexStatus
    hold: Hold
    said: tuple[Said, ...]
    state: State


def begin(index: Index) -> State:
    """Return the state of an index that never had a price."""
    return State(0, 0, (Standing(),) * len(index.constituents))


def recall(index: Index, price: int, said: Sequence[Said]) -> State:
    """Return the state after a price that was published: what was dropped then is dropped still."""
    dropped = {one.reference: Verdict(one.verdict) for one in said}
    verdicts = [dropped.get(one.reference, Verdict.COUNTED) for one in index.constituents]
    return State(price, 0, tuple(Standing() if _is_free(v) else Standing(v) for v in verdicts))


def _is_free(verdict: Verdict) -> bool:
    return verdict.counts or verdict == Verdict.NO_PRICE


def decide(index: Index, state: State, ticks: Sequence[Tick], *, now_ns: int) -> Decision:
    """Return the price of an index at an instant. `ticks` are in the order of its constituents."""
    assert len(ticks) == len(index.constituents) == len(state.standings)
    rules = index.rules
    faults = [_fault(tick, rules, now_ns) for tick in ticks]
    prices = [tick.price for tick in ticks]
    dropped = [
        standing.dropped_for if _is_free(fault) else fault
        for standing, fault in zip(state.standings, faults, strict=True)
    ]
    usable = [at for at, fault in enumerate(faults) if fault == Verdict.COUNTED]
    live = [at for at in usable if dropped[at] == Verdict.COUNTED]
    for at in _outliers(prices, live, rules):
        dropped[at] = Verdict.OUTLIER
        live.remove(at)
    if not live:
        live = _agreeing_strangers(prices, usable, rules, enough=_enough(index))
        for at in live:
            dropped[at] = Verdict.COUNTED
    near_since = _near_since(state, prices, usable, live, dropped, rules, now_ns)
    for at, since in enumerate(near_since):
        if since and now_ns - since >= rules.return_ms * NS_PER_MS:
            dropped[at], near_since[at] = Verdict.COUNTED, 0
            live.append(at)
    live.sort()
    candidate, limited, hold = _price(index, state.price, prices, live)
    price = state.price if hold else candidate
    verdicts = list(faults)
    for at, reason in enumerate(dropped):
        if reason != Verdict.COUNTED and faults[at] in (Verdict.COUNTED, Verdict.NO_PRICE):
            verdicts[at] = Verdict.RETURNING if near_since[at] else reason
        elif at in limited:
            verdicts[at] = Verdict.LIMITED
    said = tuple(
        Said(one.reference, verdict, one.weight, tick.price, _age_ms(tick, now_ns))
        for one, verdict, tick in zip(index.constituents, verdicts, ticks, strict=True)
    )
    standings = tuple(Standing(*pair) for pair in zip(dropped, near_since, strict=True))
    status = IndexStatus.FROZEN if hold else IndexStatus.LIVE
    return Decision(price, status, hold, said, State(price, now_ns, standings))


def price_of(said: Sequence[Said], rules: Rules, *, last: int) -> int:
    """Return the price of a live index from what the journal says of its constituents.

    `last` is the price before it; it matters while only two count. Anybody can check an index with this.
    """
    counted = [(one.price, one.weight) for one in said if Verdict(one.verdict).counts]
    prices, weights = [price for price, _ in counted], [weight for _, weight in counted]
    price, _ = _weighted(prices, weights, rules, _centre(prices, last))
    return price


# ---- helpers: they compute


def _fault(tick: Tick, rules: Rules, now_ns: int) -> Verdict:
    if tick.fault != Verdict.COUNTED:
        return tick.fault
    assert 0 < tick.price <= INDEX_UNITS_MAX
    return Verdict.STALE if now_ns - tick.at_ns > rules.stale_ms * NS_PER_MS else Verdict.COUNTED


def _age_ms(tick: Tick, now_ns: int) -> int:
    if tick.fault == Verdict.NO_PRICE:
        return AGE_MS_MAX
    return min(max(now_ns - tick.at_ns, 0) // NS_PER_MS, AGE_MS_MAX)


def median(prices: Sequence[int]) -> int:
    """Return the middle price; of two in the middle, their average, rounded."""
    assert prices
    ordered = sorted(prices)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else round_div(ordered[half - 1] + ordered[half], 2)


def _is_within(price: int, centre: int, ppm: int) -> bool:
    return abs(price - centre) * PPM <= centre * ppm


def _enough(index: Index) -> int:
    """Return how many must agree where nothing else can be held against them: a quorum, or all but one.

    Never one alone; and never so many that one that is silent keeps an exchange from starting.
    """
    return min(index.rules.quorum, max(len(index.constituents) - 1, 2))


def _outliers(prices: Sequence[int], live: Sequence[int], rules: Rules) -> list[int]:
    """Return who is too far from the median, the furthest first; each time of those that are left."""
    left, found = list(live), []
    while len(left) >= 3:
        middle = median([prices[at] for at in left])
        furthest = max(left, key=lambda at: abs(prices[at] - middle))
        if _is_within(prices[furthest], middle, rules.tolerance_ppm):
            break
        left.remove(furthest)
        found.append(furthest)
    return found


def _agreeing_strangers(
    prices: Sequence[int], usable: Sequence[int], rules: Rules, *, enough: int
) -> list[int]:
    """Return whom to begin again with when all were dropped: as many as a first price needs, if they agree.

    After an outage of our own line everybody is stale, and there is nobody to be near to.
    """
    if len(usable) < enough:
        return []
    middle = median([prices[at] for at in usable])
    agreeing = [at for at in usable if _is_within(prices[at], middle, rules.return_band_ppm)]
    return agreeing if len(agreeing) >= enough else []


def _near_since(
    state: State, prices: Sequence[int], usable: Sequence[int], live: Sequence[int],
    dropped: Sequence[Verdict], rules: Rules, now_ns: int,
) -> list[int]:  # fmt: skip
    """Return for every dropped constituent since when it is back near the others, 0 = it is not.

    With fewer than two others, near means within the tolerance of the index.
    """
    if len(live) >= 2:
        centre, ppm = median([prices[at] for at in live]), rules.return_band_ppm
    else:
        centre, ppm = state.price, rules.tolerance_ppm
    is_continuous = now_ns - state.decided_ns <= _GAP_NS
    found = [0] * len(prices)
    for at in usable:
        if dropped[at] != Verdict.COUNTED and centre and _is_within(prices[at], centre, ppm):
            before = state.standings[at].near_since_ns if is_continuous else 0
            found[at] = before or now_ns
    return found


def _price(
    index: Index, last: int, prices: Sequence[int], live: Sequence[int]
) -> tuple[int, frozenset[int], Hold]:
    """Return the candidate, whose pull was limited, and why the last price stands instead."""
    rules = index.rules
    if len(live) < (2 if last else _enough(index)):
        return 0, frozenset(), Hold.TOO_FEW
    counted = [prices[at] for at in live]
    centre = _centre(counted, last)
    if not last and sum(_is_within(price, centre, rules.return_band_ppm) for price in counted) < _enough(
        index
    ):
        return 0, frozenset(), Hold.TOO_FEW
    if len(live) == 2 and any(
        not _is_within(2 * price - centre, centre, rules.tolerance_ppm) for price in counted
    ):
        # |2p - c - c| <= tolerance * c is |p - c| <= half of it, without halving an odd number.
        return 0, frozenset(), Hold.TWO_DISAGREE
    weights = [index.constituents[at].weight for at in live]
    candidate, clamped = _weighted(counted, weights, rules, centre)
    if last and not _is_within(candidate, last, rules.step_ppm):
        agreeing = sum(_is_within(price, candidate, rules.return_band_ppm) for price in counted)
        if agreeing < rules.quorum:
            return 0, frozenset(), Hold.STEP_WITHOUT_QUORUM
    return candidate, frozenset(live[place] for place in clamped), Hold.NONE


def _centre(prices: Sequence[int], last: int) -> int:
    """Return what the pull is measured from. The median of two is moved by either, so not by that."""
    return last if len(prices) == 2 and last else median(prices)


def _weighted(
    prices: Sequence[int], weights: Sequence[int], rules: Rules, centre: int
) -> tuple[int, list[int]]:
    """Return the weighted average of limited prices, rounded to nearest, and which were limited."""
    reach = centre * rules.pull_ppm // PPM
    inside = [min(max(price, centre - reach), centre + reach) for price in prices]
    clamped = [place for place, price in enumerate(prices) if price != inside[place]]
    total = sum(price * weight for price, weight in zip(inside, weights, strict=True))
    return max(round_div(total, sum(weights)), 1), clamped
