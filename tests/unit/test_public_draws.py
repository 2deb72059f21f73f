"""What is published of a draw is enough to draw it again, and nothing else passes for it."""

import copy
import hashlib
from typing import Any

import msgspec
import pytest

from ringfence.chained_log import GENESIS, Entry
from ringfence.custody.cosigner.checks import record_of
from ringfence.custody.nomination import Role, Roster, Signer, commitment_of, nominate, seal, substitute
from ringfence.daemons.coordinator_public import Draws
from ringfence.daemons.nominations import drawn_from

ROSTER = Roster(
    (
        Signer("ops-1", Role.OPERATIONS, "aa", "north", "a"), Signer("ops-2", Role.OPERATIONS, "bb", "south", "b"),
        Signer("ops-3", Role.OPERATIONS, "cc", "east", "c"), Signer("policy-1", Role.POLICY, "dd", "west", "d"),
        Signer("policy-2", Role.POLICY, "ee", "centre", "e"),
    )
)  # fmt: skip
SECRETS = {signer.name: hashlib.sha256(signer.name.encode()).digest() for signer in ROSTER.signers}
BLOCK = hashlib.sha256(b"block")


def published(batches: int = 1) -> dict[str, Any]:
    """What a coordinator publishes that has written these lines; in the last batch somebody let time pass."""
    draws = Draws()
    for number in range(batches):
        name = f"batch-{number}"
        commitments = {who: commitment_of(secret) for who, secret in SECRETS.items()}
        digest = hashlib.sha256(name.encode()).digest()
        sealed = seal(ROSTER, digest, tip=100, beacon_round=0, commitments=commitments)
        drawn = nominate(ROSTER, sealed, block_hash=BLOCK.digest(), beacon=b"", revealed=SECRETS)
        contributions = [
            {"type": "contribution", "signer": who, "contribution": secret.hex()}
            for who, secret in SECRETS.items()
        ]
        told = {
            "block": BLOCK.hexdigest(), "beacon": "", "quorum": list(drawn.quorum), "late": [],
            "contributions": contributions,
        }  # fmt: skip
        lines: list[tuple[str, dict[str, Any]]] = [
            ("sealed", {"sealed": msgspec.to_builtins(record_of(sealed)), "witnesses": []}), ("drawn", told),
        ]  # fmt: skip
        if number == batches - 1:
            late = [drawn.quorum[0]]
            lines.append(("substituted", {"quorum": list(substitute(ROSTER, drawn, late)), "late": late}))
        for kind, body in lines:
            draws.take(Entry(0, number, kind, {"id": name, **body}, GENESIS))
    roster = [one._asdict() for one in ROSTER.signers]
    said: dict[str, Any] = msgspec.json.decode(
        msgspec.json.encode({"roster": roster, "nominations": draws.newest_first()})
    )
    return said


def test_a_published_draw_is_drawn_again() -> None:
    rows = drawn_from(published(3))
    assert [row["batch"] for row in rows] == ["batch-2", "batch-1", "batch-0"]
    assert all(row["agrees"] for row in rows)


def test_the_newest_two_hundred_are_kept() -> None:
    rows = published(203)["nominations"]
    assert (len(rows), rows[0]["batch"], rows[-1]["batch"]) == (200, "batch-202", "batch-3")


@pytest.mark.parametrize("what", ["block", "quorum", "order", "late", "roster", "contribution", "commitment"])
def test_a_draw_that_somebody_changed_does_not_agree(what: str) -> None:
    said = published()
    row, before = said["nominations"][0], copy.deepcopy(said)
    if what == "block":
        row["block"] = hashlib.sha256(b"another").hexdigest()
    elif what == "quorum":
        row["quorum"][-1] = next(one for one in ("policy-1", "policy-2") if one not in row["quorum"])
    elif what == "order":
        row["quorum"].reverse()
    elif what == "late":
        row["late"] = []
    elif what == "roster":
        said["roster"][0]["identity"] = "ff"
    elif what == "contribution":
        row["contributions"][0]["contribution"] = "00" * 32
    else:
        row["sealed"]["commitments"][0][1] = "00" * 32
    assert said != before
    try:
        rows = drawn_from(said)
    except ValueError:
        return
    assert not all(one["agrees"] for one in rows)


@pytest.mark.parametrize(
    "said", [{}, [], {"roster": [], "nominations": [{}]}, {"roster": None, "nominations": None}]
)
def test_what_is_no_answer_is_said_to_be_none(said: Any) -> None:
    with pytest.raises(ValueError, match="no answer"):
        drawn_from(said)
