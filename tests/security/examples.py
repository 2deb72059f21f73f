"""A good request for every route, made of what the route says it takes."""

from typing import Any, NamedTuple
from urllib.parse import urlencode

import msgspec

from ringfence.exchange.feed import FeedReader
from ringfence.exchange.gateway.rest import Route
from ringfence.messages.commands import Command
from ringfence.testing.venue import Venue

API = "/api/v1"
_HEX = "ab" * 64
OF_PARAMETER: dict[str, Any] = {
    "symbol": "XBTUSD", "timestamp": "2026-01-01T00:00:00.000Z", "orderQty": 100, "price": 5_000, "leverage": 3,
    "riskLimit": 20_000_000_000, "amount": 1_000, "orders": [{"symbol": "XBTUSD", "orderQty": 100, "price": 5_000}],
    "timeout": 60_000, "currency": "XBt", "network": "btc", "accountName": "example", "targetAccountId": "",
    "transactID": "00000000-0000-4000-8000-000000000001", "address": "bc1qexampleexampleexample", "name": "example",
    "publicKey": "ab" * 32, "nonce": 1, "signature": _HEX, "report": "no age file", "id": "example",
    "secret": "example", "orderID": "00000000-0000-4000-8000-000000000001", "clOrdID": "example",
    "enabled": True, "email": "somebody@example.com", "password": "marmot quince oboe 41", "token": "example",
    "challenge": "example", "passkey": {}, "totp": "000000", "code": "example", "apiKeyID": "example",
}  # fmt: skip
"""What is sent for a parameter of this name. No account is everybody's own, so none is named."""
_TOO: dict[tuple[str, str], tuple[str, ...]] = {
    ("POST", "/order"): ("orderQty", "price"),
    ("PUT", "/order"): ("orderID", "orderQty"),
    ("DELETE", "/order"): ("orderID",),
    ("GET", "/order/outcome"): ("clOrdID",),
    ("POST", "/user/requestWithdrawal"): ("address",),
}
"""Parameters that a route wants though none of them alone is required."""


class Example(NamedTuple):
    method: str
    target: str
    body: bytes


def example(route: Route, **others: Any) -> Example:
    """Return a request with all that the route requires; `others` are further or different parameters."""
    names = [p.name for p in route.parameters if p.is_required] + list(
        _TOO.get((route.method, route.path), ())
    )
    unknown = [name for name in names if name not in OF_PARAMETER]
    assert not unknown, f"{route.method} {route.path}: say in OF_PARAMETER what {unknown} look like"
    return request_of(route.method, route.path, {**{name: OF_PARAMETER[name] for name in names}, **others})


def request_of(method: str, path: str, values: dict[str, Any]) -> Example:
    if method != "GET":
        return Example(method, API + path, msgspec.json.encode(values) if values else b"")
    texts = {n: v if isinstance(v, str) else msgspec.json.encode(v).decode() for n, v in values.items()}
    return Example(method, API + path + ("?" + urlencode(texts) if texts else ""), b"")


def commands_of(venue: Venue) -> list[bytes]:
    """Return every command that is durable but TICKs: the engine's state is a function of these and of time."""
    reader = FeedReader(venue.directory / "feed")
    found: list[bytes] = []
    while (batch := reader.read()) is not None:
        found += [
            command.tobytes() for command in batch.commands[batch.commands["kind"] != int(Command.TICK)]
        ]
    reader.close()
    return found
