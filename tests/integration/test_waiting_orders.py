"""Stops, trailing stops and linked orders over REST and WebSocket; what became of an order; sub-accounts."""

import asyncio
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from ringfence.exchange.users.keys import Permission
from ringfence.messages.commands import Command
from ringfence.testing.client import Client
from ringfence.testing.play import command
from ringfence.testing.socket import Socket
from ringfence.testing.venue import Venue, key_of
from ringfence.units.limits import MARK_SUBTICKS

TICKS = 10
"""Of a dollar, in XBTUSD."""


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    keys = [*(key_of(n) for n in range(1, 5)), key_of(5, Permission.WITHDRAW), key_of(6, Permission.WITHDRAW)]
    with Venue(tmp_path_factory.mktemp("waiting"), accounts=5, keys=keys) as running:
        yield running


@pytest.fixture
def alice(venue: Venue) -> Iterator[Client]:
    client = Client(venue.port, 1)
    yield client
    client.call("DELETE", "/order/all")
    mark(venue, 10_000)


@pytest.fixture
def bob(venue: Venue) -> Iterator[Client]:
    client = Client(venue.port, 2)
    yield client
    client.call("DELETE", "/order/all")


def mark(venue: Venue, dollars: float) -> None:
    """Move the mark price, and let what it triggers happen."""
    row = command(Command.MARK, symbol=1, qty=round(dollars * TICKS * MARK_SUBTICKS))
    asyncio.run(venue.submit(row))


def named(order_id: str) -> str:
    return "filter=" + quote(f'{{"orderID":"{order_id}"}}')


def order(client: Client, order_id: str) -> dict[str, Any]:
    """Return an order's row once the gateway has folded all that happened."""
    client.get(f"/order/outcome?orderID={order_id}")
    (row,) = client.get(f"/order?{named(order_id)}")
    return dict(row)


def test_a_stop_waits_is_amended_triggers_and_fills(venue: Venue, alice: Client, bob: Client) -> None:
    placed = alice.place(orderQty=100, side="Sell", stopPx=9_900, clOrdID="stop-1").value
    assert placed["ordType"] == "Stop"
    assert placed["stopPx"] == 9_900
    assert placed["ordStatus"] == "New"
    assert placed["triggered"] is None
    assert placed["workingIndicator"] is False
    assert (placed["price"], placed["timeInForce"]) == (None, "ImmediateOrCancel")
    assert placed["execInst"] == "MarkPrice"
    open_rows = alice.get("/order?filter=%7B%22open%22%3Atrue%7D")
    assert [row["orderID"] for row in open_rows] == [placed["orderID"]]
    amended = alice.call("PUT", "/order", {"origClOrdID": "stop-1", "stopPx": 9_850, "orderQty": 200}).value
    assert (amended["stopPx"], amended["orderQty"]) == (9_850, 200)
    mark(venue, 9_880)
    assert order(alice, placed["orderID"])["workingIndicator"] is False
    bob.place(orderQty=500, price=9_800)
    mark(venue, 9_840)
    done = order(alice, placed["orderID"])
    assert (done["ordStatus"], done["cumQty"], done["avgPx"]) == ("Filled", 200, 9_800)
    assert done["triggered"] == "StopOrderTriggered"
    assert done["text"].startswith("Triggered: Order triggered at 9840")
    reports = alice.get(f"/execution?{named(placed['orderID'])}")
    assert [row["execType"] for row in reports] == [
        "New",
        "Replaced",
        "TriggeredOrActivatedBySystem",
        "Trade",
    ]
    assert [row["triggered"] for row in reports] == [None, None, *["StopOrderTriggered"] * 2]
    bob.place(orderQty=-200, price=9_800)
    alice.place(orderQty=200, price=9_800)


def test_a_trailing_stop_follows(venue: Venue, alice: Client) -> None:
    placed = alice.place(
        orderQty=100, side="Sell", ordType="Stop", pegPriceType="TrailingStopPeg", pegOffsetValue=-100
    ).value
    assert (placed["stopPx"], placed["pegOffsetValue"]) == (9_900, -100)
    assert placed["pegPriceType"] == "TrailingStopPeg"
    mark(venue, 10_200)
    followed = order(alice, placed["orderID"])
    assert followed["stopPx"] == 10_100
    assert followed["text"].startswith("Amended: Order had pegPriceType of TrailingStopPeg")
    amended = alice.call("PUT", "/order", {"orderID": placed["orderID"], "pegOffsetValue": -50}).value
    assert (amended["stopPx"], amended["pegOffsetValue"]) == (10_150, -50)


def test_a_pegged_order_takes_its_price_from_the_touch(alice: Client, bob: Client) -> None:
    bob.place(orderQty=100, price=9_700)
    pegged = alice.place(
        orderQty=100,
        pegPriceType="PrimaryPeg",
        pegOffsetValue=-1.5,
        execInst="Fixed,ParticipateDoNotInitiate",
    ).value
    assert (pegged["ordType"], pegged["price"], pegged["pegOffsetValue"]) == ("Pegged", 9_698.5, -1.5)
    assert pegged["workingIndicator"] is True
    assert pegged["execInst"] == "ParticipateDoNotInitiate,Fixed"


def test_one_cancels_the_other(venue: Venue, alice: Client) -> None:
    linked = {"clOrdLinkID": "pair", "contingencyType": "OneCancelsTheOther", "orderQty": 100}
    below = alice.place(**linked, side="Buy", price=9_600).value
    above = alice.place(**linked, side="Buy", stopPx=10_050).value
    assert (below["clOrdLinkID"], below["contingencyType"]) == ("pair", "OneCancelsTheOther")
    mark(venue, 10_060)
    assert order(alice, above["orderID"])["triggered"] == "StopOrderTriggered"
    gone = order(alice, below["orderID"])
    assert gone["ordStatus"] == "Canceled"
    assert gone["text"].startswith("Canceled: Linked order")


def test_one_triggers_the_other(alice: Client, bob: Client) -> None:
    linked = {"clOrdLinkID": "ladder", "contingencyType": "OneTriggersTheOther", "orderQty": 100}
    primary = alice.place(**linked, side="Buy", price=9_750).value
    child = alice.place(**linked, side="Sell", price=9_950).value
    assert (primary["workingIndicator"], child["workingIndicator"]) == (True, False)
    bob.place(orderQty=-100, price=9_750)
    assert order(alice, primary["orderID"])["ordStatus"] == "Filled"
    woken = order(alice, child["orderID"])
    assert (woken["ordStatus"], woken["workingIndicator"]) == ("New", True)
    assert woken["text"].startswith("Triggered: Primary order was filled")
    bob.place(orderQty=100, price=9_950)
    assert order(alice, child["orderID"])["ordStatus"] == "Filled"


def test_a_primary_takes_what_waits_for_it_along(alice: Client) -> None:
    linked = {"clOrdLinkID": "gone", "contingencyType": "OneTriggersTheOther", "orderQty": 100}
    ids = [
        alice.place(**linked, side=side, price=px).value["orderID"]
        for side, px in (("Buy", 9_000), ("Sell", 11_000))
    ]
    rows = alice.call("DELETE", "/order", {"orderID": ids}).value
    assert sorted(row["orderID"] for row in rows) == sorted(ids)
    assert not any("error" in row for row in rows)


def test_cancel_all_takes_untriggered_orders_too(alice: Client) -> None:
    kept = [alice.place(orderQty=100, side="Sell", stopPx=9_000 + n).value["orderID"] for n in range(3)]
    gone = alice.call("DELETE", "/order/all").value
    assert {row["orderID"] for row in gone} == set(kept)
    assert all(row["ordStatus"] == "Canceled" for row in gone)


def test_a_closing_stop_closes_whatever_there_is(venue: Venue, alice: Client, bob: Client) -> None:
    placed = alice.place(side="Sell", stopPx=9_900, execInst="Close,LastPrice").value
    assert (placed["orderQty"], placed["leavesQty"], placed["execInst"]) == (None, 0, "Close,LastPrice")
    bob.place(orderQty=-300, price=10_000)
    alice.place(orderQty=300, price=10_000)
    bob.place(orderQty=400, price=9_890)
    # The last price goes through the stop.
    carol = Client(venue.port, 3)
    carol.place(orderQty=-100, price=9_890)
    done = order(alice, placed["orderID"])
    assert (done["ordStatus"], done["orderQty"], done["cumQty"]) == ("Filled", 300, 300)
    (position,) = [row for row in alice.get("/position") if row["symbol"] == "XBTUSD"]
    assert position["currentQty"] == 0


def test_a_bulk_of_linked_orders(alice: Client) -> None:
    linked = {
        "symbol": "XBTUSD",
        "clOrdLinkID": "bulk",
        "contingencyType": "OneCancelsTheOther",
        "orderQty": 100,
    }
    orders = [{**linked, "side": "Buy", "price": 9_000}, {**linked, "side": "Buy", "stopPx": 10_500}]
    rows = alice.call("POST", "/order/bulk", {"orders": orders}).value
    assert [row["ordType"] for row in rows] == ["Limit", "Stop"]
    refused = alice.call("POST", "/order/bulk", {"orders": [*orders, {**linked, "ordType": "Stop"}]})
    assert refused.status == 400
    assert refused.error == "Invalid stopPx for ordType"


async def test_a_listener_hears_of_a_stop_from_its_placing_to_its_end(venue: Venue) -> None:
    socket = await Socket.signed(venue.realtime_url, 4)
    await socket.subscribe("order", "execution")
    reply = await socket.order(orderQty=100, side="Buy", stopPx=10_020, price=10_000, clOrdID="ws-stop")
    assert (reply["data"]["ordType"], reply["data"]["workingIndicator"]) == ("StopLimit", False)
    amended = await socket.order("amendOrder", orderID=reply["data"]["orderID"], stopPx=10_010)
    assert amended["data"]["stopPx"] == 10_010
    refused = await socket.order(orderQty=100, ordType="StopLimit", price=10_000)
    assert refused["error"]["message"] == "Invalid stopPx for ordType"
    begin = len(socket.frames)
    # Outside the loop, which hears of it meanwhile.
    await asyncio.to_thread(mark, venue, 10_015)
    told = await socket.until(lambda f: f.get("table") == "order", since=begin)
    assert told["action"] == "update"
    (row,) = told["data"]
    assert (row["triggered"], row["ordStatus"], row["workingIndicator"]) == (
        "StopOrderTriggered",
        "New",
        True,
    )
    kinds = [row["execType"] for f in socket.frames if f.get("table") == "execution" for row in f["data"]]
    assert kinds == ["New", "Replaced", "TriggeredOrActivatedBySystem"]
    assert (await socket.order("cancelAllOrders"))["data"][0]["ordStatus"] == "Canceled"
    assert socket.faults == []
    socket.close()
    await asyncio.to_thread(mark, venue, 10_000)


# ---- what became of it


def outcome(client: Client, clordid: str) -> dict[str, Any]:
    return dict(client.get(f"/order/outcome?clOrdID={clordid}"))


def test_the_outcome_of_an_order_is_told_whatever_became_of_it(alice: Client) -> None:
    placed = alice.place(orderQty=100, price=9_000, clOrdID="o-open").value
    found = outcome(alice, "o-open")
    assert (found["outcome"], found["ordStatus"], found["orderID"]) == ("Accepted", "New", placed["orderID"])
    assert (found["cumQty"], found["leavesQty"]) == (0, 100)
    alice.call("DELETE", "/order", {"clOrdID": "o-open"})
    assert outcome(alice, "o-open") == {
        **found, "ordStatus": "Canceled", "leavesQty": 0, "timestamp": outcome(alice, "o-open")["timestamp"],
        "text": "Canceled: Canceled via API.\nSubmitted via API.",
    }  # fmt: skip
    refused = alice.place(orderQty=100, price=20_000, clOrdID="o-refused")
    assert refused.status == 400
    found = outcome(alice, "o-refused")
    assert (found["outcome"], found["ordStatus"], found["orderID"]) == ("Rejected", "Rejected", None)
    assert found["text"] == refused.error
    assert found["sequence"] > 0
    unknown = outcome(alice, "o-never")
    assert (unknown["outcome"], unknown["ordStatus"], unknown["sequence"]) == ("Unknown", None, None)


def test_a_duplicate_does_not_hide_what_was_taken(alice: Client) -> None:
    alice.place(orderQty=100, price=9_000, clOrdID="o-twice")
    assert alice.place(orderQty=100, price=9_000, clOrdID="o-twice").error == "Duplicate clOrdID"
    assert outcome(alice, "o-twice")["outcome"] == "Accepted"


def test_an_outcome_is_the_owners_and_names_one_order(alice: Client, bob: Client) -> None:
    placed = alice.place(orderQty=100, price=9_000, clOrdID="o-mine").value
    assert outcome(bob, "o-mine")["outcome"] == "Unknown"
    assert bob.get(f"/order/outcome?orderID={placed['orderID']}")["outcome"] == "Unknown"
    assert alice.call("GET", "/order/outcome").status == 400
    assert alice.call("GET", f"/order/outcome?clOrdID=o-mine&orderID={placed['orderID']}").status == 400


def test_a_refusal_is_remembered_over_a_restart_of_the_gateway(venue: Venue, alice: Client) -> None:
    assert alice.place(orderQty=100, price=20_000, clOrdID="o-restart").status == 400
    venue.kill("gateway")
    venue.start("gateway")
    venue.wait_ready()
    assert outcome(alice, "o-restart")["outcome"] == "Rejected"


# ---- sub-accounts


def test_a_main_account_opens_a_sub_account_and_moves_coins(venue: Venue) -> None:
    main = Client(venue.port, 5)
    opened = main.call("POST", "/user/addSubaccount", {"accountName": "hedge"}).value
    assert (opened["accountName"], opened["isMainAccount"], opened["parentId"]) == ("hedge", False, 5)
    number = opened["id"]
    assert number == 6
    accounts = main.get("/user/getWalletTransferAccounts")
    assert [row["id"] for row in accounts] == [5, 6]
    before = main.get("/user/wallet")
    moved = main.call(
        "POST", "/user/walletTransfer", {"currency": "XBt", "amount": 5_000, "targetAccountId": number}
    ).value
    assert (moved["transactType"], moved["amount"], moved["address"]) == ("Transfer", -5_000, "6")
    after = main.get("/user/wallet")
    assert after["amount"] == before["amount"] - 5_000
    assert after["transferOut"] == 5_000
    theirs = main.get(f"/user/wallet?targetAccountId={number}")
    assert (theirs["account"], theirs["amount"], theirs["transferIn"]) == (6, 5_000, 5_000)
    (line,) = main.get(f"/user/walletHistory?targetAccountId={number}")
    assert (line["transactType"], line["amount"], line["walletBalance"]) == ("Transfer", 5_000, 5_000)
    assert line["transactID"] != moved["transactID"]
    assert line["text"] == "Transfer from account 5"
    back = main.call(
        "POST", "/user/walletTransfer",
        {"currency": "XBt", "amount": 2_000, "sourceAccountId": number, "targetAccountId": 5},
    ).value  # fmt: skip
    assert (back["account"], back["amount"]) == (6, -2_000)
    assert main.get("/user/wallet")["amount"] == before["amount"] - 3_000
    too_much = main.call(
        "POST", "/user/walletTransfer",
        {"currency": "XBt", "amount": 4_000, "sourceAccountId": number, "targetAccountId": 5},
    )  # fmt: skip
    assert too_much.error == "Account has insufficient Available Balance, 4000 XBt required"


def test_a_family_is_closed_to_everyone_else(venue: Venue, alice: Client) -> None:
    main, child = Client(venue.port, 5), Client(venue.port, 6)
    transfer = {"currency": "XBt", "amount": 1_000, "targetAccountId": 6}
    # Without the permission; to a stranger's account; by the sub-account itself.
    assert alice.call("POST", "/user/walletTransfer", transfer).error == "Access Denied"
    assert alice.call("POST", "/user/addSubaccount", {"accountName": "x"}).error == "Access Denied"
    assert alice.call("GET", "/user/wallet?targetAccountId=6").status == 403
    assert main.call("POST", "/user/walletTransfer", {**transfer, "targetAccountId": 1}).status == 403
    assert main.call("POST", "/user/walletTransfer", {**transfer, "sourceAccountId": 1}).status == 403
    assert main.call("POST", "/user/walletTransfer", {**transfer, "targetAccountId": 99}).status == 403
    assert child.call("POST", "/user/walletTransfer", {**transfer, "targetAccountId": 5}).status == 403
    assert child.call("POST", "/user/addSubaccount", {"accountName": "deeper"}).status == 403
    assert child.call("GET", "/user/getWalletTransferAccounts").status == 403
    assert child.call("GET", "/user/wallet?targetAccountId=5").status == 403
    for wrong, message in (
        ({"amount": 0}, "Invalid amount"), ({"amount": -5}, "Invalid amount"), ({"amount": 1.5}, "Invalid amount"),
        ({"currency": "EUR"}, "Invalid currency"), ({"targetAccountId": 5}, "Invalid targetAccountId"),
        ({"targetAccountId": None}, "targetAccountId is required"),
    ):  # fmt: skip
        answer = main.call("POST", "/user/walletTransfer", {**transfer, **wrong})
        assert (answer.status, message in answer.error) == (400, True), answer
    for name in ("", " ", "x" * 65, "bell\u0007", "hedge"):
        assert main.call("POST", "/user/addSubaccount", {"accountName": name}).status == 400
