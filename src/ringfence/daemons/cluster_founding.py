"""A cluster on one machine, for tests and to look at: three servers of NATS and three machines' directories.

The layout is production's: what is written here for each node is what an operator puts on each machine (see
docs/operating/cluster.md). The first node has the exchange's own directory, so that an exchange that ran alone
goes on as the first of three.
"""

import secrets
import shutil
from pathlib import Path
from typing import NamedTuple

from ringfence.commitments import load_keys
from ringfence.daemons.cluster import FOLDER, NAME, PASSWORD, USER
from ringfence.daemons.custody_ports import HOST, free_ports
from ringfence.daemons.pinned_tls import ensure_certificate
from ringfence.exchange.journal.jetstream import PAYLOAD_BYTES_MAX
from ringfence.files import replace

NODES = 3
NODES_FOLDER = "nodes"
NATS_FOLDER = "nats"
_SECRET_BYTES = 24
_SHARED = ("signing.key", "nonces.key")


class Layout(NamedTuple):
    """Where the parts of a cluster on one machine are."""

    directories: dict[str, Path]
    """Of each node, by name; the first one's is the exchange's."""
    servers: dict[str, Path]
    """The configuration of each of the stream's servers, by name."""


class Ports(NamedTuple):
    """The same on every machine, where each has an address of its own."""

    line: int = 7000
    client: int = 4222
    route: int = 6222


def found(
    directory: Path,
    *,
    replicas: int = NODES,
    hosts: tuple[str, ...] = (HOST,) * NODES,
    ports: Ports | None = None,
) -> Layout:
    """Write what is missing and return where everything is; `hosts` has each machine's address. Raises OSError.

    Without `ports` free ones are taken.
    """
    nodes = {f"node-{number}": _directory_of(directory, number) for number in range(1, NODES + 1)}
    servers = {
        f"nats-{number}": directory / NATS_FOLDER / f"nats-{number}.conf" for number in range(1, replicas + 1)
    }
    layout = Layout(nodes, servers)
    if (directory / NAME).exists():
        return layout
    lines, clients, routes = ([port] * NODES if port else free_ports(NODES) for port in ports or (0, 0, 0))
    password, route_password = secrets.token_urlsafe(_SECRET_BYTES), secrets.token_urlsafe(_SECRET_BYTES)
    _write_servers(layout, hosts, clients, routes, password, route_password)
    load_keys(directory)
    for name, own in nodes.items():
        ensure_certificate(own / FOLDER, name)
    for number, (name, own) in enumerate(nodes.items()):
        for other, theirs in nodes.items():
            replace(own / FOLDER / f"{other}.crt", (theirs / FOLDER / "tls.crt").read_bytes())
        replace(own / FOLDER / PASSWORD, password.encode())
        if own != directory:
            _share_keys(directory, own)
        urls = [f"nats://{host}:{port}" for host, port in zip(hosts, clients[: len(servers)], strict=False)]
        urls = urls[number % len(urls) :] + urls[: number % len(urls)]
        text = [f'node = "{name}"', f"servers = {_list(urls)}", f"replicas = {replicas}", ""]
        for place, (other, line) in enumerate(zip(nodes, lines, strict=True)):
            server = f"nats-{place + 1}" if place < len(servers) else ""
            text += [f"[nodes.{other}]", f'line = "{hosts[place]}:{line}"', f'server = "{server}"', ""]
        if own != directory:
            replace(own / NAME, "\n".join(text).encode())
        else:
            first = "\n".join(text).encode()
    replace(directory / NAME, first)
    return layout


def _directory_of(directory: Path, number: int) -> Path:
    return directory if number == 1 else directory / NODES_FOLDER / f"node-{number}"


def _list(items: list[str]) -> str:
    return "[" + ", ".join(f'"{item}"' for item in items) + "]"


def _share_keys(directory: Path, other: Path) -> None:
    """Every machine that may lead signs roots with the venue's key."""
    (other / "roots").mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in _SHARED:
        shutil.copy2(directory / "roots" / name, other / "roots" / name)


def _write_servers(
    layout: Layout, hosts: tuple[str, ...], clients: list[int], routes: list[int], password: str,
    route_password: str,
) -> None:  # fmt: skip
    urls = [
        f"nats-route://route:{route_password}@{host}:{port}"
        for host, port, _ in zip(hosts, routes, layout.servers, strict=False)
    ]
    for (name, path), host, client, route in zip(
        layout.servers.items(), hosts, clients, routes, strict=False
    ):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        cluster = (
            f"cluster {{ name: ringfence, listen: {host}:{route}, "
            f'authorization {{ user: route, password: "{route_password}" }}, routes: {_list(urls)} }}\n'
        )
        replace(
            path,
            (
                f"server_name: {name}\nlisten: {host}:{client}\nmax_payload: {PAYLOAD_BYTES_MAX}\n"
                # Without it a server acknowledges what a power cut takes away.
                f'jetstream {{ store_dir: "{path.parent / name}", sync_interval: always }}\n'
                + (cluster if len(layout.servers) > 1 else "")
                + f'authorization {{ user: {USER}, password: "{password}" }}\n'
            ).encode(),
        )
