"""Files that the prover has published, under `/proofs/`: for everybody, without a key, in part if asked.

Names have no way out: a segment is letters, digits, dashes and dots, and begins with neither dot nor dash.
"""

import base64
import hashlib
import re
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from ringfence.exchange.gateway.errors import Refused

PREFIX = "/proofs/"
_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_SEGMENTS_MAX = 4
_RANGE = re.compile(r"bytes=(\d{1,15})-(\d{0,15})")
_TYPES = {
    ".html": "text/html; charset=utf-8", ".json": "application/json; charset=utf-8",
    ".jsonl": "application/jsonl; charset=utf-8", ".csv": "text/csv; charset=utf-8", ".yaml": "application/yaml",
}  # fmt: skip
_MUTABLE = ("index.json", ".html", ".jsonl")
_YEAR_SECONDS = 31_536_000
_NONE = "'none'"
_VERIFIER = "verifier.html"
"""The one page with a script; what else holds one has it from somebody who had no business there."""
_INLINE = re.compile(rb"<(script|style)>(.*?)</\1>", re.DOTALL)
_FILE_POLICY = b"content-security-policy: default-src 'none'; frame-ancestors 'none'\r\n"


class Part(NamedTuple):
    """What is sent of a file."""

    path: Path
    offset: int
    length: int
    size: int
    headers: bytes

    @property
    def is_whole(self) -> bool:
        return self.length == self.size


def find(directory: Path, path: str, ranged: str) -> Part:
    """Return what to send for a path under `/proofs/`. Raises Refused: 404 for what is not there, 416."""
    segments = path[len(PREFIX) :].split("/")
    if not is_plain(segments):
        raise Refused(404, "Not Found")
    place = directory / "proofs" / "published" / Path(*segments)
    try:
        status = place.stat()
    except OSError as error:
        raise Refused(404, "Not Found") from error
    if not place.is_file() or place.is_symlink():
        raise Refused(404, "Not Found")
    size = status.st_size
    offset, length = _range(ranged, size)
    kind = _TYPES.get(place.suffix, "application/octet-stream")
    is_page = place.suffix == ".html"
    # The file's name does not change while its content does for these alone.
    age = "no-cache" if place.name.endswith(_MUTABLE) else f"public, max-age={_YEAR_SECONDS}, immutable"
    lines = f"content-type: {kind}\r\ncache-control: {age}\r\naccept-ranges: bytes\r\n"
    lines += "access-control-allow-origin: *\r\n"
    if length != size:
        lines += f"content-range: bytes {offset}-{offset + length - 1}/{size}\r\n"
    policy = _page_policy(place, status.st_mtime_ns) if is_page else _FILE_POLICY
    return Part(place, offset, length, size, lines.encode() + policy)


@lru_cache(maxsize=64)
def _page_policy(place: Path, changed_ns: int) -> bytes:
    """Return the header for a page as it was at `changed_ns`: its styles, and the verifier's script, by their hashes.

    Raises Refused.
    """
    hashes: dict[bytes, list[str]] = {b"script": [], b"style": []}
    try:
        for kind, text in _INLINE.findall(place.read_bytes()):
            hashes[kind].append(f"'sha256-{base64.b64encode(hashlib.sha256(text).digest()).decode()}'")
    except OSError as error:
        raise Refused(404, "Not Found") from error
    scripts = " ".join(hashes[b"script"]) if place.name == _VERIFIER else ""
    policy = (
        f"default-src 'none'; script-src {scripts or _NONE}; style-src {' '.join(hashes[b'style']) or _NONE}; "
        "worker-src blob:; img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )
    return f"content-security-policy: {policy}\r\n".encode()


def is_plain(segments: list[str]) -> bool:
    """Return whether a path of these segments stays where it begins."""
    return 0 < len(segments) <= _SEGMENTS_MAX and all(_SEGMENT.fullmatch(one) for one in segments)


def _range(ranged: str, size: int) -> tuple[int, int]:
    """Return (offset, length); what is no single range is the whole file, as RFC 9110 has it."""
    found = _RANGE.fullmatch(ranged)
    if found is None:
        return 0, size
    first = int(found[1])
    last = min(int(found[2]) if found[2] else size - 1, size - 1)
    if first >= size or last < first:
        raise Refused(416, f"The file has {size} bytes")
    return first, last - first + 1
