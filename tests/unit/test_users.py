"""What is kept of people: a log that shows every change, passwords, passkeys, tries, and mail that waits."""

import copy
import json
import random
import smtplib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiosmtpd.controller import Controller
from hypothesis import given
from hypothesis import strategies as st
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from ringfence.chained_log import LogError
from ringfence.daemons.mail_catcher import Catcher
from ringfence.exchange.gateway.rest.csv_text import csv_of
from ringfence.exchange.users.mail import MailConfig, Outbox, address_of, deliver
from ringfence.exchange.users.one_time import code_at, step_of
from ringfence.exchange.users.passkeys import (
    PasskeyError,
    Site,
    created,
    creation_options,
    request_options,
    signed,
    site_of,
)
from ringfence.exchange.users.passwords import WeakPasswordError, check_strength, hashed, verifies
from ringfence.exchange.users.sealing import Seal, SealError, make_next_key, open_seal
from ringfence.exchange.users.throttle import Rates, Throttle, Try
from ringfence.exchange.users.userbook import LOG, Origin, Userbook, digest_of, rotate_key
from ringfence.ports import free_ports
from ringfence.testing.authenticator import Authenticator
from ringfence.testing.person import read_mail

SITE = Site("exchange.example", ("https://exchange.example",))
SEAL = Seal(bytes(range(32)))
FROM = Origin("192.0.2.7", "Oboe 1.0")

# ---- the log


def book_at(home: Path, seal: Seal = SEAL) -> Userbook:
    return Userbook(home / "log.jsonl", seal, lambda: 1_000)


def lived(home: Path) -> Userbook:
    """A log with some of everything."""
    book = book_at(home)
    private = {"email": "ada@example.com", "password": "argon2 of hers"}
    book.write("asked", ticket=digest_of("t"), what="verify", expires_ns=2_000, private=private, origin=FROM)
    book.write("registered", user="u-1", private=private, spends=digest_of("t"), origin=FROM)
    book.write("accountOpened", user="u-1", account=7)
    for session in ("one", "two"):
        token, device = digest_of(session), digest_of("d")
        book.write("signedIn", user="u-1", origin=FROM, session=session, token=token, device=device, by="x")
    book.write("codesAdded", user="u-1", private={"seed": "JBSWY3DPEHPK3PXP"}, step=5)
    book.write("recoveryCodesMade", user="u-1", digests=[digest_of("a"), digest_of("b")])
    book.write(
        "steppedUp", user="u-1", was=digest_of("one"), token=digest_of("new"), until_ns=9_000, recovery=digest_of("a")
    )  # fmt: skip
    book.write("passwordChanged", user="u-1", private={"password": "another"}, ends=["two"], held_until_ns=8_000,
               held_because="the password was changed")  # fmt: skip
    return book


def test_what_was_written_is_there_again(tmp_path: Path) -> None:
    before = lived(tmp_path)
    before.close()
    book = book_at(tmp_path)
    user = book.of_email("ada@example.com")
    assert user is not None
    assert user == before.users["u-1"]
    assert (user.account, user.password, user.totp_step) == (7, "another", 5)
    assert (user.held_until_ns, user.recovery) == (8_000, {digest_of("b")})
    assert list(book.sessions) == [digest_of("new")]
    assert book.tickets == {}
    assert book.of_account(7) is user
    assert [entry.kind for entry in user.activity][-1] == "passwordChanged"
    assert book.head == before.head


def test_a_line_that_is_changed_moved_or_taken_out_is_found(tmp_path: Path) -> None:
    lived(tmp_path).close()
    path = tmp_path / LOG
    lines = path.read_bytes().splitlines(keepends=True)
    forged = []
    for at in range(len(lines) - 1):
        forged.append(lines[:at] + lines[at + 1 :])
        forged.append([*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]])
        entry = json.loads(lines[at])
        entry["body"]["address"] = "192.0.2.8"
        forged.append([*lines[:at], json.dumps(entry).encode() + b"\n", *lines[at + 1 :]])
    for content in forged:
        path.write_bytes(b"".join(content))
        with pytest.raises(LogError):
            book_at(tmp_path)
    path.write_bytes(b"".join(lines))
    book_at(tmp_path).close()


def test_another_key_opens_nothing(tmp_path: Path) -> None:
    lived(tmp_path).close()
    with pytest.raises(SealError):
        book_at(tmp_path, Seal(bytes(32)))


def test_after_another_key_everything_is_as_before_and_the_old_one_is_no_use(tmp_path: Path) -> None:
    path = tmp_path / "secrets.key"
    path.write_bytes(bytes(range(32)))
    book = lived(tmp_path)
    passkey = {"id": "c-1", "public_key": "pk", "count": 3, "name": "phone", "created_ns": 5}
    book.write("passkeyAdded", user="u-1", private=passkey)
    book.write(
        "signedIn", user="u-1", origin=FROM, session="x", token="x", device="x", passkey="c-1", count=4
    )
    book.write("antiPhishingSet", user="u-1", private={"code": "heron"})
    book.write(
        "asked", ticket=digest_of("open"), what="reset", expires_ns=2_000, private={"of": "u-1"}, origin=FROM
    )
    rotate_key(book, path, operator="anna")
    book.write("antiPhishingSet", user="u-1", private={"code": "wren"})
    book.close()
    new = path.read_bytes()
    assert new != bytes(range(32))
    assert [found.name for found in tmp_path.iterdir() if "secrets" in found.name] == ["secrets.key"]
    with pytest.raises(SealError):
        book_at(tmp_path)
    again = book_at(tmp_path, open_seal(path))
    assert again.users == book.users
    assert again.users["u-1"].passkeys["c-1"].count == 4
    assert again.users["u-1"].anti_phishing == "wren"
    assert again.sessions == book.sessions
    assert again.tickets == book.tickets
    assert again.ticket("open", "reset") is not None
    assert again.of_email("ada@example.com") == again.of_passkey("c-1") == again.users["u-1"]
    last = [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()]
    (said,) = [line["body"] for line in last if line["kind"] == "resealedAll"]
    assert said["operator"] == "anna"
    again.close()


@pytest.mark.parametrize("lines", range(4))
def test_a_key_that_was_being_replaced_when_the_desk_died_is_replaced_by_the_next_run(
    tmp_path: Path, lines: int
) -> None:
    """It dies after so many lines of the rotation, lives a while with both keys, and tries again."""
    path = tmp_path / "secrets.key"
    path.write_bytes(bytes(range(32)))
    book = lived(tmp_path)
    book.write(
        "asked", ticket=digest_of("open"), what="reset", expires_ns=2_000, private={"of": "u-1"}, origin=FROM
    )
    before = (tmp_path / LOG).read_bytes().count(b"\n")
    book.reseal(make_next_key(path), operator="anna")
    book.close()
    content = (tmp_path / LOG).read_bytes().splitlines(keepends=True)
    assert len(content) == before + 3
    (tmp_path / LOG).write_bytes(b"".join(content[: before + lines]))
    lives = book_at(tmp_path, open_seal(path))
    lives.write("antiPhishingSet", user="u-1", private={"code": "wren"})
    lives.close()
    again = book_at(tmp_path, open_seal(path))
    rotate_key(again, path, operator="anna")
    again.close()
    found = book_at(tmp_path, open_seal(path))
    assert found.users == again.users
    assert found.users["u-1"].anti_phishing == "wren"
    assert found.tickets == again.tickets
    found.close()


def test_what_was_not_sealed_anew_is_missed(tmp_path: Path) -> None:
    """The new key alone, with the last line of the rotation missing: the desk does not start with half of it."""
    book = lived(tmp_path)
    book.reseal(bytes(32), operator="anna")
    book.close()
    lines = (tmp_path / LOG).read_bytes().splitlines(keepends=True)
    (tmp_path / LOG).write_bytes(b"".join(lines[:-1]))
    with pytest.raises(SealError):
        book_at(tmp_path, Seal(bytes(32)))


def test_what_is_private_cannot_be_read_or_moved(tmp_path: Path) -> None:
    lived(tmp_path).close()
    content = (tmp_path / LOG).read_text()
    for secret in ("ada@example.com", "argon2 of hers", "JBSWY3DPEHPK3PXP"):
        assert secret not in content
    sealed = SEAL.seal({"password": "x"}, place="passwordChanged u-1")
    assert SEAL.open(sealed, place="passwordChanged u-1") == {"password": "x"}
    with pytest.raises(SealError):
        SEAL.open(sealed, place="passwordChanged u-2")


# ---- passwords


def test_the_thousand_most_common_passwords_are_refused() -> None:
    common = FREQUENCY_LISTS["passwords"][:1_000]
    assert len(common) == 1_000
    for password in common:
        with pytest.raises(WeakPasswordError):
            check_strength(password, email="ada@example.com")
        with pytest.raises(WeakPasswordError):
            check_strength(f"Ringfence {password}", email="ada@example.com")


def test_a_long_sentence_is_a_good_password() -> None:
    for password in (
        "marmot quince oboe 41 lantern",
        "tq8#Vz!m2Lr",
        "ein langer Satz über Wölfe",
        "x" * 8 + "Qz7!vK2p",
    ):
        check_strength(password, email="ada@example.com")


def test_a_password_verifies_itself_and_no_other() -> None:
    kept = hashed("marmot quince oboe 41 lantern")
    assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=1$")
    assert verifies(kept, "marmot quince oboe 41 lantern")
    assert not verifies(kept, "marmot quince oboe 41 lanter")
    assert not verifies("no hash", "marmot quince oboe 41 lantern")


# ---- passkeys


def with_key() -> tuple[Authenticator, Any]:
    key = Authenticator(SITE.origins[0])
    options = creation_options(SITE, challenge=b"c" * 32, user="u-1", email="ada@example.com", known=[])
    return key, created(SITE, key.create(options), challenge=b"c" * 32, name="ring", now_ns=1)


def changed(answer: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """An answer with one bit changed of what is signed or signs."""
    forged = copy.deepcopy(answer)
    name = chance.choice(("clientDataJSON", "authenticatorData", "signature"))
    raw = bytearray(base64url_to_bytes(forged["response"][name]))
    raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
    forged["response"][name] = bytes_to_base64url(bytes(raw))
    return forged


def test_no_changed_answer_of_a_passkey_counts() -> None:
    chance = random.Random(20_261_130)
    key, passkey = with_key()
    accepted = 0
    for ceremony in range(20):
        challenge = chance.randbytes(32)
        answer = key.sign(request_options(SITE, challenge=challenge, known=[passkey]))
        for _ in range(60):
            with pytest.raises(PasskeyError):
                signed(SITE, changed(answer, chance), challenge=challenge, passkey=passkey)
        accepted += signed(SITE, answer, challenge=challenge, passkey=passkey) == ceremony + 1
    assert accepted == 20


def test_an_answer_is_for_one_challenge_site_origin_and_key() -> None:
    key, passkey = with_key()
    challenge = b"1" * 32
    options = request_options(SITE, challenge=challenge, known=[passkey])
    answer = key.sign(options)
    _, other = with_key()
    for site, asked, whose in (
        (SITE, b"2" * 32, passkey),
        (Site("evil.example", SITE.origins), challenge, passkey),
        (Site(SITE.rp_id, ("https://evil.example",)), challenge, passkey),
        (SITE, challenge, other),
    ):
        with pytest.raises(PasskeyError):
            signed(site, answer, challenge=asked, passkey=whose)
    for nonsense in (None, 7, "x", [], {}, {"id": 7}, {**answer, "response": {}}, {**answer, "type": "x"}):
        with pytest.raises(PasskeyError):
            signed(SITE, nonsense, challenge=challenge, passkey=passkey)
    assert signed(SITE, answer, challenge=challenge, passkey=passkey) == 1


def test_a_count_that_goes_back_shows_a_second_authenticator() -> None:
    key, passkey = with_key()
    ahead = msgspec.structs.replace(passkey, count=5)
    answer = key.sign(request_options(SITE, challenge=b"1" * 32, known=[ahead]))
    with pytest.raises(PasskeyError):
        signed(SITE, answer, challenge=b"1" * 32, passkey=ahead)


def test_passkeys_are_for_a_name() -> None:
    assert site_of("http://127.0.0.1:8040") == Site("localhost", ("http://localhost:8040",))
    assert site_of("https://exchange.example") == SITE


# ---- one-time codes and tries


def test_a_code_is_good_for_its_step_and_its_neighbours_once() -> None:
    seed, now = "JBSWY3DPEHPK3PXP", 1_000_000.0
    step = int(now) // 30
    assert [step_of(seed, code_at(seed, step + off), after=-1, now=now) for off in (-2, -1, 0, 1, 2)] == [
        None, step - 1, step, step + 1, None,
    ]  # fmt: skip
    assert step_of(seed, code_at(seed, step), after=step, now=now) is None


@given(
    st.lists(st.tuples(st.sampled_from(["ada", "bob"]), st.integers(0, 3), st.integers(0, 30)), max_size=200),
    st.integers(0, 3_000),
)
def test_strangers_never_use_up_the_tries_of_a_known_device(
    tries: list[tuple[str, int, int]], later: int
) -> None:
    throttle, now = Throttle(Rates()), 0.0
    for user, address, seconds in tries:
        now += seconds
        throttle.failed(Try(user, f"192.0.2.{address}", ""), now=now)
    assert throttle.may_try(Try("ada", "192.0.2.1", "her device"), now=now + later) is None


def test_all_strangers_together_have_so_many_tries_an_hour() -> None:
    throttle, made = Throttle(Rates()), 0
    for second in range(3_600):
        who = Try("ada", f"10.0.{second >> 8}.{second & 255}", "")
        if throttle.may_try(who, now=float(second)) is None:
            throttle.failed(who, now=float(second))
            made += 1
    assert made <= 2 * Rates().failures_of_user <= 100


# ---- mail


def test_a_mail_waits_until_a_server_takes_it(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path, "no-reply@exchange.example")
    outbox.put(to="ada@example.com", subject="Hello", text="Line one\nLine two", anti_phishing="blue heron")
    config = MailConfig("127.0.0.1", free_ports(1)[0], "no-reply@exchange.example", security="none")
    with pytest.raises((OSError, smtplib.SMTPException)):
        deliver(config, outbox.waiting())
    assert len(outbox.waiting()) == 1
    caught = tmp_path / "caught"
    caught.mkdir()
    server = Controller(Catcher(caught), hostname=config.host, port=config.port)
    server.start()
    try:
        deliver(config, outbox.waiting())
    finally:
        server.stop()
    assert outbox.waiting() == []
    (path,) = caught.glob("*.eml")
    mail = read_mail(path)
    assert (mail.to, mail.subject) == ("ada@example.com", "Hello")
    assert mail.text.startswith("Your anti-phishing code: blue heron\n")
    assert path.stat().st_mode & 0o777 == 0o600


@given(st.text(max_size=80))
def test_what_is_taken_for_an_address_has_one_line_and_one_recipient(text: str) -> None:
    found = address_of(text)
    if found is not None:
        assert found.count("@") == 1
        assert not set(found) & set('\r\n ,;:<>()[]\\"')
        assert found.isascii()


# ---- statements


def test_a_spreadsheet_carries_nothing_out() -> None:
    rows = [{"a": "=cmd()", "b": -5, "c": None}, {"a": 'say "x", y', "b": 2, "d": "@x"}]
    assert csv_of(rows).decode() == 'a,b,c,d\r\n\'=cmd(),-5,,\r\n"say ""x"", y",2,,\'@x\r\n'
    assert csv_of([]) == b"\r\n"
