"""Laws of the queue before the engine, for whatever arrives and whenever batches are taken."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.exchange.sequencer import Inbox, Shed
from ringfence.messages.commands import Command, OrderFlag
from ringfence.messages.load import ShedReason
from ringfence.messages.records import COMMAND
from ringfence.testing.play import command

BATCH, QUEUE = 8, 20
AGE_NS = 1_000
PLACE, AMEND, CANCEL, CANCEL_ALL = Command.PLACE, Command.AMEND, Command.CANCEL, Command.CANCEL_ALL
REDUCE_ONLY, CLOSE = int(OrderFlag.REDUCE_ONLY), int(OrderFlag.CLOSE)
ORDINARY = (PLACE, AMEND, Command.SET_LEVERAGE)

accounts = st.integers(1, 3)
names = st.integers(0, 2)
symbols = st.integers(1, 2)
flags = st.sampled_from((0, int(OrderFlag.SELL)))
placements = st.builds(
    lambda a, c, s, f: {"kind": PLACE, "account": a, "clid": c, "symbol": s, "flags": f, "qty": 5},
    accounts, names, symbols, flags,
)  # fmt: skip
cancels = st.builds(lambda a, c: {"kind": CANCEL, "account": a, "orig_clid": c}, accounts, names)
others = st.one_of(
    st.builds(lambda a, s, f: {"kind": PLACE, "account": a, "symbol": s, "flags": f | REDUCE_ONLY, "qty": 5},
              accounts, symbols, flags),
    st.builds(lambda a, s: {"kind": PLACE, "account": a, "symbol": s, "flags": CLOSE}, accounts, symbols),
    st.builds(lambda a, c: {"kind": AMEND, "account": a, "handle": 1, "clid": c}, accounts, names),
    st.builds(lambda a, s: {"kind": CANCEL_ALL, "account": a, "symbol": s}, accounts, st.integers(0, 2)),
    st.builds(lambda a: {"kind": Command.SET_LEVERAGE, "account": a, "symbol": 1}, accounts),
    st.builds(lambda a: {"kind": Command.CANCEL_ALL_AFTER, "account": a}, accounts),
    st.builds(lambda a: {"kind": Command.DEPOSIT, "account": a, "qty": 1}, accounts),
    st.just({"kind": Command.TICK}),
)  # fmt: skip
messages = st.lists(st.one_of(placements, cancels, others), min_size=1, max_size=14)
# A message of ten placements first: there is a queue, and what comes later has something to overtake.
queue_first = st.builds(
    lambda head, tail: [*head, *tail], st.lists(placements, min_size=10, max_size=14), messages
)
steps = st.lists(
    st.one_of(messages, queue_first, st.just("take"), st.just("tick"), st.just("wait")), max_size=30,
)  # fmt: skip


@dataclass
class Story:
    """What came, and what became of it."""

    came: dict[int, dict[str, int]] = field(default_factory=dict)
    taken: list[int] = field(default_factory=list)
    sheds: list[Shed] = field(default_factory=list)
    ticks: int = 0
    ticked: int = 0
    now_ns: int = 0


def play(parts: list[object], inbox: Inbox) -> Story:
    """Let things arrive and take batches; at the end take all that is left."""
    story = Story()
    for part in parts:
        if isinstance(part, list):
            rows = []
            for fields in part:
                token = len(story.came) + 1
                story.came[token] = fields
                rows.append(command(request=token, **fields))
            inbox.submit(np.concatenate(rows).tobytes(), origin=1, now_ns=story.now_ns)
            story.sheds += inbox.collect_sheds()
        elif part == "take":
            _take(inbox, story)
        elif part == "tick":
            inbox.tick()
            story.ticks += 1
        else:
            story.now_ns += AGE_NS // 2 + 1
    while inbox:
        _take(inbox, story)
    return story


def _take(inbox: Inbox, story: Story) -> None:
    rows = np.frombuffer(inbox.take(now_ns=story.now_ns), COMMAND)
    story.sheds += inbox.collect_sheds()
    assert len(rows) <= BATCH or not np.isin(rows["kind"], ORDINARY).any()
    story.taken += [int(token) for token in rows["request"] if token]
    story.ticked += int((rows["request"] == 0).sum())


def fresh() -> Inbox:
    return Inbox(batch_slots=BATCH, queue_slots=QUEUE, age_ns=AGE_NS)


def is_reserved(fields: dict[str, int]) -> bool:
    """A Close or a reduce-only order may be an ordinary one, if there are many of them."""
    return fields["kind"] not in ORDINARY


def of(story: Story, account: int, *, reserved: bool) -> list[int]:
    return [
        token for token in story.taken
        if story.came[token].get("account") == account and is_reserved(story.came[token]) == reserved
    ]  # fmt: skip


@settings(max_examples=120, deadline=None)
@given(steps)
def test_nothing_is_lost_nothing_is_doubled_and_what_is_reserved_is_never_shed(parts: list[object]) -> None:
    story = play(parts, fresh())
    ends = Counter(story.taken) + Counter(shed.token for shed in story.sheds)
    assert ends == Counter(story.came.keys())
    assert story.ticked == story.ticks
    assert all(shed.origin == 1 for shed in story.sheds)
    assert not [shed for shed in story.sheds if is_reserved(story.came[shed.token])]


@settings(max_examples=120, deadline=None)
@given(steps)
def test_plain_orders_of_an_account_keep_their_order(parts: list[object]) -> None:
    story = play(parts, fresh())
    for account in range(1, 4):
        plain = [
            token for token in of(story, account, reserved=False)
            if not story.came[token].get("flags", 0) & (CLOSE | REDUCE_ONLY)
        ]  # fmt: skip
        assert plain == sorted(plain)


@settings(max_examples=120, deadline=None)
@given(steps)
def test_nothing_is_placed_behind_the_cancel_that_was_to_take_it_away(parts: list[object]) -> None:
    story = play(parts, fresh())
    place_of = {token: index for index, token in enumerate(story.taken)}
    for token, fields in story.came.items():
        for earlier in range(1, token):
            if _is_ended_by(story.came[earlier], fields) and earlier in place_of:
                assert place_of[earlier] < place_of[token], f"{earlier} came after {token}"


def _is_ended_by(order: dict[str, int], fields: dict[str, int]) -> bool:
    """Return whether a command means an order that was sent before it."""
    if order["account"] != fields["account"] if "account" in order and "account" in fields else True:
        return False
    is_plain = order["kind"] == PLACE and not order["flags"] & (CLOSE | REDUCE_ONLY)
    if fields["kind"] == CANCEL:
        return order["kind"] in (PLACE, AMEND) and 0 < fields["orig_clid"] == order.get("clid", 0)
    if fields["kind"] == CANCEL_ALL:
        return is_plain and fields["symbol"] in (0, order["symbol"])
    return False


@settings(max_examples=120, deadline=None)
@given(steps)
def test_a_reduce_only_order_never_overtakes_the_order_that_it_is_to_reduce(parts: list[object]) -> None:
    story = play(parts, fresh())
    place_of = {token: index for index, token in enumerate(story.taken)}
    for token, fields in story.came.items():
        if fields["kind"] != PLACE or not fields["flags"] & REDUCE_ONLY or token not in place_of:
            continue
        for earlier in range(1, token):
            order = story.came[earlier]
            is_same = order["kind"] == PLACE and order["account"] == fields["account"]
            if is_same and order["symbol"] == fields["symbol"] and earlier in place_of:
                # An earlier reduce-only or Close opens nothing that this one could miss.
                opens = not order["flags"] & (CLOSE | REDUCE_ONLY)
                assert not opens or place_of[earlier] < place_of[token]


@settings(max_examples=120, deadline=None)
@given(steps)
def test_a_barrier_comes_after_everything_that_came_before_it(parts: list[object]) -> None:
    story = play(parts, fresh())
    place_of = {token: index for index, token in enumerate(story.taken)}
    for token, fields in story.came.items():
        if fields["kind"] == Command.TICK:
            before = [place_of[earlier] for earlier in range(1, token) if earlier in place_of]
            assert all(place < place_of[token] for place in before)


@settings(max_examples=80, deadline=None)
@given(steps)
def test_what_waits_of_ordinary_commands_is_bounded(parts: list[object]) -> None:
    inbox = fresh()
    story = Story()
    for part in parts:
        if not isinstance(part, list):
            continue
        rows = [command(request=1 + n, **fields) for n, fields in enumerate(part)]
        inbox.submit(np.concatenate(rows).tobytes(), origin=1, now_ns=0)
        story.sheds += inbox.collect_sheds()
        assert inbox._ordinary.slots - _protected(inbox) <= QUEUE


def _protected(inbox: Inbox) -> int:
    """Return the slots that stand in the ordinary lane behind what they belong to, and cannot be shed."""
    units = [unit for queue in inbox._ordinary._queues.values() for unit in queue._units if not unit.is_gone]
    return sum(unit.size for unit in units if not unit.may_shed)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 6), st.integers(1, 200), st.data())
def test_accounts_that_always_have_something_waiting_get_the_same(
    n_accounts: int, batches: int, data: st.DataObject
) -> None:
    """Whoever sends more than others gets no more than they, to within a turn."""
    inbox = Inbox(batch_slots=16, queue_slots=10_000)
    sizes = [data.draw(st.integers(60, 120)) for _ in range(n_accounts)]
    for account, size in enumerate(sizes, 1):
        rows = [command(PLACE, account=account, request=1, symbol=1, qty=1) for _ in range(size)]
        inbox.submit(np.concatenate(rows).tobytes(), origin=1, now_ns=0)
    got: Counter[int] = Counter(dict.fromkeys(range(1, n_accounts + 1), 0))
    for _ in range(batches):
        if not inbox or min(sizes[a - 1] - got[a] for a in got) <= 16:
            break
        got.update(np.frombuffer(inbox.take(now_ns=0), COMMAND)["account"].tolist())
        assert max(got.values()) - min(got.values()) <= 16
    assert not inbox.collect_sheds()


@settings(max_examples=80, deadline=None)
@given(steps)
def test_what_fits_into_one_batch_is_taken_as_it_came(parts: list[object]) -> None:
    inbox = Inbox(batch_slots=10_000, queue_slots=20_000)
    story = Story()
    for part in parts:
        if isinstance(part, list):
            rows = []
            for fields in part:
                story.came[len(story.came) + 1] = fields
                rows.append(command(request=len(story.came), **fields))
            inbox.submit(np.concatenate(rows).tobytes(), origin=1, now_ns=0)
    rows = np.frombuffer(inbox.take(now_ns=10**18), COMMAND)
    assert rows["request"].tolist() == list(story.came)
    assert not inbox.collect_sheds()
    assert not inbox


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 3)), min_size=1, max_size=60))
def test_whoever_sends_most_is_shed_first(light: list[tuple[int, int]]) -> None:
    """One account sends more than all that fits, before and between the others', who find room."""
    inbox = Inbox(batch_slots=64, queue_slots=256)
    hostile = np.concatenate([command(PLACE, account=99, request=1, symbol=1, qty=1)] * 300).tobytes()
    token_owner: dict[int, int] = {1: 99}
    sheds: list[Shed] = []
    for number, (account, count) in enumerate(light):
        inbox.submit(hostile, origin=1, now_ns=0)
        token_owner[number + 2] = account
        rows = [command(PLACE, account=account, request=number + 2, symbol=1, qty=1)] * count
        inbox.submit(np.concatenate(rows).tobytes(), origin=1, now_ns=0)
        inbox.take(now_ns=0)
        sheds += inbox.collect_sheds()
    assert {token_owner[shed.token] for shed in sheds} <= {99}
    assert {shed.reason for shed in sheds} <= {ShedReason.SHARE}
