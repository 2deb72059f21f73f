"""New versions of the policy: who may bring them, from when on they count, and how a waiting one is stopped."""

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ringfence.chained_log import Entry
from ringfence.custody.cosigner.config import Charter, ConfigurationError, Person, PolicyDocument
from ringfence.custody.cosigner.policies import (
    Announced,
    Versions,
    announced_body,
    check_announced,
    read_announced,
    versions,
)
from ringfence.custody.demonstration import FIRST_POLICY
from ringfence.custody.policy import Policy
from ringfence.custody.policy.policy import NS_PER_HOUR
from ringfence.custody.quorum.messages import statement

KEYS = {
    name: Ed25519PrivateKey.from_private_bytes(name.encode().ljust(32)) for name in ("anna", "bert", "eve")
}
GROUPS = {"anna": "operations", "bert": "risk"}
PEOPLE = tuple(
    Person(name, group, KEYS[name].public_key().public_bytes_raw().hex()) for name, group in GROUPS.items()
)
START, DELAY = 10**18, FIRST_POLICY.change_delay_hours * NS_PER_HOUR


def document(policy: Policy, *by: str, announced_ns: int = START) -> PolicyDocument:
    digest = statement(b"policy", policy.digest, announced_ns)
    return PolicyDocument(policy, announced_ns, tuple((name, KEYS[name].sign(digest).hex()) for name in by))


def changed(version: int = 2, **figures: object) -> Policy:
    return msgspec.structs.replace(FIRST_POLICY, version=version, **figures)


CHARTER = Charter("regtest", (), PEOPLE, (), (document(FIRST_POLICY, "anna", "bert"),), 0, "")
LOOSER = changed(cap=FIRST_POLICY.cap + 1)
TIGHTER = changed(cap=1)


def at(now_ns: int, *announced: Announced) -> Versions:
    return versions(CHARTER, CHARTER.policy(now_ns=now_ns), list(announced), now_ns=now_ns)


def test_without_news_the_founders_version_is_in_force() -> None:
    assert at(START) == (FIRST_POLICY, None)


def test_what_loosens_waits_from_when_it_was_heard_of_whatever_date_is_written_below() -> None:
    heard = Announced(document(LOOSER, "anna", "bert", announced_ns=0), START)
    assert at(START + DELAY - 1, heard) == (FIRST_POLICY, heard)
    assert at(START + DELAY, heard) == (LOOSER, None)


def test_what_tightens_is_in_force_at_once_by_one_signature() -> None:
    assert at(START, Announced(document(TIGHTER, "anna"), START)) == (TIGHTER, None)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (document(LOOSER, "anna"), "two people"),
        (document(LOOSER, "anna", "anna"), "two people"),
        (document(TIGHTER), "nobody"),
        (document(TIGHTER, "eve"), "signature of eve"),
        (
            msgspec.structs.replace(document(LOOSER, "anna", "bert"), policy=changed(cap=10**12)),
            "signature",
        ),
        (document(changed(3, cap=1), "anna"), "cannot follow"),
        (document(changed(1, cap=1), "anna"), "cannot follow"),
        (document(changed(chain="main"), "anna", "bert"), "another chain"),
        (document(changed(tiers=()), "anna", "bert"), "first tier"),
    ],
)
def test_what_can_never_be_in_force_is_not_even_written_down(bad: PolicyDocument, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        check_announced(CHARTER, at(START), bad)


def test_one_person_stops_what_two_are_about_to_loosen() -> None:
    """The present numbers as the next version loosen nothing: they are in force at once, and the other is too late."""
    waiting = Announced(document(LOOSER, "anna", "bert"), START)
    stop = Announced(document(changed(), "bert"), START + DELAY - 1)
    assert at(START + 2 * DELAY, waiting, stop) == (changed(), None)
    with pytest.raises(ConfigurationError, match="cannot follow"):
        check_announced(CHARTER, at(START + 2 * DELAY, waiting, stop), waiting.document)


def test_it_is_too_late_to_stop_what_is_in_force() -> None:
    waiting = Announced(document(LOOSER, "anna", "bert"), START)
    late = Announced(document(changed(), "bert"), START + DELAY)
    assert at(START + 2 * DELAY, waiting, late) == (LOOSER, None)


def test_brought_again_it_waits_again() -> None:
    first = Announced(document(LOOSER, "anna", "bert"), START)
    again = Announced(document(LOOSER, "anna", "bert", announced_ns=START + 1), START + DELAY - 1)
    assert at(START + DELAY, first, again) == (FIRST_POLICY, again)


def test_versions_follow_one_another() -> None:
    third = changed(3, cap=1)
    heard = (
        Announced(document(LOOSER, "anna", "bert"), START),
        Announced(document(third, "anna"), START + DELAY),
    )
    assert at(START + DELAY, *heard) == (third, None)


def test_a_line_of_the_log_says_what_was_heard() -> None:
    said = document(LOOSER, "anna", "bert")
    entry = Entry(0, START, "announced", announced_body(said), "")
    assert read_announced(entry) == (said, START)
