"""What an order does, told through the engine's front door."""

from pathlib import Path

import numpy as np
import pytest

from ringfence.exchange.engine import Engine, SnapshotError
from ringfence.messages.commands import AccountParameter, Command, OrderFlag, OrderType
from ringfence.messages.events import CancelReason, Event
from ringfence.messages.rejects import Reject
from ringfence.testing.play import START_NS, command, open_venue

XBTUSD, SPOT = 1, 7
SELL = OrderFlag.SELL


def say(engine: Engine, kind: Command, **fields: int) -> list[tuple[str, int, int]]:
    """Apply one command; return (event, quantity, number) rows: reject or reason where there is one."""
    rows = []
    for event in engine.step(command(kind, **fields), timestamp_ns=START_NS):
        name = Event(event["kind"])
        number = event["amount"] if name == Event.REJECTED else event["flags"]
        rows.append((name.name, int(event["qty"]), int(number)))
    return rows


def place(
    engine: Engine, account: int, qty: int, px: int, flags: int = 0, **more: int
) -> list[tuple[str, int, int]]:
    more = {"symbol": XBTUSD, **more}
    return say(engine, Command.PLACE, account=account, qty=qty, px=px, flags=flags, **more)


def test_the_start_instruments_list_open_and_take_deposits_without_one_refusal() -> None:
    engine = open_venue()
    assert engine.state.header["n_instruments"] == 13
    assert engine.margin(0, 4)["wallet"] == 100 * 10**8


def test_a_crossing_order_trades_and_the_rest_keeps_resting() -> None:
    engine = open_venue()
    assert place(engine, 1, 1000, 10_000, SELL) == [("ACCEPTED", 1000, 1)]
    assert [row[:2] for row in place(engine, 2, 300, 10_000)] == [("ACCEPTED", 300), ("TRADE", 300)]
    assert engine.book(XBTUSD) == ([], [(10_000, 700)])
    long, short = engine.position(2, XBTUSD), engine.position(1, XBTUSD)
    assert long is not None
    assert short is not None
    assert long["qty"] == 300
    assert short["qty"] == -300
    assert long["cost"] == -short["cost"]


@pytest.mark.parametrize(
    ("fields", "reject"),
    [
        ({"symbol": 0}, Reject.INVALID_SYMBOL),
        ({"symbol": 60}, Reject.INVALID_SYMBOL),
        ({"account": 0}, Reject.INVALID_ACCOUNT),
        ({"account": 99}, Reject.INVALID_ACCOUNT),
        ({"qty": 0}, Reject.INVALID_ORDER_QTY),
        ({"qty": -100}, Reject.INVALID_ORDER_QTY),
        ({"qty": 150}, Reject.INVALID_ORDER_QTY),
        ({"qty": 2**62}, Reject.INVALID_ORDER_QTY),
        ({"px": 0}, Reject.INVALID_PRICE),
        ({"px": -5}, Reject.INVALID_PRICE),
        ({"px": 2**31 - 1}, Reject.INVALID_PRICE),
        ({"display": 150}, Reject.INVALID_DISPLAY_QTY),
        ({"type": 9}, Reject.INVALID_EXEC_INST),
        ({"flags": OrderFlag.IOC | OrderFlag.FOK}, Reject.INVALID_EXEC_INST),
        ({"flags": OrderFlag.POST_ONLY | OrderFlag.IOC}, Reject.INVALID_EXEC_INST),
        ({"flags": OrderFlag.REDUCE_ONLY}, Reject.REDUCE_ONLY),
        ({"qty": 10_000_000, "px": 10}, Reject.RISK_LIMIT),
    ],
)
def test_what_is_wrong_is_refused_by_number_and_changes_nothing(
    fields: dict[str, int], reject: Reject
) -> None:
    engine = open_venue()
    good = {"account": 1, "symbol": XBTUSD, "qty": 100, "px": 9_990}
    wallet = engine.margin(0, 1)["wallet"]
    rows = say(engine, Command.PLACE, **{**good, **fields})
    assert rows[0][0] == "REJECTED"
    assert Reject(rows[0][2]) == reject
    assert engine.margin(0, 1)["wallet"] == wallet
    assert engine.margin(0, 1)["locked"] == 0


def test_time_in_force_and_post_only() -> None:
    engine = open_venue()
    place(engine, 1, 200, 10_000, SELL)
    assert place(engine, 2, 100, 10_000, OrderFlag.POST_ONLY)[-1] == ("CANCELED", 100, CancelReason.POST_ONLY)
    assert place(engine, 2, 300, 10_000, OrderFlag.FOK)[-1] == ("CANCELED", 300, CancelReason.FILL_OR_KILL)
    rows = place(engine, 2, 300, 10_000, OrderFlag.IOC)
    assert rows[-1] == ("CANCELED", 100, CancelReason.IMMEDIATE_OR_CANCEL)
    assert engine.book(XBTUSD) == ([], [])


def test_an_own_order_is_cancelled_rather_than_traded_with() -> None:
    engine = open_venue()
    place(engine, 1, 200, 10_000, SELL)
    rows = place(engine, 1, 100, 10_000)
    assert rows[1] == ("CANCELED", 200, CancelReason.SELF_TRADE)
    assert engine.book(XBTUSD) == ([(10_000, 100)], [])


def test_a_duplicate_client_order_id_is_refused_until_the_first_is_gone() -> None:
    engine = open_venue()
    place(engine, 1, 100, 9_990, clid=5)
    assert place(engine, 1, 100, 9_991, clid=5) == [("REJECTED", 100, Reject.DUPLICATE_CLORDID)]
    say(engine, Command.CANCEL, account=1, orig_clid=5)
    assert place(engine, 1, 100, 9_991, clid=5) == [("ACCEPTED", 100, 0)]


def test_a_restricted_account_may_cancel_and_shrink_but_not_grow_or_take() -> None:
    engine = open_venue()
    place(engine, 1, 300, 9_990, clid=1)
    place(engine, 2, 300, 10_010, SELL)
    say(engine, Command.CONFIGURE_ACCOUNT, account=1, type=AccountParameter.TRADING_DISABLED, qty=1)
    refused = ("REJECTED", Reject.ACCOUNT_DISABLED)
    assert [(row[0], row[2]) for row in place(engine, 1, 100, 9_980)] == [refused]
    grow = say(engine, Command.AMEND, account=1, orig_clid=1, qty=600, flags=OrderFlag.AMEND_QTY)
    assert [(row[0], row[2]) for row in grow] == [refused]
    take = say(engine, Command.AMEND, account=1, orig_clid=1, px=10_010, flags=OrderFlag.AMEND_PX)
    assert [(row[0], row[2]) for row in take] == [refused]
    shrunk = say(engine, Command.AMEND, account=1, orig_clid=1, qty=200, flags=OrderFlag.AMEND_QTY)
    assert shrunk[0][:2] == ("AMENDED", 200)
    assert say(engine, Command.CANCEL, account=1, orig_clid=1)[0][:2] == ("CANCELED", 200)


def test_nobody_cancels_an_order_of_somebody_else() -> None:
    engine = open_venue()
    place(engine, 1, 100, 9_990, clid=5)
    handle = int(engine.live_orders(XBTUSD)["sequence"][0]) << 32 | 1
    assert say(engine, Command.CANCEL, account=2, handle=handle)[0][0] == "REJECTED"
    assert say(engine, Command.CANCEL, account=1, handle=handle)[0][0] == "CANCELED"
    assert say(engine, Command.CANCEL, account=1, handle=handle)[0][0] == "REJECTED"


def test_shrinking_keeps_the_place_in_the_queue_and_growing_loses_it() -> None:
    engine = open_venue()
    place(engine, 1, 300, 9_990, clid=1)
    place(engine, 2, 300, 9_990, clid=2)
    say(engine, Command.AMEND, account=1, orig_clid=1, qty=200, flags=OrderFlag.AMEND_QTY)
    fill = engine.step(
        command(Command.PLACE, account=3, symbol=1, qty=100, px=9_990, flags=SELL), timestamp_ns=START_NS
    )
    assert fill[1]["maker_account"] == 1
    say(engine, Command.AMEND, account=1, orig_clid=1, qty=400, flags=OrderFlag.AMEND_QTY)
    fill = engine.step(
        command(Command.PLACE, account=3, symbol=1, qty=100, px=9_990, flags=SELL), timestamp_ns=START_NS
    )
    assert fill[1]["maker_account"] == 2


def test_an_iceberg_shows_its_slice_and_a_hidden_order_nothing() -> None:
    engine = open_venue()
    place(engine, 1, 500, 10_010, SELL, display=100)
    place(engine, 2, 500, 10_020, SELL, display=0)
    assert engine.book(XBTUSD) == ([], [(10_010, 100)])


def test_a_spot_trade_moves_both_coins_and_nothing_is_made_or_lost() -> None:
    engine = open_venue()
    before = [sum(int(engine.margin(asset, a)["wallet"]) for a in (1, 2)) for asset in (0, 1)]
    place(engine, 1, 3000, 1_000, symbol=SPOT)
    rows = place(engine, 2, 3000, 0, SELL, symbol=SPOT, type=OrderType.MARKET)
    assert rows[1][0] == "TRADE"
    after = [sum(int(engine.margin(asset, a)["wallet"]) for a in (1, 2)) for asset in (0, 1)]
    fees = int(engine.instrument(SPOT)["fee_pool"])
    assert after[0] == before[0]
    assert after[1] + fees == before[1]


def test_cancel_all_after_fires_by_the_frame_time_alone() -> None:
    engine = open_venue()
    place(engine, 1, 100, 9_990)
    say(engine, Command.CANCEL_ALL_AFTER, account=1, qty=1_000)
    assert engine.wake_at_ns == START_NS + 10**9
    early = engine.step(command(Command.TICK), timestamp_ns=START_NS + 10**9 - 1)
    assert [Event(k) for k in early["kind"]] == [Event.TICKED]
    due = engine.step(command(Command.TICK), timestamp_ns=START_NS + 10**9)
    assert [Event(k) for k in due["kind"]] == [Event.TICKED, Event.TIMER_FIRED, Event.CANCELED]
    assert engine.wake_at_ns > START_NS + 10**9, "nothing is due but the next funding"


def test_a_snapshot_goes_on_exactly_where_the_engine_was(tmp_path: Path) -> None:
    engine = open_venue()
    place(engine, 1, 300, 9_990, clid=1)
    place(engine, 2, 500, 10_010, SELL, display=100, clid=2)
    engine.save(tmp_path / "snapshot")
    again = Engine.load(tmp_path / "snapshot")
    assert again.digest() == engine.digest()
    assert again.book(XBTUSD) == engine.book(XBTUSD)
    assert place(again, 3, 400, 10_010, clid=1) == place(engine, 3, 400, 10_010, clid=1)
    assert say(again, Command.CANCEL, account=1, orig_clid=1) == say(
        engine, Command.CANCEL, account=1, orig_clid=1
    )
    assert again.digest() == engine.digest()


@pytest.mark.parametrize("damage", ["cut", "flipped", "other"])
def test_a_damaged_snapshot_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "snapshot"
    open_venue().save(path)
    raw = bytearray(path.read_bytes())
    if damage == "cut":
        raw = raw[:-100]
    elif damage == "flipped":
        raw[len(raw) // 2] ^= 1
    else:
        raw[:4] = b"nope"
    path.write_bytes(raw)
    with pytest.raises(SnapshotError, match="nothing was loaded"):
        Engine.load(path)


def test_every_table_grows_and_the_event_buffer_resumes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep through thousands of orders needs more events than the buffer held at the start."""
    monkeypatch.setattr("ringfence.exchange.engine.engine._EVENTS_AT_START", 64)
    engine = open_venue(accounts=200)
    rows = [
        command(
            Command.PLACE, account=a, symbol=XBTUSD, qty=100, px=10_001 + k, flags=SELL, clid=1000 * a + k
        )
        for a in range(1, 200)
        for k in range(10)
    ]
    engine.step(np.concatenate(rows), timestamp_ns=START_NS)
    assert len(engine.live_orders(XBTUSD)) == 199 * 10
    events = engine.step(
        command(Command.PLACE, account=200, symbol=XBTUSD, qty=100 * 199 * 10, px=10_100),
        timestamp_ns=START_NS,
    )
    assert np.count_nonzero(events["kind"] == Event.TRADE) == 199 * 10
    total = sum(int(engine.position(a, XBTUSD)["qty"]) for a in range(1, 201))
    assert total == 0
