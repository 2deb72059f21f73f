"""What people do at the console: passed on only if it is signed by who is signed in, and of what the feed says."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from ringfence.console import texts
from ringfence.console.sent import NotOursError, check_sent
from ringfence.custody.cosigner.config import PolicyDocument, veto_digest
from ringfence.custody.demonstration import PLACES
from ringfence.custody.intents import Intent
from ringfence.custody.quorum.messages import Announce, Freeze, SignedVeto, Thaw, statement
from ringfence.daemons import halts
from ringfence.daemons.admin import command, signed
from ringfence.messages.batch import OPERATOR, encode_data
from ringfence.messages.commands import Command
from ringfence.messages.halts import Reason
from ringfence.messages.records import COMMAND
from tests.unit.console_house import SEATS, VENUE, XBT, House, sign


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    found = await House(tmp_path).begin()
    yield found
    await found.end()


# ---- movements


async def test_an_approval_reaches_the_desk_as_it_was_signed(house: House) -> None:
    cookie, intent = await house.signed_in("anna"), house.wish(7, 20 * XBT)
    said = house.approval("anna", intent)
    assert (await house.post("approve", said, cookie)).status == 200
    (told,) = house.outside.told.desk
    assert told["ask"] == "approve"
    assert told["approval"]["signature"] == said["signature"]
    assert told["approval"]["approval"]["digest"] == intent.digest
    kinds = [(one.kind, one.body.get("seat")) for one in house.record.newest][-2:]
    assert kinds == [("approval", SEATS["anna"]), ("outcome", None)]


async def test_nothing_is_approved_that_is_not_signed_so(house: House) -> None:
    """Another's signature, another movement, one that is not there, one that was signed long ago or will be."""
    cookie, intent, other = await house.signed_in("anna"), house.wish(7, 20 * XBT), house.wish(8, 21 * XBT)
    said = house.approval("anna", intent)
    wrong: list[dict[str, Any]] = [
        house.approval("anna", intent, by="bert"), house.approval("bert", intent),
        {**said, "digest": other.digest}, {**said, "withdrawal": "8"}, {**said, "withdrawal": "9"},
        {**said, "at": str(house.now_ns - 1)}, {**said, "signature": "00" * 64}, {**said, "signature": "no"},
        {**said, "withdrawal": "-7"}, {**said, "withdrawal": "7 "}, {**said, "at": "9" * 30}, {**said, "more": 1},
    ]  # fmt: skip
    for one in wrong:
        assert (await house.post("approve", one, cookie)).status == 400, one
    house.now_ns += 121 * 10**9
    assert (await house.post("approve", said, cookie)).status == 400
    house.now_ns -= 242 * 10**9
    assert (await house.post("approve", said, cookie)).status == 400
    assert house.outside.told.desk == []


async def test_nothing_is_approved_by_what_the_feed_said_long_ago_but_it_may_be_stopped(house: House) -> None:
    anna, bert, intent = await house.signed_in("anna"), await house.signed_in("bert"), house.wish(7, 20 * XBT)
    house.sight.is_caught_up = False
    assert (await house.post("approve", house.approval("anna", intent), anna)).status == 400
    assert house.outside.told.desk == []
    assert (await house.post("veto", veto("bert", intent, "theft"), bert)).status == 200


async def test_who_lifts_halts_approves_nothing(house: House) -> None:
    cookie, intent = await house.signed_in("olga"), house.wish(7, 20 * XBT)
    assert (await house.post("approve", house.approval("anna", intent), cookie)).status == 400
    assert house.outside.told.desk == []


async def test_what_was_not_taken_is_told_and_written_down(house: House) -> None:
    cookie, intent = await house.signed_in("anna"), house.wish(7, 20 * XBT)
    house.outside.refuses = "the coordinator does not answer"
    reply = await house.post("approve", house.approval("anna", intent), cookie)
    assert (reply.status, reply.row["error"]["message"]) == (502, "the coordinator does not answer")
    assert list(house.record.newest)[-1].body == {
        "of": house.record.count - 2, "isDone": False, "said": "the coordinator does not answer",
    }  # fmt: skip


async def test_nothing_is_passed_on_that_cannot_be_written_down(house: House) -> None:
    cookie, intent = await house.signed_in("anna"), house.wish(7, 20 * XBT)
    house.record._log.is_broken = True
    assert (await house.post("approve", house.approval("anna", intent), cookie)).status == 503
    assert house.outside.told.desk == []


def veto(name: str, intent: Intent, because: str, by: str = "") -> dict[str, str]:
    bare = SignedVeto(name, intent.digest, because, "")
    signature = sign(by or name, veto_digest(bare))
    return {"withdrawal": intent.id, "digest": intent.digest, "because": because, "signature": signature}


async def test_one_person_stops_a_movement_and_says_why(house: House) -> None:
    cookie, intent = await house.signed_in("bert"), house.wish(7, 20 * XBT)
    said = veto("bert", intent, "theft")
    for changed in (
        {"because": "charity"},
        {"because": ""},
        {"because": "two\nlines"},
        {"because": "x" * 201},
    ):
        assert (await house.post("veto", {**said, **changed}, cookie)).status == 400, changed
    assert (await house.post("veto", veto("bert", intent, "theft", by="anna"), cookie)).status == 400
    assert house.outside.told.desk == []
    assert (await house.post("veto", said, cookie)).status == 200
    assert house.outside.told.desk[0]["veto"]["because"] == "theft"


# ---- co-signers


async def test_anybody_who_sits_here_freezes_with_a_reason_that_is_signed(house: House) -> None:
    cookie = await house.signed_in("rosa")
    at = str(house.now_ns)
    text = texts.freeze(venue=VENUE, seat=SEATS["rosa"], because="a drill", at_ns=house.now_ns)
    said = {"because": "a drill", "at": at, "signature": sign("rosa", text)}
    assert (await house.post("freeze", {**said, "because": "another"}, cookie)).status == 400
    assert (await house.post("freeze", {**said, "signature": sign("olga", text)}, cookie)).status == 400
    assert house.outside.told.signers == []
    assert (await house.post("freeze", said, cookie)).status == 200
    assert house.outside.told.signers == [(Freeze("rosa: a drill"), "")]


def thaw(name: str, line: str = "ef" * 32) -> dict[str, Any]:
    return {"signatures": [[signer, line, sign(name, statement(b"thaw", signer, line))] for signer in PLACES]}


async def test_two_of_different_groups_thaw(house: House) -> None:
    anna, bert, carl, olga = [await house.signed_in(name) for name in ("anna", "bert", "carl", "olga")]
    assert (await house.post("thaw", thaw("anna"), olga)).status == 400
    assert (await house.post("thaw", thaw("bert"), anna)).status == 400
    for name, cookie in (("anna", anna), ("anna", anna), ("carl", carl)):
        reply = await house.post("thaw", thaw(name), cookie)
        assert reply.row["said"] == "signed; somebody of another group signs too"
    assert house.outside.told.signers == []
    assert (await house.post("thaw", thaw("bert"), bert)).row["said"] == "5 co-signers go on"
    asked = [one for one, _ in house.outside.told.signers]
    assert len(asked) == 5
    assert all(isinstance(one, Thaw) and len(one.signatures) == 3 for one in asked)


# ---- halts


async def test_one_person_halts_and_is_named(house: House) -> None:
    cookie = await house.signed_in("bert")
    said = {"scope": "VENUE", "of": "", "cancelOnly": False, "because": "looks wrong"}
    assert (await house.post("halt", {**said, "scope": "EVERYTHING"}, cookie)).status == 400
    assert (await house.post("halt", {**said, "because": " "}, cookie)).status == 400
    assert (await house.post("halt", said, cookie)).status == 200
    ((what, (_, _, reason, _, operator)),) = house.outside.told.core
    assert (what, reason) == ("halt", Reason(by="bert", what="looks wrong"))
    assert operator == "custody/bert/risk at the custody console"


async def drafted(house: House, cookie: str) -> dict[str, Any]:
    house.halted()
    said = {"scope": "VENUE", "of": "", "funding": "PAY", "cause": "a drill"}
    row: dict[str, Any] = (await house.post("resume/draft", said, cookie)).row
    return row


def signature_of(name: str, draft: dict[str, Any]) -> dict[str, str]:
    return {"draft": draft["number"], "signature": sign(name, draft["body"]["text"].encode())}


async def test_two_people_of_different_roles_lift_a_halt(house: House) -> None:
    olga, rosa = [await house.signed_in(name) for name in ("olga", "rosa")]
    draft = await drafted(house, olga)
    assert f"venue: {VENUE}\nscope: VENUE\ntarget: 0\nhalt: 1000\nsequence: 2000\n" in draft["body"]["text"]
    assert (await house.post("resume/sign", signature_of("olga", draft), olga)).row["signedBy"] == [
        SEATS["olga"]
    ]
    assert (await house.post("resume/send", {"draft": draft["number"]}, olga)).status == 400
    assert house.outside.told.core == []
    assert (await house.post("resume/sign", signature_of("rosa", draft), rosa)).status == 200
    assert (await house.post("resume/send", {"draft": draft["number"]}, rosa)).row[
        "said"
    ] == "lifted at sequence 3000"
    ((what, (said, signatures, _)),) = house.outside.told.core
    assert (what, said.text) == ("resume", draft["body"]["text"])
    assert [(one.name, one.role) for one in signatures] == [("olga", "operations"), ("rosa", "risk")]
    assert (await house.post("resume/send", {"draft": draft["number"]}, rosa)).status == 400  # done is done


async def test_one_role_one_person_or_a_signer_of_coins_lifts_nothing(house: House) -> None:
    olga, otto, anna = [await house.signed_in(name) for name in ("olga", "otto", "anna")]
    draft = await drafted(house, olga)
    assert (await house.post("resume/sign", signature_of("olga", draft), olga)).status == 200
    for name, cookie in (("olga", olga), ("otto", otto), ("rosa", otto), ("anna", anna), ("rosa", anna)):
        reply = await house.post("resume/sign", signature_of(name, draft), cookie)
        assert reply.status == 400, (name, reply.raw)
    assert (await house.post("resume/send", {"draft": draft["number"]}, otto)).status == 400
    assert house.outside.told.core == []


async def test_a_refusal_of_the_core_leaves_the_signatures_for_another_try(house: House) -> None:
    olga, rosa = [await house.signed_in(name) for name in ("olga", "rosa")]
    draft = await drafted(house, olga)
    for name, cookie in (("olga", olga), ("rosa", rosa)):
        await house.post("resume/sign", signature_of(name, draft), cookie)
    house.outside.refuses = "the report of shadow is older than a minute"
    assert (await house.post("resume/send", {"draft": draft["number"]}, rosa)).status == 502
    row = (await house.get("halts", rosa)).row["drafts"][0]
    assert (row["isDone"], row["outcome"]) == (False, "the report of shadow is older than a minute")
    house.outside.refuses = ""
    assert (await house.post("resume/send", {"draft": draft["number"]}, rosa)).status == 200


async def test_no_resume_is_drafted_of_a_state_before_the_halt(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ringfence.console.deeds._ROOT_SECONDS", 0)
    olga = await house.signed_in("olga")
    house.halted(sequence=2_000)
    said = {"scope": "VENUE", "of": "", "funding": "PAY", "cause": "a drill"}
    assert (await house.post("resume/draft", said, olga)).status == 400
    house.outside.root = None
    assert (await house.post("resume/draft", said, olga)).status == 400


# ---- policies


async def test_a_version_is_drafted_signed_and_announced(house: House) -> None:
    anna = await house.signed_in("anna")
    said = {"chain": "regtest", "asset": "XBt", "figures": {"cap": 90 * XBT}}
    for figures in ({"version": 9}, {"nothing": 1}, {"cap": "much"}, {"cap": 100 * XBT}, {"chain": "main"}):
        assert (await house.post("policy/draft", {**said, "figures": figures}, anna)).status == 400, figures
    draft = (await house.post("policy/draft", said, anna)).row
    assert (draft["body"]["loosens"], draft["body"]["tightens"]) == ([], ["cap"])
    assert (await house.post("policy/announce", {"draft": draft["number"]}, anna)).status == 400
    digest = statement(b"policy", draft["body"]["digest"], house.now_ns)
    wrong = {"draft": draft["number"], "signature": sign("bert", digest)}
    assert (await house.post("policy/sign", wrong, anna)).status == 400
    right = {"draft": draft["number"], "signature": sign("anna", digest)}
    assert (await house.post("policy/sign", right, anna)).status == 200
    assert (await house.post("policy/announce", {"draft": draft["number"]}, anna)).status == 200
    (asked, _), (told,) = house.outside.told.signers[0], house.outside.told.desk
    assert isinstance(asked, Announce)
    document = msgspec.convert(told["document"], PolicyDocument)
    assert (document.policy.cap, document.policy.version) == (90 * XBT, 2)
    assert house.sight.charter.signed_policy(document).signers == (("anna", "operations"),)


# ---- the core


def test_the_console_sends_halts_and_resumes_and_nothing_else() -> None:
    halt = halts.halt(halts.VENUE, Reason(by="anna", what="a drill"))
    check_sent(halt)
    refused = 0
    for kind in Command:
        records = halt.copy()
        records[0]["kind"] = kind
        if kind == Command.HALT:
            continue
        with pytest.raises(NotOursError):
            check_sent(records)
        refused += 1
    assert refused == len(Command) - 1


def test_nothing_rides_along_with_a_halt() -> None:
    halt = halts.halt(halts.VENUE, Reason(by="anna", what="a drill"))
    deposit = command(Command.DEPOSIT, account=1, qty=1)
    more = np.frombuffer(encode_data([(OPERATOR, b"somebody")]), COMMAND)
    for records in (
        np.concatenate([halt, deposit]), np.concatenate([deposit, halt]), np.concatenate([halt, halt]),
        np.concatenate([halt, more]), halt[:1], halt[1:], halt[:0], signed(halt, operator="x", token=1),
    ):  # fmt: skip
        with pytest.raises(NotOursError):
            check_sent(records)
