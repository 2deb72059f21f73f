"""What a stranger can say of the reserves in a snapshot's folder, in sentences and one number.

Everything is checked that the folder and what was given beside it allow; what is left open is named, and then the
verdict is no success. Exit statuses are those of docs/reference/proofs.md.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ringfence.assurance.proofs.errors import Exit, ForgedError, InconclusiveError
from ringfence.assurance.proofs.reserves.bitmex import yaml_of
from ringfence.assurance.proofs.reserves.chain import Found
from ringfence.assurance.proofs.reserves.control import Controlled, Of, check_control
from ringfence.assurance.proofs.reserves.listing import ETH, SOL, XBT, Checked, OnProgress, check_listing

Look = Callable[[Checked], object]
"""Holds a list against a chain. Raises ForgedError, InconclusiveError."""


class Sources(NamedTuple):
    """What was given beside the folder; None where nothing was."""

    bitcoin: Callable[[Checked], Found] | None = None
    bitcoin_name: str = ""
    later_block: Callable[[int], str | None] | None = None
    """Return the hash of Bitcoin's block at a height, from a node."""
    ethereum: Look | None = None
    solana: Look | None = None


class Verdict(NamedTuple):
    exit: Exit
    why: str
    """In one sentence."""
    totals: dict[str, int]
    """In ledger units, as listed."""
    height: int
    block_hash: str
    proven: tuple[str, ...]
    open: tuple[str, ...]
    """What could be checked with more than was given: with any of it the verdict is inconclusive."""
    never: tuple[str, ...]
    """What no file and no chain can show."""


NEVER = (
    "Whether coins were borrowed for the day, pledged, or are owed for outside of the chains.",
    "Whether the five recovery keys of a vault, which move coins that lie still for half a year, are the exchange's.",
    "Whether the list was made before the block that draws was known: the chain of minutes and its stamps show that.",
)


def verify_folder(
    folder: Path, sources: Sources, *, venue: str | None = None, on_progress: OnProgress | None = None
) -> Verdict:
    """Check the reserves of a snapshot. Raises ForgedError, OSError."""
    raw = (folder / "reserves.json").read_bytes()
    checked = check_listing(raw, venue=venue, on_progress=on_progress)
    reserves = checked.reserves
    proven, left = [_of_list(checked)], list(checked.doubts)
    if (folder / "reserves.yaml").exists():
        if (folder / "reserves.yaml").read_bytes() != yaml_of(reserves):
            raise ForgedError("reserves.yaml does not say what reserves.json says")
        proven.append("reserves.yaml says the same of Bitcoin, for BitMEX's validator.")
    proven += _headers(folder, raw, left)
    _amounts(checked, sources, proven, left)
    _control(folder, raw, checked, sources, proven, left)
    totals = {currency: int(asset.total) for currency, asset in reserves.assets.items()}
    never = list(NEVER)
    if venue is None:
        left_venue = f"That {reserves.venue} is the exchange that you mean: give its key (--venue)."
        never.append(left_venue)
    verdict, why = Exit.PROVEN, "The coins are there, and their keys were in the exchange's hands."
    if left:
        verdict, why = Exit.INCONCLUSIVE, "Something that is needed was not given or could not be asked."
    if not any(totals.values()):
        verdict, why = Exit.DIFFERENT, "Nothing is listed."
    return Verdict(
        verdict, why, totals, reserves.height, reserves.block_hash, tuple(proven), tuple(left), tuple(never)
    )


def _of_list(checked: Checked) -> str:
    reserves = checked.reserves
    scripts = len(reserves.bitcoin.scripts) if reserves.bitcoin is not None else 0
    accounts = sum(len(one.accounts) for one in (reserves.ethereum, reserves.solana) if one is not None)
    return (
        f"{scripts:,} scripts and {accounts:,} addresses follow from descriptors and public keys; none is there twice, "
        "and the totals are their sums."
    )


def _headers(folder: Path, raw: bytes, left: list[str]) -> list[str]:
    """Hold the list against the headers of the liabilities beside it, which name it by its hash."""
    paths = sorted(folder.glob("*.header"))
    digest = hashlib.sha256(raw).hexdigest()
    for path in paths:
        try:
            said = json.loads(path.read_bytes().split(b"\n")[1])["reserves"]
        except (ValueError, LookupError, TypeError) as error:
            raise ForgedError(f"{path.name} is no header") from error
        if said != digest:
            raise ForgedError(f"{path.name} names another list of reserves: {said}")
    if paths:
        return [f"The headers of the liabilities ({', '.join(one.stem for one in paths)}) name this list."]
    left.append("Which liabilities the list stands against: no header (XBt.header) is in the folder.")
    return []


def _amounts(checked: Checked, sources: Sources, proven: list[str], left: list[str]) -> None:
    reserves = checked.reserves
    if reserves.bitcoin is not None and checked.scripts:
        if sources.bitcoin is None:
            left.append(
                f"{XBT}: amounts were not held against the chain: give a dump of its coins or a node."
            )
        else:
            try:
                found = sources.bitcoin(checked)
            except InconclusiveError as error:
                left.append(f"{XBT}: {error}.")
            else:
                proven.append(
                    f"{XBT}: {found.coins:,} coins are in {sources.bitcoin_name} at block {reserves.height}, "
                    f"{reserves.block_hash}, each with its amount."
                )
    if reserves.ethereum is not None:
        block = (
            f"block {reserves.ethereum.height} of {reserves.ethereum.chain}, 0x{reserves.ethereum.block_hash}"
        )
        proven.append(f"{ETH} and its tokens: every balance follows from the state root in {block}.")
        _look(
            sources.ethereum,
            checked,
            proven,
            left,
            f"{ETH}: the node has {block}.",
            f"{ETH}: whether {block}, is",
        )
    if reserves.solana is not None and reserves.solana.accounts:
        said = f"{SOL}: the node says that as much as counts lies at these addresses now."
        _look(sources.solana, checked, proven, left, said, f"{SOL}: whether the amounts are")


def _look(
    look: Look | None, checked: Checked, proven: list[str], left: list[str], said: str, unsaid: str
) -> None:
    if look is None:
        left.append(f"{unsaid} in the chain: no node of it was given.")
        return
    try:
        look(checked)
    except InconclusiveError as error:
        left.append(f"{unsaid} in the chain: {error}.")
    else:
        proven.append(said)


def _control(
    folder: Path, raw: bytes, checked: Checked, sources: Sources, proven: list[str], left: list[str]
) -> None:
    path = folder / "control.json"
    if not path.exists():
        left.append("Control: there is no control.json.")
        return
    found = check_control(path.read_bytes(), checked, raw, snapshot_roots=_published(folder, checked))
    left += [f"Control is not shown: {one}." for one in found.uncovered]
    if not found.control.proofs:
        return
    block = found.control.block
    proven.append(
        f"Control: shown after block {block.height}, {block.hash}, which comes "
        f"{block.height - checked.reserves.height} after the list's by the headers in between."
    )
    proven += [_of_proof(found, one.of, one.asset) for one in found.control.proofs]
    if sources.later_block is not None and sources.later_block(block.height) != block.hash:
        raise ForgedError(f"control.json: block {block.height} of the chain is another than {block.hash}")


def _of_proof(found: Controlled, of: Of, asset: str) -> str:
    if of != Of.SCRIPTS:
        return f"{asset}: the {of} key that everything of it lies under has signed for this block."
    if len(found.drawn) == found.of:
        return f"{asset}: one key of policy and two of operations have signed for each of {found.of} coins."
    return (
        f"{asset}: the block drew {len(found.drawn)} of {found.of:,} coins by value, and one key of policy and two of "
        "operations have signed for each. If keys of 5 % of the value were lost, 64 draws would miss it with 3.8 %; "
        "of 10 %, with 0.12 %."
    )


def _published(folder: Path, checked: Checked) -> dict[str, str] | None:
    """Return the roots of the snapshot as the index beside the folder names them; its signature is not checked here."""
    path = folder.parent / "index.json"
    if not path.exists():
        return None
    try:
        index = json.loads(json.loads(path.read_bytes())["index"])
        row = next(one for one in index["snapshots"] if one["snapshot"] == checked.reserves.snapshot)
        return {asset: str(one["snapshotRoot"]) for asset, one in row["assets"].items()}
    except StopIteration:
        return None
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ForgedError("index.json is no index of snapshots") from error
