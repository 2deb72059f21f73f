"""Where the processes of custody on one machine are: `custody/ports.json`, written at the founding."""

import socket
from pathlib import Path

import msgspec

from ringfence.files import replace

HOST = "127.0.0.1"


class Ports(msgspec.Struct, frozen=True):
    node: int
    """Of the Bitcoin node's JSON-RPC."""
    cosigners: dict[str, int]


def ensure_ports(directory: Path, names: tuple[str, ...]) -> Ports:
    """Return the ports of a venue, taking free ones the first time. Raises OSError, ValueError."""
    path = directory / "custody" / "ports.json"
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        node, *others = _free(1 + len(names))
        replace(path, msgspec.json.encode(Ports(node, dict(zip(names, others, strict=True)))))
    return read_ports(directory)


def read_ports(directory: Path) -> Ports:
    """Raises OSError, ValueError."""
    return msgspec.json.decode((directory / "custody" / "ports.json").read_bytes(), type=Ports)


def _free(count: int) -> list[int]:
    """Return ports that nobody listens on at this moment."""
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind((HOST, 0))
        return [int(one.getsockname()[1]) for one in held]
    finally:
        for one in held:
            one.close()
