"""What a part of custody has decided, promised or signed: hash-chained lines, durable before anybody is told.

The log is its memory. It is read whole at the start: a line that a crash has cut short was told to nobody and is
dropped; any other line that does not check means that somebody was here. A co-signer's lines are signed by its HSM;
the coordinator, which holds no key, only chains them.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

GENESIS = "0" * 64
Sign = Callable[[bytes], bytes]
Verify = Callable[[bytes, bytes], bool]


def unsigned(digest: bytes) -> bytes:
    return b""


def chained(digest: bytes, signature: bytes) -> bool:
    return signature == b""


class LogError(Exception):
    """The log is not what was written. Nothing is signed: people look at it first."""


class Entry(msgspec.Struct, frozen=True):
    number: int
    at_ns: int
    kind: str
    body: dict[str, Any]
    previous: str
    signature: str = ""

    @property
    def digest(self) -> bytes:
        body = msgspec.json.encode(msgspec.structs.replace(self, signature=""), order="sorted")
        return hashlib.sha256(b"ringfence custody log" + body).digest()


class Log:
    """Append-only. `on_entry` is told of every line, those that were there at the start included."""

    def __init__(
        self,
        path: Path,
        *,
        on_entry: Callable[[Entry], None],
        sign: Sign = unsigned,
        verify: Verify = chained,
    ) -> None:
        """Raises LogError, OSError."""
        self._sign, self._on_entry = sign, on_entry
        self.head, self.count = GENESIS, 0
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        for line in whole.splitlines():
            self._read(line, verify)
        if len(whole) < len(content):
            os.ftruncate(self._file, len(whole))
            os.fdatasync(self._file)

    def append(self, kind: str, body: dict[str, Any], *, now_ns: int) -> Entry:
        """Write a line and return when it is durable. Raises OSError, HsmError: then nothing may be told."""
        bare = Entry(self.count, now_ns, kind, body, self.head)
        entry = msgspec.structs.replace(bare, signature=self._sign(bare.digest).hex())
        os.write(self._file, msgspec.json.encode(entry, order="sorted") + b"\n")
        os.fdatasync(self._file)
        self._keep(entry)
        return entry

    def close(self) -> None:
        os.close(self._file)

    def _read(self, line: bytes, verify: Verify) -> None:
        try:
            entry = msgspec.json.decode(line, type=Entry)
            signature = bytes.fromhex(entry.signature)
        except (msgspec.MsgspecError, ValueError) as error:
            raise LogError(f"line {self.count + 1} of the log cannot be read: {error}") from error
        if entry.number != self.count or entry.previous != self.head:
            raise LogError(f"line {self.count + 1} of the log does not follow the one before it")
        if not verify(entry.digest, signature):
            raise LogError(f"line {self.count + 1} of the log is not signed as it must be")
        self._keep(entry)

    def _keep(self, entry: Entry) -> None:
        self.head, self.count = entry.digest.hex(), self.count + 1
        self._on_entry(entry)
