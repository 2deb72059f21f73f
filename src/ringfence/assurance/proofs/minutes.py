"""The chain of minutes: what everybody was owed, committed to before anybody knows which minutes will be opened.

Source: docs/reference/proofs.md, "The chain of minutes". One file a period, JSON a line, each line signed and naming
the one before it: a line cannot be changed later without changing all that follow, and some of those are in Bitcoin.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from ringfence.assurance.proofs.errors import ForgedError
from ringfence.assurance.proofs.hashes import NONE, canonical, named
from ringfence.assurance.proofs.publisher import Publisher, check_signature

SIGN = "porl2/minute"
OPENED = 3
"""So many minutes of a period are drawn."""
SUFFIX = ".jsonl"
HEIGHTS_AHEAD = 2
"""The block that draws is so many above the one that was known when the period had ended."""
Totals = tuple[str, str, str | None]
"""(owed to accounts and as fees, owed by accounts, reserves); reserves are null where nobody could ask the chain."""


class Minute(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """One line of the chain."""

    accounts: str
    because: str
    block_hash: str
    height: int
    n: int
    previous: str
    published: str
    sequence: int
    state_root: str
    timestamp: str
    totals: dict[str, Totals]

    @property
    def digest(self) -> bytes:
        """What the next line names as the one before it."""
        return named("porl2/link", canonical(self))


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    minute: str
    signature: str


class MinuteChain:
    """The one writer. It goes on after the last whole line; half a line was seen by nobody."""

    def __init__(self, folder: Path, publisher: Publisher) -> None:
        """Raises OSError, ForgedError if the last file is not ours."""
        self._folder, self._publisher = folder, publisher
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        self.last: Minute | None = None
        for path in sorted(folder.glob(f"*{SUFFIX}"))[-2:]:
            _cut_torn_line(path)
            lines = list(read_period(path.read_bytes(), publisher.public, follows=self.last))
            self.last = lines[-1] if lines else self.last

    def append(self, period: int, minute: Minute) -> Minute:
        """Number, chain, sign, write and sync a line of a period; return it as it was written. Raises OSError."""
        last = self.last
        chained = msgspec.structs.replace(
            minute, n=last.n + 1 if last else 0, previous=(last.digest if last else NONE).hex()
        )
        text = canonical(chained).decode()
        signature = self._publisher.sign(SIGN, text.encode()).hex()
        with open(self._folder / name_of(period), "ab") as file:
            file.write(msgspec.json.encode(_Line(text, signature)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self.last = chained
        return chained


def name_of(period: int) -> str:
    """Return what the file of a period is called, which is what its snapshot is called."""
    return f"{period:06d}{SUFFIX}"


def _cut_torn_line(path: Path) -> None:
    raw = path.read_bytes()
    whole = raw.rfind(b"\n") + 1
    if whole < len(raw):
        os.truncate(path, whole)


def read_period(raw: bytes, publisher: bytes, *, follows: Minute | None = None) -> Iterator[Minute]:
    """Yield the lines of a period, each checked. Raises ForgedError, which names the line.

    `follows`: the last line of the period before, if it is known; else the first is taken at its word.
    """
    previous = follows
    if raw and not raw.endswith(b"\n"):
        raise ForgedError(f"line {raw.count(10) + 1}: it is cut off")
    for number, line in enumerate(raw.splitlines(), 1):
        try:
            minute = _read_line(line, publisher)
            _check_follows(minute, previous)
        except ForgedError as error:
            raise ForgedError(f"line {number}: {error}") from error
        yield minute
        previous = minute


def lines_of(folder: Path, period: int, publisher: bytes) -> list[Minute]:
    """Return the lines of a period, each checked; none if it has no file. Raises ForgedError, OSError."""
    path = folder / name_of(period)
    return list(read_period(path.read_bytes(), publisher)) if path.exists() else []


def _read_line(raw: bytes, publisher: bytes) -> Minute:
    try:
        line = msgspec.json.decode(raw, type=_Line)
        minute = msgspec.json.decode(line.minute, type=Minute)
        signature = bytes.fromhex(line.signature)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ForgedError(f"this is no line of the chain: {error}") from error
    if canonical(minute).decode() != line.minute:
        raise ForgedError("the line is not in the one form it may have")
    check_signature(publisher, SIGN, line.minute.encode(), signature)
    return minute


def _check_follows(minute: Minute, previous: Minute | None) -> None:
    if previous is None:
        if minute.n == 0 and minute.previous != NONE.hex():
            raise ForgedError("the first line of all names one before it")
        return
    if minute.previous != previous.digest.hex() or minute.n != previous.n + 1:
        raise ForgedError(f"line {minute.n} of the chain does not follow line {previous.n}")
    if minute.sequence < previous.sequence or minute.timestamp < previous.timestamp:
        raise ForgedError(f"line {minute.n} of the chain is of an earlier moment than the one before")


def deciding_height(after: Sequence[Minute]) -> int | None:
    """Return the height of the block that draws, by the lines of the period after; None if that is not known."""
    return after[0].height + HEIGHTS_AHEAD if after and after[0].height else None


def drawn(minutes: Sequence[Minute], block_hash: bytes, *, count: int = OPENED) -> list[Minute]:
    """Return which minutes of a period a block opens, in the order of the draw, each once.

    `minutes`: every line of the period; those that a block caused are not drawn.
    """
    eligible = [one for one in minutes if one.because == "minute"]
    found: dict[int, Minute] = {}
    for index in range(count if eligible else 0):
        number = named("porl2/open", block_hash, index.to_bytes(4, "little"))
        one = eligible[int.from_bytes(number, "big") % len(eligible)]
        found.setdefault(one.n, one)
    return list(found.values())
