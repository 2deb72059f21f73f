"""A client who looks again and again: is what was published before still there, and is my balance in what is new?"""

import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from ringfence.assurance.proofs import index as signed_index
from ringfence.assurance.proofs.errors import InconclusiveError, ProofError
from ringfence.assurance.proofs.hashes import digest
from ringfence.assurance.proofs.header import read_header
from ringfence.assurance.proofs.history import check_extends
from ringfence.assurance.proofs.index import check_file
from ringfence.assurance.proofs.porl2 import SHARD_BYTES, leaves_begin
from ringfence.assurance.proofs.tree import SHARD_LEVEL
from ringfence.assurance.proofs.verify import Claimant, Verdict, verify_porl2, verify_shards
from ringfence.files import replace

Fetch = Callable[[str], bytes]
FetchPart = Callable[[str, int, int], bytes]
"""Returns `length` bytes of a file from an offset on."""


class Seen(NamedTuple):
    """What a look has found. Amounts in ledger units."""

    snapshot: int
    total: int
    mine: int | None
    what: str
    """`new`, or `nothing new`."""


class _State(msgspec.Struct, frozen=True):
    snapshot: int
    total: int
    mine: int | None


def look(
    url: str, state: Path, *, venue: bytes, currency: str, claimant: Claimant | None, fetch: Fetch
) -> Seen:
    """Fetch the index and, if there is a new snapshot, its file; check both against what was seen before.

    Raises ProofError, with the evidence kept in `state`; OSError, ValueError if nothing could be fetched.
    """
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    base = url.rstrip("/").removesuffix(f"/{signed_index.NAME}")
    raw = fetch(f"{base}/{signed_index.NAME}")
    kept = state / signed_index.NAME
    try:
        index, _ = signed_index.decode(raw, venue=venue)
        if kept.exists():
            check_extends(kept.read_bytes(), raw, venue=venue)
    except ProofError as error:
        _keep_evidence(state, error, {"index.json": raw})
        raise
    newest = index.newest()
    if newest is None or currency not in newest.assets:
        raise InconclusiveError(f"no snapshot of {currency} was published yet")
    before = _read(state / f"{currency}.seen.json")
    if before is not None and before.snapshot == newest.snapshot:
        replace(kept, raw)
        return Seen(before.snapshot, before.total, before.mine, "nothing new")
    name = f"{currency}.porl2"
    file = fetch(f"{base}/{newest.folder}/{name}")
    try:
        check_file(newest.files, name, file)
        verdict = verify_porl2(file, claimant, venue=venue)
    except ProofError as error:
        _keep_evidence(state, error, {"index.json": raw, name: file})
        raise
    replace(kept, raw)
    replace(
        state / f"{currency}.seen.json",
        msgspec.json.encode(_State(newest.snapshot, verdict.total, verdict.mine)),
    )
    return Seen(newest.snapshot, verdict.total, verdict.mine, "new")


def look_at_shards(
    url: str, leaves: Sequence[int], *, venue: bytes, currency: str, claimant: Claimant, others: int, fetch: Fetch,
    fetch_part: FetchPart,
) -> Verdict:  # fmt: skip
    """Fetch the shards that hold some leaves, and others among them. Raises ProofError, OSError, ValueError."""
    base = url.rstrip("/").removesuffix(f"/{signed_index.NAME}")
    index, _ = signed_index.decode(fetch(f"{base}/{signed_index.NAME}"), venue=venue)
    newest = index.newest()
    if newest is None or currency not in newest.assets:
        raise InconclusiveError(f"no snapshot of {currency} was published yet")
    small = {}
    for name in (f"{currency}.header", f"{currency}.top"):
        small[name] = fetch(f"{base}/{newest.folder}/{name}")
        check_file(newest.files, name, small[name])
    header, top = read_header(small[f"{currency}.header"]), small[f"{currency}.top"]
    count = header.figures.leaves >> SHARD_LEVEL
    wanted = {at >> SHARD_LEVEL for at in leaves}
    if not count or not wanted <= set(range(count)):
        raise InconclusiveError(f"the file has {count} shards, and not all that were asked for")
    rest = sorted(set(range(count)) - wanted)
    chosen = [*wanted, *random.SystemRandom().sample(rest, min(others, len(rest)))]
    file, begin = f"{base}/{newest.folder}/{currency}.porl2", leaves_begin(header)
    shards = {
        number: fetch_part(file, begin + number * SHARD_BYTES, SHARD_BYTES)
        for number in random.SystemRandom().sample(chosen, len(chosen))
    }
    return verify_shards(header, top, newest.assets[currency].snapshot_root, shards, claimant)


def _read(path: Path) -> _State | None:
    return msgspec.json.decode(path.read_bytes(), type=_State) if path.exists() else None


def _keep_evidence(state: Path, error: ProofError, files: dict[str, bytes]) -> None:
    """Keep what was signed and does not hold: whoever has these files can show anybody else the same."""
    folder = state / f"evidence-{time.time_ns()}"
    folder.mkdir(mode=0o700)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    said = {
        "found": str(error), "kind": type(error).__name__, "at": time.time_ns(),
        "files": {name: digest(content).hex() for name, content in files.items()},
    }  # fmt: skip
    replace(folder / "complaint.json", msgspec.json.format(msgspec.json.encode(said)))
