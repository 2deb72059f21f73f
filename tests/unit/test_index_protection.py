"""The rules of an index, each as a story: who counts, who does not and why, and what the price is."""

from collections.abc import Sequence

import pytest

from ringfence.exchange.index_prices import (
    Average,
    Constituent,
    Decision,
    Index,
    Rules,
    State,
    Tick,
    begin,
    decide,
    price_of,
    recall,
)
from ringfence.exchange.index_prices.protection import NO_TICK
from ringfence.messages.commands import IndexStatus
from ringfence.messages.constituents import Hold, Reference, Verdict
from ringfence.units.time import NS_PER_MINUTE, NS_PER_SECOND

START_NS = 1_790_000_000_000_000_000
WHO = (Reference.COINBASE, Reference.KRAKEN, Reference.BITSTAMP, Reference.GEMINI)
LETTERS = {
    Verdict.COUNTED: "+", Verdict.LIMITED: "~", Verdict.NO_PRICE: "none", Verdict.NOT_A_PRICE: "bad",
    Verdict.OUT_OF_RANGE: "huge", Verdict.STALE: "stale", Verdict.OUTLIER: "far", Verdict.RETURNING: "soon",
}  # fmt: skip


def index(weights: Sequence[int], **rules: int) -> Index:
    constituents = tuple(Constituent(who, w) for who, w in zip(WHO, weights, strict=False))
    return Index(
        symbol=".BXBT", number=8, base="XBT", quote="USD", constituents=constituents, rules=Rules(**rules)
    )


class Story:
    """Plays ticks second by second; says what came of it in one line."""

    def __init__(self, *weights: int, **rules: int) -> None:
        self.index = index(weights or (4000, 3000, 3000), **rules)
        self.state: State = begin(self.index)
        self.now_ns = START_NS
        self.decision: Decision | None = None

    def say(self, *prices: object, seconds: int = 1) -> str:
        """Every source says a whole number of dollars (None = nothing yet, 0 = zero), for so many seconds."""
        for _ in range(seconds):
            self.now_ns += NS_PER_SECOND
            ticks = [self._tick(price) for price in prices]
            self.decision = decide(self.index, self.state, ticks, now_ns=self.now_ns)
            self.state = self.decision.state
        return self.line()

    def _tick(self, price: object) -> Tick:
        if price is None:
            return NO_TICK
        if isinstance(price, Tick):
            return price
        assert isinstance(price, int)
        return Tick(price * 10_000, self.now_ns) if price else Tick(0, self.now_ns, Verdict.NOT_A_PRICE)

    def at(self, price: int) -> Tick:
        """Return a tick of now that will not be repeated."""
        return Tick(price * 10_000, self.now_ns)

    def line(self) -> str:
        assert self.decision is not None
        verdicts = " ".join(LETTERS[Verdict(one.verdict)] for one in self.decision.said)
        hold = "" if self.decision.hold == Hold.NONE else f" {self.decision.hold.name}"
        frozen = self.decision.status == IndexStatus.FROZEN
        assert frozen == bool(hold)
        return f"{verdicts} -> {self.decision.price / 10_000:g}{hold}"


def test_the_price_is_the_weighted_average() -> None:
    story = Story(5000, 3000, 2000)
    assert story.say(100, 100, 100) == "+ + + -> 100"
    assert story.say(1000, 1001, 1002, seconds=1) == "+ + + -> 1000.7"


def test_the_first_price_needs_three_that_agree() -> None:
    story = Story(2500, 2500, 2500, 2500)
    assert story.say(None, None, None, None) == "none none none none -> 0 TOO_FEW"
    assert story.say(100, 100, None, None) == "+ + none none -> 0 TOO_FEW"
    assert story.say(100, 100, 110, None) == "+ + + none -> 0 TOO_FEW"
    assert story.say(100, 100, 100, None) == "+ + + none -> 100"


def test_one_of_three_that_is_silent_does_not_keep_an_exchange_from_starting() -> None:
    story = Story()
    assert story.say(100, None, None) == "+ none none -> 0 TOO_FEW"
    assert story.say(100, 105, None) == "+ + none -> 0 TOO_FEW"
    assert story.say(100, 100, None) == "+ + none -> 100"


def test_one_far_from_the_median_is_dropped_at_once() -> None:
    story = Story()
    story.say(1000, 1000, 1000)
    assert story.say(1000, 1000, 1250) == "+ + ~ -> 1003", "exactly the tolerance still counts, limited"
    assert story.say(1000, 1000, 1251) == "+ + far -> 1000"


def test_a_source_within_tolerance_pulls_no_further_than_one_per_cent() -> None:
    story = Story(2500, 2500, 2500, 2500)
    story.say(1000, 1000, 1000, 1000)
    assert story.say(1000, 1000, 1000, 1200) == "+ + + ~ -> 1002.5"
    assert story.say(1000, 1000, 1000, 800) == "+ + + ~ -> 997.5"


def test_what_is_no_price_is_dropped_and_named() -> None:
    story = Story()
    story.say(1000, 1000, 1000)
    assert story.say(1000, 1000, 0) == "+ + bad -> 1000"
    assert story.decision is not None
    assert story.decision.said[2].price == 0
    huge = Tick(0, story.now_ns, Verdict.OUT_OF_RANGE)
    assert story.say(1000, 1000, huge) == "+ + huge -> 1000"


def test_a_price_of_fifteen_minutes_ago_is_stale() -> None:
    story = Story()
    story.say(1000, 1000, 1000)
    old = story.at(1000)
    assert story.say(1000, 1000, old, seconds=900) == "+ + + -> 1000"
    assert story.say(1000, 1000, old) == "+ + stale -> 1000"
    assert story.decision is not None
    assert story.decision.said[2].age_ms == 901_000


def test_who_was_dropped_returns_after_fifteen_minutes_near_the_others() -> None:
    story = Story()
    story.say(1000, 1000, 1000)
    story.say(1000, 1000, 2000)
    assert story.say(1000, 1000, 1100, seconds=3_600) == "+ + far -> 1000", "not near enough, ever"
    assert story.say(1000, 1000, 1020, seconds=900) == "+ + soon -> 1000"
    assert story.say(1000, 1000, 1020) == "+ + ~ -> 1003"


def test_a_break_begins_the_fifteen_minutes_again() -> None:
    story = Story()
    story.say(1000, 1000, 1000)
    story.say(1000, 1000, 2000)
    story.say(1000, 1000, 1000, seconds=899)
    assert story.say(1000, 1000, 1021) == "+ + far -> 1000"
    assert story.say(1000, 1000, 1000, seconds=900) == "+ + soon -> 1000"
    assert story.say(1000, 1000, 1000) == "+ + + -> 1000"


def test_minutes_that_nobody_looked_at_do_not_count() -> None:
    story = Story()
    story.say(1000, 1000, 1000)
    story.say(1000, 1000, 2000)
    story.say(1000, 1000, 1000)
    story.now_ns += 20 * NS_PER_MINUTE
    assert story.say(1000, 1000, 1000) == "+ + soon -> 1000"


def test_with_two_left_half_the_tolerance_is_held_against_the_index() -> None:
    story = Story(5000, 5000)
    assert story.say(1000, 1000) == "+ + -> 1000"
    assert story.say(1000, 1125) == "+ ~ -> 1005"
    assert story.say(1000, 1131) == "+ + -> 1005 TWO_DISAGREE"
    assert story.say(1000, 1000, seconds=1) == "+ + -> 1000"


def test_with_two_left_the_index_moves_by_one_per_cent_a_second() -> None:
    """Neither of two can be trusted to say where the middle is, so the last price does."""
    story = Story(5000, 5000)
    story.say(1000, 1000)
    assert story.say(1000, 1120) == "+ ~ -> 1005"
    story.say(1000, 1120, seconds=60)
    assert story.decision is not None
    assert story.decision.price < 1010.2 * 10_000, "a wrong one gets it one per cent up, and no further"
    story = Story(5000, 5000)
    story.say(1000, 1000)
    assert story.say(1100, 1100) == "~ ~ -> 1010"
    assert story.say(1100, 1100) == "~ ~ -> 1020.1"


def test_one_alone_and_nobody_keep_the_last_price() -> None:
    story = Story()
    story.say(1000, 1000, 1000)
    story.say(1000, 0, 0)
    assert story.say(1010, 0, 0) == "+ bad bad -> 1000 TOO_FEW"
    assert story.say(0, 0, 0) == "bad bad bad -> 1000 TOO_FEW"


def test_after_an_outage_of_all_three_that_agree_begin_again() -> None:
    story = Story(2500, 2500, 2500, 2500)
    story.say(1000, 1000, 1000, 1000)
    old = story.at(1000)
    assert story.say(old, old, old, old, seconds=901) == "stale stale stale stale -> 1000 TOO_FEW"
    assert story.say(1010, old, old, old) == "soon stale stale stale -> 1000 TOO_FEW"
    assert story.say(1010, 1010, 1100, old) == "soon soon soon stale -> 1000 TOO_FEW"
    assert story.say(1010, 1010, 1100, 1010) == "+ + stale + -> 1010"


def test_a_large_step_needs_three_that_agree() -> None:
    story = Story()
    story.say(1000, 1000, 1000)
    assert story.say(1200, 1200, 1160) == "+ + + -> 1000 STEP_WITHOUT_QUORUM"
    assert story.say(1200, 1200, 1200) == "+ + + -> 1200"


def test_a_crash_that_all_see_is_followed() -> None:
    story = Story()
    story.say(1000, 1000, 1000)
    assert story.say(600, 601, 602) == "+ + + -> 600.9"


def test_a_restart_does_not_forgive() -> None:
    story = Story()
    story.say(1000, 1000, 1000)
    story.say(1000, 1000, 2000)
    assert story.decision is not None
    story.state = recall(story.index, story.decision.price, story.decision.said)
    assert story.say(1000, 1000, None) == "+ + far -> 1000"
    assert story.say(1000, 1000, 1000) == "+ + soon -> 1000"
    assert story.say(1000, 1000, 1000, seconds=900) == "+ + + -> 1000"


def test_a_restart_needs_no_three_once_there_was_a_price() -> None:
    story = Story()
    story.say(1000, 1000, 1000)
    assert story.decision is not None
    story.state = recall(story.index, story.decision.price, story.decision.said)
    assert story.say(1000, 1001, None) == "+ + none -> 1000.43"


def test_the_journal_gives_the_price_to_the_last_digit() -> None:
    story = Story(4000, 3000, 3000)
    last = 0
    for prices in ((1000, 1003, 1009), (1001, 1200, 1002), (1001, 5000, 1002), (1011, 0, 1031)):
        story.say(*prices)
        assert story.decision is not None
        assert price_of(story.decision.said, story.index.rules, last=last) == story.decision.price
        last = story.decision.price


@pytest.mark.parametrize(
    ("weights", "words"),
    [((10_000,), "2 to 16"), ((5000, 4000), "add up"), ((10_001, -1), "above 0"), ((5000, 5000), "")],
)
def test_an_index_that_cannot_be_is_refused(weights: tuple[int, ...], words: str) -> None:
    if not words:
        index(weights)
        return
    with pytest.raises(ValueError, match=words):
        index(weights)


# ---- the average


def test_an_average_weighs_prices_by_how_long_they_stood() -> None:
    average = Average(window_ns=100)
    assert average.value == 0
    average.add(1_000, 50)
    assert average.value == 50
    average.add(1_030, 80)
    assert average.value == 50
    average.add(1_060, 10)
    assert average.value == 65
    average.add(1_110, 10)
    assert average.value == round((50 * 20 + 80 * 30 + 10 * 50) / 100)
    average.add(1_500, 7)
    assert average.value == 10
