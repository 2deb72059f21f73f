"""The folder `accounts/` of an exchange: what is in it, and how it begins."""

from pathlib import Path
from typing import TypeVar

import msgspec

from ringfence.chained_log import LogError
from ringfence.database.stores import USERS, has_lines
from ringfence.exchange.users.mail import MailConfig
from ringfence.exchange.users.sealing import make_key
from ringfence.files import replace

SOCKET, MAIL, KEY = "desk.sock", "mail.json", "secrets.key"
Found = TypeVar("Found")
_HOST = "127.0.0.1"


def home_of(directory: Path) -> Path:
    return directory / "accounts"


def socket_of(directory: Path) -> Path:
    return home_of(directory) / SOCKET


def found(directory: Path, *, catcher_port: int) -> MailConfig:
    """Make what a new exchange needs; its mail goes to the catcher on this machine until somebody names a server.

    Raises OSError, ValueError.
    """
    try:
        return _found(directory, catcher_port)
    except LogError as error:
        raise ValueError(str(error)) from error


def _found(directory: Path, catcher_port: int) -> MailConfig:
    home = home_of(directory)
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not has_lines(directory, USERS):
        # A log whose key is gone is not gone on with under another.
        make_key(home / KEY)
    if not (home / MAIL).exists():
        first = MailConfig(
            host=_HOST, port=catcher_port, sender="no-reply@ringfence.example", security="none"
        )
        replace(home / MAIL, msgspec.json.format(msgspec.json.encode(first)))
    return read_mail_config(directory)


def read_mail_config(directory: Path) -> MailConfig:
    """Raises OSError, ValueError."""
    return _read(home_of(directory) / MAIL, MailConfig)


def _read(path: Path, kind: type[Found]) -> Found:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except msgspec.MsgspecError as error:
        raise ValueError(f"accounts/{path.name} cannot be read: {error}") from error
