"""What a process has decided, promised or signed: hash-chained lines, durable before anybody is told.

Where the lines are is `Lines`: a file, or a table of PostgreSQL (`ringfence.database.log_table`). The log is its
process's memory. It is read whole at the start: a line that a crash has cut short was told to nobody and is
dropped; any other line that does not check means that somebody was here. A co-signer's lines are signed by its HSM,
and a counter that only grows knows how many there are: whoever cuts off the end makes it forget nothing. The
coordinator, which holds no key, only chains its lines.
"""

import errno
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import msgspec

from ringfence.files import sync_directory

GENESIS = "0" * 64
Sign = Callable[[bytes], bytes]
Verify = Callable[[bytes, bytes], bool]


def unsigned(digest: bytes) -> bytes:
    return b""


def chained(digest: bytes, signature: bytes) -> bool:
    return signature == b""


class Counter(Protocol):
    """A number that only grows."""

    def value(self) -> int:
        """Raises CounterError."""
        ...

    def increment(self) -> int:
        """Return the new value, which is durable. Raises CounterError."""
        ...


class Lines(Protocol):
    """Where the lines of one log are."""

    def read(self) -> bytes:
        """Return the lines that are whole, each with its end, as they were written. Raises OSError."""
        ...

    def settle(self) -> None:
        """The lines were read and are right: what a crash has left behind them may go. Raises OSError."""
        ...

    def append(self, entry: "Entry", line: bytes) -> None:
        """Return when the line is durable. Raises OSError: `another_writer` if it does not follow the last one."""
        ...

    def close(self) -> None: ...


def another_writer() -> OSError:
    return OSError(
        errno.ESTALE,
        "another process has written to this log, and nothing was written. Stop one of the two and start again",
    )


class LogError(Exception):
    """The log is not what was written. Nothing goes on: people look at it first."""


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
        # Custody had the first of these logs, and its logs go on.
        return hashlib.sha256(b"ringfence custody log" + body).digest()


def entries_of(
    content: bytes, *, verify: Verify = chained, after: Entry | None = None
) -> Iterator[Entry]:  # fmt: skip
    """Check and yield the lines of a log, without touching it. A line that was cut short is left out.

    `after`: the content begins behind this line, which was checked before. Raises LogError at the first line that is
    not what was written.
    """
    head, first = (GENESIS, 0) if after is None else (after.digest.hex(), after.number + 1)
    for number, line in enumerate(whole_lines(content).splitlines(), first):
        try:
            entry = msgspec.json.decode(line, type=Entry)
            signature = bytes.fromhex(entry.signature)
        except (msgspec.MsgspecError, ValueError) as error:
            raise LogError(f"line {number + 1} of the log cannot be read: {error}") from error
        if entry.number != number or entry.previous != head:
            raise LogError(f"line {number + 1} of the log does not follow the one before it")
        if not verify(entry.digest, signature):
            raise LogError(f"line {number + 1} of the log is not signed as it must be")
        head = entry.digest.hex()
        yield entry


def whole_lines(content: bytes) -> bytes:
    """Return what of a log was written to the end of a line."""
    return content[: content.rfind(b"\n") + 1]


class FileLines:
    """The lines in a file, which grows at its end."""

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        self._path, self._size = path, 0
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        sync_directory(path.parent)

    def read(self) -> bytes:
        content = self._path.read_bytes()
        whole = whole_lines(content)
        self._size, self._is_torn = len(whole), len(whole) < len(content)
        return whole

    def settle(self) -> None:
        if self._is_torn:
            os.ftruncate(self._file, self._size)
            os.fdatasync(self._file)

    def append(self, entry: "Entry", line: bytes) -> None:
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            if os.fstat(self._file).st_size != self._size:
                raise another_writer()
            rest = memoryview(line)
            while rest:
                rest = rest[os.write(self._file, rest) :]
            os.fdatasync(self._file)
            self._size += len(line)
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        os.close(self._file)


class Log:
    """Append-only. `on_entry` is told of every line, those that were there at the start included.

    After a line that may not be on the disk nothing is appended any more (`is_broken`): what is true is read anew by
    the next start.
    """

    def __init__(
        self,
        lines: Lines | Path,
        *,
        on_entry: Callable[[Entry], None],
        sign: Sign = unsigned,
        verify: Verify = chained,
        counter: Counter | None = None,
    ) -> None:
        """Raises LogError, CounterError, OSError."""
        self._sign, self._on_entry, self._counter = sign, on_entry, counter
        self.head, self.count, self.is_broken = GENESIS, 0, False
        self._lines = FileLines(lines) if isinstance(lines, Path) else lines
        for entry in entries_of(self._lines.read(), verify=verify):
            self._keep(entry)
        self._check_count()
        self._lines.settle()

    def append(self, kind: str, body: dict[str, Any], *, now_ns: int) -> Entry:
        """Write a line and return when it is durable and counted.

        Raises OSError, HsmError, CounterError: then nothing may be told.
        """
        if self.is_broken:
            raise OSError(errno.EIO, "an earlier line may not be on the disk; start again")
        bare = Entry(self.count, now_ns, kind, body, self.head)
        entry = msgspec.structs.replace(bare, signature=self._sign(bare.digest).hex())
        self.is_broken = True
        self._lines.append(entry, msgspec.json.encode(entry, order="sorted") + b"\n")
        if self._counter is not None:
            self._counter.increment()
        self.is_broken = False
        self._keep(entry)
        return entry

    def close(self) -> None:
        self._lines.close()

    def _check_count(self) -> None:
        """Raises LogError if lines are gone that were told of; a line that was not counted yet is counted now."""
        if self._counter is None:
            return
        counted = self._counter.value()
        if counted > self.count:
            raise LogError(
                f"{counted} lines were written and {self.count} are there: somebody cut off the end"
            )
        while counted < self.count:
            counted = self._counter.increment()

    def _keep(self, entry: Entry) -> None:
        self.head, self.count = entry.digest.hex(), self.count + 1
        self._on_entry(entry)
