"""Pages of the exchange: files that were built or written before, from folders beside this one, and nothing else.

    /trade/     the trade page, built from `web/`
    /public/    what everybody may see, without a key

They are read once and kept, compressed as well. Each is served under a policy that lets it run its own files and talk
to this gateway alone. Names have no way out, as in `published.py`.
"""

import gzip
import hashlib
from pathlib import Path
from typing import NamedTuple

from ringfence.exchange.gateway.errors import Refused
from ringfence.exchange.gateway.policies import REPORTS
from ringfence.exchange.gateway.published import is_plain

ROOTS = ("trade", "public")
HOME = Path(__file__).with_name("pages")
_INDEX = "index.html"
_TYPES = {
    ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml", ".json": "application/json; charset=utf-8", ".woff2": "font/woff2", ".png": "image/png",
    ".txt": "text/plain; charset=utf-8", ".webmanifest": "application/manifest+json",
}  # fmt: skip
_COMPRESSED = (".html", ".js", ".css", ".svg", ".json", ".txt", ".webmanifest")
_FILE_BYTES_MAX = 4 << 20
_POLICY = (
    "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; manifest-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
    f"form-action 'self'; report-uri {REPORTS}\r\n"
    "cross-origin-opener-policy: same-origin\r\n"
    "permissions-policy: camera=(), microphone=(), geolocation=(), payment=()\r\n"
)


class Page(NamedTuple):
    """A file as it is sent; `headers` are complete lines."""

    body: bytes
    headers: bytes


class Pages:
    """The files under `HOME`, each read when it is first asked for."""

    def __init__(self, home: Path = HOME) -> None:
        self._home = home
        self._known: dict[tuple[str, bool], Page] = {}

    def find(self, path: str, *, takes_gzip: bool) -> Page | None:
        """Return the file for a path, None if it is under none of the roots. Raises Refused (404)."""
        segments = path.removeprefix("/").split("/")
        if segments[0] not in ROOTS:
            return None
        if segments[-1] == "":
            segments[-1] = _INDEX
        name = "/".join(segments)
        if (name, takes_gzip) not in self._known:
            self._known[name, takes_gzip] = self._read(segments, takes_gzip=takes_gzip)
        return self._known[name, takes_gzip]

    def _read(self, segments: list[str], *, takes_gzip: bool) -> Page:
        place = self._home.joinpath(*segments)
        suffix = place.suffix
        if not is_plain(segments) or suffix not in _TYPES or place.is_symlink() or not place.is_file():
            raise Refused(404, "Not Found")
        body = place.read_bytes()
        assert len(body) <= _FILE_BYTES_MAX, f"{place.name} is too large for a page"
        tag = hashlib.blake2b(body, digest_size=8).hexdigest()
        # Names of what a build has made hold a hash of it.
        age = "public, max-age=31536000, immutable" if "assets" in segments else "no-cache"
        lines = f'content-type: {_TYPES[suffix]}\r\ncache-control: {age}\r\netag: "{tag}"\r\nvary: accept-encoding\r\n'
        if takes_gzip and suffix in _COMPRESSED:
            body = gzip.compress(body, mtime=0)
            lines += "content-encoding: gzip\r\n"
        return Page(body, (lines + _POLICY).encode())
