"""People and their accounts through gateway and account desk: what they can do, and what thieves cannot."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from picows import WSError

from ringfence.chained_log import FileLines
from ringfence.exchange.gateway.rest import ROUTES
from ringfence.exchange.users.sealing import Seal, SealError
from ringfence.exchange.users.userbook import Userbook
from ringfence.messages.commands import Command
from ringfence.testing.authenticator import Authenticator
from ringfence.testing.client import Client
from ringfence.testing.person import PASSWORD, Person, code_now
from ringfence.testing.play import command
from ringfence.testing.socket import Socket
from ringfence.testing.venue import TRIES, Venue, key_of

COINS = 10**8
ADDRESS = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    with Venue(tmp_path_factory.mktemp("people"), accounts=2, people=True) as running:
        yield running


@pytest.fixture
def person(house: Venue, request: pytest.FixtureRequest) -> Person:
    """Somebody new, signed in, in a test of their own."""
    name = request.node.name.replace("[", "-").replace("]", "")[:60].strip("-_").lower()
    return Person(house.url, house.directory, f"{name}@example.com").registers().signs_in()


def with_passkey(person: Person) -> Authenticator:
    person.steps_up()
    options = person.post("/account/passkeys/options")
    key = Authenticator(person.url.replace("127.0.0.1", "localhost"))
    answer = key.create(options["publicKey"])
    person.post("/account/passkeys", challenge=options["challenge"], passkey=answer, name="ring")
    return key


def with_totp(person: Person) -> tuple[str, list[str]]:
    """Return seed and recovery codes."""
    person.steps_up()
    begun = person.post("/account/totp/begin")
    added = person.post(
        "/account/totp", challenge=begun["challenge"], totp=code_now(begun["secret"], later=-1)
    )
    return begun["secret"], added["recoveryCodes"]


def has_left(person: Person) -> bool:
    return person.ask("GET", "/account").status == 401


# ---- becoming a user


def test_who_has_an_account_is_told_to_nobody(house: Venue) -> None:
    ada = Person(house.url, house.directory, "known@example.com").registers()
    stranger = Person(house.url, house.directory, "unknown@example.com")
    for path, more in (("/account/register", {"password": PASSWORD}), ("/account/forgotten", {})):
        known = ada.ask("POST", path, email=ada.address, **more)
        unknown = stranger.ask("POST", path, email=stranger.address, **more)
        assert (known.status, known.value) == (unknown.status, unknown.value) == (200, {})
    wrong = ada.ask("POST", "/account/login", email=ada.address, password="wrong" * 4)
    nobody = stranger.ask("POST", "/account/login", email="nobody@example.com", password="wrong" * 4)
    assert (wrong.status, wrong.value) == (nobody.status, nobody.value)
    assert wrong.status == 401
    assert "account already" in ada.mail("You have an account already").text


def test_guessing_takes_as_long_for_users_that_are_none(house: Venue) -> None:
    Person(house.url, house.directory, "timed@example.com").registers()

    def seconds(email: str) -> float:
        began = time.perf_counter()
        Person(house.url, house.directory).ask("POST", "/account/login", email=email, password="wrong" * 4)
        return time.perf_counter() - began

    known, unknown = (
        min(seconds(email) for _ in range(3)) for email in ("timed@example.com", "no@example.com")
    )
    assert 0.5 < known / unknown < 2


def test_a_password_that_can_be_guessed_opens_nothing(house: Venue) -> None:
    guesser = Person(house.url, house.directory, "guesser@example.com")
    for password in (
        "short", "password123", "Summer2026!", "ringfence-exchange", "aaaaaaaaaaaaaaaa", "guesser@example.com"
    ):  # fmt: skip
        reply = guesser.ask("POST", "/account/register", email=guesser.address, password=password)
        assert (reply.status, reply.error) == (400, "WeakPassword"), password


def test_a_link_is_good_once(house: Venue) -> None:
    ada = Person(house.url, house.directory, "once@example.com")
    ada.post("/account/register", email=ada.address, password=PASSWORD)
    secret = ada.mail("Open your account").secret("verify")
    assert ada.ask("POST", "/account/verify", token=secret[:-1]).status == 400
    ada.post("/account/verify", token=secret)
    assert ada.ask("POST", "/account/verify", token=secret).status == 400
    assert ada.ask("POST", "/account/reset", token=secret, password=PASSWORD).status == 400


def test_a_stranger_registers_nobody_for_a_password_that_the_stranger_knows(house: Venue) -> None:
    stranger = Person(house.url, house.directory, "victim@example.com")
    stranger.post("/account/register", email=stranger.address, password=PASSWORD)
    secret = stranger.mail("Open your account").secret("verify")
    victim = Person(house.url, house.directory, stranger.address)
    assert victim.ask("POST", "/account/verify", token=secret).error == "PasswordRequired"
    assert victim.ask("POST", "/account/verify", token=secret, password="my own and not theirs").status == 401
    assert victim.ask("POST", "/account/login", email=victim.address, password=PASSWORD).status == 401
    # Whoever knows it may open the link anywhere.
    victim.post("/account/verify", token=secret, password=PASSWORD)


def test_what_is_no_address_of_mail_is_refused(house: Venue) -> None:
    for email in (
        "",
        "ada",
        "ada@",
        "@example.com",
        "a b@example.com",
        "a@b\nBcc: c@example.com",
        "a" * 300,
        7,
        None,
        [],
    ):
        reply = Person(house.url, house.directory).ask(
            "POST", "/account/register", email=email, password=PASSWORD
        )
        assert reply.status == 400, email


# ---- whose request it is


def test_a_cookie_alone_is_nobody(person: Person) -> None:
    assert person.ask("GET", "/user").status == 200
    assert person.ask("GET", "/user", headers={"x-ringfence": ""}).status == 401
    assert person.ask("GET", "/account", headers={"x-ringfence": ""}).status == 403


def test_another_sites_page_does_nothing_with_a_cookie(person: Person) -> None:
    for headers in (
        {"origin": "https://evil.example"}, {"origin": "null"}, {"origin": "http://localhost.evil.example"},
        {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"},
    ):  # fmt: skip
        for method, path in (("GET", "/user"), ("POST", "/account/logout"), ("DELETE", "/order/all")):
            assert person.ask(method, path, headers=headers).status == 403, headers
    assert not has_left(person)


def test_cookies_are_for_this_host_and_no_script(house: Venue) -> None:
    ada = Person(house.url, house.directory, "cookies@example.com").registers()
    reply = ada.ask("POST", "/account/login", email=ada.address, password=PASSWORD)
    lines = reply.headers.get_all("set-cookie")
    assert len(lines) == 2
    for line in lines:
        name, *attributes = (part.strip() for part in line.split(";"))
        assert name.startswith("__Host-ringfence")
        assert {"Path=/", "Secure", "HttpOnly", "SameSite=Strict"} <= set(attributes)
        assert not any(one.startswith("Domain") for one in attributes)


def test_one_person_sees_nothing_of_another(house: Venue, person: Person) -> None:
    other = Person(house.url, house.directory, "other@example.com").registers().signs_in()
    mine, theirs = person.get("/account"), other.get("/account")
    assert mine["account"] != theirs["account"]
    sessions = person.get("/account/sessions")
    assert other.ask("DELETE", "/account/sessions", id=sessions[0]["id"]).status == 404
    assert not has_left(person)
    person.steps_up()
    key = person.post("/apiKey", name="mine", permissions=["order"])
    other.steps_up()
    assert other.ask("DELETE", "/apiKey", apiKeyID=key["id"]).status == 404
    assert other.ask("POST", "/apiKey", name="x", targetAccountId=mine["account"]).status == 403
    assert [row["id"] for row in person.get("/apiKey")] == [key["id"]]


async def test_a_page_hears_its_own_rows_until_it_signs_out(house: Venue, person: Person) -> None:
    await asyncio.to_thread(enrich, house, person)
    cookie = "; ".join(f"{name}={value}" for name, value in person.cookies.items())
    with pytest.raises(WSError):
        await Socket.open(house.realtime_url, cookie=cookie, origin="https://evil.example")
    unsaid = await Socket.open(house.realtime_url, cookie=cookie)
    unsaid.say(op="subscribe", args=["margin"])
    await unsaid.until(lambda frame: "error" in frame)
    socket = await Socket.open(house.realtime_url, cookie=cookie, origin=house.url)
    await socket.subscribe("margin")
    account = await asyncio.to_thread(person.get, "/account")
    assert {row["account"] for row in socket.tables["margin"]} == {account["account"]}
    await asyncio.to_thread(person.post, "/account/logout")
    until = time.monotonic() + 3
    while not socket.is_closed and time.monotonic() < until:
        await asyncio.sleep(0.05)
    assert socket.is_closed
    unsaid.close()


# ---- what needs a factor that was just shown

_PUBLIC = {
    "/account/register", "/account/verify", "/account/login", "/account/login/factor", "/account/forgotten",
    "/account/login/passkey/options", "/account/login/passkey", "/account/reset", "/account/lock",
}  # fmt: skip
_WITHOUT_STEP_UP = {
    ("GET", "/account"), ("GET", "/account/sessions"), ("DELETE", "/account/sessions"), ("GET", "/account/activity"),
    ("POST", "/account/stepUp/options"), ("POST", "/account/stepUp"), ("POST", "/account/logout"),
    ("GET", "/account/withdrawals"), ("DELETE", "/account/withdrawal"), ("POST", "/account/withdrawal"),
    ("POST", "/account/withdrawal/confirm"), ("POST", "/account/withdrawal/send"),
}  # fmt: skip
_ANYTHING = {
    "password": PASSWORD, "name": "x", "code": "abcdef", "id": "x", "challenge": "x", "totp": "000000", "passkey": {},
    "apiKeyID": "key-1",
}  # fmt: skip


def test_every_route_of_the_page_says_who_may(person: Person, house: Venue) -> None:
    """Each route of the page, to nobody, to who has just signed in, and without the page's header."""
    nobody = Person(house.url, house.directory)
    seen = 0
    for (method, path), route in ROUTES.items():
        if not route.for_page:
            continue
        seen += 1
        assert nobody.ask(method, path, headers={"x-ringfence": ""}, **_ANYTHING).status in (401, 403), path
        if path in _PUBLIC:
            continue
        assert nobody.ask(method, path, **_ANYTHING).status == 401, path
        if (method, path) in _WITHOUT_STEP_UP or path == "/account/logout":
            continue
        reply = person.ask(method, path, **_ANYTHING)
        owned = method == "DELETE" and path == "/apiKey"
        assert (reply.status, reply.error) == (404, "HTTPError") if owned else (403, "StepUpRequired"), path
    assert seen >= 30


def test_stepping_up_gives_a_new_cookie_and_the_old_one_is_nobody(person: Person) -> None:
    before = dict(person.cookies)
    person.steps_up()
    assert person.cookies["__Host-ringfence"] != before["__Host-ringfence"]
    person.post("/account/antiPhishingCode", code="blue heron")
    thief = Person(person.url, Path("/nowhere"))
    thief.cookies = before
    assert has_left(thief)


# ---- second factors


def test_a_passkey_signs_in_alone_or_behind_the_password(person: Person) -> None:
    key = with_passkey(person)
    person.post("/account/logout")
    options = person.post("/account/login/passkey/options")
    answer = key.sign(options["publicKey"])
    person.post("/account/login/passkey", challenge=options["challenge"], passkey=answer)
    again = person.ask("POST", "/account/login/passkey", challenge=options["challenge"], passkey=answer)
    assert again.status == 401
    person.post("/account/logout")
    half = person.post("/account/login", email=person.address, password=PASSWORD)
    assert half["state"] == "secondFactor"
    assert has_left(person)
    factor = key.sign(half["publicKey"])
    person.post("/account/login/factor", challenge=half["challenge"], passkey=factor)
    assert not has_left(person)


def test_a_passkey_that_does_not_verify_its_user_or_is_of_another_page_is_none(person: Person) -> None:
    person.steps_up()
    here = person.url.replace("127.0.0.1", "localhost")
    for key in (Authenticator(here, verifies_user=False), Authenticator("https://evil.example")):
        options = person.post("/account/passkeys/options")
        reply = person.ask(
            "POST", "/account/passkeys", challenge=options["challenge"], passkey=key.create(options["publicKey"]),
            name="x",
        )  # fmt: skip
        assert reply.status == 400
    assert person.get("/account")["passkeys"] == []


def test_a_code_counts_once_however_many_send_it(person: Person) -> None:
    seed, _ = with_totp(person)
    person.post("/account/logout")
    halves = [person.post("/account/login", email=person.address, password=PASSWORD) for _ in range(12)]
    code = code_now(seed)

    def tries(half: Any) -> int:
        thief = Person(person.url, Path("/nowhere"))
        thief.cookies = dict(person.cookies)
        return thief.ask("POST", "/account/login/factor", challenge=half["challenge"], totp=code).status

    with ThreadPoolExecutor(12) as pool:
        statuses = sorted(pool.map(tries, halves))
    assert statuses == [200] + [401] * 11


def test_a_recovery_code_counts_once(person: Person) -> None:
    _, codes = with_totp(person)
    person.post("/account/logout")
    assert len(codes) == len(set(codes)) == 10
    for status in (200, 401):
        half = person.post("/account/login", email=person.address, password=PASSWORD)
        reply = person.ask(
            "POST", "/account/login/factor", challenge=half["challenge"], recoveryCode=codes[3]
        )
        assert reply.status == status
    half = person.post("/account/login", email=person.address, password=PASSWORD)
    reply = person.ask("POST", "/account/login/factor", challenge=half["challenge"], password=PASSWORD)
    assert reply.status == 400


def test_nobody_can_lock_others_out(house: Venue, person: Person) -> None:
    thief = Person(house.url, house.directory, person.address)
    statuses = [
        thief.ask("POST", "/account/login", email=person.address, password=f"wrong wrong {n}").status
        for n in range(TRIES + 2)
    ]
    assert statuses == [401] * TRIES + [429] * 2
    # The right password helps a stranger no more; the device that was here before still comes in.
    assert thief.ask("POST", "/account/login", email=person.address, password=PASSWORD).status == 429
    person.post("/account/logout")
    person.signs_in()


# ---- what was forgotten


def test_a_new_password_signs_out_holds_and_passes_no_second_factor(person: Person) -> None:
    key = with_passkey(person)
    person.post("/account/forgotten", email=person.address)
    secret = person.mail("Choose a new password").secret("reset")
    fresh = "violet anchor 88 tundra mosaic"
    stranger = Person(person.url, Path("/nowhere"))
    assert stranger.ask("POST", "/account/reset", token=secret, password="password1").status == 400
    stranger.post("/account/reset", token=secret, password=fresh)
    assert stranger.ask("POST", "/account/reset", token=secret, password=fresh).status == 400
    assert has_left(person)
    assert person.ask("POST", "/account/login", email=person.address, password=PASSWORD).status == 401
    half = person.post("/account/login", email=person.address, password=fresh)
    assert half["state"] == "secondFactor"
    person.post("/account/login/factor", challenge=half["challenge"], passkey=key.sign(half["publicKey"]))
    account = person.get("/account")
    assert account["heldBecause"] == "the password was changed"
    reply = person.ask(
        "POST", "/account/withdrawal", currency="XBt", network="btc", amount=100_000, address=ADDRESS
    )
    assert reply.status in (400, 403)


def test_it_was_not_me_ends_everything(person: Person) -> None:
    secret = person.mail("A new device has signed in").secret("lock")
    Person(person.url, Path("/nowhere")).post("/account/lock", token=secret)
    assert has_left(person)
    person.signs_in()
    assert person.get("/account")["heldBecause"] == "you have said that it was not you"


# ---- another key for the log


def test_a_new_key_for_the_log_signs_nobody_out_and_the_old_one_is_gone(house: Venue, person: Person) -> None:
    seed, _ = with_totp(person)
    person.post("/account/forgotten", email=person.address)
    secret = person.mail("Choose a new password").secret("reset")
    key = house.directory / "accounts" / "secrets.key"
    before = key.read_bytes()
    program = "from ringfence.cli import main; main()"
    arguments = ["operator", "rotate-accounts-key", "--operator", "anna", "--directory", str(house.directory)]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert key.read_bytes() != before
    assert person.get("/account")["email"] == person.address
    house.kill("account_desk")
    log = FileLines(house.directory / "accounts" / "log.jsonl")
    with pytest.raises(SealError):
        Userbook(log, Seal(before), time.time_ns)
    house.start("account_desk")
    house.wait_ready()
    until = time.monotonic() + 20
    while person.ask("GET", "/account").status != 200 and time.monotonic() < until:
        time.sleep(0.1)
    assert person.get("/account")["email"] == person.address
    # What was asked for before, and what was kept as a second factor, still counts.
    fresh = "violet anchor 88 tundra mosaic"
    person.post("/account/reset", token=secret, password=fresh)
    half = person.post("/account/login", email=person.address, password=fresh)
    person.post("/account/login/factor", challenge=half["challenge"], totp=code_now(seed))
    assert person.get("/account")["email"] == person.address


# ---- sessions and activity


def test_a_session_that_is_ended_elsewhere_is_over_within_a_second(house: Venue, person: Person) -> None:
    other = Person(house.url, house.directory, person.address).signs_in()
    assert len(other.get("/account/sessions")) == 2
    assert other.get("/user")["id"] == person.get("/user")["id"]
    left = other.delete("/account/sessions", all=True)
    assert [row["isThis"] for row in left] == [True]
    time.sleep(1.1)
    assert person.ask("GET", "/user").status == 401
    assert other.ask("GET", "/user").status == 200


def test_what_was_done_is_shown_with_its_place_in_the_chain(person: Person) -> None:
    person.steps_up()
    person.post("/account/antiPhishingCode", code="blue heron")
    shown = person.get("/account/activity", count=3)
    assert [row["what"] for row in shown] == ["antiPhishingSet", "steppedUp", "signedIn"]
    assert all(len(row["digest"]) == 64 and row["agent"] == "Oboe 1.0" for row in shown)
    with_passkey(person)
    assert person.mail("A passkey was added").text.startswith("Your anti-phishing code: blue heron\n")


# ---- keys of programs


def test_a_key_from_the_page_trades_within_its_limits(house: Venue, person: Person) -> None:
    person.steps_up()
    row = person.post("/apiKey", name="bot", permissions=["order"], cidrs=["127.0.0.0/8"])
    assert (row["permissions"], row["cidrs"]) == (["order"], ["127.0.0.0/8"])
    key = Client(house.port, _record(row))
    assert key.get("/user")["id"] == person.get("/account")["account"]
    assert key.call("POST", "/user/addSubaccount", {"accountName": "x"}).status == 403
    elsewhere = person.post("/apiKey", name="far", permissions=[], cidrs=["192.0.2.0/24"])
    assert Client(house.port, _record(elsewhere)).call("GET", "/user").status == 403
    assert person.get("/apiKey")[0]["secret"] is None
    # A key makes no keys: whoever steals one cannot make others.
    assert key.call("POST", "/apiKey", {"name": "x"}, x_ringfence="page").status == 401
    assert key.call("POST", "/apiKey", {"name": "x"}).status == 403
    person.delete("/apiKey", apiKeyID=row["id"])
    assert key.call("GET", "/user").status == 401


def test_a_key_that_cannot_be_is_not_made(person: Person) -> None:
    person.steps_up()
    for wrong in (
        {"permissions": ["order", "orderCancel"]}, {"permissions": ["admin"]}, {"permissions": "order"},
        {"cidrs": ["300.1.1.1/8"]}, {"cidrs": "10.0.0.0/8"}, {"cidrs": [167772160]}, {"name": ""}, {"name": "x" * 65},
        {"targetAccountId": 1},
    ):  # fmt: skip
        assert person.ask("POST", "/apiKey", **{"name": "x", **wrong}).status in (400, 403), wrong
    assert person.get("/apiKey") == []


def test_a_sub_account_gets_a_key_of_its_own(house: Venue, person: Person) -> None:
    assert person.ask("POST", "/user/addSubaccount", accountName="grid").error == "StepUpRequired"
    person.steps_up()
    sub = person.post("/user/addSubaccount", accountName="grid")
    row = person.post("/apiKey", name="grid bot", permissions=["order"], targetAccountId=sub["id"])
    assert Client(house.port, _record(row)).get("/user")["id"] == sub["id"]
    assert [one["id"] for one in person.get("/apiKey", targetAccountId=sub["id"])] == [row["id"]]


def _record(row: dict[str, Any]) -> Any:
    return msgspec.structs.replace(key_of(row["userId"]), id=row["id"], secret=row["secret"])


# ---- coins


@pytest.fixture
def rich(house: Venue, person: Person) -> Person:
    enrich(house, person)
    return person


def enrich(house: Venue, person: Person) -> None:
    account = person.get("/account")["account"]
    asyncio.run(house.submit(command(Command.DEPOSIT, account=account, symbol=0, qty=COINS)))
    until = time.monotonic() + 5
    while person.get("/user/wallet")["amount"] != COINS and time.monotonic() < until:
        time.sleep(0.02)


def asks(person: Person, amount: int = 1_000_000) -> Any:
    return person.post("/account/withdrawal", currency="XBt", network="btc", amount=amount, address=ADDRESS)


def test_a_withdrawal_takes_a_factor_and_a_mail(rich: Person) -> None:
    key = with_passkey(rich)
    asked = asks(rich)
    assert rich.get("/account/withdrawals")[0]["state"] == "asked"
    confirmed = {"id": asked["id"], "challenge": asked["challenge"], "passkey": key.sign(asked["publicKey"])}
    assert rich.post("/account/withdrawal/confirm", **confirmed) == {"state": "mailed"}
    assert rich.ask("POST", "/account/withdrawal/confirm", **confirmed).status == 401
    mail = rich.mail("Confirm your withdrawal")
    assert f"1,000,000 XBt to {ADDRESS} on btc" in mail.text
    secret = mail.secret("confirm")
    assert rich.ask("POST", "/account/withdrawal/send", token=secret[:-2]).status == 400
    sent = rich.post("/account/withdrawal/send", token=secret)
    assert (sent["transactType"], sent["amount"]) == ("Withdrawal", -1_000_000)
    assert rich.ask("POST", "/account/withdrawal/send", token=secret).status == 400
    assert rich.get("/user/wallet")["amount"] == COINS - 1_000_000
    assert rich.get("/account/withdrawals") == []


def test_a_confirmation_is_of_one_request_and_one_person(house: Venue, rich: Person) -> None:
    key = with_passkey(rich)
    small, large = asks(rich), asks(rich, 50_000_000)
    swapped = {"id": large["id"], "challenge": small["challenge"], "passkey": key.sign(small["publicKey"])}
    assert rich.ask("POST", "/account/withdrawal/confirm", **swapped).status == 400
    swapped = {"id": large["id"], "challenge": large["challenge"], "passkey": key.sign(small["publicKey"])}
    assert rich.ask("POST", "/account/withdrawal/confirm", **swapped).status == 401
    right = {"id": small["id"], "challenge": small["challenge"], "passkey": key.sign(small["publicKey"])}
    rich.post("/account/withdrawal/confirm", **right)
    secret = rich.mail("Confirm your withdrawal").secret("confirm")
    thief = Person(house.url, house.directory, "thief@example.com").registers().signs_in()
    assert thief.ask("POST", "/account/withdrawal/send", token=secret).status == 400
    assert (
        Person(house.url, house.directory).ask("POST", "/account/withdrawal/send", token=secret).status == 401
    )
    rich.delete("/account/withdrawal", id=small["id"])
    assert rich.ask("POST", "/account/withdrawal/send", token=secret).status == 400
    assert rich.get("/user/wallet")["amount"] == COINS


def test_what_takes_a_hurdle_away_holds_withdrawals_of_pages_and_programs(house: Venue, rich: Person) -> None:
    rich.steps_up()
    row = rich.post("/apiKey", name="bot", permissions=["order", "withdraw"])
    program = Client(house.port, _record(row))
    wanted = {"currency": "XBt", "network": "btc", "amount": 1_000_000, "address": ADDRESS}
    assert program.call("POST", "/user/requestWithdrawal", wanted).status == 200
    assert "1,000,000 XBt" in rich.mail("A withdrawal was asked for").text
    rich.post("/account/password", password="violet anchor 88 tundra mosaic")
    held = program.call("POST", "/user/requestWithdrawal", wanted)
    assert (held.status, held.value["error"]["name"]) == (403, "Held")
    assert rich.ask("POST", "/account/withdrawal", **wanted).error == "Held"
    assert rich.get("/user/wallet")["amount"] == COINS - 1_000_000


def test_a_session_withdraws_nothing_past_its_confirmation(rich: Person) -> None:
    rich.steps_up()
    reply = rich.ask(
        "POST", "/user/requestWithdrawal", currency="XBt", network="btc", amount=1_000_000, address=ADDRESS
    )
    assert reply.status == 403
    assert (
        rich.ask(
            "POST", "/account/withdrawal", currency="XBt", network="btc", amount=COINS, address=ADDRESS
        ).status
        == 400
    )
    assert rich.get("/user/wallet")["amount"] == COINS


def test_a_statement_comes_as_csv(rich: Person) -> None:
    reply = rich.ask("GET", "/user/walletHistory", _format="csv")
    assert reply.headers["content-type"].startswith("text/csv")
    header, *rows = reply.value.decode().split("\r\n")
    assert header.startswith("transactID,account,currency")
    assert sum(f",{COINS}," in row for row in rows) == 1


# ---- processes that die


def test_nothing_is_lost_when_the_desk_is_killed(house: Venue, person: Person) -> None:
    seed, codes = with_totp(person)
    house.kill("account_desk")
    assert person.ask("GET", "/account").status == 503
    house.start("account_desk")
    until = time.monotonic() + 20
    while person.ask("GET", "/account").status == 503 and time.monotonic() < until:
        time.sleep(0.05)
    assert person.get("/account")["hasTotp"]
    assert person.get("/account")["recoveryCodesLeft"] == len(codes)
    log = (house.directory / "account_desk.log").read_text()
    gateway = (house.directory / "gateway.log").read_text()
    kept = (house.directory / "accounts" / "log.jsonl").read_text()
    for secret in (PASSWORD, seed, codes[0], person.cookies["__Host-ringfence"], person.address):
        assert secret not in log + gateway + kept
    assert json.loads(kept.splitlines()[0])["number"] == 0
