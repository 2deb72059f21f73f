"""Laws: whatever happens in whatever order, what a chain holds is explained to the last unit, and no theft is.

There is no node here: blocks are made up, and the follower and the ledger are the real ones.
"""

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.custody.chains.accounts import AccountBlock, AccountFollower, Leg, Received, Spent, Tip
from ringfence.custody.explained import Explained, charged, explain
from ringfence.custody.ledger import Ledger, Moved
from ringfence.messages.funds import Wish
from ringfence.units.assets import BY_CURRENCY, ETH, USDT

TREASURY, THIEF = "treasury", "thief"
FACTORS = {ETH.currency: 10**9, USDT.currency: 1}
ASSETS = [ETH, USDT]
_FEES_WEI = st.integers(1, 10**15)
_RAW = st.integers(1, 10**19)


class Addresses:
    """Of accounts 1 to 3; what else a room knows is not asked for here."""

    native, treasury = ETH.currency, TREASURY

    def number_of(self, address: str) -> int | None:
        return {TREASURY: 0, "deposit-1": 1, "deposit-2": 2, "deposit-3": 3}.get(address)


class World:
    """A chain, its ledger, and everything that may happen to both."""

    def __init__(self) -> None:
        self.blocks = [AccountBlock(0, "0", "", (), ())]
        self.room: Any = Addresses()
        self.follower = AccountFollower(
            self, lambda address: self.room.number_of(address) is not None, native=ETH.currency, height=0, digest="0"
        )  # fmt: skip
        self.ledger = Ledger()
        self.ledger.custody_account = 99
        self.names = 0
        self.paid_for: dict[int, str] = {}
        """By withdrawal: the transaction that has paid it, or has failed to."""

    # ---- as a node

    def tip(self) -> Tip:
        return Tip(len(self.blocks) - 1, self.blocks[-1].digest)

    def final_height(self) -> int:
        return len(self.blocks) - 1

    def block(self, height: int, *, is_ours: Callable[[str], bool]) -> AccountBlock:
        return self.blocks[height]

    # ---- what happens

    def name(self) -> str:
        self.names += 1
        return f"tx-{self.names}"

    def mined(self, *, received: tuple[Received, ...] = (), spent: tuple[Spent, ...] = ()) -> None:
        height = len(self.blocks)
        self.blocks.append(AccountBlock(height, str(height), str(height - 1), received, spent))
        self.follower.poll()

    def receive(self, address: str, asset: str, raw: int) -> None:
        self.mined(received=(Received(self.name(), 0, address, asset, raw, len(self.blocks)),))

    def spend(self, *legs: Leg, payer: str = TREASURY, fee: int = 0, is_failed: bool = False) -> str:
        name = self.name()
        place = f"{payer}:{self.names}"
        self.mined(spent=(Spent(name, payer, place, legs, fee, is_failed, len(self.blocks)),))
        return name

    def say(self, kind: str, asset: str, amount: int, **more: Any) -> int:
        number = self.ledger.next_sequence
        self.ledger.fold(Moved(number, number, kind, 1, BY_CURRENCY[asset].number, amount, **more))
        self.ledger.next_sequence += 1
        return number

    def wish(self, asset: str, amount: int, fee_max: int, to: str) -> int:
        return self.say("wish", asset, amount + fee_max, wish=Wish(to, amount, fee_max, is_confirmed=True))

    def open(self, *, paid: bool) -> list[int]:
        return [n for n, one in self.ledger.open().items() if not one.left and (n in self.paid_for) == paid]

    def pay(self, number: int, fee: int, *, is_failed: bool = False) -> str:
        one = self.ledger.withdrawals[number]
        assert one.wish is not None
        asset = next(each.currency for each in ASSETS if each.number == one.asset)
        legs = (
            () if is_failed else (Leg(TREASURY, one.wish.address, asset, one.wish.amount * FACTORS[asset]),)
        )
        return self.spend(*legs, fee=fee, is_failed=is_failed)

    def close(self, number: int, txid: str) -> None:
        """Tell the ledger as the coordinator does: what has left, then the rest back."""
        one, spent = self.ledger.withdrawals[number], self.follower.spent[txid]
        asset = next(each.currency for each in ASSETS if each.number == one.asset)
        left = charged(spent, asset, native=ETH.currency, factor=FACTORS[asset])
        if left:
            self.say("left", asset, left, withdrawal=number, txid=txid)
        rest = self.ledger.withdrawals[number].locked
        if rest:
            self.say("returned", asset, rest, withdrawal=number, txid=txid)

    # ---- what is worked out

    def explained(self, asset: str) -> Explained:
        return explain(self.follower, self.room, self.ledger, asset, factor=FACTORS[asset])

    def check(self) -> None:
        for asset in FACTORS:
            found = self.explained(asset)
            assert found.difference == 0, found
            assert not found.unexplained
            assert found.overcharged >= 0
            assert found.unclosed >= 0


def happens(world: World, draw: Callable[[Any], Any]) -> None:
    """Let one honest thing happen."""
    asset = draw(st.sampled_from(sorted(FACTORS)))
    deposit = f"deposit-{draw(st.integers(1, 3))}"
    what = draw(st.sampled_from(["deposit", "credit", "company", "sweep", "wish", "pay", "fail", "close"]))
    if what == "deposit":
        world.receive(deposit, asset, draw(_RAW))
    elif what == "company":
        world.receive(TREASURY, draw(st.sampled_from(sorted(FACTORS))), draw(_RAW))
    elif what == "credit":
        for one in world.follower.received.values():
            amount = one.raw // FACTORS[one.asset]
            if one.address != TREASURY and one.outpoint not in world.ledger.credited and amount:
                world.say("credit", one.asset, amount, outpoint=one.outpoint)
                break
    elif what == "sweep":
        legs = (Leg(deposit, TREASURY, asset, draw(_RAW)), Leg(TREASURY, deposit, asset, draw(_RAW)))
        world.spend(
            draw(st.sampled_from(legs)), payer=draw(st.sampled_from([deposit, TREASURY])), fee=draw(_FEES_WEI)
        )
    elif what == "wish":
        world.wish(asset, draw(st.integers(1, 10**10)), 10**7, draw(st.sampled_from(["anna", "bert"])))
    elif what in ("pay", "fail"):
        for number in world.open(paid=False)[:1]:
            world.paid_for[number] = world.pay(number, draw(_FEES_WEI), is_failed=what == "fail")
    else:
        for number in world.open(paid=True)[:1]:
            world.close(number, world.paid_for[number])


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_what_a_chain_holds_is_explained_whatever_happens_in_whatever_order(data: st.DataObject) -> None:
    world = World()
    for _ in range(data.draw(st.integers(1, 30))):
        happens(world, data.draw)
        world.check()


def _plain(world: World, asset: str, raw: int, draw: Callable[[Any], Any]) -> None:
    source = draw(st.sampled_from([TREASURY, "deposit-1"]))
    world.spend(Leg(source, THIEF, asset, raw), payer=draw(st.sampled_from(["", source])), fee=0)


def _beside_a_sweep(world: World, asset: str, raw: int, draw: Callable[[Any], Any]) -> None:
    world.spend(
        Leg("deposit-1", TREASURY, asset, raw), Leg("deposit-1", THIEF, asset, raw), fee=draw(_FEES_WEI)
    )


def _paid_twice(world: World, asset: str, raw: int, draw: Callable[[Any], Any]) -> None:
    number = world.wish(asset, 10**6, 10**7, "anna")
    first, second = world.pay(number, draw(_FEES_WEI)), world.pay(number, draw(_FEES_WEI))
    if draw(st.booleans()):
        world.close(number, draw(st.sampled_from([first, second])))


def _returned_and_paid(world: World, asset: str, raw: int, draw: Callable[[Any], Any]) -> None:
    number = world.wish(asset, 10**6, 10**7, "anna")
    world.say("returned", asset, 10**6 + 10**7, withdrawal=number)
    world.pay(number, draw(_FEES_WEI))


def _too_much(world: World, asset: str, raw: int, draw: Callable[[Any], Any]) -> None:
    world.wish(asset, 10**6, 10**7, "anna")
    world.spend(Leg(TREASURY, "anna", asset, 10**6 * FACTORS[asset] + raw))


def _closed_with_the_theft(world: World, asset: str, raw: int, draw: Callable[[Any], Any]) -> None:
    """The coordinator is in it, and tells the ledger that a client's withdrawal has left by what the thief took."""
    amount = draw(st.integers(1, 10**10))
    number = world.wish(asset, amount, 10**7, "anna")
    taken = draw(st.sampled_from([amount * FACTORS[asset], raw]))
    txid = world.spend(Leg(TREASURY, THIEF, asset, taken))
    left = draw(st.integers(1, amount))
    world.say("left", asset, left, withdrawal=number, txid=txid)


def _hidden_by_a_closing(world: World, asset: str, raw: int, draw: Callable[[Any], Any]) -> None:
    """A client's withdrawal is closed with the transaction that has paid another one, or with none at all."""
    amount = draw(st.integers(1, 10**10))
    honest, robbed = world.wish(asset, 10**6, 10**7, "anna"), world.wish(asset, amount, 10**7, "bert")
    txid = world.pay(honest, draw(_FEES_WEI))
    world.close(honest, txid)
    world.say("left", asset, amount, withdrawal=robbed, txid=draw(st.sampled_from([txid, "none"])))
    world.spend(Leg(TREASURY, THIEF, asset, amount * FACTORS[asset]))


THEFTS = [_plain, _beside_a_sweep, _paid_twice, _returned_and_paid, _too_much, _closed_with_the_theft,
          _hidden_by_a_closing]  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_theft_is_explained_by_anything(data: st.DataObject) -> None:
    """Whatever honest things happen before and after it, and however many thefts there are."""
    world, asset = World(), data.draw(st.sampled_from(sorted(FACTORS)))
    for _ in range(data.draw(st.integers(0, 10))):
        happens(world, data.draw)
    for _ in range(data.draw(st.integers(1, 2))):
        data.draw(st.sampled_from(THEFTS))(world, asset, data.draw(_RAW), data.draw)
        assert world.explained(asset).difference < 0
        assert world.explained(asset).unexplained
    for _ in range(data.draw(st.integers(0, 5))):
        happens(world, data.draw)
    assert world.explained(asset).difference < 0
