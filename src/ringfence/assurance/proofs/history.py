"""Everything that was published, held together: files, headers, minutes, time stamps, and the minutes that were opened.

What a stranger needs from elsewhere is the hash or the header of a few blocks of Bitcoin; without them the answer says
what was not checked.
"""

import re
from collections.abc import Callable, Collection, Mapping
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from ringfence.assurance.proofs import index as signed_index
from ringfence.assurance.proofs import porl2, stamps
from ringfence.assurance.proofs.errors import ForgedError
from ringfence.assurance.proofs.header import Header, read_header
from ringfence.assurance.proofs.index import Index, SnapshotEntry, check_file, published_digest
from ringfence.assurance.proofs.minutes import SUFFIX, Minute, deciding_height, drawn, read_period
from ringfence.assurance.proofs.publication import MINUTES, listed_files

_PATIENCE_BLOCKS = 12
"""So many blocks after the draw its minutes should be there."""
_STAMP = re.compile(r"minutes/(\d{6})-(\d{8})\.ots")
_OPENING = re.compile(r"openings/(\d{6})/(\d{8})/([A-Za-z]+)\.porl2")


class Block(NamedTuple):
    """A block of Bitcoin, from somebody whom the reader trusts."""

    digest: str
    header: bytes


BlockAt = Callable[[int], Block | None]
"""Returns the block at a height, None if it is not known."""


class History(NamedTuple):
    """What was proven, in figures, and what was not looked at."""

    snapshots: int
    withheld: int
    files: int
    missing: tuple[str, ...]
    """Files that the index lists and that are not in the folder."""
    minutes: int
    first_minute: str
    last_minute: str
    uncovered: tuple[str, ...]
    """Lines of the chain at which coins, demo coins included, were less than what was owed."""
    stamps: int
    """Lines whose stamps were held against a block."""
    opened: int
    """Minutes that were opened, and are those that the block has drawn."""
    unknown: tuple[str, ...]
    """What needs a block that nobody gave."""


def verify_history(
    folder: Path, *, venue: bytes | None, block_at: BlockAt | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> History:  # fmt: skip
    """Check a folder of published files as a whole. Raises ProofError, OSError if the index cannot be read."""
    index, publisher = signed_index.decode((folder / signed_index.NAME).read_bytes(), venue=venue)
    content, missing = _read(folder, index, on_progress)
    headers = _check_headers(index, content)
    lines = _check_minutes(index, content, publisher, folder)
    stamped, unknown = _check_stamps(content, lines, block_at)
    opened, unopened = _check_openings(index, content, lines, headers, block_at)
    every = [one for _, some in sorted(lines.items()) for one in some]
    return History(
        snapshots=sum(one.withheld is None for one in index.snapshots),
        withheld=sum(one.withheld is not None for one in index.snapshots), files=len(content), missing=missing,
        minutes=len(every), first_minute=every[0].timestamp if every else "",
        last_minute=every[-1].timestamp if every else "", uncovered=_uncovered(index, every), stamps=stamped,
        opened=opened, unknown=(*unknown, *unopened),
    )  # fmt: skip


def _read(
    folder: Path, index: Index, on_progress: Callable[[int, int], None] | None
) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """Return the files that are there, each held against the index; large ones by their hash alone."""
    listed = listed_files(index)
    content: dict[str, bytes] = {}
    missing, done, total = [], 0, sum(one.bytes for one in listed.values())
    for name, entry in sorted(listed.items()):
        path = folder / name
        if not path.exists():
            missing.append(name)
        else:
            raw = path.read_bytes()
            check_file(listed, name, raw)
            # The files of a snapshot are for `verify liabilities`; what is needed here is small.
            is_needed = not re.match(r"\d{6}/", name) or name.endswith(".header")
            content[name] = raw if is_needed else b""
        done += entry.bytes
        if on_progress:
            on_progress(done, total)
    return content, tuple(missing)


def _check_headers(index: Index, content: Mapping[str, bytes]) -> dict[tuple[int, str], Header]:
    """Hold every header against the one before it of the same asset."""
    last: dict[str, str] = {}
    found: dict[tuple[int, str], Header] = {}
    before: SnapshotEntry | None = None
    for one in index.snapshots:
        if before is not None and (one.sequence < before.sequence or one.timestamp < before.timestamp):
            raise ForgedError(
                f"snapshot {one.snapshot} is of an earlier moment than snapshot {before.snapshot}"
            )
        before = one
        for currency, asset in sorted(one.assets.items()):
            expected = last.get(currency, "00" * 32)
            last[currency] = asset.header
            raw = content.get(f"{one.folder}/{currency}.header")
            if raw is None:
                continue
            header = read_header(raw)
            _check_header(one, currency, header, expected)
            found[one.snapshot, currency] = header
    return found


def _check_header(one: SnapshotEntry, currency: str, header: Header, previous: str) -> None:
    asset, cut, figures = one.assets[currency], header.cut, header.figures
    facts = (
        ("hash of the header", asset.header, header.digest.hex()), ("asset", currency, cut.asset),
        ("snapshot", str(one.snapshot), str(cut.snapshot)), ("total", asset.total, figures.total),
        ("sequence", str(one.sequence), str(cut.sequence)), ("time", one.timestamp, cut.timestamp),
        ("negative", asset.negative, figures.sums.negative), ("header before it", previous, figures.previous),
    )  # fmt: skip
    for what, expected, found in facts:
        if expected != found:
            raise ForgedError(f"snapshot {one.snapshot}, {currency}: the {what} is {found}, not {expected}")


def _check_minutes(
    index: Index, content: Mapping[str, bytes], publisher: bytes, folder: Path
) -> dict[int, list[Minute]]:
    """Return the lines of every period, chained from the first to the one that is being written."""
    names = {f"{MINUTES}/{path.name}" for path in (folder / MINUTES).glob(f"*{SUFFIX}")}
    found: dict[int, list[Minute]] = {}
    last: Minute | None = None
    for name in sorted(names):
        raw = content[name] if name in content else (folder / name).read_bytes()
        period = int(Path(name).stem)
        try:
            found[period] = list(read_period(raw, publisher, follows=last))
        except ForgedError as error:
            raise ForgedError(f"{name}: {error}") from error
        last = found[period][-1] if found[period] else last
        _check_published(index, period, found[period])
    return found


def _check_published(index: Index, period: int, lines: list[Minute]) -> None:
    """A period's lines name the snapshot that it follows: so the chain binds what was published."""
    snapshot = next((one for one in index.snapshots if one.snapshot == period), None)
    expected = published_digest(snapshot).hex()
    for line in lines:
        if line.published != expected:
            raise ForgedError(f"line {line.n} of the chain names another snapshot than number {period}")


def _check_stamps(
    content: Mapping[str, bytes], lines: Mapping[int, list[Minute]], block_at: BlockAt | None
) -> tuple[int, list[str]]:
    count, unknown = 0, []
    for name, raw in sorted(content.items()):
        matched = _STAMP.fullmatch(name)
        if matched is None:
            continue
        line = next((one for some in lines.values() for one in some if one.n == int(matched[2])), None)
        if line is None:
            raise ForgedError(f"{name}: the chain has no line {int(matched[2])}")
        try:
            attested = stamps.read_stamp(raw, line.digest)
            blocks = [(one, block_at(one.height) if block_at else None) for one in attested]
            known = [(one, block) for one, block in blocks if block is not None]
            for one, block in known:
                stamps.check_header(one, block.header)
        except ForgedError as error:
            raise ForgedError(f"{name}: {error}") from error
        count += bool(known)
        if not known:
            heights = ", ".join(str(one.height) for one in attested) or "no block yet"
            unknown.append(f"{name} rests on block {heights}")
    return count, unknown


def _check_openings(
    index: Index, content: Mapping[str, bytes], lines: Mapping[int, list[Minute]],
    headers: Mapping[tuple[int, str], Header], block_at: BlockAt | None,
) -> tuple[int, list[str]]:  # fmt: skip
    """Hold every opened minute against its line and against the draw, which says how many there must be."""
    opened: dict[int, dict[int, list[str]]] = {}
    for name in index.openings:
        matched = _OPENING.fullmatch(name)
        if matched is not None:
            opened.setdefault(int(matched[1]), {}).setdefault(int(matched[2]), []).append(name)
    unknown: list[str] = []
    for period, minutes in sorted(opened.items()):
        later = min((one for one in lines if one > period), default=None)
        height = deciding_height(lines[later]) if later is not None else None
        if height is None:
            raise ForgedError(f"period {period} was opened before it had ended")
        block = block_at(height) if block_at else None
        if block is None:
            unknown.append(f"the draw of period {period} rests on block {height}")
        else:
            wanted = {one.n for one in drawn(lines[period], bytes.fromhex(block.digest))}
            if wanted != set(minutes):
                raise ForgedError(
                    f"block {height} draws lines {sorted(wanted)} of period {period}, opened were {sorted(minutes)}"
                )
        for number, names in minutes.items():
            line = next((one for one in lines[period] if one.n == number), None)
            if line is None:
                raise ForgedError(f"period {period} has no line {number}, which was opened")
            for name in names:
                if name in content:
                    _check_opened(name, content[name], line)
    unknown += _overdue(lines, opened.keys(), block_at)
    return sum(len(one) for one in opened.values()), unknown


def _overdue(
    lines: Mapping[int, list[Minute]], opened: Collection[int], block_at: BlockAt | None
) -> list[str]:
    """Return the periods that should have been opened by now, by the blocks that the reader knows of."""
    found = []
    for period, after in pairwise(sorted(lines)):
        height = deciding_height(lines[after])
        if period not in opened and height is not None and block_at and block_at(height + _PATIENCE_BLOCKS):
            found.append(f"period {period} was not opened, though block {height} has drawn its minutes")
    return found


def _check_opened(name: str, raw: bytes, line: Minute) -> None:
    try:
        file = porl2.decode(raw)
    except ForgedError as error:
        raise ForgedError(f"{name}: {error}") from error
    cut, figures = file.header.cut, file.header.figures
    said = line.totals.get(cut.asset, ("0", "0", None))
    for what, committed, found in (
        ("sequence", str(line.sequence), str(cut.sequence)), ("state root", line.state_root, cut.state_root),
        ("total", said[0], figures.total), ("negative", said[1], figures.sums.negative),
    ):  # fmt: skip
        if committed != found:
            raise ForgedError(f"{name}: the {what} is {found}, committed to was {committed}")


def _uncovered(index: Index, lines: list[Minute]) -> tuple[str, ...]:
    """Return the lines at which there was less than what was owed, as far as the lines say.

    Demo coins are in no chain; how many there were at a line is what the newest snapshot before it says.
    """
    demo: dict[str, int] = {}
    found, snapshots = [], list(index.snapshots)
    for line in lines:
        while snapshots and snapshots[0].timestamp <= line.timestamp:
            demo = {currency: int(asset.demo) for currency, asset in snapshots.pop(0).assets.items()} or demo
        for currency, (total, negative, reserves) in line.totals.items():
            if reserves is None or currency not in demo:
                continue
            if int(reserves) + demo[currency] < int(total) - int(negative):
                found.append(
                    f"line {line.n}, {currency}: {reserves} + {demo[currency]} demo coins, owed {total}"
                )
    return tuple(found)


def check_extends(before: bytes, after: bytes, *, venue: bytes) -> None:
    """Raises ForgedError unless an index goes on where one that was seen before had ended.

    Two indices that both are signed and do not go on from each other show that the exchange tells two stories.
    """
    old, _ = signed_index.decode(before, venue=venue)
    new, _ = signed_index.decode(after, venue=venue)
    if new.snapshots[: len(old.snapshots)] != old.snapshots:
        raise ForgedError(
            "a snapshot that was listed before is gone or is another one: the exchange tells two stories"
        )
    for what, had, has in (("minutes", old.minutes, new.minutes), ("openings", old.openings, new.openings)):
        for name, entry in had.items():
            if has.get(name) != entry:
                raise ForgedError(
                    f"{name} ({what}) is gone or is another one: the exchange tells two stories"
                )
