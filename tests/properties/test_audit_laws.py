"""Every law is silent about the truth, and finds each lie that it is there to find."""

from collections.abc import Iterator

import pytest

from ringfence.assurance.audit.law import STALE_NS, Fault, Law
from ringfence.assurance.audit.laws import LAWS
from ringfence.testing import drill
from ringfence.testing.judging import SHADOW, judge
from ringfence.testing.stretch import Stretch

CATALOGUE = {f"I{number:02}" for number in range(1, 29)}
ELSEWHERE = {"I23", "I24", "I25", "I26", "I28"}
"""They need addresses, wallets, policies and proofs, and come with those."""


@pytest.fixture(scope="module")
def stretches() -> Iterator[list[Stretch]]:
    made = drill.stretches()
    yield made
    for stretch in made:
        stretch.close()


@pytest.mark.parametrize("seed", range(6))
def test_no_law_is_broken_by_the_truth(seed: int) -> None:
    assert drill.false_halts([seed]) == []


@pytest.mark.parametrize(
    ("law", "fault"),
    [pytest.param(law, fault, id=f"{law.id} {fault.name}") for law in LAWS for fault in law.faults],
)
def test_a_law_finds_the_fault_that_it_is_there_for(
    law: type[Law], fault: Fault, stretches: list[Stretch]
) -> None:
    """Alone: no other law looks."""
    planted = drill.evidence_for(stretches, drill.Kind(fault.name, law.id, fault.plant), place=7)
    assert planted is not None, "there is nowhere to plant it: the stretches are too quiet"
    verdict = judge(planted[0], laws=[law])
    assert verdict is not None, f"{law.id} did not find: {fault.name}"
    assert {finding.law for finding in verdict.findings} == {law.id}
    for finding in verdict.findings:
        assert finding.expected != finding.found


@pytest.mark.parametrize("kind", drill.OTHERS, ids=lambda kind: kind.name)
def test_a_lie_that_is_no_laws_in_particular_is_found(kind: drill.Kind, stretches: list[Stretch]) -> None:
    assert all(case.detected for case in drill.run(stretches, kind, [3]))


def test_the_shadow_finds_what_is_not_what_the_rules_make_of_it(stretches: list[Stretch]) -> None:
    """A second judge of another kind: it knows no law, but what each event should have been."""
    shadows = drill.witnesses(stretches)
    for kind in drill.OTHERS[:3]:
        for case in drill.run(stretches, kind, [5], shadows):
            assert case.verdict is not None
            assert SHADOW in {finding.law for finding in case.verdict.findings}


def test_every_law_has_a_fault_a_time_and_a_sentence() -> None:
    assert len({law.id for law in LAWS}) == len(LAWS)
    for law in LAWS:
        assert law.faults, f"{law.id} catches nothing"
        assert law.when
        assert all(when in STALE_NS for when in law.when)
        assert law.says.endswith(".")


def test_every_law_of_the_catalogue_is_here_or_has_another_home() -> None:
    here = {law.id for law in LAWS if law.id.startswith("I")}
    assert here | ELSEWHERE == CATALOGUE
    assert not here & ELSEWHERE


def test_a_law_that_looks_is_looked_at_in_its_time() -> None:
    """What a law defines and what it says about when agree."""
    methods = {"cut": "CUT", "second": "SECOND", "sweep": "SWEEP", "chain": "CHAIN", "frame": "FRAME"}
    for law in LAWS:
        defined = {
            when for method, when in methods.items() if getattr(law, method) is not getattr(Law, method)
        }
        assert defined == {when.name for when in law.when if when.name in methods.values()}, law.id
