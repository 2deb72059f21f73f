"""Draws every quorum again from the coordinator's log: what anybody can do who has the log and the charter."""

from pathlib import Path
from typing import Any

import msgspec

from ringfence.custody.chained_log import Entry, Log
from ringfence.custody.cosigner.checks import sealed_of
from ringfence.custody.nomination import nominate
from ringfence.custody.quorum.messages import Contribution, SealedRecord
from ringfence.daemons.custody_founding import read_charter


def drawn_again(directory: Path) -> list[dict[str, Any]]:
    """Return each nomination as it is said, and as it comes out. Raises LogError, FoundingError, OSError."""
    roster = read_charter(directory).roster()
    sealed: dict[str, SealedRecord] = {}
    rows: list[dict[str, Any]] = []

    def look(entry: Entry) -> None:
        if entry.kind == "sealed":
            sealed[entry.body["id"]] = msgspec.convert(entry.body["sealed"], SealedRecord)
        elif entry.kind == "drawn":
            record = sealed[entry.body["id"]]
            contributions = msgspec.convert(entry.body["contributions"], tuple[Contribution, ...])
            again = nominate(
                roster, sealed_of(record), beacon=b"", block_hash=bytes.fromhex(entry.body["block"]),
                revealed={one.signer: bytes.fromhex(one.contribution) for one in contributions},
            )  # fmt: skip
            quorum = list(entry.body["quorum"])
            rows.append(
                {"batch": entry.body["id"], "sealedAt": record.sealed_height, "height": record.height,
                 "block": entry.body["block"], "quorum": quorum, "again": list(again.quorum),
                 "agrees": quorum == list(again.quorum)}
            )  # fmt: skip

    Log(directory / "custody" / "coordinator" / "log.jsonl", on_entry=look).close()
    return rows
