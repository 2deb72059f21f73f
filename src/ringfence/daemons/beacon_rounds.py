"""Where a coordinator gets the rounds of a beacon from. No server is believed: every signature is verified."""

import asyncio
import logging
import urllib.request
from pathlib import Path

import msgspec

from ringfence.custody.beacon import Beacon
from ringfence.files import replace

log = logging.getLogger("ringfence.coordinator")

_SECONDS = 5.0
_BYTES_MAX = 4_096
PUBLIC = ("https://api.drand.sh", "https://drand.cloudflare.com")


class BeaconSource(msgspec.Struct, frozen=True):
    """`custody/beacon.json`: which beacon the charter is founded with, and servers that have its rounds."""

    beacon: Beacon
    urls: tuple[str, ...]


class _Round(msgspec.Struct):
    round: int
    signature: str


def read_source(directory: Path) -> BeaconSource | None:
    """Return what is to be asked, None without a file. Raises OSError, ValueError."""
    path = directory / "custody" / "beacon.json"
    return msgspec.json.decode(path.read_bytes(), type=BeaconSource) if path.exists() else None


def write_source(directory: Path, source: BeaconSource) -> None:
    """Raises OSError."""
    path = directory / "custody" / "beacon.json"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace(path, msgspec.json.format(msgspec.json.encode(source)))


async def signature_of(source: BeaconSource, number: int) -> str:
    """Return what the first server that answers says is the signature of a round, empty if none has it."""
    for url in source.urls:
        try:
            raw = await asyncio.to_thread(_get, f"{url}/{source.beacon.chain_hash}/public/{number}")
            said = msgspec.json.decode(raw, type=_Round)
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            log.info("%s has no round %d of the beacon: %s", url, number, error)
            continue
        if said.round == number:
            return said.signature
    return ""


def _get(url: str) -> bytes:
    if not url.startswith(("https://", "http://127.0.0.1:")):
        raise ValueError("rounds come over https")
    with urllib.request.urlopen(url, timeout=_SECONDS) as answer:  # noqa: S310 (the scheme is looked at above)
        raw: bytes = answer.read(_BYTES_MAX)
    return raw
