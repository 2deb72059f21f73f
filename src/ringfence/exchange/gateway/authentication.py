"""Who asks: BitMEX's `api-key`, `api-expires` and `api-signature`, over the bytes that were sent."""

from ringfence.exchange.gateway.errors import Refused
from ringfence.exchange.users.keys import ApiKey, KeyStore, Permission

WEBSOCKET_MESSAGE = b"GET/realtime"
"""What a WebSocket client signs, with the expiry behind it, whatever the real path is."""
_SECONDS_DIGITS = 10
"""Of a Unix time, from 2001 to 2286."""


def message_of(method: str, target: bytes, expires: str, body: bytes) -> bytes:
    """Return what a client signs of a request. Raises Refused (401).

    Nothing in the message says where the address ends and the expiry begins: a copied signature for `...count=12` and
    `1790000000` would be good for `...count=1` and `21790000000` too. So a request's expiry has ten digits, as every
    client's has that sends seconds. (A WebSocket's address is always the same; there some send milliseconds.)
    """
    if len(expires) != _SECONDS_DIGITS or not expires.isascii() or not expires.isdigit() or expires[0] == "0":
        raise Refused(401, "Invalid api-expires: it must be a Unix time in seconds.")
    return b"".join((method.encode(), target, expires.encode(), body))


def authenticate(
    keys: KeyStore,
    *,
    key_id: str,
    expires: str,
    signature: str,
    message: bytes,
    address: str,
    now_seconds: int,
) -> ApiKey:
    """Return the key that signed `message + expires`'s request. Raises Refused (401 or 403).

    `message` already holds the expiry at its place. The order of checks is the venue's: key, enabled,
    address, expiry, signature. An expiry far ahead is fine: clients send up to a year, one even
    milliseconds.
    """
    key = keys.get(key_id)
    if key is None:
        raise Refused(401, "Invalid API Key.")
    if not key.record.enabled:
        raise Refused(403, "This key is disabled.")
    if not key.allows_address(address):
        raise Refused(403, "Access Denied")
    if not expires.isascii() or not expires.isdigit() or len(expires) > 18:
        raise Refused(401, "Invalid api-expires: it must be a Unix time in seconds.")
    if int(expires) < now_seconds:
        raise Refused(401, "This request has expired - `expires` is in the past. Check your clock.")
    if not key.signs(message, signature):
        raise Refused(401, "Signature not valid.")
    return key


def require(key: ApiKey, permission: Permission) -> None:
    if not key.allows(permission):
        raise Refused(403, "Access Denied")
