"""Where a setting or a movement of coins is just allowed, and where just not: the last number on both sides."""

from typing import Any, NamedTuple

import pytest

from ringfence.exchange.engine import Engine
from ringfence.messages.commands import AccountParameter, Command, OrderFlag
from ringfence.messages.events import Event
from ringfence.messages.rejects import Reject
from ringfence.testing.play import START_NS, command, open_venue
from ringfence.units.assets import ASSETS
from ringfence.units.limits import LEVERAGE_HUNDREDTHS_MAX, WALLET_MAX

XBTUSD, SPOT, INSTRUMENTS, ACCOUNTS = 1, 7, 13, 4
WALLET = 100 * 10**8
LOT, PX = 100, 10_000
SELL = OrderFlag.SELL


class Edge(NamedTuple):
    kind: Command
    fields: dict[str, int]
    refused: Reject | None


def outcome(engine: Engine, kind: Command, **fields: int) -> Reject | None:
    """Apply one command; return why it was refused, None if it was done."""
    events = engine.step(command(kind, **fields), timestamp_ns=START_NS)
    refusals = [Reject(event["amount"]) for event in events if event["kind"] == Event.REJECTED]
    assert len(refusals) <= 1
    return refusals[0] if refusals else None


def edges(
    kind: Command, refused: Reject, *, good: list[dict[str, int]], bad: list[dict[str, int]]
) -> list[Edge]:
    return [Edge(kind, one, None) for one in good] + [Edge(kind, one, refused) for one in bad]


def coins(**changes: int) -> dict[str, int]:
    return {"account": 1, "symbol": 0, "qty": 1, **changes}


def of_account(parameter: AccountParameter, value: int, *, account: int = 1) -> dict[str, int]:
    return {"account": account, "type": parameter, "qty": value}


EDGES = [
    *edges(Command.DEPOSIT, Reject.INVALID_ACCOUNT, good=[coins(account=ACCOUNTS)],
           bad=[coins(account=0), coins(account=ACCOUNTS + 1)]),
    *edges(Command.DEPOSIT, Reject.INVALID_SYMBOL, good=[coins(symbol=len(ASSETS) - 1)],
           bad=[coins(symbol=len(ASSETS))]),
    *edges(Command.DEPOSIT, Reject.INVALID_AMOUNT, good=[coins(qty=WALLET_MAX - WALLET), coins()],
           bad=[coins(qty=WALLET_MAX - WALLET + 1), coins(qty=0), coins(qty=-1), coins(qty=WALLET_MAX + 1)]),
    *edges(Command.WITHDRAW, Reject.INVALID_ACCOUNT, good=[coins(account=ACCOUNTS)],
           bad=[coins(account=0), coins(account=ACCOUNTS + 1)]),
    *edges(Command.WITHDRAW, Reject.INVALID_SYMBOL, good=[], bad=[coins(symbol=len(ASSETS))]),
    *edges(Command.WITHDRAW, Reject.INVALID_AMOUNT, good=[coins()],
           bad=[coins(qty=0), coins(qty=-1), coins(qty=WALLET_MAX + 1)]),
    *edges(Command.WITHDRAW, Reject.INSUFFICIENT_BALANCE, good=[coins(qty=WALLET)],
           bad=[coins(qty=WALLET + 1), coins(qty=WALLET_MAX)]),
    *edges(Command.SET_LEVERAGE, Reject.INVALID_LEVERAGE,
           good=[{"account": 1, "symbol": XBTUSD, "qty": qty} for qty in (0, 1, 10_000)],
           bad=[{"account": 1, "symbol": XBTUSD, "qty": qty} for qty in (-1, LEVERAGE_HUNDREDTHS_MAX + 1)]),
    *edges(Command.SET_LEVERAGE, Reject.INVALID_SYMBOL, good=[],
           bad=[{"account": 1, "symbol": symbol, "qty": 100} for symbol in (0, SPOT, INSTRUMENTS, INSTRUMENTS + 1)]),
    *edges(Command.SET_LEVERAGE, Reject.INVALID_ACCOUNT, good=[{"account": ACCOUNTS, "symbol": XBTUSD, "qty": 100}],
           bad=[{"account": account, "symbol": XBTUSD, "qty": 100} for account in (0, ACCOUNTS + 1)]),
    *edges(Command.CONFIGURE_ACCOUNT, Reject.INVALID_ACCOUNT,
           good=[of_account(AccountParameter.SELF_TRADE, 0, account=ACCOUNTS)],
           bad=[of_account(AccountParameter.SELF_TRADE, 0, account=who) for who in (0, ACCOUNTS + 1)]),
    *edges(Command.CONFIGURE_ACCOUNT, Reject.INVALID_PARAMETER,
           good=[of_account(AccountParameter(what), value) for what, value in
                 ((1, 0), (1, 2), (2, 0), (2, 1), (3, 0), (3, 6), (4, 0), (4, 1), (5, 1), (5, 3))],
           bad=[of_account(AccountParameter(what), value) for what, value in
                ((1, -1), (1, 3), (2, -1), (2, 2), (3, -1), (3, 7), (4, -1), (4, 2), (5, 0), (5, 4))]),
    *edges(Command.SET_RISK_LIMIT, Reject.INVALID_RISK_LIMIT, good=[],
           bad=[{"account": 2, "symbol": XBTUSD, "qty": qty} for qty in (0, -1)]),
    *edges(Command.OPEN_ACCOUNT, Reject.INVALID_ACCOUNT,
           good=[{"account": ACCOUNTS + 1, "handle": 0}, {"account": ACCOUNTS + 1, "handle": ACCOUNTS}],
           bad=[{"account": ACCOUNTS}, {"account": ACCOUNTS + 2}, {"account": ACCOUNTS + 1, "handle": ACCOUNTS + 1},
                {"account": ACCOUNTS + 1, "handle": 2**64 - 1}]),
]  # fmt: skip


@pytest.mark.parametrize("edge", EDGES, ids=lambda edge: f"{edge.kind.name} {edge.fields} {edge.refused}")
def test_the_last_that_is_allowed_and_the_first_that_is_not(edge: Edge) -> None:
    engine = open_venue()
    assert outcome(engine, edge.kind, **edge.fields) == edge.refused


def family() -> Engine:
    """Return a venue whose account 5 is a sub-account of 1."""
    engine = open_venue()
    assert outcome(engine, Command.OPEN_ACCOUNT, account=5, handle=1) is None
    return engine


@pytest.mark.parametrize(("fields", "refused"), [
    ({"qty": WALLET}, None), ({"qty": 1}, None), ({"qty": WALLET + 1}, Reject.INSUFFICIENT_BALANCE),
    ({"qty": 0}, Reject.INVALID_AMOUNT), ({"qty": WALLET_MAX + 1}, Reject.INVALID_AMOUNT),
    ({"qty": WALLET_MAX}, Reject.INSUFFICIENT_BALANCE), ({"account": 0}, Reject.INVALID_ACCOUNT),
    ({"account": 6}, Reject.INVALID_ACCOUNT), ({"handle": 0}, Reject.INVALID_ACCOUNT),
    ({"handle": 6}, Reject.INVALID_ACCOUNT), ({"handle": 1}, Reject.NOT_ONE_FAMILY),
    ({"handle": 2}, Reject.NOT_ONE_FAMILY), ({"symbol": len(ASSETS)}, Reject.INVALID_SYMBOL),
])  # fmt: skip
def test_coins_move_within_a_family(fields: dict[str, int], refused: Reject | None) -> None:
    engine = family()
    assert (
        outcome(engine, Command.TRANSFER, **{"account": 1, "handle": 5, "symbol": 0, "qty": 1, **fields})
        == refused
    )
    moved = fields.get("qty", 1) if refused is None else 0
    assert engine.margin(0, 1)["wallet"] == WALLET - moved
    assert engine.margin(0, 5)["wallet"] == moved


def test_a_wallet_that_is_full_takes_no_more_from_the_family() -> None:
    engine = family()
    assert outcome(engine, Command.DEPOSIT, **coins(account=5, qty=WALLET_MAX - 10)) is None
    move = {"account": 1, "handle": 5, "symbol": 0}
    assert outcome(engine, Command.TRANSFER, **move, qty=11) == Reject.INVALID_AMOUNT
    assert outcome(engine, Command.TRANSFER, **move, qty=10) is None
    assert engine.margin(0, 5)["wallet"] == WALLET_MAX


def test_a_sub_account_has_no_sub_accounts() -> None:
    assert outcome(family(), Command.OPEN_ACCOUNT, account=6, handle=5) == Reject.INVALID_ACCOUNT


def holding(*, leverage: int) -> Engine:
    """Return a venue in which account 1 is long a hundred lots against account 2."""
    engine = open_venue()
    assert outcome(engine, Command.SET_LEVERAGE, account=1, symbol=XBTUSD, qty=leverage) is None
    for account, flags in ((2, SELL), (1, 0)):
        order: dict[str, Any] = {
            "account": account,
            "symbol": XBTUSD,
            "qty": 100 * LOT,
            "px": PX,
            "flags": flags,
        }
        assert outcome(engine, Command.PLACE, **order) is None
    return engine


def put_in(engine: Engine, qty: int) -> Reject | None:
    return outcome(engine, Command.TRANSFER_MARGIN, account=1, symbol=XBTUSD, qty=qty)


def transferred(engine: Engine) -> int:
    position = engine.position(1, XBTUSD)
    assert position is not None
    return int(position["transferred"])


def test_margin_goes_in_as_far_as_there_is_any_and_out_as_far_as_it_went_in() -> None:
    engine = holding(leverage=1_000)
    free = engine.margin(0, 1)["wallet"] - engine.margin(0, 1)["locked"]
    assert (
        put_in(engine, 0)
        == put_in(engine, WALLET_MAX + 1)
        == put_in(engine, -WALLET_MAX - 1)
        == Reject.INVALID_AMOUNT
    )
    assert put_in(engine, WALLET_MAX) == put_in(engine, int(free) + 1) == Reject.INSUFFICIENT_BALANCE
    assert transferred(engine) == 0
    assert put_in(engine, 1) is None
    assert put_in(engine, int(free) - 1) is None
    assert (transferred(engine), int(engine.margin(0, 1)["locked"])) == (free, engine.margin(0, 1)["wallet"])
    assert put_in(engine, -int(free) - 1) == Reject.INSUFFICIENT_ISOLATED_MARGIN
    assert transferred(engine) == free
    assert put_in(engine, -int(free)) is None
    assert transferred(engine) == 0


def test_margin_that_keeps_a_position_alive_stays_in_it() -> None:
    """What was put in may only leave while the position is above its maintenance margin: all of it, or nothing."""
    engine = holding(leverage=10_000)
    assert put_in(engine, 10**6) is None
    mark = command(Command.MARK, symbol=XBTUSD, qty=PX * 100 * 985 // 1000)
    engine.step(mark, timestamp_ns=START_NS)
    assert engine.position(1, XBTUSD)["qty"] == 100 * LOT  # type: ignore[index]
    locked = int(engine.margin(0, 1)["locked"])
    assert put_in(engine, -(10**6)) == Reject.INSUFFICIENT_ISOLATED_MARGIN
    assert (transferred(engine), int(engine.margin(0, 1)["locked"])) == (10**6, locked)


def test_a_cross_position_and_one_that_is_not_there_take_no_margin() -> None:
    assert put_in(holding(leverage=0), 1) == Reject.POSITION_IS_CROSS
    engine = open_venue()
    assert outcome(engine, Command.SET_LEVERAGE, account=1, symbol=XBTUSD, qty=100) is None
    assert put_in(engine, 1) == Reject.INVALID_AMOUNT


def test_leaving_isolation_gives_back_what_was_put_in() -> None:
    engine = holding(leverage=1_000)
    assert put_in(engine, 10**6) is None
    assert outcome(engine, Command.SET_LEVERAGE, account=1, symbol=XBTUSD, qty=500) is None
    assert transferred(engine) == 10**6
    assert outcome(engine, Command.SET_LEVERAGE, account=1, symbol=XBTUSD, qty=0) is None
    assert transferred(engine) == 0


def test_a_risk_limit_holds_what_is_there_and_no_more_than_the_last_tier() -> None:
    engine = holding(leverage=0)
    instrument = engine.instrument(XBTUSD)
    highest = int(instrument["risk_base"] + engine.state.header["risk_tiers_max"] * instrument["risk_step"])
    exposure = abs(int(engine.position(1, XBTUSD)["cost"]))  # type: ignore[index]

    def limit(qty: int) -> Reject | None:
        return outcome(engine, Command.SET_RISK_LIMIT, account=1, symbol=XBTUSD, qty=qty)

    assert limit(highest) is None
    assert limit(highest + 1) == limit(0) == limit(-1) == limit(exposure - 1) == Reject.INVALID_RISK_LIMIT
    assert limit(exposure) is None
    base, step = int(instrument["risk_base"]), int(instrument["risk_step"])
    for qty, tier in ((base, 0), (base + 1, 1), (base + step, 1), (base + step + 1, 2)):
        assert limit(qty) is None
        assert engine.position(1, XBTUSD)["tier"] == tier  # type: ignore[index]
