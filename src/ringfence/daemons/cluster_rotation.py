"""New certificates for the machines of a cluster, without a moment in which one is not known.

Three steps for each machine. `prepare` makes a key and a certificate beside those in use. Every other machine `trust`s
the new one beside the old one. Then the machine `switch`es, and the others `drop` the old one. After each step the
core is asked to read its certificates again: lines that are open stay open.

etcd's servers have certificates, too, and know the machines by theirs. They read whom they trust when they start, so
after `trust` and after `drop` each of them is started again, one after the other (`restarted`).
"""

import asyncio
import os
import re
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import NameOID

from ringfence.daemons.cluster import ETCD_CERTIFICATES, FOLDER, SERVERS_FOLDER
from ringfence.daemons.cluster_founding import ETCD, ETCD_TRUSTED, NODES_FOLDER
from ringfence.daemons.pinned_tls import certificates_in, ensure_certificate
from ringfence.daemons.stream_server import processes_of
from ringfence.files import replace, sync_directory

NEXT = "next"
_CLIENT_URL = re.compile(r"^listen-client-urls: (https://([^:/]+|\[[0-9a-f:]+\]):\d+)$", re.MULTILINE)
_END_SECONDS, _START_SECONDS, _PAUSE_SECONDS = 30.0, 60.0, 0.1


class RotationError(Exception):
    """A step was asked for out of order. Nothing was changed; the text says which step is due."""


def servers_home(directory: Path) -> Path:
    """Return where the configurations of the stream's servers are on a machine, given its directory."""
    home = directory.parent.parent if directory.parent.name == NODES_FOLDER else directory
    return home / SERVERS_FOLDER


def etcd_servers(directory: Path) -> dict[str, Path]:
    """Return the configurations of etcd's servers on a machine, by name."""
    return {path.stem: path for path in sorted(servers_home(directory).glob(f"{ETCD}-*.conf"))}


def folder_of(own: Path, name: str) -> Path:
    """Return where a machine, or a server of etcd, has its own key and certificate."""
    return servers_home(own) / name if name in etcd_servers(own) else own / FOLDER


def prepare(own: Path, name: str) -> str:
    """Make the next key and certificate of a machine or a server, and return the certificate in PEM. Raises OSError."""
    folder = folder_of(own, name) / NEXT
    configuration = etcd_servers(own).get(name)
    address = _address_of(configuration)[1].strip("[]") if configuration else ""
    ensure_certificate(folder, name, address=address)
    return (folder / "tls.crt").read_text()


def _address_of(configuration: Path) -> tuple[str, str]:
    """Return the URL for clients, and its host. Raises OSError, ValueError."""
    found = _CLIENT_URL.search(configuration.read_text())
    if found is None:
        raise ValueError(f"{configuration} has no listen-client-urls with one URL")
    return found[1], found[2]


def known_in(peer: Path, name: str) -> list[Path]:
    """Return the files on a machine in which a machine's, or a server's, certificates are known. Raises ValueError."""
    pinned = peer / FOLDER / f"{name}.crt"
    machines = peer / FOLDER / ETCD_CERTIFICATES
    servers = servers_home(peer) / ETCD_TRUSTED
    found = [pinned] if pinned.exists() else []
    if name.startswith(f"{ETCD}-"):
        found += [machines]
    if etcd_servers(peer):
        found += [servers]
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


async def restarted(configuration: Path, is_back: Callable[[str], Awaitable[bool]]) -> None:
    """End a server of etcd, and return when whoever looks after it has started it and it answers for the others too.

    `is_back` asks the server at a URL. Raises RotationError, OSError.
    """
    before = processes_of(configuration)
    for process in before:
        os.kill(process, signal.SIGTERM)
    if await comes(lambda: _is_gone(configuration, before), _END_SECONDS):
        url, _ = _address_of(configuration)
        if await comes(lambda: is_back(url), _START_SECONDS):
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
