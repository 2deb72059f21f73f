"""`ringfence key`: API keys, in keys.json or the database. The gateway reads them again within a second."""

import ipaddress
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from ringfence.cli.up import DIRECTORY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ringfence.exchange.users.keys import KeyRecord

app = App(name="key", help="API keys: create, list, revoke.")
Name = Literal["order", "orderCancel", "withdraw"]


@contextmanager
def _changing(directory: Path) -> "Iterator[list[KeyRecord]]":
    """Give the keys of an exchange to be changed, or leave."""
    from ringfence.exchange.users.keys import keys_of

    if not directory.is_dir():
        sys.exit(f"there is no exchange in {directory}")
    try:
        with keys_of(directory).changing() as records:
            yield records
    except (OSError, ValueError) as error:
        sys.exit(f"{error}; nothing was changed")


@app.command
def create(
    *,
    account: int,
    permission: tuple[Name, ...] = (),
    cidr: tuple[str, ...] = (),
    name: str = "",
    directory: Path = DIRECTORY,
) -> None:
    """Create a key and print it; the secret is shown this once.

    Parameters
    ----------
    account
        The account that it acts for.
    permission
        May be given more than once; without any the key can only read.
    cidr
        A network that may use the key; without any, all may.
    name
        What the list calls it.
    directory
        Where the exchange's files are.
    """
    from ringfence.daemons.founding import new_key
    from ringfence.exchange.users.keys import KeyLimits, Permission

    if account < 1:
        sys.exit("--account is the number of an account; nothing was changed")
    with _changing(directory) as records:
        for network in cidr:
            ipaddress.ip_network(network, strict=False)
        permissions = tuple(Permission(word) for word in permission)
        record = new_key(account, name, permissions, cidrs=cidr, limits=KeyLimits())
        records.append(record)
    print(f"id      {record.id}\nsecret  {record.secret}")


@app.command(name="list")
def list_keys(*, directory: Path = DIRECTORY, as_json: Annotated[bool, Parameter("--json")] = False) -> None:
    """List the keys, without their secrets."""
    import msgspec

    from ringfence.daemons.welcome import aligned
    from ringfence.exchange.users.keys import ApiKey, keys_of

    try:
        rows = [ApiKey(record).row() for record in keys_of(directory).read()]
    except (OSError, ValueError) as error:
        sys.exit(str(error))
    if as_json:
        print(msgspec.json.encode(rows).decode())
        return
    lines = [("id", "account", "name", "permissions", "networks", "enabled", "created")]
    for row in rows:
        permissions, networks = row["permissions"], row["cidrs"]
        assert isinstance(permissions, list)
        assert isinstance(networks, list)
        lines.append((
            str(row["id"]), str(row["userId"]), str(row["name"] or ""), ", ".join(permissions) or "read",
            ", ".join(networks) or "any", "yes" if row["enabled"] else "no", str(row["created"])[:19],
        ))  # fmt: skip
    print("\n".join(aligned(lines)))


@app.command
def revoke(key_id: str, *, directory: Path = DIRECTORY) -> None:
    """Disable a key for good; its open connections are closed within a second, its orders stay."""
    import msgspec

    with _changing(directory) as records:
        if not any(record.id == key_id for record in records):
            raise ValueError(f"there is no key {key_id}")
        records[:] = [msgspec.structs.replace(r, enabled=False) if r.id == key_id else r for r in records]
    print(f"{key_id} is revoked")
