"""What a follower of accounts knows is what the chain says, on a chain that is made up: whatever it does meanwhile."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ringfence.custody.chains.accounts import (
    BLOCKS_KEPT,
    BLOCKS_PER_POLL,
    AccountBlock,
    AccountFollower,
    Leg,
    NodeBehindError,
    NodeError,
    Received,
    Spent,
    Tip,
    TooDeepError,
)

OURS, STRANGERS = ("alice", "bob"), ("yves", "zoe")
NATIVE, TOKEN = "Gwei", "USDt"
START = 100


class Move(NamedTuple):
    source: str
    to: str
    asset: str
    raw: int


class Transaction(NamedTuple):
    """Whoever it is about."""

    txid: str
    payer: str
    fee_raw: int
    moves: tuple[Move, ...]


class Block(NamedTuple):
    height: int
    digest: str
    parent: str
    transactions: tuple[Transaction, ...]


class Chain:
    """A node whose chain is what a test says: a `BlockSource`."""

    def __init__(self) -> None:
        self.blocks = [Block(START, "start", "", ())]
        self.archive = {"start": self.blocks[0]}
        """Every block that there ever was."""
        self.final = START
        self.asked = 0
        self.interrupt: Callable[[int], None] = lambda asked: None
        """What happens before the node answers, by the how many-th question it is, from 1."""

    def follow(self) -> AccountFollower:
        return AccountFollower(self, OURS.__contains__, native=NATIVE, height=START, digest="start")

    def grow(self, *transactions: Transaction, skipped: int = 0) -> None:
        below = self.blocks[-1]
        height = below.height + 1 + skipped
        block = Block(height, f"{height} {len(self.archive)}", below.digest, transactions)
        self.archive[block.digest] = block
        self.blocks.append(block)

    def leave(self, height: int) -> list[Block]:
        """Forget the blocks above a height; return them."""
        gone = [one for one in self.blocks if one.height > height]
        self.blocks = self.blocks[: len(self.blocks) - len(gone)]
        return gone

    def branch(self, digest: str) -> list[Block]:
        """Return the blocks from the start to one that there was at some time."""
        found = [self.archive[digest]]
        while found[-1].parent:
            found.append(self.archive[found[-1].parent])
        return found[::-1]

    # ---- the node

    def _hear(self) -> None:
        self.asked += 1
        self.interrupt(self.asked)

    def tip(self) -> Tip:
        self._hear()
        return Tip(self.blocks[-1].height, self.blocks[-1].digest)

    def final_height(self) -> int:
        self._hear()
        return self.final

    def block(self, height: int, *, is_ours: Callable[[str], bool]) -> AccountBlock | None:
        self._hear()
        if height > self.blocks[-1].height:
            raise NodeError(f"there is no block {height} yet")
        for one in self.blocks:
            if one.height == height:
                return told(one, is_ours)
        return None


def told(block: Block, is_ours: Callable[[str], bool]) -> AccountBlock:
    """Return a block as nodes' readers tell it."""
    received, spent = [], []
    for one in block.transactions:
        legs = tuple(Leg(*move) for move in one.moves if is_ours(move.source))
        is_payer = is_ours(one.payer)
        if legs or is_payer:
            payer, fee_raw = (one.payer, one.fee_raw) if is_payer else ("", 0)
            spent.append(Spent(one.txid, payer, "", legs, fee_raw, False, block.height))
        received += [
            Received(one.txid, output, move.to, move.asset, move.raw, block.height)
            for output, move in enumerate(one.moves)
            if is_ours(move.to) and not is_ours(move.source)
        ]
    return AccountBlock(block.height, block.digest, block.parent, tuple(received), tuple(spent))


def scratch(blocks: Iterable[Block]) -> dict[tuple[str, str], int]:
    """Return what lies where, from everything that has moved and every fee: nothing of the follower is in it."""
    lies: dict[tuple[str, str], int] = {}
    for block in blocks:
        for one in block.transactions:
            changes = [(one.payer, NATIVE, -one.fee_raw)]
            for move in one.moves:
                changes += [(move.source, move.asset, -move.raw), (move.to, move.asset, move.raw)]
            for name, asset, raw in changes:
                lies[name, asset] = lies.get((name, asset), 0) + raw
    return {key: raw for key, raw in lies.items() if key[0] in OURS and raw}


def known(follower: AccountFollower) -> tuple[Any, ...]:
    """Return all that a follower says."""
    lies = {asset: list(follower.balances(asset)) for asset in (NATIVE, TOKEN)}
    return (
        follower.tip, follower.height, follower.final_height, dict(follower.received), list(follower.spent.items()),
        lies, {asset: follower.total(asset) for asset in lies},
    )  # fmt: skip


def check(follower: AccountFollower, blocks: Sequence[Block]) -> None:
    """Check that a follower knows what some blocks say and nothing else."""
    assert follower.tip == blocks[-1].digest
    told_all = [told(block, OURS.__contains__) for block in blocks]
    assert follower.received == {one.outpoint: one for block in told_all for one in block.received}
    assert list(follower.spent.values()) == [one for block in told_all for one in block.spent]
    lies = scratch(blocks)
    for asset in (NATIVE, TOKEN):
        expected = {name: raw for (name, of), raw in lies.items() if of == asset}
        assert dict(follower.balances(asset)) == expected
        assert follower.total(asset) == sum(expected.values())
        for name in OURS + STRANGERS:
            assert follower.balance(name, asset) == expected.get(name, 0)
    for txid, spent in follower.spent.items():
        assert follower.confirmations_of(txid) == follower.height + 1 - spent.height
    assert follower.confirmations_of("nothing") == 0


def pay(txid: str, to: str = "alice", raw: int = 5) -> Transaction:
    return Transaction(txid, "yves", 1, (Move("yves", to, NATIVE, raw),))


def spend(txid: str, source: str = "alice", raw: int = 2) -> Transaction:
    return Transaction(txid, source, 1, (Move(source, "zoe", NATIVE, raw),))


def ten_blocks() -> Chain:
    """Return a chain of ten blocks above its start, with something of ours in every one."""
    chain = Chain()
    for number in range(10):
        chain.grow(pay(f"in {number}"), spend(f"out {number}"))
    return chain


# ---- whatever a chain does between two looks

NAMES, ASSETS = st.sampled_from(OURS + STRANGERS), st.sampled_from((NATIVE, TOKEN))
MOVES = st.lists(st.builds(Move, NAMES, NAMES, ASSETS, st.integers(1, 2**70)), max_size=3)
CONTENTS = st.lists(st.tuples(NAMES, st.integers(0, 9), MOVES), max_size=3)


class Following(RuleBasedStateMachine):
    """Blocks come, heights are skipped, and what is not final may leave; transactions may come again elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.chain = Chain()
        self.follower = self.chain.follow()
        self.seen = list(self.chain.blocks)
        self.number = 0

    def transaction(self, payer: str, fee_raw: int, moves: list[Move]) -> Transaction:
        self.number += 1
        return Transaction(f"t{self.number}", payer, fee_raw, tuple(moves))

    @rule(contents=CONTENTS, skipped=st.integers(0, 3))
    def a_block_comes(self, contents: list[tuple[str, int, list[Move]]], skipped: int) -> None:
        self.chain.grow(*(self.transaction(*one) for one in contents), skipped=skipped)

    @rule(
        depth=st.integers(1, 6), longer=st.integers(-2, 2), dice=st.randoms(use_true_random=False),
        contents=CONTENTS,
    )  # fmt: skip
    def blocks_leave(
        self, depth: int, longer: int, dice: Any, contents: list[tuple[str, int, list[Move]]]
    ) -> None:
        end = self.chain.blocks[-1].height
        above = self.chain.blocks[max(0, len(self.chain.blocks) - 1 - depth)].height
        gone = self.chain.leave(max(above, self.chain.final))
        again = [one for block in gone for one in block.transactions if dice.randrange(3)]
        again += [self.transaction(*one) for one in contents]
        dice.shuffle(again)
        while self.chain.blocks[-1].height < end + longer:
            cut = dice.randrange(len(again) + 1)
            self.chain.grow(*again[:cut], skipped=dice.choice((0, 0, 0, 1)))
            again = again[cut:]

    @rule(share=st.floats(0, 1))
    def the_chain_finalises(self, share: float) -> None:
        heights = [one.height for one in self.chain.blocks if one.height >= self.chain.final]
        self.chain.final = heights[int(share * (len(heights) - 1))]

    @rule()
    def the_follower_looks(self) -> None:
        if self.chain.blocks[-1].height < self.seen[-1].height:
            before = known(self.follower)
            with pytest.raises(NodeBehindError):
                self.follower.poll()
            assert known(self.follower) == before
            return
        gone = [one for one in self.seen if one not in self.chain.blocks]
        assert self.follower.poll() == len(gone)
        self.seen = list(self.chain.blocks)
        assert self.follower.height == self.seen[-1].height
        assert self.follower.final_height == self.chain.final
        assert self.follower.is_final(self.chain.final)
        assert not self.follower.is_final(self.chain.final + 1)

    @invariant()
    def it_knows_what_it_has_seen(self) -> None:
        check(self.follower, self.seen)


class TestFollowing(Following.TestCase):
    settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


# ---- whatever it does while it is looked at


@pytest.mark.parametrize("question", range(1, 26))
@pytest.mark.parametrize("longer", [0, 1, 3])
@pytest.mark.parametrize("is_followed", [False, True], ids=["not followed yet", "followed"])
def test_a_chain_that_changes_in_the_middle_of_a_look_is_understood_by_the_next(
    question: int, longer: int, is_followed: bool
) -> None:
    """Whatever was called final meanwhile is of the branch that has stayed: what is final is credited."""
    chain = ten_blocks()
    follower = chain.follow()
    chain.final = START + 4
    if is_followed:
        follower.poll()
        chain.grow(pay("late"))
        chain.asked = 0

    def change(asked: int) -> None:
        if asked == question:
            end = chain.blocks[-1].height
            chain.leave(chain.final)
            chain.grow(pay("other"))
            while chain.blocks[-1].height < end + longer:
                chain.grow(pay(f"other {chain.blocks[-1].height}"))
            chain.final = end - 1

    chain.interrupt = change
    follower.poll()
    check(follower, chain.branch(follower.tip))
    if chain.asked >= question:
        stayed = {one.outpoint for block in chain.blocks for one in told(block, OURS.__contains__).received}
        assert {one.outpoint for one in follower.received.values() if follower.is_final(one.height)} <= stayed
    chain.interrupt = lambda asked: None
    follower.poll()
    check(follower, chain.blocks)


@pytest.mark.parametrize("question", range(1, 17))
def test_a_node_that_fails_in_the_middle_leaves_what_some_branch_says(question: int) -> None:
    chain = ten_blocks()
    follower = chain.follow()
    chain.final = START + 3
    follower.poll()
    chain.leave(START + 4)
    for number in range(8):
        chain.grow(pay(f"other {number}"))
    chain.asked = 0

    def fail(asked: int) -> None:
        if asked == question:
            raise NodeError("the node does not answer")

    chain.interrupt = fail
    with pytest.raises(NodeError):
        follower.poll()
    check(follower, chain.branch(follower.tip))
    chain.interrupt = lambda asked: None
    follower.poll()
    check(follower, chain.blocks)


def test_a_tip_of_the_same_height_is_another_block() -> None:
    chain = ten_blocks()
    follower = chain.follow()
    follower.poll()
    chain.leave(START + 9)
    chain.grow(pay("other"))
    assert follower.poll() == 1
    check(follower, chain.blocks)


def test_a_transaction_may_come_again_in_another_block() -> None:
    chain = ten_blocks()
    follower = chain.follow()
    follower.poll()
    assert follower.received["in 8:0"].height == START + 9
    chain.leave(START + 8)
    chain.grow()
    chain.grow()
    chain.grow(spend("out 8"), pay("in 8"))
    assert follower.poll() == 2
    assert follower.received["in 8:0"].height == START + 11
    assert follower.confirmations_of("out 8") == 1
    assert follower.confirmations_of("out 9") == 0
    check(follower, chain.blocks)


# ---- what is not followed


@pytest.mark.parametrize("above", [0, 1, 2, 6])
@pytest.mark.parametrize("longer", [0, 1, 4])
def test_a_chain_that_leaves_what_is_final_takes_nothing_back(above: int, longer: int) -> None:
    chain = ten_blocks()
    follower = chain.follow()
    chain.final = chain.blocks[-1].height - above
    follower.poll()
    before = known(follower)
    ours = list(chain.blocks)
    chain.leave(chain.final - 1)
    while chain.blocks[-1].height < ours[-1].height + longer:
        chain.grow(pay(f"other {chain.blocks[-1].height}"))
    for _ in range(2):
        with pytest.raises(TooDeepError, match="the node had said is final"):
            follower.poll()
        assert known(follower) == before
    check(follower, ours)

    chain.blocks = ours  # it was another node, behind the same name
    chain.grow(pay("later"))
    assert follower.poll() == 0
    check(follower, chain.blocks)


def test_another_chain_from_the_start_on_is_not_followed() -> None:
    chain = Chain()
    follower = chain.follow()
    chain.blocks = [Block(START, "another", "", ())]
    for _ in range(2):
        with pytest.raises(TooDeepError, match="remember none below"):
            follower.poll()
        chain.grow(pay("other"))
    assert known(follower) == known(Chain().follow())


@pytest.mark.parametrize("depth", [BLOCKS_KEPT, BLOCKS_KEPT + 1])
def test_no_more_is_taken_back_than_is_remembered(depth: int) -> None:
    chain = Chain()
    for number in range(BLOCKS_KEPT + 50):
        chain.grow(pay(f"in {number}"))
    follower = chain.follow()
    while follower.height < chain.blocks[-1].height:
        follower.poll()
    before, end = known(follower), chain.blocks[-1].height
    chain.leave(end - depth)
    while chain.blocks[-1].height <= end:
        chain.grow(spend(f"out {chain.blocks[-1].height}"))
    if depth > BLOCKS_KEPT:
        with pytest.raises(TooDeepError, match="remember none below"):
            follower.poll()
        assert known(follower) == before
    else:
        assert follower.poll() == depth
        check(follower, chain.blocks)


@pytest.mark.parametrize("missing", [1, 5, 10])
def test_a_node_that_is_behind_takes_nothing_back(missing: int) -> None:
    chain = ten_blocks()
    follower = chain.follow()
    follower.poll()
    before, ours = known(follower), list(chain.blocks)
    chain.leave(chain.blocks[-1].height - missing)
    chain.final = START
    with pytest.raises(NodeBehindError, match=f"at {START + 10 - missing}, we have seen {START + 10}"):
        follower.poll()
    assert known(follower) == before
    chain.blocks = ours
    assert follower.poll() == 0
    assert known(follower) == before


# ---- far behind


def test_many_blocks_are_taken_in_pieces_and_nothing_ahead_is_final() -> None:
    chain = Chain()
    for number in range(2 * BLOCKS_PER_POLL + 7):
        chain.grow(pay(f"in {number}"))
    chain.final = chain.blocks[-1].height - 1
    follower = chain.follow()
    for piece in (1, 2):
        follower.poll()
        assert follower.height == follower.final_height == START + piece * BLOCKS_PER_POLL
        check(follower, chain.blocks[: 1 + piece * BLOCKS_PER_POLL])
    follower.poll()
    assert follower.final_height == chain.final
    check(follower, chain.blocks)
    chain.asked = 0
    follower.poll()
    assert chain.asked == 2  # the tip and what is final: no block is read twice


def test_more_skipped_heights_than_are_looked_at_once_are_crossed() -> None:
    chain = ten_blocks()
    chain.grow(pay("beyond"), skipped=2 * BLOCKS_PER_POLL)
    follower = chain.follow()
    for _ in range(2):
        follower.poll()
        check(follower, chain.blocks[:-1])
    follower.poll()
    check(follower, chain.blocks)
    assert follower.height == START + 11 + 2 * BLOCKS_PER_POLL
