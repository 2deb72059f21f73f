"""Who may pass: every part of what a client signs counts, and every way in which a key can be no good."""

import hashlib
import hmac
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ringfence.configuration import Limits
from ringfence.exchange.gateway.authentication import authenticate, require
from ringfence.exchange.gateway.errors import Refused
from ringfence.exchange.gateway.gateway import Gateway
from ringfence.exchange.gateway.http import HttpRequest
from ringfence.exchange.gateway.limits import Limiter
from ringfence.exchange.users.keys import KeyRecord, KeyStore, Permission, write_records

NOW = 1_790_000_000
SECRET = "a secret"
GOOD = KeyRecord(id="good", secret=SECRET, account=1, permissions=(Permission.ORDER,))


@pytest.fixture
def keys(tmp_path: Path) -> KeyStore:
    disabled = KeyRecord(id="disabled", secret=SECRET, account=1, permissions=(), enabled=False)
    inside = KeyRecord(id="inside", secret=SECRET, account=1, permissions=(), cidrs=("10.0.0.0/8",))
    cancels = KeyRecord(id="cancels", secret=SECRET, account=1, permissions=(Permission.ORDER_CANCEL,))
    write_records(tmp_path / "keys.json", (GOOD, disabled, inside, cancels))
    return KeyStore(tmp_path / "keys.json")


def signed(message: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


def ask(keys: KeyStore, **changes: Any) -> Any:
    expires = changes.get("expires", str(NOW + 5))
    message = b"GET/api/v1/position" + expires.encode("latin-1")
    asked: dict[str, Any] = {
        "key_id": "good", "expires": expires, "signature": signed(message), "message": message,
        "address": "10.1.2.3", "now_seconds": NOW, **changes,
    }  # fmt: skip
    return authenticate(keys, **asked)


def test_a_good_key_passes_until_its_request_expires(keys: KeyStore) -> None:
    assert ask(keys).record.account == 1
    assert ask(keys, expires=str(NOW)).record.account == 1
    assert ask(keys, key_id="inside").record.id == "inside"


@pytest.mark.parametrize(
    ("changes", "status", "says"),
    [
        ({"key_id": "nobody"}, 401, "Invalid API Key"),
        ({"key_id": "disabled"}, 403, "disabled"),
        ({"key_id": "inside", "address": "11.1.2.3"}, 403, "Access Denied"),
        ({"key_id": "inside", "address": "no address"}, 403, "Access Denied"),
        ({"expires": str(NOW - 1)}, 401, "expired"),
        ({"expires": "soon"}, 401, "api-expires"),
        ({"expires": "-5"}, 401, "api-expires"),
        ({"expires": "1" * 19}, 401, "api-expires"),
        ({"expires": "\u0661\u0662"}, 401, "api-expires"),
        ({"signature": ""}, 401, "Signature"),
        ({"signature": signed(b"something else")}, 401, "Signature"),
        ({"signature": signed(b"GET/api/v1/position", "another secret")}, 401, "Signature"),
    ],
)
def test_what_is_wrong_is_said_and_refused(
    changes: dict[str, Any], status: int, says: str, keys: KeyStore
) -> None:
    if not changes.get("expires", "").isascii():
        changes = {**changes, "message": b"", "signature": signed(b"")}
        asked = {"key_id": "good", "address": "10.1.2.3", "now_seconds": NOW, **changes}
        with pytest.raises(Refused, match=says) as caught:
            authenticate(keys, **asked)
    else:
        with pytest.raises(Refused, match=says) as caught:
            ask(keys, **changes)
    assert caught.value.status == status


def test_a_permission_is_asked_for_by_name(keys: KeyStore) -> None:
    good, cancels = keys.get("good"), keys.get("cancels")
    assert good is not None
    assert cancels is not None
    require(good, Permission.ORDER)
    require(good, Permission.ORDER_CANCEL)
    require(cancels, Permission.ORDER_CANCEL)
    with pytest.raises(Refused, match="Access Denied"):
        require(cancels, Permission.ORDER)


SENT = (b"POST", b"/api/v1/order?a=1", str(NOW + 5).encode(), b'{"symbol":"XBTUSD"}')


def pass_through(keys: KeyStore, parts: tuple[bytes, ...], signature: str) -> Any:
    method, target, expires, body = parts
    headers = {b"api-key": b"good", b"api-expires": expires, b"api-signature": signature.encode()}
    request = HttpRequest()
    request.method, request.target, request.headers, request.body = method.decode(), target, headers, body
    gateway = SimpleNamespace(keys=keys, limiter=Limiter(Limits()), _take=lambda bucket, now: bucket)
    connection = SimpleNamespace(address="10.1.2.3")
    return Gateway._key_of(gateway, connection, request, NOW)  # type: ignore[arg-type]


def test_a_request_is_signed_whole(keys: KeyStore) -> None:
    signature = signed(b"".join(SENT))
    assert pass_through(keys, SENT, signature).record.id == "good"
    for index, part in enumerate(SENT):
        for changed in (part + b"1", part[:-1] + b"7", b"7" + part[1:]):
            tampered = (*SENT[:index], changed, *SENT[index + 1 :])
            with pytest.raises(Refused):
                pass_through(keys, tampered, signature)
    with pytest.raises(Refused):
        pass_through(keys, (*SENT[:3], b""), signature)


def test_figures_do_not_move_between_the_address_and_the_expiry(keys: KeyStore) -> None:
    """The same signed bytes, read as `count=1` and a later expiry."""
    asked = (b"GET", b"/api/v1/order?count=12", str(NOW + 5).encode(), b"")
    moved = (b"GET", b"/api/v1/order?count=1", b"2" + asked[2], b"")
    assert b"".join(moved) == b"".join(asked)
    assert pass_through(keys, asked, signed(b"".join(asked))).record.id == "good"
    with pytest.raises(Refused, match="api-expires"):
        pass_through(keys, moved, signed(b"".join(asked)))
