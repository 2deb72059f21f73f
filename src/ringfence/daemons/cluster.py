"""What one machine knows of its cluster: `cluster.toml` in its directory, and secrets beside it.

    cluster.toml             this file: who this machine is, who the others are, where the stream's servers are
    cluster/password         of this exchange at the stream's servers, mode 0600; in a second line the user, if it is
                             another one than `ringfence`
    cluster/tls.key, tls.crt who this machine is to the others
    cluster/NODE.crt         who each other machine is: pinned, no authority is asked
    cluster/servers.crt      who the stream's servers are: pinned, too
    cluster.sock             what `ringfence cluster` asks and is told

A directory without `cluster.toml` is an exchange on one machine.
"""

import tomllib
from pathlib import Path
from typing import NamedTuple

import msgspec

NAME = "cluster.toml"
FOLDER = "cluster"
SERVERS_FOLDER = "stream"
PASSWORD = "password"  # noqa: S105
SOCKET = "cluster.sock"
USER = "ringfence"
_SCHEMES = ("tls", "nats", "https")
EXIT_FENCED = 76
"""Another machine leads, or is to: started again, this one follows."""
HEARTBEATS, STANDINGS = "leader", "followers"
"""Subjects: what a leader says of itself, and those who follow."""


class ClusterError(Exception):
    """This machine cannot take part in its cluster. Nothing was started; the text says what is missing."""


class Node(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One machine, as the others reach it."""

    line: str
    """HOST:PORT where it takes other machines' lines of commands while it leads."""
    server: str = ""
    """The name of the stream's server on the same machine; a leader has the stream led by another one."""


class ClusterConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """See the example in docs/operating/cluster.md."""

    node: str
    servers: tuple[str, ...]
    """URLs of the stream's servers, this machine's first."""
    nodes: dict[str, Node]
    stream: str = "JOURNAL"
    replicas: int = 3
    """How many servers keep each entry."""
    may_lead: bool = True
    """False: this machine follows for its gateways or judges alone."""
    silence_seconds: float = 1.0
    """A leader that was not heard of for so long has gone."""

    @property
    def roots_stream(self) -> str:
        return f"{self.stream}-ROOTS"

    @property
    def is_etcd(self) -> bool:
        """Whether the stream's servers are etcd's and not NATS's."""
        return self.servers[0].startswith("https://")

    @property
    def has_tls(self) -> bool:
        """Whether machines and servers show each other certificates: all but NATS's servers of older clusters."""
        return not self.servers[0].startswith("nats://")

    @property
    def rank(self) -> int:
        """Who is first asks first for the lead, so that few ask at once."""
        return sorted(self.nodes).index(self.node)


def read_cluster(directory: Path) -> ClusterConfig | None:
    """Return the configuration of a directory, None if it belongs to no cluster. Raises ValueError, OSError."""
    try:
        raw = (directory / NAME).read_text()
    except FileNotFoundError:
        return None
    try:
        config = msgspec.convert(tomllib.loads(raw), type=ClusterConfig)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ValueError(f"{NAME} is no configuration of a cluster: {error}. Nothing was started.") from error
    if config.node not in config.nodes or not config.servers:
        raise ValueError(f"{NAME}: node {config.node!r} is not among its nodes, or it names no servers")
    if len(schemes := {url.partition("://")[0] for url in config.servers}) > 1 or not schemes <= set(
        _SCHEMES
    ):
        raise ValueError(f"{NAME}: the URLs of servers all begin with tls://, or all with https:// (etcd)")
    for name, node in config.nodes.items():
        address_of(node, name)
    if not 0.2 <= config.silence_seconds <= 60 or not 1 <= config.replicas <= 5:
        raise ValueError(f"{NAME}: silence_seconds is 0.2 to 60, replicas 1 to 5")
    return config


def configuration_of(directory: Path, server: str) -> Path:
    """Return where one of the stream's servers, such as `nats-1` or `etcd-1`, has its configuration."""
    return directory / SERVERS_FOLDER / f"{server}.conf"


def servers_certificates(directory: Path) -> Path:
    """Return the file in which a machine knows its stream's servers; older clusters on etcd have another name."""
    before = directory / FOLDER / "etcd.crt"
    return before if before.exists() else directory / FOLDER / "servers.crt"


def address_of(node: Node, name: str) -> tuple[str, int]:
    """Return host and port of a machine's line. Raises ValueError."""
    host, _, port = node.line.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise ValueError(f"{NAME}: line {node.line!r} of node {name} is no HOST:PORT")
    return host, int(port)


class Login(NamedTuple):
    """Who this exchange is to servers of NATS."""

    user: str
    password: str

    def encode(self) -> bytes:
        return f"{self.password}\n{self.user}\n".encode()


def read_login(directory: Path) -> Login:
    """Raises OSError, ValueError if others may read it, or it is no password."""
    path = directory / FOLDER / PASSWORD
    if path.stat().st_mode & 0o077:
        raise ValueError(f"{path} may be read by others: chmod 600. Nothing was started.")
    return decode_login(path.read_text())


def decode_login(text: str) -> Login:
    """Raises ValueError."""
    said = text.split()
    if not 1 <= len(said) <= 2:
        raise ValueError(f"{FOLDER}/{PASSWORD} is no password, and perhaps a user in a second line")
    return Login(said[1] if len(said) > 1 else USER, said[0])
