"""Draws every quorum again from the coordinator's log: what anybody can do who has the log and the charter."""

from pathlib import Path
from typing import Any

import msgspec

from ringfence.chained_log import Entry, LogError, entries_of
from ringfence.custody.cosigner.checks import RefusalError, randomness_of, sealed_of
from ringfence.custody.cosigner.config import Charter
from ringfence.custody.nomination import (
    HEIGHTS_AHEAD,
    Nomination,
    NominationError,
    Role,
    Roster,
    Signer,
    nominate,
    seated,
)
from ringfence.custody.quorum.messages import Contribution, SealedRecord
from ringfence.daemons.custody_founding import read_charter


class Redraw:
    """Draws each quorum of a coordinator's log again, line by line."""

    def __init__(self, charter: Charter) -> None:
        self._charter, self._roster = charter, charter.roster()
        self._sealed: dict[str, SealedRecord] = {}
        self._drawn: dict[str, Nomination] = {}
        self.rows: dict[str, dict[str, Any]] = {}
        """By batch: the draw as it is said, and as it comes out."""

    def take(self, entry: Entry) -> None:
        """Raises LogError if a draw is none."""
        try:
            self._look(entry)
        except RefusalError as error:
            raise LogError(f"line {entry.number + 1}: {error}") from error

    def _look(self, entry: Entry) -> None:
        if entry.kind == "sealed":
            self._sealed[entry.body["id"]] = msgspec.convert(entry.body["sealed"], SealedRecord)
        elif entry.kind == "drawn":
            record = self._sealed[entry.body["id"]]
            contributions = msgspec.convert(entry.body["contributions"], tuple[Contribution, ...])
            beacon = randomness_of(self._charter, sealed_of(record), entry.body["beacon"])
            self._drawn[entry.body["id"]] = nominate(
                self._roster, sealed_of(record), beacon=beacon, block_hash=bytes.fromhex(entry.body["block"]),
                revealed={one.signer: bytes.fromhex(one.contribution) for one in contributions},
                heights_ahead=min(record.height - record.sealed_height, HEIGHTS_AHEAD),
            )  # fmt: skip
            self.rows[entry.body["id"]] = {
                "batch": entry.body["id"], "sealedAt": record.sealed_height, "height": record.height,
                "block": entry.body["block"], "beaconRound": record.beacon_round,
            }  # fmt: skip
        if entry.kind in ("drawn", "substituted"):
            batch, quorum, late = (entry.body[name] for name in ("id", "quorum", "late"))
            again = list(seated(self._roster, self._drawn[batch], late, seats=len(quorum)))
            self.rows[batch] |= {"quorum": quorum, "late": late, "again": again, "agrees": quorum == again}


def drawn_again(directory: Path) -> list[dict[str, Any]]:
    """Return each nomination as it is said, and as it comes out. Raises LogError, FoundingError, OSError."""
    redraw = Redraw(read_charter(directory))
    # Read without opening it as a log: the coordinator may be in the middle of a line.
    for entry in entries_of((directory / "custody" / "coordinator" / "log.jsonl").read_bytes()):
        redraw.take(entry)
    return list(redraw.rows.values())


def drawn_from(published: dict[str, Any]) -> list[dict[str, Any]]:
    """Return each draw of a saved answer of `/custody/nominations`, drawn again from what stands in it alone.

    A draw in which a beacon took part is not known here: it needs the charter. Raises ValueError.
    """
    try:
        roster = Roster(
            tuple(
                Signer(one["name"], Role(one["role"]), one["identity"], one["organisation"], one["site"])
                for one in published["roster"]
            )
        )
        return [_drawn(roster, row) for row in published["nominations"]]
    except (
        KeyError,
        TypeError,
        AttributeError,
        msgspec.MsgspecError,
        RefusalError,
        NominationError,
    ) as error:
        raise ValueError(f"this is no answer of /custody/nominations, or a draw is none: {error}") from error


def _drawn(roster: Roster, row: dict[str, Any]) -> dict[str, Any]:
    sealed = sealed_of(msgspec.convert(row["sealed"], SealedRecord))
    if sealed.beacon_round:
        return {"batch": row["batch"], "quorum": row["quorum"], "again": None, "agrees": False}
    contributions = msgspec.convert(row["contributions"], tuple[Contribution, ...])
    drawn = nominate(
        roster, sealed, beacon=b"", block_hash=bytes.fromhex(row["block"]),
        revealed={one.signer: bytes.fromhex(one.contribution) for one in contributions},
        heights_ahead=min(sealed.height - sealed.sealed_height, HEIGHTS_AHEAD),
    )  # fmt: skip
    again = list(seated(roster, drawn, row["late"], seats=len(row["quorum"])))
    return {"batch": row["batch"], "quorum": row["quorum"], "again": again, "agrees": row["quorum"] == again}
