"""All nominees have said yes: from there to one signature, whoever is silent, lies, dies or waits too long."""

import json
import time
from pathlib import Path

import msgspec
import pytest

from ringfence.custody.cosigner.cosigner import CONSENT_MINUTES_MAX
from ringfence.custody.cosigner.mpc import FAILURES_MAX
from ringfence.custody.quorum.messages import Freeze, Join, JointSignature, Recall
from ringfence.custody.quorum.mpc.engine import Scheme
from ringfence.custody.quorum.mpc.keys import Order, Review, SignedOrder, What
from ringfence.custody.quorum.mpc.sessions import Sent
from ringfence.custody.quorum.wire import Asked, Told
from ringfence.testing.account_custody import (
    ETHEREUM,
    SOLANA,
    AccountCustody,
    Proposal,
    assert_refused,
)
from ringfence.testing.custody import Stopped
from ringfence.units.assets import ETH, SOL
from ringfence.units.time import NS_PER_MINUTE
from tests.custody_accounts.conftest import Found
from tests.custody_accounts.test_stories import ONE_ETH, ONE_SOL, SOLANA_STRANGER, STRANGER, swept


def with_sol(custody: AccountCustody) -> AccountCustody:
    custody.deposit(1, SOL, 5 * ONE_SOL)
    swept(custody, SOL, 1)
    return custody


def asked(custody: AccountCustody) -> int:
    return custody.ask_for(1, SOL, ONE_SOL, SOLANA_STRANGER, fee_max=10_000)


def signed_runs(custody: AccountCustody, subject: str) -> set[tuple[str, str]]:
    """Return which signatures of a transaction co-signers have written down, with who has."""
    found = set()
    for one in custody.cosigners.values():
        for line in (one.home / "log.jsonl").read_text().splitlines():
            entry = json.loads(line)
            if entry["kind"] == "mpc signed" and entry["body"]["subject"] == subject:
                found.add((one.name, entry["body"]["signature"]))
    return found


def test_a_yes_is_not_for_ever(found: Found) -> None:
    """Too old, halted, frozen, given back: each of them is a reason not to join, after the yes."""
    custody = with_sol(found(SOLANA))
    number = asked(custody)
    proposal = Proposal(custody, custody.intent(number))
    subject = proposal.agreed(proposal.honest())
    first = custody.cosigners[proposal.flow.quorum[0]]

    began_ns = custody.now_ns
    custody.now_ns += CONSENT_MINUTES_MAX * NS_PER_MINUTE + 1
    for told in proposal.join(subject, 1):
        assert assert_refused(told, "join", "too long ago").is_for_now
    custody.now_ns = began_ns - 1
    assert_refused(proposal.join(subject, 1)[0], "join", "too long ago")
    custody.now_ns = began_ns

    first.feed.ledger.halted_assets = frozenset({SOL.number})
    assert_refused(first.answer(Join(subject, 1)), "join", "withdrawals of LAMPORT are halted")
    first.feed.ledger.halted_assets = frozenset()
    first.feed.ledger.signers_halted = True
    assert_refused(first.answer(Join(subject, 1)), "frozen")
    first.feed.ledger.signers_halted = False
    first.sources.trouble = lambda: "a line of the feed is missing"
    assert_refused(first.answer(Join(subject, 1)), "sources", "is missing")
    first.sources.trouble = lambda: ""
    assert_refused(first.answer(Join(subject, 1), is_coordinator=False), "join", "not the coordinator")
    assert_refused(first.answer(Recall(subject)), "join", "nothing was signed")
    outsider = next(name for name in custody.cosigners if name not in proposal.flow.quorum)
    assert_refused(custody.cosigners[outsider].answer(Join(subject, 1)), "join", "has not said yes")

    custody.write("given up", {"id": proposal.flow.batch.id, "because": "a drill"})
    while (instruction := custody.next_instruction()) is not None:
        assert custody.exchange.take(instruction, now_ns=custody.now_ns)
        custody.feed.catch_up()
    assert custody.withdrawal(number).returned == ONE_SOL + 10_000
    for told in proposal.join(subject, 1):
        assert_refused(told, "join", "are not put aside any more")
    assert not signed_runs(custody, subject)


def test_a_yes_outlives_its_process_and_a_freeze_does_too(found: Found) -> None:
    custody = with_sol(found(SOLANA))
    proposal = Proposal(custody, custody.intent(asked(custody)))
    subject = proposal.agreed(proposal.honest())
    for one in custody.cosigners.values():
        one.restart()
    frozen = custody.cosigners[proposal.flow.quorum[0]]
    frozen.answer(Freeze("a drill"), is_coordinator=False)
    frozen.restart()
    assert_refused(frozen.answer(Join(subject, 1)), "frozen", "a drill")


@pytest.mark.parametrize("number", [1, 2])
def test_a_nominee_is_silent_in_the_run_and_the_next_one_works(found: Found, number: int) -> None:
    custody = with_sol(found(SOLANA, signing_seconds=2.0))
    withdrawal = asked(custody)
    first: list[Sent] = []

    def lose(sender: str, to: str, one: Sent) -> Sent | None:
        first[:] = first or [one]
        is_silent = (one.run, sender, one.round) == (first[0].run, first[0].sender, number)
        return None if is_silent else one

    custody.line = lose
    custody.until(lambda: bool((flow := custody.batches.flow_of(withdrawal)) and flow.joins))
    flow = custody.batches.flow_of(withdrawal)
    assert flow is not None
    assert f"nothing from {first[0].sender} in round {number} within 2 s" in flow.waiting_for
    assert not flow.attempts
    paid = custody.finish(withdrawal)
    assert flow.joins == 2
    assert len(flow.attempts) == 1
    assert paid.left == ONE_SOL + 5_000
    assert custody.solana.balance_lamports(SOLANA_STRANGER) == ONE_SOL


def silence(custody: AccountCustody, name: str, number: int) -> None:
    custody.line = lambda sender, to, one: None if sender == name and one.round == number else one


def test_who_is_silent_is_named_by_the_others_in_time(found: Found) -> None:
    custody = with_sol(found(SOLANA, signing_seconds=2.0))
    proposal = Proposal(custody, custody.intent(asked(custody)))
    subject = proposal.agreed(proposal.honest())
    cheat = proposal.flow.quorum[-1]
    silence(custody, cheat, 2)
    began = time.monotonic()
    for told in proposal.join(subject, 1)[:-1]:
        refusal = assert_refused(told, "mpc", f"nothing from {cheat} in round 2")
        assert refusal.is_for_now
    assert time.monotonic() - began < 10
    custody.line = lambda sender, to, one: one
    for told in proposal.join(subject, 1)[:-1]:  # the same run is never begun twice
        assert_refused(told, "mpc", "begun before")
    signatures = {one.signatures for one in proposal.join(subject, 2) if isinstance(one, JointSignature)}
    assert len(signatures) == 1


def test_three_of_four_sign_nothing(found: Found) -> None:
    custody = with_sol(found(SOLANA, signing_seconds=1.0))
    proposal = Proposal(custody, custody.intent(asked(custody)))
    subject = proposal.agreed(proposal.honest())
    *three, absent = proposal.flow.quorum
    for told in proposal.join(subject, 1, who=tuple(three)):
        assert_refused(told, "mpc", f"nothing from {absent} in round 1")
    assert not signed_runs(custody, subject)


def test_a_key_whose_runs_fail_rests_until_people_have_looked(
    found: Found, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    custody = with_sol(found(SOLANA))
    withdrawal = asked(custody)
    proposal = Proposal(custody, custody.intent(withdrawal))
    subject = proposal.agreed(proposal.honest())
    broken = tmp_path / "engine"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    with monkeypatch.context() as patched:
        patched.setenv("RINGFENCE_MPC", str(broken))
        for attempt in range(1, FAILURES_MAX + 1):
            for told in proposal.join(subject, attempt):
                assert_refused(told, "mpc", "the engine has died")
            custody.cosigners[proposal.flow.quorum[0]].restart()  # it is the log that counts
    for told in proposal.join(subject, FAILURES_MAX + 1):
        assert_refused(told, "mpc", f"{FAILURES_MAX} runs of solana have failed in a row")
    record = custody.hardware.keys[SOLANA]
    order = Order(
        What.REVIEW, record.name, Scheme.ED25519, record.epoch, record.threshold, record.parties, "", "review",
        custody.now_ns,
    )  # fmt: skip
    lonely = SignedOrder(order, custody.hardware.signatures(order.digest, by=("custody-anna",)))
    reviewed = SignedOrder(order, custody.hardware.signatures(order.digest))
    for name in proposal.flow.quorum:
        one = custody.cosigners[name]
        assert_refused(one.answer(Review(lonely), is_coordinator=False), "mpc", "people of different groups")
        one.answer(Review(reviewed), is_coordinator=False)
    answers = proposal.join(subject, FAILURES_MAX + 2)
    assert all(isinstance(one, JointSignature) for one in answers), answers


@pytest.mark.parametrize("dies_at", ["wrote joining", "write signed"])
def test_a_coordinator_that_lost_the_answer_gets_the_same_signature(found: Found, dies_at: str) -> None:
    custody = found(ETHEREUM)
    custody.deposit(1, ETH, 3 * 10**18)
    swept(custody, ETH, 1)
    number = custody.ask_for(1, ETH, ONE_ETH, STRANGER, fee_max=2_000_000)

    def die(what: str) -> None:
        if what == dies_at:
            raise Stopped

    custody.before_effect = die
    with pytest.raises(Stopped):
        custody.until(lambda: False)
    custody.before_effect = lambda what: None
    custody.start_coordinator()
    flow = custody.batches.flow_of(number)
    assert flow is not None
    assert flow.joins == 1
    assert not flow.attempts
    subject = custody.rails[ETHEREUM].subject(flow.unsigned)
    custody.finish(number)
    assert len({signature for _, signature in signed_runs(custody, subject)}) == 1
    assert custody.ethereum.balance_wei(STRANGER, "latest") == 10**18
    assert len(flow.attempts) <= 1


@pytest.mark.slow
def test_a_cosigner_that_makes_a_signature_up_stops_nobody(found: Found) -> None:
    """Not even if it was not drawn: everybody is asked what became of a run."""
    custody = with_sol(found(SOLANA, signing_seconds=2.0))
    number = asked(custody)
    custody.until(lambda: bool(custody.flows()[-1].sealed and custody.flows()[-1].witnesses))
    made_up = ((bytes(64).hex(), 0),)

    def lie(name: str, question: Asked, told: Told) -> Told:
        if isinstance(question, Recall) and name == "ops-1":
            return JointSignature(name, question.subject, made_up)
        return told

    custody.lie = lie
    lost: list[str] = []

    def lose_the_first(sender: str, to: str, one: Sent) -> Sent | None:
        lost[:] = lost or [one.run]
        return None if one.run == lost[0] else one

    custody.line = lose_the_first
    paid = custody.finish(number)
    assert paid.left == ONE_SOL + 5_000
    assert custody.solana.balance_lamports(SOLANA_STRANGER) == ONE_SOL


def test_what_a_nominee_says_before_the_others_is_not_believed(found: Found) -> None:
    """A joint signature that is none makes no transaction, and the true one is asked for again."""
    custody = with_sol(found(SOLANA))
    number = asked(custody)
    lies: list[str] = []

    def lie(name: str, question: Asked, told: Told) -> Told:
        if not isinstance(question, Join | Recall) or not isinstance(told, JointSignature):
            return told
        lies[:] = lies or [name]
        made_up = msgspec.structs.replace(told, signatures=((bytes(64).hex(), 0),))
        return made_up if name == lies[0] else told

    custody.lie = lie
    paid = custody.finish(number)
    assert lies
    assert paid.left == ONE_SOL + 5_000
    assert custody.solana.balance_lamports(SOLANA_STRANGER) == ONE_SOL
