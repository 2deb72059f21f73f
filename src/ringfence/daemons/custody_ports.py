"""Where the processes of custody on one machine are: `custody/ports.json`, written at the founding."""

from pathlib import Path

import msgspec

from ringfence.files import replace
from ringfence.ports import free_ports


class Ports(msgspec.Struct, frozen=True):
    node: int
    """Of the Bitcoin node's JSON-RPC."""
    cosigners: dict[str, int]
    ethereum: int = 0
    """Of the development chain's JSON-RPC, as the next; 0 in a venue that was founded before there was one."""
    solana: int = 0
    console: int = 0
    """Of the custody console's pages; 0 as before."""


def ensure_ports(directory: Path, names: tuple[str, ...]) -> Ports:
    """Return the ports of a venue, taking free ones the first time. Raises OSError, ValueError."""
    path = directory / "custody" / "ports.json"
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        node, ethereum, solana, console, *others = free_ports(4 + len(names))
        ports = Ports(node, dict(zip(names, others, strict=True)), ethereum, solana, console)
        replace(path, msgspec.json.encode(ports))
    ports = read_ports(directory)
    if not ports.console:
        # Every venue gets a console, also one that was founded before there was one: its pages are bookmarked.
        ports = msgspec.structs.replace(ports, console=free_ports(1)[0])
        replace(path, msgspec.json.encode(ports))
    return ports


def read_ports(directory: Path) -> Ports:
    """Raises OSError, ValueError."""
    return msgspec.json.decode((directory / "custody" / "ports.json").read_bytes(), type=Ports)
