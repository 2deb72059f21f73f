"""A new password for an exchange at NATS's servers, while it trades.

A user of NATS has one password, so the new one comes with a new user. `prepare` makes both beside those in use. Every
server's configuration is made to `allow` both users, and the server reads it again: nobody is cut off. Every machine
goes over (`use`): it connects as the new user before it lets go of the old connection. Then each server's
configuration is made to `drop` the old user. Each step may be done twice; after a crash everything is done again.
"""

import os
import re
import secrets
import signal
from pathlib import Path

from ringfence.daemons import cluster
from ringfence.daemons.cluster import Login, decode_login, read_login
from ringfence.daemons.cluster_founding import NATS, SECRET_BYTES, authorization
from ringfence.daemons.cluster_rotation import NEXT, RotationError, comes, servers_home
from ringfence.daemons.stream_server import processes_of
from ringfence.exchange.journal import StreamUnavailableError
from ringfence.exchange.journal.jetstream import connect, hang_up
from ringfence.files import replace, sync_directory

_AUTHORIZATION = re.compile(r"^authorization \{.*\}$", re.MULTILINE)
_LISTEN = re.compile(r"^listen: (\S+)$", re.MULTILINE)
_READ_SECONDS = 10.0


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


def configurations_of(directory: Path) -> list[Path]:
    """Return the configurations of NATS's servers on this machine, given any of its machines' directories."""
    return sorted(servers_home(directory).glob(f"{NATS}-*.conf"))


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


def have_read(configuration: Path) -> bool:
    """Have a server read its configuration again; False if none runs with it here. Raises OSError."""
    running = processes_of(configuration)
    for process in running:
        os.kill(process, signal.SIGHUP)
    return bool(running)


async def wait_admitted(configuration: Path, login: Login, *, is_wanted: bool = True) -> None:
    """Wait until a server lets a login in, or does not any more. Raises RotationError if that does not come."""
    (address,) = _LISTEN.findall(configuration.read_text())

    async def is_so() -> bool:
        return await _is_admitted(address, login) == is_wanted

    if not await comes(is_so, _READ_SECONDS):
        state = "does not know the new user" if is_wanted else "still knows the old user"
        raise RotationError(
            f"the server of {configuration} {state}, or does not run: have it read its configuration again "
            "(SIGHUP), then do this again. Who is connected stays connected"
        )


async def _is_admitted(address: str, login: Login) -> bool:
    """Return whether this server lets a login in: a client that one refuses goes on to the others that it names."""
    try:
        client = await connect(
            [f"nats://{address}"], user=login.user, password=login.password, name="a rotation"
        )
    except StreamUnavailableError:
        return False
    found = client.connected_url
    await hang_up(client)
    return found is not None and found.netloc == address
