"""Every route and every private topic, asked for by every kind of caller; and one trader's things by another's key.

What is expected follows from what a route declares of itself, and from nothing else: the table below has one line
for each declaration. A route that declares something new fails until the table has a line for it.
"""

import re
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import picows
import pytest

from ringfence.exchange.gateway.rest import ROUTES, Route
from ringfence.exchange.gateway.schema import PRIVATE_TOPICS, PUBLIC_TOPICS
from ringfence.exchange.users.keys import KeyRecord, Permission
from ringfence.testing.client import Answer, Client, sign
from ringfence.testing.socket import Socket
from ringfence.testing.venue import Venue
from ringfence.testing.wire import Headers, Wire, signature_headers, written

from .conftest import ALICE, KEYS, SUB
from .examples import Example, commands_of, example, request_of

# ---- who asks, and what may be expected

WRONG = ("bad signature", "disabled", "expired", "wrong network")
"""Whoever signs wrongly is refused everywhere, also where nobody has to sign."""
RIGHT = ("read-only", "orderCancel", "order", "withdraw", "sub-account", "somebody else")
CALLERS = ("nobody", *WRONG, *RIGHT)


class Declaration(NamedTuple):
    """All of a route that says who may ask."""

    needs_key: bool
    permission: Permission | None
    for_page: bool = False


ADMITTED: dict[Declaration, frozenset[str]] = {
    Declaration(False, None): frozenset(("nobody", *RIGHT)),
    Declaration(True, None): frozenset(RIGHT),
    Declaration(True, Permission.ORDER_CANCEL): frozenset(("orderCancel", "order", "sub-account", "somebody else")),
    Declaration(True, Permission.ORDER): frozenset(("order", "sub-account", "somebody else")),
    Declaration(True, Permission.WITHDRAW): frozenset(("withdraw", "sub-account", "somebody else")),
    Declaration(False, None, for_page=True): frozenset(),
    Declaration(True, None, for_page=True): frozenset(),
}  # fmt: skip
"""Who gets past the door. A sub-account's key and somebody else's have every permission, for their own account."""

ROUTE_FIELDS = {
    "method", "path", "operation", "handler", "parameters", "returns", "needs_key", "permission", "moves_orders",
    "summary", "for_page", "kind",
}  # fmt: skip
REFUSALS = {
    "nobody": (401, {"Authorization Required"}),
    "bad signature": (401, {"Signature not valid."}),
    "disabled": (403, {"This key is disabled."}),
    "expired": (401, {"This request has expired - `expires` is in the past. Check your clock."}),
    "wrong network": (403, {"Access Denied"}),
    **dict.fromkeys(RIGHT, (403, {"Access Denied"})),
}
FOR_PAGE = (403, {"This is for the exchange's own page: the header x-ringfence is missing"})
"""What programs are told by the page's routes; tests/integration/test_accounts.py has who may ask there."""
OF_MAIN_ACCOUNTS = {
    ("GET", "/user/getWalletTransferAccounts"), ("POST", "/user/addSubaccount"), ("POST", "/user/walletTransfer"),
}  # fmt: skip
"""A sub-account's key comes in, and is told that these are not for it."""


def declaration(route: Route) -> Declaration:
    return Declaration(route.needs_key, route.permission, route.for_page)


def headers_for(caller: str, asked: Example) -> Headers:
    if caller == "nobody":
        return []
    key = KEYS.get(caller, ALICE)
    expires = int(time.time()) + (-5 if caller == "expired" else 30)
    headers = signature_headers(key, *asked, expires=expires)
    if caller == "bad signature":
        headers[2] = ("api-signature", sign("a guess", asked.method, asked.target, expires, asked.body))
    return headers


def ask(wire: Wire, asked: Example, headers: Headers) -> Answer:
    kind = [("content-type", "application/json")] if asked.body else []
    return wire.ask(written(asked.method, asked.target, [*headers, *kind], asked.body))


@pytest.fixture(scope="module")
def wire(venue: Venue) -> Iterator[Wire]:
    with Wire(venue.port) as one:
        yield one


@pytest.fixture(scope="module", autouse=True)
def sub_account(venue: Venue, wire: Wire) -> int:
    """The account that the sub-account's key is for."""
    made = Client(venue.port, ALICE).call("POST", "/user/addSubaccount", {"accountName": "family"})
    assert made.status == 200, made
    assert made.value["id"] == SUB
    return SUB


def test_what_a_route_declares_is_all_known() -> None:
    assert set(Route._fields) == ROUTE_FIELDS, (
        "a route can say something new of itself: does it change who may ask?"
    )
    for route in ROUTES.values():
        assert declaration(route) in ADMITTED, f"{route.method} {route.path} declares what nobody knows"
        is_asked_openly = route.for_page or route.path.startswith("/securityReport")
        assert route.method == "GET" or route.needs_key or is_asked_openly, (
            f"{route.method} {route.path} changes something and needs no key"
        )


def test_every_route_lets_in_whom_it_declares_and_nobody_else(venue: Venue, wire: Wire) -> None:
    leaks: list[str] = []
    counted: Counter[str] = Counter()
    for route in ROUTES.values():
        asked = example(route)
        for caller in CALLERS:
            is_admitted = caller in ADMITTED[declaration(route)]
            if caller == "sub-account" and (route.method, route.path) in OF_MAIN_ACCOUNTS:
                is_admitted = False
            before = [] if is_admitted else commands_of(venue)
            answer = ask(wire, asked, headers_for(caller, asked))
            fault = _admitted_wrongly(answer) if is_admitted else _refused_wrongly(answer, route, caller)
            if not fault and not is_admitted and commands_of(venue) != before:
                fault = "was refused, and something was done"
            counted["admitted" if is_admitted else "refused"] += 1
            if fault:
                leaks.append(f"{route.method} {route.path} by {caller}: {fault}: {answer}")
    print(
        f"\n{len(ROUTES)} routes x {len(CALLERS)} callers = {counted.total()}: {dict(counted)}, {len(leaks)} leaks"
    )
    assert not leaks, "\n".join(leaks)
    assert counted.total() == len(ROUTES) * len(CALLERS)


def _admitted_wrongly(answer: Answer) -> str:
    """Return what is wrong with the answer to somebody who may ask; what they asked for may still be refused."""
    if answer.status in (401, 403):
        return "may ask, and is turned away"
    return f"{answer.status}" if answer.status in (405, 500) else ""


def _refused_wrongly(answer: Answer, route: Route, caller: str) -> str:
    status, texts = FOR_PAGE if route.for_page and caller not in WRONG else REFUSALS[caller]
    if answer.status != status:
        return f"{status} is expected"
    if set(answer.value) != {"error"} or answer.error not in texts:
        return "is told more than that"
    return ""


@pytest.mark.parametrize("caller", CALLERS)
async def test_every_private_topic_is_told_to_its_own_account_alone(venue: Venue, caller: str) -> None:
    asked = Example("GET", "/realtime", b"")
    headers = {name.replace("-", "_"): value for name, value in headers_for(caller, asked)}
    if caller in WRONG:
        with pytest.raises(picows.WSHandshakeError, match=str(REFUSALS[caller][0])):
            await Socket.open(venue.realtime_url, **headers)
        return
    socket = await Socket.open(venue.realtime_url, **headers)
    topics = sorted(PRIVATE_TOPICS)
    socket.say(op="subscribe", args=topics)
    socket.say(op="ping")
    await socket.until(lambda frame: frame.get("op") == "pong")
    partials = {frame["table"]: frame for frame in socket.frames if frame.get("action") == "partial"}
    if caller == "nobody":
        assert not partials
        refused = [frame for frame in socket.frames if frame.get("status") == 401]
        assert len(refused) == len(topics)
    else:
        assert sorted(partials) == topics
        own = KEYS[caller].account
        for frame in partials.values():
            assert frame["filter"] == {"account": own}
            assert {row.get("account", own) for row in frame["data"]} <= {own}
    socket.close()


# ---- one trader's things, asked for with another's key


class Mine(NamedTuple):
    """What Alice has, by the name of the parameter that it would be asked for with."""

    ids: dict[str, list[Any]]
    told: set[str]
    """Texts that are nowhere but in what is hers. (Others may choose the same clOrdID.)"""


SESSION: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/order", {"symbol": "XBTUSD", "orderQty": 300, "price": 6_000, "clOrdID": "alice-rests"}),
    ("POST", "/order", {"symbol": "XBTUSD", "orderQty": 100, "stopPx": 12_000, "clOrdID": "alice-waits"}),
    ("POST", "/order", {"symbol": "XBTUSD", "orderQty": 200, "price": 9_900, "clOrdID": "alice-takes",
                        "text": "alice-was-here"}),
    ("PUT", "/order", {"origClOrdID": "alice-rests", "orderQty": 400}),
    ("POST", "/position/leverage", {"symbol": "ETHUSD", "leverage": 5}),
    ("POST", "/user/walletTransfer", {"currency": "XBt", "amount": 7_000_007, "targetAccountId": SUB}),
    ("POST", "/user/requestWithdrawal", {"currency": "USDt", "network": "eth", "amount": 20_000_000,
                                         "address": "0xalicealicealicealice"}),
]  # fmt: skip
"""What Alice does, as it is recorded and done again with somebody else's key."""
ID_PARAMETERS = {
    "orderID", "clOrdID", "origClOrdID", "transactID", "targetAccountId", "sourceAccountId", "addressId", "address",
    "filter", "orders", "apiKeyID", "id",
}  # fmt: skip
"""Parameters that name a thing of somebody's. One that is new has to be put here or below."""
NO_ID_PARAMETERS = {
    "symbol", "columns", "count", "start", "reverse", "startTime", "endTime", "binSize", "partial", "depth", "method",
    "channelID", "side", "orderQty", "price", "displayQty", "stopPx", "clOrdLinkID", "pegOffsetValue", "pegPriceType",
    "ordType", "timeInForce", "execInst", "contingencyType", "text", "leavesQty", "timeout", "leverage", "enabled",
    "riskLimit", "amount", "currency", "network", "model", "report", "secret", "accountName", "memo", "otpToken",
    "fee", "nonce", "signature", "name", "note", "publicKey", "consent", "timestamp", "email", "password", "token",
    "challenge", "passkey", "totp", "recoveryCode", "permissions", "cidrs", "code", "all",
}  # fmt: skip


@pytest.fixture(scope="module")
def mine(venue: Venue) -> Mine:
    assert Client(venue.port, KEYS["third"]).place(orderQty=-200, price=9_900).status == 200
    alice = Client(venue.port, ALICE)
    done = [alice.call(method, path, values) for method, path, values in SESSION]
    assert [answer.status for answer in done] == [200] * len(SESSION), done
    orders = [order["orderID"] for order in alice.get("/order?count=100")]
    clients_ids = ["alice-rests", "alice-waits", "alice-takes"]
    executions = [row["execID"] for row in alice.get("/execution?count=100") if row["execID"]]
    moves = [row["transactID"] for row in alice.get("/user/walletHistory?currency=all") if row["transactID"]]
    moves = [move for move in moves if move.strip("0-")]
    assert orders
    assert executions
    assert moves
    ids: dict[str, list[Any]] = {
        "orderID": [orders[0], orders, *orders], "clOrdID": clients_ids, "origClOrdID": clients_ids,
        "transactID": moves, "targetAccountId": [1, SUB], "sourceAccountId": [1, SUB], "addressId": [1],
        "address": ["0xalicealicealicealice"], "apiKeyID": [ALICE.id], "id": [1, ALICE.id],
        "orders": [[{"orderID": one, "orderQty": 100} for one in orders]],
        "filter": [{"orderID": orders[0]}, {"clOrdID": clients_ids[0]}, {"account": 1}, {"execID": executions[0]}],
    }  # fmt: skip
    return Mine(ids, {*orders, *executions, *moves, "alice-was-here", "7000007"})


def tries(route: Route, mine: Mine) -> Iterator[Example]:
    """Yield a route's requests with each of Alice's things in each place where one can be named."""
    yield example(route)
    for parameter in route.parameters:
        name = parameter.name
        assert name in ID_PARAMETERS | NO_ID_PARAMETERS, (
            f"{name} of {route.path}: can it name what is somebody's?"
        )
        for value in mine.ids.get(name, []):
            if name in ID_PARAMETERS:
                yield example(route, **{name: value})


def everything_of(alice: Client) -> dict[str, bytes]:
    """Return what Alice sees of herself, by path. Times of asking are in none of it."""
    paths = ["/order?count=500", "/position", "/user/margin?currency=all", "/user/wallet?currency=all", "/user",
             "/execution?count=500", "/user/walletHistory?currency=all", "/user/getWalletTransferAccounts", "/apiKey",
             f"/user/margin?currency=all&targetAccountId={SUB}"]  # fmt: skip
    return {path: alice.call("GET", path).body for path in paths}


async def test_nobody_reads_or_moves_what_is_somebody_elses(venue: Venue, wire: Wire, mine: Mine) -> None:
    alice, bob = Client(venue.port, ALICE), KEYS["somebody else"]
    hers, his = await Socket.signed(venue.realtime_url, 1), await Socket.signed(venue.realtime_url, 2)
    for socket in (hers, his):
        await socket.subscribe("order")
        socket.say(op="subscribe", args=sorted(PRIVATE_TOPICS - {"order"}))
        socket.say(op="ping")
        await socket.until(lambda frame: frame.get("op") == "pong")
    before, heard = everything_of(alice), len(hers.frames)
    assert before == everything_of(alice), "it changes by itself: nothing would follow"
    asked = [request for route in ROUTES.values() if route.needs_key for request in tries(route, mine)]
    asked += [request_of(*step) for step in SESSION]
    for request in asked:
        answer = ask(wire, request, signature_headers(bob, *request))
        assert answer.status < 500 or answer.status == 503, (request, answer)
        if answer.status == 200:
            # What Bob sends himself comes back to him; nothing else of hers may.
            told = {
                text
                for text in mine.told
                if text.encode() in answer.body and text.encode() not in request.body
            }
            assert not {text for text in told if text not in request.target}, (request, answer)
            assert b'"account":1,' not in answer.body, (request, answer)
    after = everything_of(alice)
    assert {path for path in before if before[path] != after[path]} == set(), "Bob has changed what is hers"
    for socket in (hers, his):
        socket.say(op="ping")
        await socket.wait(lambda socket=socket: sum(f.get("op") == "pong" for f in socket.frames) == 2)  # type: ignore[misc]
    # Marks move, and with them rows of positions and margins; what she has is compared above.
    moved = PRIVATE_TOPICS - {"position", "margin"}
    assert [f for f in hers.frames[heard:] if f.get("table") in moved] == []
    own = [f for f in his.frames if f.get("table") in PRIVATE_TOPICS]
    assert {row.get("account", 2) for frame in own for row in frame["data"]} <= {2}
    heard_by_him = msgspec.json.encode(own).decode()
    assert not [text for text in mine.told - {"alice-was-here", "7000007"} if text in heard_by_him]
    print(f"\n{len(asked)} requests with another's key for what is not theirs: 0 reads, 0 effects")
    hers.close()
    his.close()


def test_what_is_everybodys_has_nobodys_number(venue: Venue, wire: Wire, mine: Mine) -> None:
    """Public routes and topics are asked last, when there is something that they could tell."""
    for route in ROUTES.values():
        if not route.needs_key:
            answer = ask(wire, example(route), [])
            assert not [text for text in mine.told if text.encode() in answer.body], route.path
            assert not re.search(rb'"account":\d', answer.body), route.path
    assert len(PUBLIC_TOPICS) > 20


def test_a_key_that_is_taken_away_is_worth_nothing_within_a_second_or_two(venue: Venue, wire: Wire) -> None:
    asked = Example("GET", "/api/v1/user", b"")
    lost: KeyRecord = msgspec.structs.replace(ALICE, id="key-lost")
    venue.set_keys([*KEYS.values(), lost])
    until = time.monotonic() + 5
    while ask(wire, asked, signature_headers(lost, *asked)).status != 200:
        assert time.monotonic() < until
        time.sleep(0.05)
    venue.set_keys(list(KEYS.values()))
    begun = time.monotonic()
    while ask(wire, asked, signature_headers(lost, *asked)).status == 200:
        assert time.monotonic() < begun + 2
        time.sleep(0.02)
    assert ask(wire, asked, signature_headers(lost, *asked)).status == 401
