"""Reports of holes: only the role reads them, only the role changes them, and every change stays."""

import json
import random
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from ringfence.assurance.disclosure import (
    BANDS,
    Band,
    Casebook,
    CasebookError,
    Change,
    ChangeError,
    State,
    UnknownReceiptError,
    check_vector,
    due,
    read_casebook,
)
from ringfence.assurance.disclosure.casebook import HOURLY_MAX, LOG, Receipt, read_blob
from ringfence.assurance.disclosure.changes import SignedChange, What, role_key_of, sign
from ringfence.assurance.disclosure.sealed import (
    SEALED_BYTES_MAX,
    KeyFile,
    SealedError,
    check_sealed,
    new_key_file,
    read_key_file,
    seal,
    unseal,
    write_key_file,
)
from ringfence.assurance.disclosure.security_txt import (
    new_openpgp_key,
    public_part,
    security_txt,
    signed,
    verified,
)
from ringfence.chained_log import LogError
from ringfence.cli import security
from ringfence.daemons.security_desk import found
from ringfence.units.time import NS_PER_DAY, NS_PER_HOUR

ROOT = Path(__file__).parents[2]
CANARY = b"canary-7f3a1e: the nonce can be used twice"
VECTOR = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"
NOW = 1_796_000_000 * 10**9


@pytest.fixture(scope="module")
def role() -> KeyFile:
    return new_key_file("maria")


@pytest.fixture
def book(tmp_path: Path, role: KeyFile) -> Casebook:
    made = Casebook(tmp_path)
    made.name_first_role(role_key_of(role), now_ns=NOW)
    return made


def received(book: Casebook, role: KeyFile, *, now_ns: int = NOW) -> Receipt:
    return book.receive(seal(CANARY, [role.recipient]), now_ns=now_ns)


def change(report: str, number: int, state: State | None = None, **more: object) -> Change:
    return Change(report=report, number=number, what=What(more.pop("what", "state")), state=state, **more)  # type: ignore[arg-type]


def walk(book: Casebook, role: KeyFile, report: str, *states: State) -> None:
    for state in states:
        number = book.fold.cases[report].changes
        band = Band.HIGH if state == State.TRIAGED else None
        book.change(sign(change(report, number, state, band=band), role), now_ns=NOW)


# ---- who reads


def test_the_role_reads_a_report_and_nobody_else_does(book: Casebook, role: KeyFile, tmp_path: Path) -> None:
    case = book.fold.cases[received(book, role).id]
    raw = read_blob(tmp_path, case.blob, case.sha256)
    assert unseal(raw, role.identity) == CANARY
    with pytest.raises(SealedError):
        unseal(raw, new_key_file("eve").identity)
    everything = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not [content for content in everything if CANARY[:12] in content]


def test_a_receipts_secret_is_in_no_file(book: Casebook, role: KeyFile, tmp_path: Path) -> None:
    receipt = received(book, role)
    everything = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert receipt.secret.encode() not in everything


def test_a_key_file_wants_its_passphrase(tmp_path: Path, role: KeyFile) -> None:
    path = tmp_path / "role.key"
    write_key_file(path, role, passphrase=b"correct horse battery")
    assert role.identity.encode() not in path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_key_file(path, passphrase=b"correct horse battery") == role
    for wrong in (b"correct horse batterz", b"", None):
        with pytest.raises(SealedError):
            read_key_file(path, passphrase=wrong)
    with pytest.raises(FileExistsError):
        write_key_file(path, role, passphrase=b"another one of twelve")


@pytest.mark.parametrize("wrong", ["id", "secret", "both", "empty"])
def test_a_wrong_receipt_finds_nothing_and_says_the_same(book: Casebook, role: KeyFile, wrong: str) -> None:
    receipt, other = received(book, role), received(book, role)
    asked = {
        "id": (other.id, receipt.secret), "secret": (receipt.id, receipt.secret[:-1]), "both": ("Rffff", "x"),
        "empty": ("", ""),
    }[wrong]  # fmt: skip
    with pytest.raises(UnknownReceiptError, match="there is no report with this receipt"):
        book.find(*asked)
    assert book.find(*receipt).id == receipt.id


# ---- what comes in


def test_ten_thousand_mutated_reports_are_refused(role: KeyFile) -> None:
    """By their form where they have lost it, by age where they have not: none opens as something else."""
    whole = check_sealed(seal(CANARY, [role.recipient]))
    armoured, rng = seal(CANARY, [role.recipient]), random.Random(7)
    opened = refused_by_form = 0
    for turn in range(10_000):
        if turn % 2:
            text = list(armoured)
            place = rng.randrange(len(text))
            text[place] = chr(rng.choice([0, 10, 32, 45, 61, 65, 97, 0x2028, (ord(text[place]) ^ 1)]))
            try:
                raw = check_sealed("".join(text))
            except SealedError:
                refused_by_form += 1
                continue
        else:
            changed = bytearray(whole)
            kind = rng.randrange(3)
            if kind == 0:
                changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
            elif kind == 1:
                del changed[rng.randrange(len(changed)) :]
            else:
                changed.insert(rng.randrange(len(changed) + 1), rng.randrange(256))
            raw = bytes(changed)
        try:
            found = unseal(raw, role.identity)
        except SealedError:
            continue
        assert found == CANARY, "it opens as something else"
        opened += 1
    assert refused_by_form > 1_000
    assert opened < 100, "only changes that change no byte, such as a line end, may open"


@pytest.mark.parametrize(
    "text",
    ["", "hello", "-----BEGIN AGE ENCRYPTED FILE-----\n-----END AGE ENCRYPTED FILE-----", "<script>alert(1)</script>",
     "-----BEGIN AGE ENCRYPTED FILE-----\nAAAA\n-----END AGE ENCRYPTED FILE-----",
     "-----BEGIN PGP MESSAGE-----\nAAAA\n-----END PGP MESSAGE-----", "A" * (SEALED_BYTES_MAX + 1)],
)  # fmt: skip
def test_what_is_not_sealed_is_not_taken(book: Casebook, text: str) -> None:
    with pytest.raises(SealedError) as refused:
        book.receive(text, now_ns=NOW)
    assert "script" not in str(refused.value)
    assert not book.fold.cases


def test_a_report_that_is_too_large_is_not_taken(book: Casebook, role: KeyFile) -> None:
    with pytest.raises(SealedError, match="at most"):
        book.receive(seal(bytes(60_000), [role.recipient]), now_ns=NOW)
    book.receive(seal(bytes(47_000), [role.recipient]), now_ns=NOW)


def test_more_than_sixty_an_hour_wait(book: Casebook, role: KeyFile) -> None:
    sealed = seal(CANARY, [role.recipient])
    for _ in range(HOURLY_MAX):
        book.receive(sealed, now_ns=NOW)
    with pytest.raises(CasebookError, match="within the hour"):
        book.receive(sealed, now_ns=NOW + NS_PER_HOUR - 1)
    book.receive(sealed, now_ns=NOW + NS_PER_HOUR + 1)


# ---- who changes


def test_a_report_goes_its_way_and_the_log_says_so(book: Casebook, role: KeyFile, tmp_path: Path) -> None:
    receipt = received(book, role)
    walk(book, role, receipt.id, State.ACKNOWLEDGED, State.TRIAGED, State.ACCEPTED, State.FIXED)
    number = book.fold.cases[receipt.id].changes
    book.change(sign(change(receipt.id, number, what="thank", name="Alice"), role), now_ns=NOW)
    advisory = change(receipt.id, number + 1, what="publish", title="A nonce", advisory="It was used\ntwice.")
    book.change(sign(advisory, role), now_ns=NOW)
    case = read_casebook(tmp_path).cases[receipt.id]
    assert [step.state for step in case.steps] == [
        State.RECEIVED, State.ACKNOWLEDGED, State.TRIAGED, State.ACCEPTED, State.FIXED, State.DISCLOSED,
    ]  # fmt: skip
    assert (case.name, case.title, case.band, due(case)) == ("Alice", "A nonce", Band.HIGH, None)
    assert {step.by for step in case.steps[1:]} == {"maria"}


def test_nobody_but_the_role_changes_anything(book: Casebook, role: KeyFile) -> None:
    receipt, eve = received(book, role), new_key_file("maria")
    wanted = change(receipt.id, 0, State.ACKNOWLEDGED)
    by_eve, by_role = sign(wanted, eve), sign(wanted, role)
    forged = (
        by_eve, SignedChange(wanted, "maria", ""), SignedChange(wanted, "eve", by_role.signature),
        SignedChange(change(receipt.id, 0, State.ACKNOWLEDGED, band=Band.LOW), "maria", by_role.signature),
    )  # fmt: skip
    for one in forged:
        with pytest.raises(ChangeError):
            book.change(one, now_ns=NOW)
    book.change(by_role, now_ns=NOW)
    with pytest.raises(ChangeError, match="sent before"):
        book.change(by_role, now_ns=NOW)


_REFUSED = [
    ((), State.TRIAGED, {}, "after received comes acknowledged"),
    ((State.ACKNOWLEDGED,), State.TRIAGED, {}, "says the band"),
    ((State.ACKNOWLEDGED,), State.TRIAGED, {"band": Band.LOW, "vector": "CVSS:4.0/AV:N"}, "no CVSS"),
    ((State.ACKNOWLEDGED, State.TRIAGED), State.DUPLICATE, {}, "names the report"),
    ((State.ACKNOWLEDGED, State.TRIAGED), State.DUPLICATE, {"duplicate_of": "R0"}, "no such report"),
    ((State.ACKNOWLEDGED, State.TRIAGED), State.ACCEPTED, {"reward_usd": 10_001}, "3000 to 10000"),
    ((State.ACKNOWLEDGED,), None, {"what": "publish", "title": "t", "advisory": "a"}, "not fixed"),
    ((State.ACKNOWLEDGED,), None, {"what": "thank", "name": "Bob"}, "accepted"),
    ((), None, {"what": "message", "message": "in clear"}, "not sealed"),
    (
        (State.ACKNOWLEDGED, State.TRIAGED, State.ACCEPTED),
        None,
        {"what": "thank", "name": "a\x1b[31m"},
        "shown",
    ),
    (
        (State.ACKNOWLEDGED, State.TRIAGED, State.ACCEPTED),
        None,
        {"what": "thank", "name": "x" * 61},
        "over 60",
    ),
]


@pytest.mark.parametrize(("before", "state", "more", "because"), _REFUSED)
def test_a_change_that_may_not_be_is_refused(
    book: Casebook, role: KeyFile, before: tuple[State, ...], state: State | None, more: dict[str, object], because: str
) -> None:  # fmt: skip
    receipt = received(book, role)
    walk(book, role, receipt.id, *before)
    with pytest.raises(ChangeError, match=because):
        book.change(sign(change(receipt.id, len(before), state, **more), role), now_ns=NOW)
    assert book.fold.cases[receipt.id].changes == len(before)


def test_another_key_takes_over(book: Casebook, role: KeyFile) -> None:
    receipt, next_ = received(book, role), new_key_file("nina")
    book.change(sign(Change(number=0, what=What.ROLE, role=role_key_of(next_)), role), now_ns=NOW)
    wanted = change(receipt.id, 0, State.ACKNOWLEDGED)
    with pytest.raises(ChangeError):
        book.change(sign(wanted, role), now_ns=NOW)
    book.change(sign(wanted, next_), now_ns=NOW)


@pytest.mark.parametrize("line", range(5))
@pytest.mark.parametrize("how", ["edit", "leave out", "swap", "add"])
def test_a_log_that_somebody_changed_is_not_read(
    book: Casebook, role: KeyFile, tmp_path: Path, line: int, how: str
) -> None:
    receipt = received(book, role)
    walk(book, role, receipt.id, State.ACKNOWLEDGED, State.TRIAGED, State.REJECTED)
    path = tmp_path / LOG
    lines = path.read_bytes().splitlines(keepends=True)
    if how == "edit":
        entry = json.loads(lines[line])
        entry["at_ns"] += 1
        lines[line] = json.dumps(entry).encode() + b"\n"
        if line == len(lines) - 1:
            pytest.skip("a time in the last line is held by its head alone, which is public")
    elif how == "leave out":
        if line == len(lines) - 1:
            pytest.skip("a cut end is seen by who kept the head")
        del lines[line]
    elif how == "swap":
        other = (line + 1) % len(lines)
        lines[line], lines[other] = lines[other], lines[line]
    else:
        lines.insert(line, lines[line])
    path.write_bytes(b"".join(lines))
    with pytest.raises(LogError):
        read_casebook(tmp_path)


def test_a_change_that_was_forged_into_the_log_is_seen(book: Casebook, role: KeyFile, tmp_path: Path) -> None:
    """Who writes the log can chain lines, and cannot sign them."""
    receipt = received(book, role)
    forged = sign(change(receipt.id, 0, State.ACKNOWLEDGED), new_key_file("maria"))
    book._log._on_entry = lambda entry: None
    book._log.append("changed", {"signed": msgspec.to_builtins(forged)}, now_ns=NOW)
    with pytest.raises(LogError, match="was never done"):
        read_casebook(tmp_path)


def test_a_blob_that_was_changed_on_the_disk_is_seen(book: Casebook, role: KeyFile, tmp_path: Path) -> None:
    case = book.fold.cases[received(book, role).id]
    (tmp_path / "reports" / case.blob).write_bytes(b"another")
    with pytest.raises(CasebookError, match="changed on the disk"):
        read_blob(tmp_path, case.blob, case.sha256)


# ---- what is due


def test_deadlines_are_those_of_the_policy(book: Casebook, role: KeyFile) -> None:
    receipt = received(book, role)
    case = book.fold.cases[receipt.id]
    days = []
    for state in (State.ACKNOWLEDGED, State.TRIAGED, State.ACCEPTED, State.FIXED):
        next_ = due(case)
        assert next_ is not None
        days.append((next_.what, (next_.at_ns - NOW) // NS_PER_DAY))
        assert not next_.is_missed(next_.at_ns)
        assert next_.is_missed(next_.at_ns + 1)
        walk(book, role, receipt.id, state)
    last = due(case)
    assert last is not None
    assert [*days, (last.what, (last.at_ns - NOW) // NS_PER_DAY)] == [
        ("acknowledge", 1), ("triage", 3), ("fix", 30), ("fix", 30), ("disclose", 90),
    ]  # fmt: skip


def test_the_policys_page_has_the_figures_of_the_code() -> None:
    page = (ROOT / "docs" / "operating" / "security-reports.md").read_text()
    for band, terms in BANDS.items():
        figures = (
            f"{terms.reward_min:,} – {terms.reward_max:,}".replace(",", " ") if terms.reward_max else "thanks"
        )
        assert f"| {band} | {terms.example} | {figures} |" in page
        if band != Band.NONE:
            assert f"{band} {terms.fix_days}" in page


def test_what_is_overdue_is_red(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found(tmp_path)
    book = Casebook(tmp_path / "security")
    assert book.fold.role is not None
    sealed = seal(CANARY, [book.fold.role.recipient])
    now_ns = time.time_ns()
    late, early = (book.receive(sealed, now_ns=at).id for at in (now_ns - NS_PER_DAY - 1, now_ns))
    with pytest.raises(SystemExit) as left:
        security.list_(directory=tmp_path)
    assert left.value.code == security.EXIT_RED
    shown = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line.strip()}
    assert "OVERDUE" in shown[late]
    assert "OVERDUE" not in shown[early]
    rows = security.overdue(tmp_path)
    assert rows is not None
    assert [row["overdue"] for row in rows] == [True, False]


# ---- vectors and security.txt


def test_vectors_are_checked_for_their_form() -> None:
    assert check_vector(VECTOR + "/E:A/MSI:S/U:Amber")
    for wrong in (
        "", VECTOR[:-5], VECTOR.replace("4.0", "3.1"), VECTOR + "/E:Z", VECTOR + "\n", VECTOR.replace("AV:N/", "", 1),
        VECTOR.replace("AV:N/AC:L", "AC:L/AV:N"), VECTOR + "/E:A/E:A",
    ):  # fmt: skip
        with pytest.raises(ValueError, match="no CVSS"):
            check_vector(wrong)


def test_security_txt_is_as_rfc_9116_wants_it() -> None:
    now = datetime(2026, 11, 30, 17, 0, tzinfo=UTC)
    private = new_openpgp_key()
    raw = signed(security_txt("https://exchange.example", mail="security@exchange.example", now=now), private)
    text = verified(raw, public_part(private))
    fields: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.partition(": ")
            assert value, line
            fields.setdefault(name.lower(), []).append(value)
    assert fields["contact"].pop() == "mailto:security@exchange.example"
    assert fields["contact"]
    assert len(fields["expires"]) == 1
    assert len(fields["preferred-languages"]) == 1
    assert now < datetime.fromisoformat(fields["expires"][0]) < now + timedelta(days=365)
    assert fields["canonical"] == ["https://exchange.example/.well-known/security.txt"]
    for name in ("contact", "policy", "encryption", "acknowledgments"):
        assert all(value.startswith("https://") for value in fields[name])
    with pytest.raises(ValueError, match="not signed"):
        verified(raw.replace(b"exchange.example", b"exchange.evil.xy"), public_part(private))
    with pytest.raises(ValueError, match="not signed"):
        verified(raw, public_part(new_openpgp_key()))
