"""A new password for an exchange at NATS's servers, while it trades.

A user of NATS has one password, so the new one comes with a new user. `prepare` makes both beside those in use. Every
server's configuration is made to `allow` both users, and the server reads it again: nobody is cut off. Every machine
goes over (`use`): it connects as the new user before it lets go of the old connection. Then each server's
configuration is made to `drop` the old user. Each step may be done twice; after a crash everything is done again.
"""

import re
import secrets
from pathlib import Path

from ringfence.daemons import cluster
from ringfence.daemons.cluster import Login, decode_login, read_cluster, read_login
from ringfence.daemons.cluster_founding import SECRET_BYTES, authorization
from ringfence.daemons.cluster_rotation import NEXT, RotationError, address_of_server, read_again
from ringfence.daemons.cluster_servers import lets_in
from ringfence.files import replace, sync_directory

_AUTHORIZATION = re.compile(r"^authorization \{.*\}$", re.MULTILINE)


def next_of(own: Path) -> Path:
    """Return where a machine has the login that comes next."""
    return own / cluster.FOLDER / NEXT / cluster.PASSWORD


def prepare(own: Path) -> Login:
    """Make the next user and password, if they are not made, and return them. Raises OSError, ValueError."""
    path = next_of(own)
    if not path.exists():
        path.parent.mkdir(mode=0o700, exist_ok=True)
        made = Login(f"{cluster.USER}-{secrets.token_hex(4)}", secrets.token_urlsafe(SECRET_BYTES))
        replace(path, made.encode())
    return decode_login(path.read_text())


def allow(own: Path, configuration: Path) -> None:
    """Let a server know both users. Raises RotationError, OSError, ValueError."""
    _write(configuration, [read_login(own), _next(own)])


def use(own: Path) -> None:
    """Have a machine be the new user from its next connection on. Raises RotationError, OSError, ValueError."""
    folder = own / cluster.FOLDER
    replace(folder / cluster.PASSWORD, _next(own).encode())
    sync_directory(folder)


def drop(own: Path, configuration: Path) -> None:
    """Let a server forget all users but the one that this machine is now. Raises RotationError, OSError, ValueError."""
    if next_of(own).exists() and _next(own) != read_login(own):
        raise RotationError(f"{own} is still the old user: `use` comes first. Nothing was changed.")
    _write(configuration, [read_login(own)])


def forget_next(own: Path) -> None:
    """The next login is the one in use: it is not needed twice. Raises OSError."""
    next_of(own).unlink(missing_ok=True)


def _next(own: Path) -> Login:
    try:
        return decode_login(next_of(own).read_text())
    except FileNotFoundError:
        raise RotationError(
            f"{next_of(own)} does not exist: `prepare` comes first. Nothing was changed."
        ) from None


def _write(configuration: Path, logins: list[Login]) -> None:
    text = configuration.read_text()
    if len(_AUTHORIZATION.findall(text)) != 1:
        raise RotationError(
            f"{configuration} has no line, or more than one, that begins with `authorization {{`: it was written by "
            "hand. Nothing was changed."
        )
    replace(configuration, _AUTHORIZATION.sub(lambda _: authorization(logins), text).encode())


async def taken_up(own: Path, configuration: Path, login: Login, *, is_wanted: bool = True) -> None:
    """Have a server read its configuration again, and wait until it lets a login in, or does not any more.

    Raises RotationError if that does not come.
    """
    config = read_cluster(own)
    assert config is not None
    address = address_of_server(configuration)

    async def is_so() -> bool:
        return await lets_in(own, config, address, login=login) == is_wanted

    await read_again(configuration, is_so)
