"""A plain client for tests: signed requests over a connection of its own, exactly as they are written."""

import hashlib
import hmac
import http.client
import time
from typing import Any, NamedTuple

import msgspec

from ringfence.exchange.users.keys import KeyRecord
from ringfence.testing.venue import key_of


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def value(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def error(self) -> str:
        """Return the error's message; the body must be BitMEX's error body."""
        return str(self.value["error"]["message"])


def sign(secret: str, method: str, path: str, expires: int | str, body: bytes = b"") -> str:
    """Return the hex signature of a request."""
    return hmac.new(secret.encode(), f"{method}{path}{expires}".encode() + body, hashlib.sha256).hexdigest()


class Client:
    """Talks to one gateway with one key: an account's of `testing.venue.key_of`, any other, or none."""

    def __init__(self, port: int, who: int | KeyRecord | None, *, host: str = "127.0.0.1") -> None:
        self.host, self.port = host, port
        self.key = key_of(who) if isinstance(who, int) else who

    @property
    def account(self) -> int:
        assert self.key is not None
        return self.key.account

    def send(self, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        """Send one request; header names are written with `_` for `-`. Raises OSError."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=20)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body or None, named)
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())
        finally:
            connection.close()

    def call(
        self, method: str, path: str, value: Any = None, *, raw: bytes | None = None, **headers: str
    ) -> Answer:
        """Send a signed request under /api/v1 with a JSON body, or with raw bytes."""
        body = raw if raw is not None else b"" if value is None else msgspec.json.encode(value)
        target, expires = "/api/v1" + path, int(time.time()) + 30
        signed: dict[str, str] = {"content_type": "application/json"}
        if self.key is not None:
            signed["api_key"] = self.key.id
            signed["api_expires"] = str(expires)
            signed["api_signature"] = sign(self.key.secret, method, target, expires, body)
        return self.send(method, target, body, **{**signed, **headers})

    def get(self, path: str) -> Any:
        """Return what a GET answers. Raises AssertionError if it is refused."""
        answer = self.call("GET", path)
        assert answer.status == 200, answer
        return answer.value

    def place(self, **order: Any) -> Answer:
        return self.call("POST", "/order", {"symbol": "XBTUSD", **order})
