"""Anchors: where others keep the digest of a root, so that we cannot take it back.

`FileAnchor` appends to a file that another machine may mount append-only; `OpenTimestampsAnchor` asks
OpenTimestamps calendars, which put digests into Bitcoin. Nothing submits to either yet.
"""

import urllib.request
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

DIGEST_BYTES = 32
_ANSWER_BYTES_MAX = 10_000


class AnchorError(Exception):
    """Nobody took the digest. The root stands all the same; the next one is tried again."""


class Anchor(Protocol):
    """Takes a digest of 32 bytes and returns the receipt, which is kept beside the root."""

    def submit(self, digest: bytes) -> bytes:
        """Raises AnchorError."""
        ...


class FileAnchor:
    """One line a digest, in hexadecimal. The receipt is the line's number."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def submit(self, digest: bytes) -> bytes:
        _check(digest)
        try:
            with open(self._path, "a+") as file:
                file.seek(0)
                number = sum(1 for _ in file)
                file.write(digest.hex() + "\n")
        except OSError as error:
            raise AnchorError(f"{self._path.name} cannot be written: {error}") from error
        return str(number).encode()


class OpenTimestampsAnchor:
    """Asks a calendar over HTTPS; its answer is the pending timestamp, which `ots upgrade` completes."""

    def __init__(self, calendar: str, *, seconds: float = 10) -> None:
        """`calendar` is the address of an OpenTimestamps calendar server, https only."""
        if urlsplit(calendar).scheme != "https":
            raise ValueError(f"{calendar!r} is no https address; no calendar is asked")
        self._calendar, self._seconds = calendar.rstrip("/"), seconds

    def submit(self, digest: bytes) -> bytes:
        _check(digest)
        request = urllib.request.Request(  # noqa: S310 - https only, checked above
            f"{self._calendar}/digest", data=digest, headers={"Accept": "application/vnd.opentimestamps.v1"}
        )
        try:
            with urllib.request.urlopen(request, timeout=self._seconds) as answer:  # noqa: S310
                receipt: bytes = answer.read(_ANSWER_BYTES_MAX + 1)
        except OSError as error:
            raise AnchorError(f"the calendar did not answer: {error}") from error
        if not 0 < len(receipt) <= _ANSWER_BYTES_MAX:
            raise AnchorError(f"the calendar's answer has {len(receipt)} bytes and is not kept")
        return receipt


def _check(digest: bytes) -> None:
    if len(digest) != DIGEST_BYTES:
        raise ValueError(f"a digest has {DIGEST_BYTES} bytes, not {len(digest)}")
