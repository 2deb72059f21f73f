"""A trader's day over REST: place, amend, fill, cancel; what is answered is what is kept."""

from typing import Any

import msgspec
import pytest

from ringfence.exchange.projections import TABLES
from ringfence.exchange.users.keys import KeyLimits, Permission, read_records
from ringfence.testing.client import Client
from ringfence.testing.up import wait_for
from ringfence.testing.venue import Venue, key_of


@pytest.fixture
def carol(venue: Venue) -> Client:
    return Client(venue.port, 3)


@pytest.fixture
def dave(venue: Venue) -> Client:
    return Client(venue.port, 4)


def only(rows: list[dict[str, Any]], **equal: Any) -> dict[str, Any]:
    found = [row for row in rows if all(row[name] == value for name, value in equal.items())]
    assert len(found) == 1, found
    return found[0]


def test_an_order_is_placed_amended_filled_and_found_everywhere(carol: Client, dave: Client) -> None:
    placed = carol.place(orderQty=300, price=9_950.5, clOrdID="c/1+=").value
    assert (placed["ordStatus"], placed["leavesQty"], placed["price"]) == ("New", 300, 9_950.5)
    assert tuple(placed) == TABLES["order"].names

    amended = carol.call("PUT", "/order", {"origClOrdID": "c/1+=", "orderQty": 200, "clOrdID": "c2"}).value
    assert (amended["orderQty"], amended["clOrdID"], amended["orderID"]) == (200, "c2", placed["orderID"])

    taken = dave.place(orderQty=-100, price=9_950.5).value
    assert (taken["ordStatus"], taken["avgPx"]) == ("Filled", 9_950.5)

    kept = only(carol.get("/order?count=500&reverse=true"), orderID=placed["orderID"])
    assert (kept["ordStatus"], kept["cumQty"], kept["leavesQty"]) == ("PartiallyFilled", 100, 100)
    executions = carol.get("/execution?count=500")
    assert [e["execType"] for e in executions if e["orderID"] == placed["orderID"]] == [
        "New",
        "Replaced",
        "Trade",
    ]
    fill = only(carol.get("/execution/tradeHistory?count=500"), orderID=placed["orderID"])
    # One lot of 100 at 9950.5 is worth round(1e8 * 100 / 9950.5) = 1004975 XBt; the maker is paid 0.01 %.
    assert (fill["execCost"], fill["execComm"], fill["lastQty"]) == (-1_004_975, -100, 100)
    theirs = only(dave.get("/execution/tradeHistory?count=500"), trdMatchID=fill["trdMatchID"])
    assert (theirs["execCost"], theirs["execComm"]) == (1_004_975, 754)

    long, short = (only(c.get("/position"), symbol="XBTUSD") for c in (carol, dave))
    assert (long["currentQty"], short["currentQty"]) == (100, -100)
    assert long["avgEntryPrice"] == 9950.4963
    public = only(carol.get("/trade?symbol=XBTUSD&count=500"), trdMatchID=fill["trdMatchID"])
    assert (public["side"], public["size"], public["grossValue"]) == ("Sell", 100, 1_004_975)

    gone = carol.call("DELETE", "/order", {"clOrdID": "c2"}).value
    assert [row["ordStatus"] for row in gone] == ["Canceled"]
    again = carol.call("DELETE", "/order", {"clOrdID": "c2"}).value
    assert again[0]["error"] == "Unable to cancel order due to existing state: Canceled"
    over = carol.call("PUT", "/order", {"orderID": placed["orderID"], "orderQty": 400})
    assert (over.status, over.error) == (400, "Invalid ordStatus")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"symbol": "XBTUSD", "orderQty": -100.0, "price": 10500}', "application/json"),
        (
            b"symbol=xbtusd&side=Sell&orderQty=100&price=10500.0&strategy=x",
            "application/x-www-form-urlencoded",
        ),
        (b'{"symbol":"XBTUSD","side":"Sell","orderQty":"100","price":"10500","timeInForce":"GTC"}', ""),
        (
            b'{"symbol":"XBTUSD","side":"Sell","orderQty":1e2,"price":1.05e4,"postOnly":true,"text":""}',
            "application/json",
        ),
    ],
)
def test_the_same_order_in_every_form_that_clients_send(dave: Client, body: bytes, kind: str) -> None:
    answer = dave.call("POST", "/order", raw=body, content_type=kind)
    assert answer.status == 200, answer
    row = answer.value
    assert (row["side"], row["orderQty"], row["price"], row["ordStatus"]) == ("Sell", 100, 10_500, "New")
    assert dave.call("DELETE", f"/order?orderID={row['orderID']}").value[0]["ordStatus"] == "Canceled"


def test_post_only_that_would_take_is_cancelled_not_refused(carol: Client, dave: Client) -> None:
    resting = dave.place(orderQty=-100, price=9_990).value
    answer = carol.place(orderQty=100, price=9_990, execInst="ParticipateDoNotInitiate")
    assert answer.status == 200
    assert answer.value["ordStatus"] == "Canceled"
    assert "ParticipateDoNotInitiate" in answer.value["text"]
    assert dave.call("DELETE", "/order", {"orderID": [resting["orderID"]]}).value[0]["cumQty"] == 0


def test_cancel_all_can_be_narrowed_to_a_side_and_a_symbol(dave: Client) -> None:
    for qty, price in ((100, 9_000), (100, 9_001), (-100, 10_990)):
        assert dave.place(orderQty=qty, price=price).status == 200
    assert dave.place(symbol="ETHUSD", orderQty=1, price=500).status == 200
    buys = dave.call("DELETE", "/order/all", {"symbol": "XBTUSD", "filter": {"side": "Buy"}}).value
    assert sorted(row["price"] for row in buys) == [9_000, 9_001]
    rest = dave.call("DELETE", "/order/all").value
    assert {row["symbol"] for row in rest} == {"XBTUSD", "ETHUSD"}
    assert dave.get("/order?filter=%7B%22open%22%3Atrue%7D") == []


def test_leverage_isolation_and_margin_transfer_answer_the_position(carol: Client, dave: Client) -> None:
    set_ = carol.call("POST", "/position/leverage", {"symbol": "ETHUSD", "leverage": 10}).value
    assert (set_["leverage"], set_["crossMargin"]) == (10, False)
    assert dave.place(symbol="ETHUSD", orderQty=-10, price=5_000).status == 200
    assert carol.place(symbol="ETHUSD", orderQty=10, price=5_000).value["ordStatus"] == "Filled"
    # 10 contracts at 5000 USD and 100 XBt per USD are 5 000 000 XBt; a tenth of that is locked, and the exit fee.
    held = only(carol.get("/position"), symbol="ETHUSD")
    assert (held["posCost"], held["posInit"], held["posComm"]) == (5_000_000, 500_000, 4_125)
    more = carol.call("POST", "/position/transferMargin", {"symbol": "ETHUSD", "amount": 1_000}).value
    assert more["posMargin"] - held["posMargin"] == 1_000
    back = carol.call("POST", "/position/isolate", {"symbol": "ETHUSD", "enabled": False}).value
    assert back["crossMargin"] is True
    closed = carol.call("POST", "/order/closePosition", {"symbol": "ETHUSD", "price": 4_900})
    assert closed.status == 200, closed
    carol.call("DELETE", "/order/all")


def test_spot_moves_balances_and_opens_no_position(carol: Client, dave: Client) -> None:
    def wallets(client: Client) -> dict[str, int]:
        return {row["currency"]: row["amount"] for row in client.get("/user/wallet?currency=all")}

    before = wallets(carol), wallets(dave)
    assert dave.place(symbol="XBT_USDT", orderQty=-100_000, price=10_000).status == 200
    assert carol.place(symbol="XBT_USDT", orderQty=100_000, price=10_000).value["ordStatus"] == "Filled"
    after = wallets(carol), wallets(dave)
    assert after[0]["XBt"] - before[0]["XBt"] == 100_000
    assert before[1]["XBt"] - after[1]["XBt"] == 100_000
    # 0.001 XBT at 10 000 USDT is 10 USDT; both sides pay 0.1 %.
    assert before[0]["USDt"] - after[0]["USDt"] == 10_000_000 + 10_000
    assert after[1]["USDt"] - before[1]["USDt"] == 10_000_000 - 10_000
    assert all(row["symbol"] != "XBT_USDT" for row in carol.get("/position"))


def test_demo_coins_are_visibly_demo_coins(carol: Client) -> None:
    deposits = [
        row for row in carol.get("/user/walletHistory?currency=all") if row["transactType"] == "Deposit"
    ]
    assert {row["currency"] for row in deposits} == {"XBt", "USDt"}


def test_a_withdrawal_leaves_the_wallet_and_is_limited_to_what_is_free(venue: Venue) -> None:
    key = msgspec.structs.replace(key_of(7), id="key-withdraw", permissions=(Permission.WITHDRAW,))
    venue.set_keys([*read_records(venue.directory / "keys.json"), key])
    grace = Client(venue.port, key)
    wait_for(lambda: grace.call("GET", "/user").status == 200, 5, "new key")
    before = grace.get("/user/wallet")["amount"]
    wanted = {"currency": "XBt", "network": "btc", "amount": 5_000}
    gone = grace.call("POST", "/user/requestWithdrawal", wanted).value
    assert (gone["transactType"], gone["amount"], gone["walletBalance"]) == (
        "Withdrawal",
        -5_000,
        before - 5_000,
    )
    assert "Demo coins" in gone["text"]
    assert grace.get("/user/wallet")["withdrawn"] == 5_000
    assert grace.get("/user/walletHistory")[0]["transactID"] == gone["transactID"]
    for wrong, message in (
        ({"amount": before * 2}, f"insufficient Available Balance, {before * 2} XBt required"),
        ({"amount": 999}, "Invalid withdrawal amount"),
        ({"currency": "EUR"}, "Invalid currency"),
        ({"network": "eth"}, "Invalid network"),
    ):
        answer = grace.call("POST", "/user/requestWithdrawal", {**wanted, **wrong})
        assert answer.status == 400
        assert message in answer.error
    assert grace.call("POST", "/order", {"symbol": "XBTUSD", "orderQty": 100, "price": 9_000}).status == 403


def test_a_get_sees_what_was_just_written(dave: Client) -> None:
    for index in range(20):
        placed = dave.place(orderQty=100, price=9_100, clOrdID=f"ryw-{index}").value
        dave.call("DELETE", "/order", {"orderID": placed["orderID"]})
        found = dave.get(f"/order?filter=%7B%22clOrdID%22%3A%22ryw-{index}%22%7D")
        assert [row["ordStatus"] for row in found] == ["Canceled"]


def test_requests_sent_ahead_are_answered_in_order(venue: Venue) -> None:
    import socket

    lines = b"".join(
        b"GET /api/v1/orderBook/L2?symbol=%s&depth=1 HTTP/1.1\r\nhost: x\r\n\r\n" % symbol
        for symbol in (b"XBTUSD", b"NOPE", b"ETHUSD")
    )
    with socket.create_connection(("127.0.0.1", venue.port)) as connection:
        connection.sendall(lines + b"GET /api/v1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    statuses = [part[:3] for part in received.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [b"200", b"400", b"200", b"200"]


def test_the_second_limit_and_its_headers(tmp_path: Any) -> None:
    plain = msgspec.structs.replace(key_of(1), limits=KeyLimits())
    with Venue(tmp_path, accounts=1, keys=[plain], history=False) as strict:
        client = Client(strict.port, 1)
        answers = [client.place(orderQty=100, price=9_000 + n) for n in range(14)]
        assert [a.status for a in answers[:10]] == [200] * 10
        refused = [a for a in answers if a.status == 429]
        assert refused
        assert refused[0].error.startswith("Rate limit exceeded, retry in 1 second")
        assert refused[0].headers["retry-after"] == "1"
        assert refused[0].headers["x-ratelimit-limit"] == "120"
        assert answers[0].headers["x-ratelimit-remaining-1s"] == "9"
        assert int(answers[0].headers["x-ratelimit-remaining"]) == 119
