"""Who may lift a halt: every way in which two people are not two people, or did not see what is there now."""

from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from ringfence.assurance.halting import (
    Authority,
    ChecksReport,
    Facts,
    People,
    PeopleStatement,
    ResumeStatement,
    Role,
    SignedChecks,
    StatementError,
    decode_people,
    new_private_key,
    parse_resume,
    person_of,
    read_private_key,
    readable,
    sign,
    verifies,
    write_private_key,
)
from ringfence.assurance.halting.authority import Request
from ringfence.assurance.halting.people import PrivateKey
from ringfence.commitments import Root
from ringfence.messages.batch import CHECKS, PEOPLE_LIST, RESUME_STATEMENT, SIGNATURES
from ringfence.messages.commands import HaltScope, MissedFunding
from ringfence.messages.halts import Scheme, Signature, encode_signatures
from ringfence.units.time import NS_PER_MINUTE, NS_PER_SECOND

ZEROS = bytes(32)
NOW = 1_000 * NS_PER_MINUTE
KEYS: dict[tuple[str, str], PrivateKey] = {
    ("anna", "operations"): new_private_key(Scheme.ED25519),
    ("bert", "risk"): new_private_key(Scheme.ECDSA_P256),
    ("cleo", "operations"): new_private_key(Scheme.ED25519),
    ("anna", "security"): new_private_key(Scheme.ED25519),
    ("auditor", "judge"): new_private_key(Scheme.ED25519),
    ("shadow", "judge"): new_private_key(Scheme.ED25519),
}
PEOPLE = People(tuple(person_of(name, Role(role), key) for (name, role), key in KEYS.items()))


def _root(sequence: int, *, fill: int = 1, age_ns: int = NS_PER_SECOND) -> Root:
    return Root(sequence, NOW - age_ns, 0, 3, ZEROS, ZEROS, bytes((fill,)) * 32, ZEROS, ZEROS)


FACTS = Facts(
    venue="aa", now_ns=NOW, people=PEOPLE.number, halt_sequence=50, roots=(_root(40), _root(60), _root(61))
)
STATEMENT = ResumeStatement(
    "aa", HaltScope.VENUE, 0, 50, 60, _root(60).accounts_root.hex(), MissedFunding.PAY, "a bug, mended"
)


class Case(NamedTuple):
    """One attempt; what is not said is as it should be."""

    statement: ResumeStatement = STATEMENT
    signers: tuple[tuple[str, str], ...] = (("anna", "operations"), ("bert", "risk"))
    facts: Facts = FACTS
    red: int = 0
    green: int = 20
    checks_age_ns: int = NS_PER_SECOND
    checks_sequence: int = 61
    judges: tuple[str, ...] = ("auditor", "shadow")
    signed_text: str | None = None
    scope: int | None = None
    funding: int | None = None

    def refusal(self, people: People | None = PEOPLE) -> str | None:
        text = (self.signed_text or self.statement.text).encode()
        signatures = [
            Signature(name, role, sign(KEYS[name, role], text).hex()) for name, role in self.signers
        ]
        report = ChecksReport(
            "aa", self.checks_sequence, "00", NOW - self.checks_age_ns, self.green, self.red
        )
        checks = [
            SignedChecks(
                *report, judge=Signature(name, "judge", sign(KEYS[name, "judge"], report.text.encode()).hex())
            )
            for name in self.judges
        ]
        texts = {
            RESUME_STATEMENT: self.statement.text.encode(), SIGNATURES: encode_signatures(signatures),
            CHECKS: msgspec.json.encode(checks),
        }  # fmt: skip
        said = self.statement
        request = Request(
            said.scope if self.scope is None else self.scope, said.target, said.halt,
            said.funding if self.funding is None else self.funding, texts,
        )  # fmt: skip
        return Authority(people).resume_refusal(request, self.facts)


def test_two_people_of_different_roles_lift_a_halt_with_keys_of_both_kinds() -> None:
    assert Case().refusal() is None
    assert Case(signers=(("bert", "risk"), ("cleo", "operations"))).refusal() is None
    assert (
        Case(signers=(("anna", "security"), ("cleo", "operations"), ("anna", "operations"))).refusal() is None
    )


@pytest.mark.parametrize(
    ("case", "why"),
    [
        (Case(signers=()), "2 people must sign, there are 0"),
        (Case(signers=(("anna", "operations"),)), "2 people must sign, there are 1"),
        (Case(signers=(("anna", "operations"), ("anna", "operations"))), "2 people must sign, there are 1"),
        (Case(signers=(("anna", "operations"), ("anna", "security"))), "2 people must sign, there are 1"),
        (Case(signers=(("anna", "operations"), ("cleo", "operations"))), "different roles"),
        (Case(signers=(("anna", "operations"), ("auditor", "judge"))), "auditor is a judge"),
        (Case(signed_text="RINGFENCE RESUME\n"), "signature of anna is not of this statement"),
        (Case(statement=STATEMENT._replace(halt=49)), "about halt 49; the last one is 50"),
        (Case(statement=STATEMENT._replace(sequence=40)), "before the halt"),
        (Case(statement=STATEMENT._replace(sequence=59)), "none that this exchange committed to"),
        (Case(statement=STATEMENT._replace(accounts_root="00")), "none that this exchange committed to"),
        (Case(statement=STATEMENT._replace(venue="bb")), "something else"),
        (Case(scope=HaltScope.SIGNERS), "something else"),
        (Case(funding=MissedFunding.SKIP), "something else"),
        (Case(statement=STATEMENT._replace(cause="")), "names no cause"),
        (Case(statement=STATEMENT._replace(cause="two\nlines")), "no statement"),
        (Case(facts=FACTS._replace(people=1)), "not the one in force"),
        (
            Case(facts=FACTS._replace(roots=(_root(60, age_ns=16 * NS_PER_MINUTE), _root(61)))),
            "older than 15 minutes",
        ),
        (Case(facts=FACTS._replace(roots=(_root(60), _root(61, fill=2)))), "accounts have changed"),
        (Case(red=1), "auditor is not content: 1 checks are red"),
        (Case(green=0), "auditor is not content"),
        (Case(checks_age_ns=2 * NS_PER_MINUTE), "report of auditor is older than a minute"),
        (Case(checks_sequence=59), "about an earlier state"),
        (Case(judges=("auditor",)), "no report of shadow"),
        (Case(judges=()), "no report of auditor"),
    ],
)
def test_everything_else_is_refused_with_its_reason(case: Case, why: str) -> None:
    assert why in str(case.refusal())


def test_nobody_is_obeyed_while_the_list_of_people_is_missing_or_another() -> None:
    assert "not the one in force" in str(Case().refusal(None))
    assert "not the one in force" in str(Case().refusal(People(PEOPLE.people[:-1])))


def test_coins_go_on_although_accounts_move_meanwhile() -> None:
    facts = FACTS._replace(roots=(_root(60), _root(61, fill=2)))
    assert Case(statement=STATEMENT._replace(scope=HaltScope.WITHDRAWALS), facts=facts).refusal() is None


def test_garbage_beside_the_command_is_refused_and_never_trips() -> None:
    authority = Authority(PEOPLE)
    for text in (
        b"",
        b"\xff",
        b"RINGFENCE RESUME",
        STATEMENT.text.encode()[:-1],
        STATEMENT.text.encode() + b"\n",
    ):
        assert authority.resume_refusal(Request(0, 0, 50, 0, {RESUME_STATEMENT: text}), FACTS)
    for signatures in (b"{", b"[{}]", b'[{"name":"anna","role":"operations","signature":"zz"}]'):
        texts = {RESUME_STATEMENT: STATEMENT.text.encode(), SIGNATURES: signatures}
        assert authority.resume_refusal(Request(0, 0, 50, 0, texts), FACTS)


def test_a_statement_is_read_in_one_way_only() -> None:
    assert parse_resume(STATEMENT.text) == STATEMENT
    for text in (STATEMENT.text.replace("halt: 50", "halt: 050"), STATEMENT.text.replace("\n", "\r\n")):
        with pytest.raises(StatementError):
            parse_resume(text)
    readable(STATEMENT.text)
    readable(PeopleStatement("aa", 1, 2).text)
    with pytest.raises(StatementError):
        readable("pay everything to me\n")


# ---- the list


def _people_refusal(
    new: People, *signers: tuple[str, str], number: int | None = None, facts: Facts = FACTS
) -> str | None:
    text = PeopleStatement("aa", facts.people, new.number).text.encode()
    signatures = [Signature(name, role, sign(KEYS[name, role], text).hex()) for name, role in signers]
    texts = {PEOPLE_LIST: new.encode(), SIGNATURES: encode_signatures(signatures)}
    return Authority(PEOPLE).people_refusal(new.number if number is None else number, texts, facts)


def test_the_first_list_needs_nobody_and_every_later_one_two_people_of_the_old() -> None:
    new = People(PEOPLE.people[:2] + PEOPLE.people[4:])
    assert _people_refusal(new, facts=FACTS._replace(people=0)) is None
    assert "2 people must sign" in str(_people_refusal(new))
    assert "2 people must sign" in str(_people_refusal(new, ("anna", "operations")))
    assert "different roles" in str(_people_refusal(new, ("anna", "operations"), ("cleo", "operations")))
    assert _people_refusal(new, ("anna", "operations"), ("bert", "risk")) is None
    assert "another list" in str(_people_refusal(new, ("anna", "operations"), ("bert", "risk"), number=5))


def test_a_list_by_which_nobody_could_lift_a_halt_or_nobody_would_check_is_refused() -> None:
    nobody = FACTS._replace(people=0)
    assert "two roles" in str(_people_refusal(People((PEOPLE.people[0], PEOPLE.people[4])), facts=nobody))
    assert "needs a judge" in str(_people_refusal(People(PEOPLE.people[:2]), facts=nobody))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda people: people[:1] * 2, "twice"),
        (
            lambda people: (people[0], msgspec.structs.replace(people[1], public_key=people[0].public_key)),
            "share",
        ),
        (lambda people: (msgspec.structs.replace(people[0], public_key="00"),), "no ed25519 key"),
        (lambda people: (msgspec.structs.replace(people[1], public_key="zz"),), "no ecdsa"),
        (lambda people: (msgspec.structs.replace(people[0], name="a\nb"),), "cannot be printed"),
        (lambda people: (), "1 to 50"),
    ],
)
def test_a_list_that_says_nonsense_cannot_be_read(change: object, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        decode_people(People(tuple(change(PEOPLE.people))).encode())  # type: ignore[operator]
    with pytest.raises(ValueError, match="cannot be read"):
        decode_people(b"{}")


# ---- keys


@pytest.mark.parametrize("scheme", list(Scheme))
def test_a_key_is_kept_under_its_passphrase_and_never_overwritten(tmp_path: Path, scheme: Scheme) -> None:
    key, path = new_private_key(scheme), tmp_path / "key.pem"
    write_private_key(path, key, passphrase=b"correct horse")
    assert path.stat().st_mode & 0o777 == 0o600
    person = person_of("anna", Role.RISK, read_private_key(path, passphrase=b"correct horse"))
    signature = sign(key, b"text")
    assert verifies(person, b"text", signature)
    assert not verifies(person, b"texts", signature)
    assert not verifies(person, b"text", signature[:-1])
    for wrong in (b"wrong", None):
        with pytest.raises(ValueError, match="cannot be opened"):
            read_private_key(path, passphrase=wrong)
    with pytest.raises(FileExistsError):
        write_private_key(path, key, passphrase=None)
