"""A charter with a beacon: no quorum is drawn before its round, and nobody chooses what the round says."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from ringfence.custody.nomination import BEACON_SECONDS_AHEAD
from ringfence.custody.quorum.messages import Consider, Countersign, Part, Refusal, SealedRecord
from ringfence.testing.beacon import beacon_from, signature_of
from ringfence.testing.bitcoin import RunningNode
from ringfence.testing.custody import TO, Custody, Hardware
from ringfence.testing.thieves import XBT
from ringfence.units.time import NS_PER_SECOND

BEACON = beacon_from(1_000_000_000)


@pytest.fixture
def custody(tmp_path: Path, hardware: Hardware, node: RunningNode) -> Iterator[Custody]:
    made = Custody(tmp_path / "custody", hardware, node, beacon=BEACON)
    made.deposit(1, XBT // 2)
    made.exchange.ask(1, XBT // 10, 200_000, TO, now_ns=made.now_ns)
    yield made
    made.close()


def until_it_waits(custody: Custody) -> str:
    """Go on until the block that decides is there; return what the batch waits for."""
    custody.go_on(turns=5)
    (flow,) = custody.batches.flows.values()
    assert not flow.quorum
    return flow.waiting_for


def test_the_draw_waits_for_the_round_and_then_the_payment_goes(custody: Custody) -> None:
    assert "of the beacon" in until_it_waits(custody)
    custody.now_ns += (BEACON_SECONDS_AHEAD + 5) * NS_PER_SECOND
    custody.round_of = lambda number: ""
    assert "of the beacon" in until_it_waits(custody), "a server that has nothing is waited for"
    custody.round_of = signature_of
    custody.go_on()
    (flow,) = custody.batches.flows.values()
    assert flow.attempts, flow.given_up or flow.waiting_for
    assert flow.beacon == signature_of(flow.sealed.beacon_round if flow.sealed else 0)
    custody.start_coordinator()
    (again,) = custody.batches.flows.values()
    assert (again.beacon, again.quorum) == (flow.beacon, flow.quorum)


def considered(custody: Custody, **changes: str) -> list[object]:
    """Pay, while a dishonest coordinator changes what it puts before the co-signers; return their answers."""
    until_it_waits(custody)
    custody.now_ns += (BEACON_SECONDS_AHEAD + 5) * NS_PER_SECOND
    custody.change = lambda name, question: (
        msgspec.structs.replace(question, **changes) if isinstance(question, Consider) else question
    )
    custody.go_on(turns=4)
    return [answer for _, question, answer in custody.heard if isinstance(question, Consider)]


@pytest.mark.parametrize(
    "beacon", ["", "00" * 48, "zz", signature_of(5)], ids=["none", "zeros", "no hex", "another"]
)
def test_what_a_coordinator_brings_instead_of_the_round(custody: Custody, beacon: str) -> None:
    answers = considered(custody, beacon=beacon)
    assert answers
    assert all(isinstance(answer, Refusal) and answer.step == "nominated" for answer in answers), answers


def sealed_with(custody: Custody, number: int) -> list[object]:
    """Have a seal witnessed that names another round."""

    def change(name: str, question: object) -> object:
        if not isinstance(question, Countersign):
            return question
        record: SealedRecord = msgspec.structs.replace(question.sealed, beacon_round=number)
        return msgspec.structs.replace(question, sealed=record)

    custody.change = change  # type: ignore[assignment]
    custody.go_on(turns=3)
    return [answer for _, question, answer in custody.heard if isinstance(question, Countersign)]


@pytest.mark.parametrize("which", ["none", "known", "next", "far", "absurd"])
def test_a_seal_names_a_round_that_is_yet_to_come_and_not_for_long(custody: Custody, which: str) -> None:
    soon = BEACON.round_after(custody.now_ns)
    number = {"none": 0, "known": soon - 100, "next": soon, "far": soon + 10_000, "absurd": 2**63}[which]
    answers = sealed_with(custody, number)
    assert answers
    assert all(isinstance(answer, Refusal) for answer in answers), answers
    assert not [answer for _, _, answer in custody.heard if isinstance(answer, Part)]
