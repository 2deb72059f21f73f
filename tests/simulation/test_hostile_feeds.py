"""A thousand feeds with one bad source each: the index stays where the honest ones are, and says why."""

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import NamedTuple

import numpy as np
import pytest

from ringfence.exchange.index_prices import Index, Publication, Rules, Tick, begin, decide, price_of
from ringfence.exchange.index_prices.constituents import Constituent
from ringfence.messages.batch import CONSTITUENTS, Records, decode_data
from ringfence.messages.commands import Command, IndexStatus
from ringfence.messages.constituents import Reference, Said, Verdict, decode_constituents
from ringfence.units.limits import INDEX_UNITS_MAX
from ringfence.units.time import NS_PER_SECOND

pytestmark = pytest.mark.slow

FEEDS = 1_000
START_NS = 1_790_000_000_000_000_000
STEP_SECONDS = 10
STEPS = 210
"""35 minutes: time to go stale and to come back."""
BOUND_PPM = 5_000
WEIGHTS = ((3000, 2500, 2000, 1500, 1000), (3500, 3000, 2000, 1500), (4000, 3500, 2500))
Attack = Callable[[Random, int, Tick, int], Tick]
"""(dice, step since it began, the honest tick, the honest price when it began) -> what the bad one says."""


def spike(dice: Random, step: int, honest: Tick, begun: int) -> Tick:
    return honest._replace(price=max(1, int(honest.price * dice.choice((0.01, 0.5, 0.8, 1.2, 1.5, 3, 40)))))


def zero(dice: Random, step: int, honest: Tick, begun: int) -> Tick:
    return Tick(0, honest.at_ns, dice.choice((Verdict.NOT_A_PRICE, Verdict.OUT_OF_RANGE)))


def freeze(dice: Random, step: int, honest: Tick, begun: int) -> Tick:
    """The same price with a fresh stamp, for ever."""
    return honest._replace(price=begun)


def drift(dice: Random, step: int, honest: Tick, begun: int) -> Tick:
    return honest._replace(price=max(1, honest.price + honest.price * step // 200))


def flap(dice: Random, step: int, honest: Tick, begun: int) -> Tick:
    return honest._replace(price=honest.price * 2) if step % 2 else honest


def stale(dice: Random, step: int, honest: Tick, begun: int) -> Tick:
    return Tick(begun, honest.at_ns - step * STEP_SECONDS * NS_PER_SECOND)


def wrong_scale(dice: Random, step: int, honest: Tick, begun: int) -> Tick:
    return honest._replace(price=min(max(1, honest.price * 100), INDEX_UNITS_MAX))


def just_inside(dice: Random, step: int, honest: Tick, begun: int) -> Tick:
    """The worst there is: as far as the tolerance lets it, always."""
    return honest._replace(price=honest.price * 1_245 // 1_000)


ATTACKS: dict[Attack, set[Verdict]] = {
    spike: {Verdict.OUTLIER}, zero: {Verdict.NOT_A_PRICE, Verdict.OUT_OF_RANGE}, freeze: set(),
    drift: {Verdict.LIMITED, Verdict.OUTLIER}, flap: {Verdict.OUTLIER}, stale: {Verdict.STALE},
    wrong_scale: {Verdict.OUTLIER}, just_inside: {Verdict.LIMITED},
}  # fmt: skip
"""What must be in the journal for each. A freeze shows only when the market moves away from it."""


class Feed(NamedTuple):
    index: Index
    ticks: list[list[Tick]]
    bad: int
    attack: Attack
    began: int


def generate(seed: int) -> tuple[Feed, list[list[Tick]]]:
    """Return a feed with a bad source, and the same one honest."""
    dice = Random(seed)
    weights = WEIGHTS[seed % len(WEIGHTS)]
    attack = list(ATTACKS)[seed // len(WEIGHTS) % len(ATTACKS)]
    index = Index(
        symbol=".BXBT", number=8, base="XBT", quote="USD", rules=Rules(),
        constituents=tuple(
            Constituent(who, weight) for who, weight in zip(list(Reference)[1:], weights, strict=False)
        ),
    )  # fmt: skip
    price = dice.choice((1_000_000_000, 35_000_000, 1_800_000))
    bad, began = dice.randrange(len(weights)), dice.randrange(2, 30)
    honest: list[list[Tick]] = []
    for step in range(STEPS):
        price += int(price * dice.gauss(0, 0.0004))
        now_ns = START_NS + step * STEP_SECONDS * NS_PER_SECOND
        honest.append(
            [Tick(price + int(price * dice.uniform(-0.0003, 0.0003)), now_ns - dice.randrange(3) * NS_PER_SECOND)
             for _ in weights]
        )  # fmt: skip
    begun = honest[began][bad].price
    shown = [list(row) for row in honest]
    for step in range(began, STEPS):
        shown[step][bad] = attack(dice, step - began, honest[step][bad], begun)
    return Feed(index, shown, bad, attack, began), honest


class Played:
    """A source that says the rows one after the other."""

    def __init__(self, rows: list[list[Tick]]) -> None:
        self._rows = iter(rows)

    async def run(self) -> None: ...

    def ticks(self, index: Index, *, now_ns: int) -> list[Tick]:
        return next(self._rows)


def said_in(commands: Records) -> tuple[Said, ...]:
    (position,) = np.flatnonzero(commands["kind"] == Command.INDEX).tolist()
    return decode_constituents(decode_data(commands, position)[CONSTITUENTS])[1]


def test_one_bad_source_moves_no_index_by_more_than_half_a_per_cent() -> None:
    worst: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for seed in range(FEEDS):
        feed, honest = generate(seed)
        publication, source = Publication([feed.index], {}), Played(feed.ticks)
        truth = begin(feed.index)
        seen: set[Verdict] = set()
        last = 0
        for step in range(STEPS):
            now_ns = START_NS + step * STEP_SECONDS * NS_PER_SECOND
            commands = publication.commands(source, now_ns=now_ns)
            decision = decide(feed.index, truth, honest[step], now_ns=now_ns)
            truth = decision.state
            price = int(commands["qty"][0])
            error = abs(price - decision.price) * 1_000_000 // decision.price
            name = feed.attack.__name__
            worst[name] = max(worst[name], error)
            assert error <= BOUND_PPM, f"seed {seed}, {name}, step {step}: {error} ppm"
            assert commands["type"][0] == IndexStatus.LIVE, f"seed {seed}, {name}, step {step}"
            said = said_in(commands)
            assert price_of(said, feed.index.rules, last=last) == price
            last = price
            verdict = Verdict(said[feed.bad].verdict)
            seen.add(verdict)
            for place, one in enumerate(said):
                assert place == feed.bad or Verdict(one.verdict).counts, (
                    f"seed {seed}: an honest one was dropped"
                )
            tick = feed.ticks[step][feed.bad]
            assert said[feed.bad].price == tick.price, "the journal has what it said"
            if tick.price == 0:
                assert verdict == tick.fault
            reasons[verdict.name] += 1
        missing = ATTACKS[feed.attack] - seen
        assert len(missing) < len(ATTACKS[feed.attack]) or not ATTACKS[feed.attack], f"seed {seed}: {missing}"
    print(f"\nworst, ppm: {dict(worst)}\nverdicts: {dict(reasons)}")
