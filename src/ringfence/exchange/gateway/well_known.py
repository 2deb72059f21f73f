"""Files under `/.well-known/` (RFC 8615): where to report holes, and the keys for it. Three names, and no others."""

from pathlib import Path
from typing import NamedTuple

from ringfence.exchange.gateway.errors import Refused

PREFIX = "/.well-known/"
_FILES = {
    "security.txt": "text/plain; charset=utf-8", "security-age.txt": "text/plain; charset=utf-8",
    "security-openpgp.asc": "application/pgp-keys",
}  # fmt: skip
_POLICY = b"content-security-policy: default-src 'none'; frame-ancestors 'none'\r\naccess-control-allow-origin: *\r\n"


class WellKnown(NamedTuple):
    body: bytes
    headers: bytes


def find(directory: Path, path: str) -> WellKnown:
    """Return a file as it is sent. Raises Refused (404)."""
    name = path[len(PREFIX) :]
    try:
        kind = _FILES[name]
        body = (directory / "security" / "well-known" / name).read_bytes()
    except (KeyError, OSError) as error:
        raise Refused(404, "Not Found") from error
    return WellKnown(body, f"content-type: {kind}\r\ncache-control: no-cache\r\n".encode() + _POLICY)
