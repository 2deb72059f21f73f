"""API keys: who may do what, and the fast HMAC of each.

Keys live in one file that only its owner may read, or in a table that the gateway's role may read, because an HMAC
secret has to be known to check a signature. They are read again when they change.
"""

import fcntl
import hashlib
import hmac
import ipaddress
import os
import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import msgspec

from ringfence.database.addresses import Purpose, of_exchange
from ringfence.files import replace
from ringfence.units.time import iso

_BLOCK_BYTES = hashlib.sha256().block_size
_INNER = bytes(x ^ 0x36 for x in range(256))
_OUTER = bytes(x ^ 0x5C for x in range(256))


class Permission(StrEnum):
    ORDER = "order"
    ORDER_CANCEL = "orderCancel"
    WITHDRAW = "withdraw"


class KeyLimits(msgspec.Struct, frozen=True, omit_defaults=True):
    """Rate limits of one key's account that differ from the venue's; None = the venue's."""

    requests_per_minute: int | None = None
    orders_per_second: int | None = None


class KeyRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """One key as the file holds it."""

    id: str
    secret: str
    account: int
    name: str = ""
    permissions: tuple[Permission, ...] = ()
    cidrs: tuple[str, ...] = ()
    """Networks that may use the key; none = any."""
    enabled: bool = True
    created_ns: int = 0
    limits: KeyLimits = KeyLimits()
    otp_secret: str = ""
    """Of the second factor that withdrawals by this key need, base 32; empty = none is asked for."""


class ApiKey:
    """A key ready for use."""

    __slots__ = ("_inner", "_networks", "_outer", "_permitted", "account", "record")

    def __init__(self, record: KeyRecord) -> None:
        self.record = record
        self.account = record.account
        self._permitted = set(record.permissions)
        if Permission.ORDER in self._permitted:
            self._permitted.add(Permission.ORDER_CANCEL)
        self._networks = [ipaddress.ip_network(cidr, strict=False) for cidr in record.cidrs]
        secret = record.secret.encode()
        if len(secret) > _BLOCK_BYTES:
            secret = hashlib.sha256(secret).digest()
        padded = secret.ljust(_BLOCK_BYTES, b"\0")
        # RFC 2104 with both pads hashed once per key: a third of the time of a fresh HMAC.
        self._inner = hashlib.sha256(padded.translate(_INNER))
        self._outer = hashlib.sha256(padded.translate(_OUTER))

    def allows(self, permission: Permission) -> bool:
        """Return whether the key has a permission; `order` includes cancelling."""
        return permission in self._permitted

    def allows_address(self, address: str) -> bool:
        if not self._networks:
            return True
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._networks)

    def signs(self, message: bytes, signature: str) -> bool:
        """Return whether the lowercase hex signature is this key's; compares in constant time."""
        inner = self._inner.copy()
        inner.update(message)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return hmac.compare_digest(outer.hexdigest().encode(), signature.encode())

    def row(self) -> dict[str, object]:
        """Return the key as `GET /apiKey` shows it: never with its secret."""
        record = self.record
        return {
            "id": record.id, "secret": None, "name": record.name or None, "nonce": 0,
            "cidr": record.cidrs[0] if record.cidrs else None, "cidrs": list(record.cidrs),
            "permissions": list(record.permissions), "enabled": record.enabled, "userId": record.account,
            "created": iso(record.created_ns),
        }  # fmt: skip


def new_record(
    account: int,
    *,
    name: str,
    permissions: tuple[Permission, ...],
    cidrs: tuple[str, ...] = (),
    created_ns: int,
    limits: KeyLimits = KeyLimits(),  # noqa: B008
) -> KeyRecord:
    """Return a fresh key with a random id (24 characters) and secret (48)."""
    if {Permission.ORDER, Permission.ORDER_CANCEL} <= set(permissions):
        raise ValueError("a key has `order` or `orderCancel`, not both")
    for cidr in cidrs:
        ipaddress.ip_network(cidr, strict=False)
    return KeyRecord(
        id=secrets.token_urlsafe(18), secret=secrets.token_urlsafe(36), account=account, name=name,
        permissions=permissions, cidrs=cidrs, created_ns=created_ns, limits=limits,
    )  # fmt: skip


def read_records(path: Path) -> tuple[KeyRecord, ...]:
    """Return the keys of a file, none if it is not there. Raises ValueError if it is no key file."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return ()
    try:
        return msgspec.json.decode(text, type=tuple[KeyRecord, ...])
    except msgspec.MsgspecError as error:
        raise ValueError(f"{path.name} is no key file: {error}. Restore it or delete it.") from error


def write_records(path: Path, records: tuple[KeyRecord, ...]) -> None:
    """Replace the file at once; readable by its owner only."""
    replace(path, msgspec.json.format(msgspec.json.encode(records)))


class Keys(Protocol):
    """Where the keys of an exchange are."""

    def stamp(self) -> object:
        """Return what differs whenever the keys do. Raises OSError."""
        ...

    def read(self) -> tuple[KeyRecord, ...]:
        """Raises ValueError if there is something else, OSError."""
        ...

    def changing(self) -> AbstractContextManager[list[KeyRecord]]:
        """Give the keys to be changed, and keep them if they were; others wait meanwhile.

        Raises ValueError if there is something else, OSError. If the block raises, nothing has changed.
        """
        ...


class KeyFile:
    """Keys in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def stamp(self) -> object:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return None
        return status.st_mtime_ns, status.st_ino

    def read(self) -> tuple[KeyRecord, ...]:
        return read_records(self._path)

    @contextmanager
    def changing(self) -> Iterator[list[KeyRecord]]:
        descriptor = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            before = read_records(self._path)
            records = list(before)
            yield records
            if tuple(records) != before:
                write_records(self._path, tuple(records))
        finally:
            os.close(descriptor)


def keys_of(directory: Path, purpose: Purpose = Purpose.ACCOUNTS) -> Keys:
    """Return the keys of an exchange: in the database of `database.url`, or in keys.json.

    Raises ValueError if database.url is there and keys.json as well, OSError.
    """
    addresses, path = of_exchange(directory), directory / "keys.json"
    if addresses is None:
        return KeyFile(path)
    if path.exists():
        raise ValueError(
            "the keys are in keys.json, and database.url says that they are in the database. Nothing was changed. Stop "
            "everything and run `ringfence database import`."
        )
    from ringfence.exchange.users.key_table import KeyTable

    return KeyTable(addresses.of(purpose))


class KeyStore:
    """The keys of one exchange, by id."""

    def __init__(self, keys: Keys | Path) -> None:
        self._home = KeyFile(keys) if isinstance(keys, Path) else keys
        self._stamp: object = None
        self._keys: dict[str, ApiKey] = {}
        self.refresh()

    def refresh(self) -> None:
        """Read the keys again if they have changed. Raises ValueError if there is something else, OSError."""
        stamp = self._home.stamp()
        if stamp != self._stamp:
            self._keys = {record.id: ApiKey(record) for record in self._home.read()}
            self._stamp = stamp

    def get(self, key_id: str) -> ApiKey | None:
        return self._keys.get(key_id)

    def of_account(self, account: int) -> list[ApiKey]:
        return [key for key in self._keys.values() if key.account == account]
