"""New certificates for machines and the stream's servers, without a moment in which one is not known.

Three steps for each. `prepare` makes a key and a certificate beside those in use. Every other machine, and every server
on it, `trust`s the new one beside the old one. Then the one whose it is `switch`es, and the others `drop` the old one.
After each step the core is asked to read its certificates again: lines that are open stay open.

NATS's servers read theirs again when they are told to (`have_read`). etcd's read whom they trust when they start, so
after `trust` and after `drop` each of them is started again, one after the other (`restarted`).
"""

import asyncio
import os
import re
import signal
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import NameOID

from ringfence.daemons.cluster import FOLDER, SERVERS_FOLDER, ClusterConfig, servers_certificates
from ringfence.daemons.cluster_founding import ETCD, NATS, NODES_FOLDER, TRUSTED
from ringfence.daemons.cluster_servers import lets_in
from ringfence.daemons.pinned_tls import certificates_in, client_context, ensure_certificate
from ringfence.daemons.stream_server import processes_of
from ringfence.files import replace, sync_directory

NEXT = "next"
_FOR_CLIENTS = re.compile(
    r"^(?:listen-client-urls: https://|listen: )(([^:/\s]+|\[[0-9a-f:]+\]):\d+)$", re.MULTILINE
)
_END_SECONDS, _START_SECONDS, _READ_SECONDS, _PAUSE_SECONDS = 30.0, 60.0, 10.0, 0.1


class RotationError(Exception):
    """A step was asked for out of order. Nothing was changed; the text says which step is due."""


def servers_home(directory: Path) -> Path:
    """Return where the configurations of the stream's servers are on a machine, given its directory."""
    directory = directory.absolute()
    home = directory.parent.parent if directory.parent.name == NODES_FOLDER else directory
    return home / SERVERS_FOLDER


def servers_of(directory: Path) -> dict[str, Path]:
    """Return the configurations of the stream's servers on a machine, by name, given any directory of its."""
    return {path.stem: path for path in sorted(servers_home(directory).glob("*.conf"))}


def folder_of(own: Path, name: str) -> Path:
    """Return where a machine, or one of the stream's servers, has its own key and certificate."""
    return servers_home(own) / name if name in servers_of(own) else own / FOLDER


def prepare(own: Path, name: str) -> str:
    """Make the next key and certificate of a machine or a server, and return the certificate in PEM. Raises OSError."""
    folder = folder_of(own, name) / NEXT
    configuration = servers_of(own).get(name)
    address = _listens_at(configuration)[1].strip("[]") if configuration else ""
    ensure_certificate(folder, name, address=address)
    return (folder / "tls.crt").read_text()


def address_of_server(configuration: Path) -> str:
    """Return HOST:PORT where a server takes clients. Raises OSError, ValueError."""
    return _listens_at(configuration)[0]


def _listens_at(configuration: Path) -> tuple[str, str]:
    """Return HOST:PORT, and the host. Raises OSError, ValueError."""
    found = _FOR_CLIENTS.search(configuration.read_text())
    if found is None:
        raise ValueError(
            f"{configuration} has no line with one address for clients (listen, listen-client-urls)"
        )
    return found[1], found[2]


def known_in(peer: Path, name: str) -> list[Path]:
    """Return the files on a machine in which a machine's, or a server's, certificates are known. Raises ValueError."""
    is_server = name.partition("-")[0] in (NATS, ETCD)
    by_machine = servers_certificates(peer) if is_server else peer / FOLDER / f"{name}.crt"
    by_servers = servers_home(peer) / TRUSTED
    found = [path for path in (by_machine, by_servers) if path.exists()]
    if not found:
        raise ValueError(f"{peer} knows no {name}. Nothing was changed")
    return found


def trust(peer: Path, name: str, certificate: str) -> None:
    """Let a machine know the next certificate of another one, or of a server. Raises OSError, ValueError."""
    (new,) = certificates_in(certificate)
    for path in known_in(peer, name):
        known = certificates_in(path.read_text())
        if new not in known:
            replace(path, "".join([*known, new]).encode())


def switch(own: Path, name: str = "") -> None:
    """Use the next key and certificate from now on. Raises RotationError, OSError.

    Killed between the two files, the machine does not start: then this is run once more.
    """
    folder = folder_of(own, name)
    if not (folder / NEXT / "tls.crt").exists():
        raise RotationError(
            f"{folder / NEXT} holds no certificate: `prepare` comes first. Nothing was changed."
        )
    for file in ("tls.key", "tls.crt"):
        replace(folder / file, (folder / NEXT / file).read_bytes())
    sync_directory(folder)
    for file in ("tls.crt", "tls.key"):
        (folder / NEXT / file).unlink()


def drop(peer: Path, name: str) -> None:
    """Forget all but the newest certificate of another machine, or of a server. Raises OSError, ValueError."""
    for path in known_in(peer, name):
        known = certificates_in(path.read_text())
        *old, _ = [one for one in known if _name_in(one) == name]
        replace(path, "".join(one for one in known if one not in old).encode())


def _name_in(certificate: str) -> str:
    subject = x509.load_pem_x509_certificate(certificate.encode()).subject
    return str(subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


def have_read(configuration: Path) -> bool:
    """Have a server of NATS read its configuration, and the files that it names, again.

    False if none runs with it here. Raises OSError.
    """
    running = processes_of(configuration)
    for process in running:
        os.kill(process, signal.SIGHUP)
    return bool(running)


async def read_again(configuration: Path, is_so: Callable[[], Awaitable[bool]]) -> None:
    """Have a server of NATS read its files, and return when `is_so`. Raises RotationError, OSError."""
    have_read(configuration)
    if not await comes(is_so, _READ_SECONDS):
        raise RotationError(
            f"the server of {configuration} does not go by its files, or does not run: have it read them again "
            "(SIGHUP), then do this again. Who is connected stays connected"
        )


async def taken_up(
    own: Path,
    config: ClusterConfig,
    configuration: Path,
    *,
    shown: Path,
    refused: ssl.SSLContext | None = None,
) -> None:
    """Have one of the stream's servers go by the certificates that its files name now, and return when it does.

    Then it shows its own, lets in who has what is in the folder `shown`, and nobody with what is to be `refused`.
    Raises RotationError, OSError, ValueError.
    """
    address = _listens_at(configuration)[0]
    context = client_context(shown, configuration.with_suffix("") / "tls.crt")

    async def is_so() -> bool:
        if refused is not None and await lets_in(own, config, address, context=refused):
            return False
        return await lets_in(own, config, address, context=context)

    await (restarted if config.is_etcd else read_again)(configuration, is_so)


async def restarted(configuration: Path, is_back: Callable[[], Awaitable[bool]]) -> None:
    """End a server of etcd, and return when whoever looks after it has started it and it `is_back`.

    Raises RotationError, OSError.
    """
    before = processes_of(configuration)
    for process in before:
        os.kill(process, signal.SIGTERM)
    if await comes(lambda: _is_gone(configuration, before), _END_SECONDS) and await comes(
        is_back, _START_SECONDS
    ):
        return
    raise RotationError(
        f"{configuration.stem} was ended and does not answer again, so no other server was touched: see that it runs, "
        "then do this again"
    )


async def _is_gone(configuration: Path, before: list[int]) -> bool:
    return not set(before) & set(processes_of(configuration))


async def comes(is_so: Callable[[], Awaitable[bool]], seconds: float) -> bool:
    """Return whether something becomes so in a time."""
    until = asyncio.get_running_loop().time() + seconds
    while not await is_so():
        if asyncio.get_running_loop().time() > until:
            return False
        await asyncio.sleep(_PAUSE_SECONDS)
    return True
