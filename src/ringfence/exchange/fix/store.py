"""What a session has said and heard, in one file: a process that is killed takes it up where it was.

    crc32 u4 | length u4 | kind u1 | body        once for each record

`S` begins a file; `O` is a message that was numbered, with the bytes if it can be sent again; `I` says which
number is expected next, with the order that came if one came; `L` and `D` are a logon and the end of it. A
record that is not whole ends the file: it was being written when the power or the process went.
"""

import os
import struct
import zlib
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from ringfence.files import replace, sync_directory

_HEAD = struct.Struct("<IIB")
_SPOT = struct.Struct("<H")
CLORDIDS_MAX = 200_000


class Asked(msgspec.Struct, frozen=True, array_like=True):
    """One order message that was sent to the core, in the client's words."""

    token: int
    kind: str
    clordid: str
    orig: str = ""
    symbol: str = ""
    side: str = ""
    qty: str = "0"
    order_id: str = ""
    extra: str = ""
    """MassCancelRequestType, OrdType."""


class Begun(msgspec.Struct, array_like=True):
    """The first record of a file."""

    account: int
    sender: str
    target: str
    position: int
    """The key of the last execution that is not this file's any more."""
    handles: list[int] = []
    waiting: list[Asked] = []
    logon_ns: int = 0


class Out(msgspec.Struct, array_like=True):
    """What is known of a message that was sent."""

    seq: int
    key: int = 0
    """Of the execution that it reports, 0 = of none."""
    handle: int = 0
    is_final: bool = False
    token: int = 0
    """Of the command that it answers, 0 = of none."""
    clordid: str = ""
    is_owned: bool = False
    orig: str = ""
    """The other name of the order, if it was named by two."""


class In(msgspec.Struct, array_like=True):
    next_in: int
    asked: Asked | None = None


class Logon(msgspec.Struct, array_like=True):
    sent_ns: int
    cancels: bool


Record = TypeVar("Record")


class StoreError(Exception):
    """A session's file cannot be used. Nothing was changed in it."""


def _record(kind: bytes, body: bytes) -> bytes:
    return _HEAD.pack(zlib.crc32(kind + body), len(body), kind[0]) + body


class Store:
    """One session's file. Numbers are of the messages that come next."""

    def __init__(self, path: Path, *, sync: bool) -> None:
        """Open what `create` has made, or a session that was there. Raises StoreError, OSError."""
        self.path, self._sync = path, sync
        self._buffer = bytearray()
        self.on_failure: Callable[[], None] = lambda: None
        """Hears that the file cannot be written: nothing may be noted after what is missing."""
        self._open()

    @classmethod
    def create(cls, path: Path, begun: Begun, *, sync: bool) -> "Store":
        replace(path, _record(b"S", msgspec.msgpack.encode(begun)))
        return cls(path, sync=sync)

    def _open(self) -> None:
        self._fd = os.open(self.path, os.O_RDWR)
        self.next_out = self.next_in = 1
        self.waiting: dict[int, Asked] = {}
        self.handles: set[int] = set()
        self.clordids: dict[str, int] = {}
        """ClOrdIDs that were used here: the number of the last report of each, 0 = none yet."""
        self.logon_ns, self.cancels = 0, False
        self._offsets = array("q")
        self._size = 0
        raw = self.path.read_bytes()
        for kind, body, offset in _records(raw):
            try:
                self._apply(kind, body, offset)
            except (msgspec.MsgspecError, AttributeError) as error:
                raise StoreError(f"{self.path.name} is no session file: {error}. Move it away.") from error
            self._size = offset + len(body)
        if not self._size:
            raise StoreError(f"{self.path.name} has no beginning. Move it away: its numbers begin anew.")
        if self._size < len(raw):
            os.ftruncate(self._fd, self._size)

    def _apply(self, kind: bytes, body: bytes, offset: int) -> None:
        if kind == b"S":
            begun = _decode(body, Begun)
            self.account, self.sender, self.target = begun.account, begun.sender, begun.target
            self.position, self.logon_ns = begun.position, begun.logon_ns
            self.handles = set(begun.handles)
            self.waiting = {asked.token: asked for asked in begun.waiting}
        elif kind == b"O":
            length = _SPOT.unpack_from(body)[0]
            meta = _decode(body[_SPOT.size :][:length], Out)
            has_bytes = len(body) > _SPOT.size + length
            self._note_out(
                meta, offset + _SPOT.size + length if has_bytes else -1, len(body) - _SPOT.size - length
            )
        elif kind == b"I":
            self._note_in(_decode(body, In))
        elif kind == b"L":
            logon = _decode(body, Logon)
            self.logon_ns, self.cancels = logon.sent_ns, logon.cancels
        elif kind == b"D":
            self.cancels = False

    # ---- what happened

    def _append(self, kind: bytes, body: bytes) -> int:
        """Add a record; return where its body will be."""
        self._buffer += _record(kind, body)
        offset = self._size + _HEAD.size
        self._size = offset + len(body)
        return offset

    def sent(self, meta: Out, raw: bytes = b"") -> None:
        """Note a message; with its bytes if it can be sent again."""
        known = msgspec.msgpack.encode(meta)
        offset = self._append(b"O", _SPOT.pack(len(known)) + known + raw)
        self._note_out(meta, offset + _SPOT.size + len(known) if raw else -1, len(raw))

    def _note_out(self, meta: Out, offset: int, length: int) -> None:
        while self.next_out < meta.seq:  # numbers that were skipped by a reset
            self._offsets.extend((-1, 0))
            self.next_out += 1
        self._offsets.extend((offset, length))
        self.next_out = meta.seq + 1
        self.position = max(self.position, meta.key)
        if meta.token:
            self.waiting.pop(meta.token, None)
        if meta.is_owned and not meta.is_final:
            self.handles.add(meta.handle)
        elif meta.is_final:
            self.handles.discard(meta.handle)
        for clordid in filter(None, (meta.clordid, meta.orig)):
            self._know(clordid, meta.seq)

    def heard(self, next_in: int, asked: Asked | None = None) -> None:
        record = In(next_in, asked)
        self._append(b"I", msgspec.msgpack.encode(record))
        self._note_in(record)

    def _note_in(self, record: In) -> None:
        self.next_in = record.next_in
        if record.asked is not None:
            self.waiting[record.asked.token] = record.asked
            self._know(record.asked.clordid, 0)

    def _know(self, clordid: str, seq: int) -> None:
        self.clordids[clordid] = seq or self.clordids.get(clordid, 0)
        if len(self.clordids) > CLORDIDS_MAX:
            del self.clordids[next(iter(self.clordids))]

    def logged_on(self, sent_ns: int, *, cancels: bool) -> None:
        self.logon_ns, self.cancels = sent_ns, cancels
        self._append(b"L", msgspec.msgpack.encode(Logon(sent_ns, cancels)))

    def cancelled(self) -> None:
        """Note that what a lost connection asks for is done."""
        self.cancels = False
        self._append(b"D", b"")

    def flush(self) -> None:
        """Make durable what was noted. Raises OSError."""
        if not self._buffer:
            return
        buffer, self._buffer = bytes(self._buffer), bytearray()
        at = self._size - len(buffer)
        done = 0
        try:
            while done < len(buffer):
                done += os.pwrite(self._fd, buffer[done:], at + done)
            if self._sync:
                os.fdatasync(self._fd)
        except OSError:
            self.on_failure()
            raise

    # ---- what was said

    def message(self, seq: int) -> bytes | None:
        """Return the bytes of a message, None if it is the session's own or there is none."""
        if not 0 < seq < self.next_out:
            return None
        offset, length = self._offsets[2 * seq - 2], self._offsets[2 * seq - 1]
        if offset < 0:
            return None
        self.flush()
        return os.pread(self._fd, length, offset)

    def reset(self, position: int) -> None:
        """Begin again at number 1. What is open and what waits for its outcome stays this session's."""
        begun = Begun(
            self.account, self.sender, self.target, position, sorted(self.handles), list(self.waiting.values()),
            self.logon_ns,
        )  # fmt: skip
        self._buffer.clear()
        os.close(self._fd)
        replace(self.path, _record(b"S", msgspec.msgpack.encode(begun)))
        sync_directory(self.path.parent)
        self._open()

    def close(self) -> None:
        self.flush()
        os.close(self._fd)


def _decode(body: bytes, kind: type[Record]) -> Record:
    return msgspec.msgpack.decode(body, type=kind)


def _records(raw: bytes) -> Iterator[tuple[bytes, bytes, int]]:
    """Yield kind, body and where the body is, of every whole record."""
    at = 0
    while at + _HEAD.size <= len(raw):
        digest, length, number = _HEAD.unpack_from(raw, at)
        kind, body = bytes((number,)), raw[at + _HEAD.size :][:length] if length < 1 << 20 else b""
        if len(body) != length or zlib.crc32(kind + body) != digest:
            return
        yield kind, body, at + _HEAD.size
        at += _HEAD.size + length
