"""Laws of index prices, for all that sources can say."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from ringfence.exchange.index_prices import Constituent, Index, Rules, State, Tick, begin, decide, price_of
from ringfence.exchange.index_prices.protection import NO_TICK, median
from ringfence.exchange.index_prices.sources import read_price
from ringfence.messages.commands import IndexStatus
from ringfence.messages.constituents import (
    WEIGHT_ONE,
    Hold,
    Reference,
    Said,
    Verdict,
    decode_constituents,
    encode_constituents,
)
from ringfence.units.limits import INDEX_UNITS_MAX
from ringfence.units.time import NS_PER_SECOND

START_NS = 1_790_000_000_000_000_000
WHO = [one for one in Reference if one != Reference.INDEX]
PPM = 1_000_000


@st.composite
def indices(draw: st.DrawFn, least: int = 2) -> Index:
    count = draw(st.integers(least, 7))
    cuts = sorted(draw(st.sets(st.integers(1, WEIGHT_ONE - 1), min_size=count - 1, max_size=count - 1)))
    weights = [end - start for start, end in zip([0, *cuts], [*cuts, WEIGHT_ONE], strict=True)]
    return Index(
        symbol=".X", number=8, base="X", quote="USD", rules=Rules(),
        constituents=tuple(Constituent(who, weight) for who, weight in zip(WHO, weights, strict=False)),
    )  # fmt: skip


prices = st.one_of(
    st.integers(1, INDEX_UNITS_MAX), st.integers(90_000, 110_000), st.sampled_from((1, INDEX_UNITS_MAX))
)
faults = st.sampled_from((Verdict.NOT_A_PRICE, Verdict.OUT_OF_RANGE))
moments = st.one_of(
    st.none(),
    faults,
    st.tuples(prices, st.integers(-10, 2_000)),  # a price, and how many seconds ago
)


def tick_of(moment: object, now_ns: int) -> Tick:
    if moment is None:
        return NO_TICK
    if isinstance(moment, Verdict):
        return Tick(0, now_ns, moment)
    assert isinstance(moment, tuple)
    return Tick(moment[0], now_ns - moment[1] * NS_PER_SECOND)


@given(indices(), st.data())
def test_whatever_is_said_the_price_is_a_price_and_follows_from_the_journal(
    index: Index, data: st.DataObject
) -> None:
    state, now_ns = begin(index), START_NS
    for _ in range(data.draw(st.integers(1, 12))):
        now_ns += data.draw(st.sampled_from((1, 1, 1, 30, 300, 1_000))) * NS_PER_SECOND
        ticks = [tick_of(data.draw(moments), now_ns) for _ in index.constituents]
        decision = decide(index, state, ticks, now_ns=now_ns)
        assert decision == decide(index, state, ticks, now_ns=now_ns)
        said = decode_constituents(encode_constituents(decision.hold, decision.said))
        assert said == (decision.hold, decision.said)
        assert 0 <= decision.price <= INDEX_UNITS_MAX
        for one, tick in zip(decision.said, ticks, strict=True):
            assert not (tick.price == 0 and Verdict(one.verdict).counts), "what is no price never counts"
        if decision.hold:
            assert decision.status == IndexStatus.FROZEN
            assert decision.price == state.price, "a frozen index keeps its price"
        else:
            counted = [one for one in decision.said if Verdict(one.verdict).counts]
            assert len(counted) >= 2
            assert min(one.price for one in counted) <= decision.price or len(counted) == 2
            assert price_of(decision.said, index.rules, last=state.price) == decision.price
            centre = median([one.price for one in counted])
            if len(counted) >= 3:
                assert abs(decision.price - centre) * PPM <= centre * index.rules.pull_ppm + PPM
            if state.price and abs(decision.price - state.price) * PPM > state.price * index.rules.step_ppm:
                assert len(counted) >= index.rules.quorum
        state = decision.state


@given(indices(least=3), st.integers(10_000, 10**11), st.data())
def test_one_wrong_source_among_agreeing_ones_has_its_weight_of_one_per_cent(
    index: Index, price: int, data: st.DataObject
) -> None:
    """Three or more agree to the digit, one says anything: the error is at most weight x pull."""
    wrong = data.draw(st.integers(0, len(index.constituents) - 1))
    state, now_ns = begin(index), START_NS
    state = decide(index, state, [Tick(price, now_ns)] * len(index.constituents), now_ns=now_ns).state
    bound = index.constituents[wrong].weight * index.rules.pull_ppm * price // (WEIGHT_ONE * PPM) + 1
    for moment in data.draw(st.lists(moments, min_size=1, max_size=8)):
        now_ns += NS_PER_SECOND
        ticks = [Tick(price, now_ns) for _ in index.constituents]
        ticks[wrong] = tick_of(moment, now_ns)
        decision = decide(index, state, ticks, now_ns=now_ns)
        assert decision.hold == Hold.NONE
        assert abs(decision.price - price) <= bound
        state = decision.state


@given(indices(), st.lists(moments, min_size=7, max_size=7), st.permutations(range(7)))
def test_the_order_of_constituents_does_not_matter(
    index: Index, said: list[object], order: list[int]
) -> None:
    count = len(index.constituents)
    ticks = [tick_of(moment, START_NS) for moment in said[:count]]
    places = [place for place in order if place < count]
    shuffled = Index(
        symbol=".X", number=8, base="X", quote="USD", rules=index.rules,
        constituents=tuple(index.constituents[place] for place in places),
    )  # fmt: skip
    start = State(100_000, START_NS, begin(index).standings)
    one = decide(index, start, ticks, now_ns=START_NS)
    other = decide(shuffled, start, [ticks[place] for place in places], now_ns=START_NS)
    assert sorted(map(tuple, one.said)) == sorted(map(tuple, other.said)) or _has_tied(ticks)
    assert (one.price == other.price and one.hold == other.hold) or _has_tied(ticks)


def _has_tied(ticks: list[Tick]) -> bool:
    """Two that are equally far on either side of the median: one goes first, in the order of the list."""
    found = [tick.price for tick in ticks if tick.price]
    middles = {median(found)} if found else set()
    return any(len({abs(p - m) for p in found}) < len(found) for m in middles) or len(found) > 3


@given(st.integers(1, INDEX_UNITS_MAX), st.integers(0, 6))
def test_a_price_survives_its_text(units: int, extra: int) -> None:
    text = f"{units // 10_000}.{units % 10_000:04d}" + "0" * extra
    for said in (text, Decimal(text)):
        assert read_price(said, at_ns=5) == Tick(units, 5)


@given(st.one_of(st.text(), st.floats(), st.none(), st.booleans(), st.integers(max_value=0), st.binary()))
def test_what_is_no_price_cannot_be_one(said: object) -> None:
    tick = read_price(said, at_ns=5)
    if tick.fault == Verdict.COUNTED:
        assert isinstance(said, str)
        assert Decimal(said) > 0
    else:
        assert tick.price == 0


@given(
    st.integers(0, 3),
    st.lists(
        st.builds(
            Said, st.sampled_from([int(one) for one in Reference]), st.integers(0, 7), st.integers(0, WEIGHT_ONE),
            st.integers(0, INDEX_UNITS_MAX), st.integers(0, 2**32 - 1),
        ),
        max_size=16,
    ),
)  # fmt: skip
def test_what_constituents_said_comes_back(hold: int, said: list[Said]) -> None:
    assert decode_constituents(encode_constituents(hold, tuple(said))) == (hold, tuple(said))
