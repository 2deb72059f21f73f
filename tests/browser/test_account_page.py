"""The account page in Chromium against a real exchange: what a person does with their account, and what is refused."""

import asyncio
import csv
import gzip
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ringfence.exchange.users.keys import KeyRecord
from ringfence.messages.commands import Command
from ringfence.testing.bitcoin import NOBODY
from ringfence.testing.client import Client
from ringfence.testing.person import PASSWORD, Person, code_now
from ringfence.testing.play import command
from ringfence.testing.venue import Venue, key_of
from ringfence.units.assets import XBT
from tests.browser.account_page import AccountPage, account_page
from tests.browser.axe import AXE, serious
from tests.browser.tab import need_the_page
from tests.browser.trade_page import TradePage
from tests.browser.updates import LOAD

FIRST_LOAD_BYTES_MAX = 200_000
VIEWS = (
    "overview", "security", "keys", "funds/deposit", "funds/withdraw", "funds/addresses", "funds/key",
    "funds/transfer", "funds/history", "statements", "subaccounts",
)  # fmt: skip
NO_CUSTODY = "Failed to load resource: the server responded with a status of 503 (Service Unavailable)"
"""These venues hold no coins: address books and deposits are away, and the page says so."""


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Iterator[Venue]:
    need_the_page()
    with Venue(tmp_path_factory.mktemp("people") / "venue", people=True) as found:
        yield found


def registered(venue: Venue, email: str) -> None:
    """Have somebody registered, without the page."""
    Person(venue.url.replace("127.0.0.1", "localhost"), venue.directory, email).registers()


def test_a_person_registers_secures_the_account_and_hands_out_a_key(browser: Any, venue: Venue) -> None:
    with account_page(browser, venue.url, venue.directory) as ada:
        page = ada.page
        ada.has_a_passkey_at_hand()
        ada.register()
        ada.sign_in()
        ada.is_in()
        missing = page.locator(".steps li:not(.done)")
        missing.nth(2).wait_for()
        assert missing.count() == 3

        # The first factor is added with the password, and brings recovery codes.
        ada.add_passkey("laptop")
        ada.step_up(password=PASSWORD)
        codes = ada.keep_codes()
        assert len(set(codes)) == 10
        assert page.locator("[data-passkey=laptop]").count() == 1
        ada.fill("Anti-phishing code", "blue heron")
        ada.press("Set the code")
        page.get_by_text("Now: blue heron").wait_for()
        ada.press("Set up one-time codes")
        seed = page.get_by_test_id("totp-secret").inner_text()
        assert (
            page.get_by_role("link", name="Open in an app")
            .get_attribute("href", timeout=1_000)
            .startswith("otpauth://totp/")
        )
        code = code_now(seed)
        ada.fill("Code of the app", "000000" if code != "000000" else "000001")
        ada.press("Turn codes on")
        ada.wrong("did not match")
        ada.fill("Code of the app", code)
        ada.press("Turn codes on")
        page.get_by_text("Codes are on.").wait_for()
        assert "blue heron" in ada.mail("One-time codes were set up").text
        page.get_by_role("cell", name="Passkey added").first.wait_for()
        ada.go("overview")
        missing.first.wait_for(state="detached")
        ada.was_refused("403", "401")

        # In again: the password alone does not do, a passkey alone does.
        ada.sign_out()
        ada.sign_in()
        ada.heading("Second factor")
        ada.press("Sign in with a passkey")
        ada.is_in()
        ada.sign_out()
        ada.press("Sign in with a passkey")
        ada.is_in()

        # A key for a program: shown once, used from where it may be used, revoked.
        ada.go("keys")
        ada.fill("Name of the key", "bot")
        page.get_by_label("Trading").select_option("order")
        ada.fill("Networks", "127.0.0.0/8")
        ada.press("Make the key")
        ada.step_up()
        bot = shown_key(ada)
        said = Client(venue.port, bot).call("GET", "/apiKey").value
        assert [(row["name"], row["permissions"], row["cidrs"]) for row in said] == [
            ("bot", ["order"], ["127.0.0.0/8"])
        ]
        order = {"symbol": "XBTUSD", "side": "Buy", "orderQty": 100, "price": 9_000}
        refused = Client(venue.port, bot).call("POST", "/order", order)
        assert "insufficient Available Balance" in refused.error
        ada.fill("Name of the key", "elsewhere")
        ada.fill("Networks", "203.0.113.0/24")
        ada.press("Make the key")
        page.get_by_text("Keep the secret of “elsewhere” now.").wait_for()
        assert Client(venue.port, shown_key(ada)).call("GET", "/user").status in (401, 403)
        assert bot.secret not in page.content()
        ada.twice("Revoke bot")
        page.locator("[data-key=bot]").wait_for(state="detached")
        assert Client(venue.port, bot).call("GET", "/user").status == 401
        ada.was_refused("403")

        elsewhere(browser, venue, ada, codes[0])
        ada.check_silence()


def shown_key(of: AccountPage) -> KeyRecord:
    """The key that the page shows this once."""
    key, secret = (of.page.get_by_test_id(name).inner_text() for name in ("key-id", "key-secret"))
    return KeyRecord(id=key, secret=secret, account=0)


def elsewhere(browser: Any, venue: Venue, ada: AccountPage, code: str) -> None:
    """Ada signs in on another device by a recovery code, trades there, and ends that session from here."""
    with account_page(browser, venue.url, venue.directory) as phone:
        trade = TradePage(phone.page, phone.url)
        phone.page.goto(f"{phone.url}/trade/#ETHUSDT")
        phone.page.wait_for_selector(".connection.live")
        phone.page.get_by_role("button", name="Sign in", exact=True).first.click()
        phone.page.get_by_role("link", name="With your account").click()
        phone.heading("Sign in")
        phone.fill("E-mail", phone.email)
        phone.fill("Password", PASSWORD)
        phone.press("Sign in")
        phone.page.get_by_text("Use a recovery code").click()
        phone.fill("Recovery code", code)
        phone.press("Sign in with a recovery code")
        # Back at the contract, with what is hers.
        phone.page.wait_for_url("**/trade/#ETHUSDT")
        phone.page.get_by_role("button", name=f"Sign out {phone.email}").wait_for()
        phone.page.wait_for_selector(".tabs:not(.stale)")
        trade.tab("Balances")
        phone.page.locator(".tabs th", has_text="XBT").wait_for()
        assert "A new device has signed in" in ada.mail("A new device has signed in").subject

        ada.go("security")
        row = ada.page.locator("[data-session=other]").first
        row.wait_for()
        ada.twice("End all other sessions")
        row.wait_for(state="detached")
        phone.page.locator(".tabs .empty", has_text="Sign in").wait_for()
        phone.page.wait_for_selector(".connection.live")
        # A code is good once.
        phone.open("sign-in")
        phone.sign_in()
        phone.page.get_by_text("Use a recovery code").click()
        phone.fill("Recovery code", code)
        phone.press("Sign in with a recovery code")
        phone.wrong("did not match")
        assert set(phone.refusals) == {"401"}


def test_what_is_wrong_is_told_and_changes_nothing(browser: Any, venue: Venue) -> None:
    with account_page(browser, venue.url, venue.directory, email="bob@example.com") as bob:
        bob.open("register")
        bob.fill("E-mail", bob.email)
        bob.fill("Password", "password12345")
        bob.press("Open an account")
        bob.wrong("Too easy to guess")
        bob.wrong("Add another word or two")
        bob.fill("Password", PASSWORD)
        bob.press("Open an account")
        bob.heading("Check your mail")
        mail = bob.mail("Open your account")
        bob.follow(mail)
        bob.press("This is my address")
        bob.heading("Your account is open")
        assert mail.secret("verify") not in bob.page.url
        bob.follow(mail)
        bob.press("This is my address")
        bob.wrong("not good any more")
        bob.sign_in("not it at all")
        bob.wrong("e-mail address or the password is wrong")
        bob.fill("Password", PASSWORD)
        bob.press("Sign in")
        bob.is_in()
        # Who gives up stepping up is told that nothing was done, and nothing was.
        bob.go("subaccounts")
        bob.fill("Name of the sub-account", "hedge")
        bob.press("Open a sub-account")
        bob.press("Cancel", "dialog[open]")
        bob.wrong("did not confirm")
        bob.press("Open a sub-account")
        dialog = "dialog[open]"
        bob.fill("Password", "not it at all", dialog)
        bob.press("Confirm with the password", dialog)
        bob.wrong("did not match", dialog)
        bob.step_up(password=PASSWORD)
        bob.page.locator("[data-account=hedge]").wait_for()
        bob.was_refused("400", "400", "401", "403", "403", "401")
        bob.check_silence()


def test_a_forgotten_password_and_a_stranger_who_is_locked_out(browser: Any, venue: Venue) -> None:
    email = "cleo@example.com"
    registered(venue, email)
    thief = Person(venue.url, venue.directory, email).signs_in()
    with account_page(browser, venue.url, venue.directory, email=email) as cleo:
        # The mail about the new device lets her throw the thief out, signed in or not.
        cleo.follow(cleo.mail("A new device has signed in"))
        cleo.press("Lock my account")
        cleo.page.get_by_text("Every session has ended").wait_for()
        assert thief.ask("GET", "/account").status == 401
        cleo.go("forgotten")
        cleo.fill("E-mail", email)
        cleo.press("Send the link")
        cleo.follow(cleo.mail("Choose a new password"))
        cleo.fill("New password", "heron violin 77 custard moat")
        cleo.press("Choose this password")
        cleo.page.get_by_text("It is in force.").wait_for()
        cleo.sign_in(PASSWORD)
        cleo.wrong("password is wrong")
        cleo.was_refused("401")
        cleo.fill("Password", "heron violin 77 custard moat")
        cleo.press("Sign in")
        cleo.is_in()
        held = cleo.page.locator(".held")
        assert re.search(r"held for 23:\d\d:\d\d: the password was changed", held.inner_text())
        cleo.check_silence()


def test_a_withdrawal_is_let_go_by_who_signs_in_at_the_link_of_its_mail(browser: Any, venue: Venue) -> None:
    """Demo coins: no custody is behind them, the three steps are the same."""
    email = "eve@example.com"
    registered(venue, email)
    with account_page(browser, venue.url, venue.directory, email=email, accept_downloads=True) as eve:
        page = eve.page
        eve.open("sign-in")
        eve.sign_in()
        eve.is_in()
        number = int(page.locator(".facts div", has_text="Account").locator("dd").inner_text())
        deposit = command(Command.DEPOSIT, account=number, symbol=XBT.number, qty=10**8)
        # In a thread of its own: the browser's driver runs an event loop in this one.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, venue.submit(deposit)).result()
        eve.go("funds/withdraw")
        page.get_by_text("Withdrawable: 1.00000000").wait_for()
        for amount, words in (("0.000000001", "8 decimals"), ("-1", "above zero"), ("2", "insufficient")):
            eve.fill("To", NOBODY)
            eve.fill("Amount of XBT", amount)
            eve.press("Go on")
            eve.wrong(words)
        eve.was_refused("400")
        eve.fill("Amount of XBT", "0.3")
        eve.press("Go on")
        # A wrong password confirms nothing; given up, it is void.
        eve.fill("Password", "not it at all")
        eve.press("Confirm with the password")
        eve.wrong("did not match")
        eve.was_refused("401")
        page.get_by_test_id("exact").wait_for()
        eve.press("Do not send it", ".card:has([data-testid=exact])")
        eve.heading("1. What goes where")
        eve.press("All of it")
        assert page.get_by_label("Amount of XBT").input_value() == "0.998"
        eve.fill("Amount of XBT", "0.3")
        eve.press("Go on")
        eve.fill("Password", PASSWORD)
        eve.press("Confirm with the password")
        eve.heading("3. Open the link in the mail")
        page.locator("[data-waiting=mailed]").wait_for()
        eve.sign_out()
        mail = eve.mail("Confirm your withdrawal")
        eve.follow(mail)
        eve.heading("Sign in")
        page.get_by_text("Sign in as who asked for the withdrawal").wait_for()
        eve.fill("E-mail", email)
        eve.fill("Password", PASSWORD)
        eve.press("Sign in")
        eve.heading("Withdrawal")
        page.locator(".exact", has_text=NOBODY).wait_for()
        eve.press("Let it go")
        page.locator("[data-testid=journey][data-state=Completed]").wait_for()
        eve.go("statements")
        with page.expect_download() as saving:
            eve.press("Fetch and save")
        rows = list(csv.DictReader(saving.value.path().read_text().splitlines()))
        assert [(row["transactType"], row["amount"]) for row in rows] == [
            ("Deposit", "100000000"), ("Withdrawal", "-30000000"),
        ]  # fmt: skip
        assert set(eve.complaints) == {NO_CUSTODY}
        eve.complaints.clear()
        eve.check_silence()


def test_tabs_agree_on_who_is_signed_in(browser: Any, venue: Venue) -> None:
    email = "flo@example.com"
    registered(venue, email)
    with account_page(browser, venue.url, venue.directory, email=email) as flo:
        trade = TradePage(flo.page.context.new_page(), flo.url)
        trade.page.goto(f"{flo.url}/trade/")
        trade.page.get_by_role("button", name="Sign in", exact=True).first.wait_for()
        flo.open("sign-in")
        flo.sign_in()
        flo.is_in()
        leave = trade.page.get_by_role("button", name=f"Sign out {email}")
        leave.wait_for()
        trade.page.wait_for_selector(".tabs:not(.stale)")
        leave.click()
        flo.heading("Sign in")
        trade.page.locator(".tabs .empty", has_text="Sign in").wait_for()
        # A key that a tab was given stays its own, whoever signs in elsewhere.
        trade.sign_in(key_of(1))
        flo.sign_in()
        flo.is_in()
        trade.page.get_by_role("button", name="Sign out account-1").wait_for()
        flo.check_silence()
        trade.check_silence()


def test_statements_come_whole_and_sub_accounts_have_keys_of_their_own(
    browser: Any, venue: Venue, tmp_path: Path
) -> None:
    email = "dora@example.com"
    registered(venue, email)
    with account_page(browser, venue.url, venue.directory, email=email, accept_downloads=True) as dora:
        page = dora.page
        dora.open("sign-in")
        dora.sign_in()
        dora.is_in()
        dora.go("statements")
        dora.press("Fetch and save")
        dora.wrong("Nothing happened in that time.")
        dora.go("subaccounts")
        dora.fill("Name of the sub-account", "maker")
        dora.press("Open a sub-account")
        dora.step_up(password=PASSWORD)
        page.locator("[data-account=maker]").wait_for()
        number = int(page.locator("[data-account=maker] td").first.inner_text())
        dora.go("keys")
        page.get_by_label("Keys of").select_option("maker")
        dora.fill("Name of the key", "makers")
        dora.press("Make the key")
        page.get_by_test_id("key-secret").wait_for()
        key = shown_key(dora)
        assert Client(venue.port, key).call("GET", "/user").value["id"] == number
        dora.was_refused("403")
        dora.check_silence()


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_axe_finds_nothing_serious(browser: Any, venue: Venue, scheme: str) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not installed: `make web` installs it where npm is")
    email = f"{scheme}@example.com"
    registered(venue, email)
    with account_page(browser, venue.url, venue.directory, email=email, color_scheme=scheme) as found:
        page = found.page
        for place in ("sign-in", "register", "forgotten", "lock=x"):
            found.open(place)
            page.reload()
            page.locator("main h1").wait_for()
            page.evaluate(AXE.read_text())
            assert serious(page) == [], place
        found.open("sign-in")
        assert page.evaluate("document.documentElement.dataset.theme") == scheme
        found.sign_in()
        found.is_in()
        page.evaluate(AXE.read_text())
        for place in VIEWS:
            found.go(place)
            page.wait_for_timeout(250)
            assert serious(page) == [], place
        found.go("keys")
        found.fill("Name of the key", "bot")
        found.press("Make the key")
        page.locator("dialog[open]").wait_for()
        assert serious(page) == []
        assert set(found.complaints) <= {NO_CUSTODY}
        assert found.elsewhere == []


def test_a_phone_shows_every_view_without_scrolling_sideways(browser: Any, venue: Venue) -> None:
    registered(venue, "phone@example.com")
    phone = {"width": 390, "height": 844}
    with account_page(
        browser,
        venue.url,
        venue.directory,
        email="phone@example.com",
        viewport=phone,
        has_touch=True,
        is_mobile=True,
    ) as found:
        found.open("sign-in")
        found.sign_in()
        found.is_in()
        for place in VIEWS:
            found.go(place)
            found.page.wait_for_timeout(150)
            assert found.page.evaluate("document.documentElement.scrollWidth") <= phone["width"], place


def test_signing_in_without_a_mouse(browser: Any, venue: Venue) -> None:
    registered(venue, "keys@example.com")
    with account_page(browser, venue.url, venue.directory, email="keys@example.com") as found:
        found.open("sign-in")
        found.page.get_by_label("E-mail").focus()
        keyboard = found.page.keyboard
        keyboard.type(found.email)
        keyboard.press("Tab")
        keyboard.type(PASSWORD)
        keyboard.press("Enter")
        found.is_in()
        found.page.get_by_role("link", name="Security").focus()
        keyboard.press("Enter")
        found.heading("Security")
        assert found.page.evaluate("document.activeElement.id") == "main"
        found.check_silence()


def test_the_first_load_is_small(browser: Any, venue: Venue) -> None:
    with account_page(browser, venue.url, venue.directory) as found:
        answers: list[Any] = []
        found.page.on("response", lambda answer: answers.append(answer))
        found.open("sign-in")
        found.page.wait_for_load_state("networkidle")
        wire = {item["name"]: item["encodedBodySize"] for item in found.page.evaluate(LOAD)}
        files = sum(size for name, size in wire.items() if "/api/" not in name)
        data = sum(len(gzip.compress(answer.body())) for answer in answers if "/api/" in answer.url)
        assert files > 30_000
        assert files + data < FIRST_LOAD_BYTES_MAX, wire
        assert not [name for name in wire if "charts" in name], "the account page needs no charts"
        found.check_silence()


def test_a_link_that_is_opened_in_another_browser_wants_the_password(browser: Any, venue: Venue) -> None:
    bob = Person(venue.url.replace("127.0.0.1", "localhost"), venue.directory, "two-browsers@example.com")
    bob.post("/account/register", email=bob.address, password=PASSWORD)
    with account_page(browser, venue.url, venue.directory) as phone:
        phone.follow(bob.mail("Open your account"))
        phone.press("This is my address")
        phone.wrong("your password is needed")
        phone.fill("The password that you have chosen", "a guess that is wrong")
        phone.press("This is my address")
        phone.wrong("not the password")
        phone.fill("The password that you have chosen", PASSWORD)
        phone.press("This is my address")
        phone.heading("Your account is open")
        phone.was_refused("403", "401")
