"""A cluster on one machine, for tests and to look at: three servers of the stream and three machines' directories.

The layout is production's: what is written here for each node is what an operator puts on each machine (see
docs/operating/cluster.md). The first node has the exchange's own directory, so that an exchange that ran alone
goes on as the first of three.
"""

import secrets
import shutil
from pathlib import Path
from typing import NamedTuple

from ringfence.commitments import load_keys
from ringfence.configuration import NAME as CONFIGURATION
from ringfence.daemons import configuring
from ringfence.daemons.cluster import (
    FOLDER,
    NAME,
    PASSWORD,
    SERVERS_FOLDER,
    USER,
    Login,
    configuration_of,
    read_cluster,
    servers_certificates,
)
from ringfence.daemons.pinned_tls import ensure_certificate
from ringfence.exchange.journal.etcd import REQUEST_BYTES_MAX
from ringfence.exchange.journal.jetstream import PAYLOAD_BYTES_MAX
from ringfence.files import replace
from ringfence.ports import HOST, free_ports

NODES = 3
NODES_FOLDER = "nodes"
NATS, ETCD = "nats", "etcd"
"""Whose servers hold the stream."""
TRUSTED = "trusted.crt"
"""Certificates of everybody whom the stream's servers let in, beside their configurations."""
_ETCD_HEARTBEAT_MS, _ETCD_ELECTION_MS = 100, 1_000
_ETCD_QUOTA_BYTES = 8 << 30
SECRET_BYTES = 24
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
    directory: Path, *, replicas: int = NODES, hosts: tuple[str, ...] = (HOST,) * NODES, kind: str = NATS,
    ports: Ports | None = None,
) -> Layout:  # fmt: skip
    """Write what is missing and return where everything is; `hosts` has each machine's address. Raises OSError.

    Without `ports` free ones are taken. Raises SettingsError if there is a `ringfence.toml` that is no good.
    """
    nodes = {f"node-{number}": _directory_of(directory, number) for number in range(1, NODES + 1)}
    if (directory / NAME).exists():
        kind = _kind_of(directory)
    names = [f"{kind}-{number}" for number in range(1, replicas + 1)]
    layout = Layout(nodes, {name: configuration_of(directory, name) for name in names})
    configuration = configuring.found(directory)
    for own in nodes.values():
        if own != directory:
            own.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace(own / CONFIGURATION, configuration.text)
    if (directory / NAME).exists():
        return layout
    numbers = [port for port in ports for _ in range(NODES)] if ports else free_ports(3 * NODES)
    lines, clients, routes = numbers[:NODES], numbers[NODES : 2 * NODES], numbers[2 * NODES :]
    load_keys(directory)
    for name, own in nodes.items():
        ensure_certificate(own / FOLDER, name)
    (directory / SERVERS_FOLDER).mkdir(mode=0o700, exist_ok=True)
    password = secrets.token_urlsafe(SECRET_BYTES)
    sites = [Site(*site) for site in zip(names, hosts, clients, routes, strict=False)]
    _introduce(layout, sites)
    if kind == NATS:
        _write_nats(layout, sites, password)
    else:
        _write_etcd(layout, sites)
    scheme = "tls" if kind == NATS else "https"
    urls = [f"{scheme}://{site.host}:{site.client}" for site in sites]
    for number, (name, own) in enumerate(nodes.items()):
        for other, theirs in nodes.items():
            replace(own / FOLDER / f"{other}.crt", (theirs / FOLDER / "tls.crt").read_bytes())
        replace(own / FOLDER / PASSWORD, password.encode())
        if own != directory:
            _share_keys(directory, own)
        nearest = urls[number % len(urls) :] + urls[: number % len(urls)]
        text = [f'node = "{name}"', f"servers = {_list(nearest)}", f"replicas = {replicas}", ""]
        for place, (other, line) in enumerate(zip(nodes, lines, strict=True)):
            server = names[place] if place < len(names) else ""
            text += [f"[nodes.{other}]", f'line = "{hosts[place]}:{line}"', f'server = "{server}"', ""]
        if own != directory:
            replace(own / NAME, "\n".join(text).encode())
        else:
            first = "\n".join(text).encode()
    replace(directory / NAME, first)
    return layout


def _kind_of(directory: Path) -> str:
    config = read_cluster(directory)
    assert config is not None
    return ETCD if config.is_etcd else NATS


def _directory_of(directory: Path, number: int) -> Path:
    return directory if number == 1 else directory / NODES_FOLDER / f"node-{number}"


def _list(items: list[str]) -> str:
    return "[" + ", ".join(f'"{item}"' for item in items) + "]"


def _share_keys(directory: Path, other: Path) -> None:
    """Every machine that may lead signs roots with the venue's key."""
    (other / "roots").mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in _SHARED:
        shutil.copy2(directory / "roots" / name, other / "roots" / name)


class Site(NamedTuple):
    """Where one of the stream's servers is."""

    name: str
    host: str
    client: int
    """The port for its clients."""
    peer: int
    """The port for the other servers."""


def _introduce(layout: Layout, sites: list[Site]) -> None:
    """Everybody shows a certificate: the servers to each other, the machines to the servers, and they to them."""
    homes = [_home_of(layout, site) for site in sites]
    for site, home in zip(sites, homes, strict=True):
        ensure_certificate(home, site.name, address=site.host)
    servers = b"".join((home / "tls.crt").read_bytes() for home in homes)
    machines = b"".join((own / FOLDER / "tls.crt").read_bytes() for own in layout.directories.values())
    for own in layout.directories.values():
        replace(servers_certificates(own), servers)
    replace(_trusted_of(layout), servers + machines)


def _home_of(layout: Layout, site: Site) -> Path:
    return layout.servers[site.name].with_suffix("")


def _trusted_of(layout: Layout) -> Path:
    return next(iter(layout.servers.values())).with_name(TRUSTED)


def _write_nats(layout: Layout, sites: list[Site], password: str) -> None:
    peers = secrets.token_urlsafe(SECRET_BYTES)
    urls = [f"nats-route://route:{peers}@{site.host}:{site.peer}" for site in sites]
    for site in sites:
        path, home = layout.servers[site.name], _home_of(layout, site)
        shown = (
            f'cert_file: "{home}/tls.crt", key_file: "{home}/tls.key", ca_file: "{_trusted_of(layout)}", '
            'verify: true, min_version: "1.3"'
        )
        cluster = (
            f"cluster {{ name: ringfence, listen: {site.host}:{site.peer}, "
            f'authorization {{ user: route, password: "{peers}" }}, tls {{ {shown} }}, routes: {_list(urls)} }}\n'
        )
        text = (
            f"server_name: {site.name}\nlisten: {site.host}:{site.client}\nmax_payload: {PAYLOAD_BYTES_MAX}\n"
            # Without it a server acknowledges what a power cut takes away.
            f'jetstream {{ store_dir: "{home}/data", sync_interval: always }}\n'
            # Nothing is said before TLS: who stands between cannot tell a client that there is none.
            f"tls {{ handshake_first: true, {shown} }}\n"
            + (cluster if len(sites) > 1 else "")
            + f"{authorization([Login(USER, password)])}\n"
        )
        replace(path, text.encode())


def authorization(logins: list[Login]) -> str:
    """Return the line of a NATS server's configuration that says who may come in."""
    users = ", ".join(f'{{ user: {user}, password: "{password}" }}' for user, password in logins)
    return f"authorization {{ users: [{users}] }}"


def _write_etcd(layout: Layout, sites: list[Site]) -> None:
    members = ",".join(f"{site.name}=https://{site.host}:{site.peer}" for site in sites)
    for site in sites:
        home = _home_of(layout, site)
        security = (
            f"{{cert-file: {home}/tls.crt, key-file: {home}/tls.key, client-cert-auth: true, "
            f"trusted-ca-file: {_trusted_of(layout)}}}"
        )
        client, peer = f"https://{site.host}:{site.client}", f"https://{site.host}:{site.peer}"
        text = (
            f"name: {site.name}\ndata-dir: {home}/data\n"
            f"listen-client-urls: {client}\nadvertise-client-urls: {client}\n"
            f"listen-peer-urls: {peer}\ninitial-advertise-peer-urls: {peer}\n"
            f"initial-cluster: {members}\ninitial-cluster-token: ringfence\ninitial-cluster-state: new\n"
            f"heartbeat-interval: {_ETCD_HEARTBEAT_MS}\nelection-timeout: {_ETCD_ELECTION_MS}\n"
            f"max-request-bytes: {REQUEST_BYTES_MAX}\nquota-backend-bytes: {_ETCD_QUOTA_BYTES}\n"
            # What was trimmed is let go of: a thousand changes back are enough for who watches.
            'auto-compaction-mode: revision\nauto-compaction-retention: "1000"\n'
            f"client-transport-security: {security}\npeer-transport-security: {security}\n"
            "enable-v2: false\nenable-grpc-gateway: true\nlogger: zap\nlog-level: warn\n"
        )
        replace(layout.servers[site.name], text.encode())
