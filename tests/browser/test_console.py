"""The custody console on a whole exchange, in a real browser: signers decide, two people lift a halt."""

import asyncio
import json
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from ringfence.assurance.halting import read_private_key
from ringfence.chained_log import entries_of
from ringfence.console import PAGES, origin_of
from ringfence.custody.hsm import softhsm_module
from ringfence.custody.quorum.messages import (
    Attach,
    Batch,
    Challenge,
    Commit,
    Join,
    Recall,
    Refusal,
    Show,
    Standing,
    Status,
)
from ringfence.daemons.cosigner_client import CosignerClient
from ringfence.daemons.custody_ports import read_ports
from ringfence.testing.bitcoin import NOBODY
from ringfence.testing.up import RINGFENCE, Up, wait_for
from tests.browser.console_page import Person, need_the_pages, person
from tests.e2e.test_custody import XBT, custody, run_custody, state_of, trader_account, wallet, withdrawals
from tests.e2e.test_up import Trader

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        softhsm_module() is None or shutil.which("softhsm2-util") is None,
        reason="SoftHSM is not installed: Debian package softhsm2",
    ),
]
AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
NAMES = ("Requests", "Flows", "Co-signers", "Halts", "Ceremonies", "Audit log")
WEB = Path(__file__).parents[2] / "web" / "console"
WORDS = "correct horse battery"
ASKED = {"currency": "XBt", "network": "btc", "amount": 20 * XBT, "address": NOBODY, "fee": 300_000}


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    need_the_pages()
    with Up(tmp_path_factory.mktemp("console") / "x", "--no-bots", "--coin-keys", "4", custody=True) as found:
        yield found


@pytest.fixture(scope="module")
def people(browser: Any, up: Up, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Person]]:
    """Four people, each with a browser and a hardware key; one keeps their key under a passphrase, as people do."""
    sealed = tmp_path_factory.mktemp("keys") / "risk.pem"
    risk = read_private_key(up.directory / "people" / "demo-risk.pem", passphrase=None)
    sealed.write_bytes(
        risk.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(WORDS.encode()),
        )
    )  # fmt: skip
    there, keys = up.directory, up.directory / "custody" / "people"
    with (
        person(browser, there, "custody/custody-anna/operations", keys / "custody-anna.key") as anna,
        person(
            browser, there, "custody/custody-bert/risk", keys / "custody-bert.key", color_scheme="dark"
        ) as bert,
        person(
            browser, there, "halts/demo-operations/operations", there / "people" / "demo-operations.pem"
        ) as olga,
        person(browser, there, "halts/demo-risk/risk", sealed, passphrase=WORDS) as rosa,
    ):
        found = {"anna": anna, "bert": bert, "olga": olga, "rosa": rosa}
        for one in found.values():
            one.open().enrol().sign_in()
        yield found


@pytest.fixture(scope="module")
def trader(up: Up) -> Trader:
    """Somebody with coins of a chain."""
    found = Trader(up.url, up.key("demo-2"))
    before = wallet(found)["amount"]
    custody("faucet", 45 * XBT, "--account", trader_account(found), "--directory", up.directory)
    wait_for(lambda: wallet(found)["amount"] == before + 45 * XBT, 60, "credit")
    # Little goes to a destination that is new; after that it is known.
    first = {**ASKED, "amount": XBT // 2}
    assert found.call("POST", "/api/v1/user/requestWithdrawal", first)[0] == 200
    there = ("--directory", up.directory)
    wait_for(lambda: any(row["state"] == "paid" for row in withdrawals(there)), 60, "payment of a small one")
    return found


def ask(trader: Trader, there: tuple[object, ...]) -> str:
    """Ask for more than anybody gets without approval; return the number of the withdrawal that waits."""
    assert trader.call("POST", "/api/v1/user/requestWithdrawal", ASKED)[0] == 200

    def waits() -> str:
        return next(
            (str(row["withdrawal"]) for row in withdrawals(there)[:1] if "P6" in row["waitingFor"]), ""
        )

    return wait_for(waits, 30, "withdrawal that waits for people")


def open_request(who: Person, number: str) -> None:
    who.go("Requests")
    who.page.locator(f"[data-withdrawal='{number}']").get_by_role("link").click()
    who.page.get_by_role("heading", name=f"Withdrawal {number}").wait_for()


def test_a_signer_sees_what_moves_and_approves_it(
    up: Up, people: dict[str, Person], trader: Trader, tmp_path: Path
) -> None:
    there = ("--directory", up.directory)
    number, anna = ask(trader, there), people["anna"]
    open_request(anna, number)
    page = anna.page
    page.get_by_text("20 XBT").first.wait_for()
    told = page.locator("main").inner_text()
    assert NOBODY in told
    assert "1 still missing" in page.get_by_test_id("approvals").inner_text()
    assert page.get_by_test_id("digest").inner_text() == withdrawals(there)[0]["digest"]
    assert page.get_by_role("button", name="Approve").is_disabled()
    page.get_by_label("Type the amount in XBt").fill(str(2 * XBT))
    assert page.get_by_role("button", name="Approve").is_disabled()
    page.get_by_label("Type the amount in XBt").fill(str(20 * XBT))
    page.screenshot(path=tmp_path / "request.png", full_page=True)
    anna.sign("Approve")
    anna.told("approved")
    wait_for(lambda: state_of(there, int(number)) == "paid", 60, "payment")

    page.get_by_text("✓ drawn again here: the same").wait_for()
    page.get_by_text("change: change address 1 of clients").wait_for()
    page.get_by_role("cell", name="client's").wait_for()
    page.locator(".verdicts tbody tr").first.wait_for()
    assert page.locator(".verdicts .bad").count() == 0
    assert page.locator(".verdicts tbody tr").count() > 20
    page.screenshot(path=tmp_path / "paid.png", full_page=True)


def test_one_person_refuses_and_the_coins_come_back(
    up: Up, people: dict[str, Person], trader: Trader
) -> None:
    there = ("--directory", up.directory)
    number, bert = ask(trader, there), people["bert"]
    open_request(bert, number)
    bert.page.get_by_label("Because").fill("theft")
    bert.sign("Refuse")
    bert.told("stopped; its coins go back")
    wait_for(lambda: state_of(there, int(number)) == "returned", 30, "coins to come back")
    assert "stopped by custody-bert: theft" in withdrawals(there)[0]["because"]


def test_a_key_of_somebody_else_approves_nothing(up: Up, people: dict[str, Person], trader: Trader) -> None:
    """Signed in as anna, with bert's key file: the console refuses, and the coordinator is told nothing."""
    there = ("--directory", up.directory)
    number, anna, bert = ask(trader, there), people["anna"], people["bert"]
    open_request(anna, number)
    anna.page.get_by_label("Type the amount in XBt").fill(str(20 * XBT))
    own, anna.key = anna.key, bert.key
    anna.sign("Approve")
    anna.page.get_by_text("the signature is not yours").wait_for()
    anna.key = own
    anna.complaints.clear()  # of the refusal, which the browser reports too
    assert "P6" in withdrawals(there)[0]["waitingFor"]
    open_request(bert, number)
    bert.page.get_by_label("Because").fill("a test")
    bert.sign("Refuse")
    bert.told("stopped")


def test_one_person_halts_and_two_of_different_roles_go_on(
    up: Up, people: dict[str, Person], tmp_path: Path
) -> None:
    bert, olga, rosa = people["bert"], people["olga"], people["rosa"]
    bert.go("Halts").page.get_by_label("Because").fill("a drill")
    bert.page.get_by_role("button", name="Halt", exact=True).click()
    bert.told("halted at sequence")
    assert venue_state(up) == "Halted"

    olga.go("Halts").page.get_by_label("What was wrong").fill("it was a drill: nothing was wrong")
    olga.page.get_by_role("button", name="Draft", exact=True).click()
    olga.told("drafted")
    olga.page.get_by_text("Cause", exact=True).wait_for()
    olga.sign("Sign as operations")
    olga.page.get_by_text("Signed by halts/demo-operations/operations.").wait_for()
    assert venue_state(up) == "Halted"
    olga.page.screenshot(path=tmp_path / "halts.png", full_page=True)

    rosa.go("Halts")
    rosa.page.get_by_text("Signed by halts/demo-operations/operations.").wait_for()
    rosa.sign("Sign as risk")
    rosa.page.get_by_text("Signed by halts/demo-operations/operations and halts/demo-risk/risk").wait_for()

    def goes_on() -> bool:
        # A judge may not have looked at this very state yet: then the core says so, and is asked again.
        again = rosa.page.get_by_role("button", name="Send to the core again")
        if venue_state(up) == "Halted" and again.count():
            again.click()
            rosa.page.wait_for_timeout(1_000)
        return venue_state(up) != "Halted"

    wait_for(goes_on, 30, "resumption")
    rosa.page.get_by_text("lifted at sequence").first.wait_for()
    rosa.complaints[:] = [one for one in rosa.complaints if "status of 502" not in one]


def venue_state(up: Up) -> str:
    with urllib.request.urlopen(f"{up.url}/api/v1/halt/status", timeout=10) as answer:
        return str(json.loads(answer.read())["state"])


def test_all_co_signers_freeze_by_one_and_thaw_by_two(up: Up, people: dict[str, Person]) -> None:
    anna, bert, olga = people["anna"], people["bert"], people["olga"]
    olga.go("Co-signers").page.get_by_label("Because").fill("a drill")
    olga.sign("Freeze all")
    olga.told("5 co-signers are frozen")
    anna.go("Co-signers")
    anna.sign("Sign the thaw")
    anna.told("somebody of another group signs too")
    assert anna.page.get_by_text("✗ frozen").count() == 5
    bert.go("Co-signers")
    bert.sign("Sign the thaw")
    bert.told("5 co-signers go on")
    bert.page.wait_for_function("() => document.querySelectorAll('[data-signer] td.good').length === 5")


def test_one_person_tightens_the_policy(up: Up, people: dict[str, Person]) -> None:
    anna = people["anna"].go("Ceremonies")
    anna.page.get_by_label("New value, as JSON").fill(str(90 * XBT))
    anna.page.get_by_role("button", name="Draft", exact=True).click()
    anna.page.get_by_text("Loosens: nothing; tightens: cap.").wait_for()
    anna.sign("Sign this version")
    anna.page.get_by_role("button", name="Announce to all co-signers").click()
    anna.told("version 2 is in force at 5 co-signers")


def test_the_audit_log_has_it_all(up: Up, people: dict[str, Person], tmp_path: Path) -> None:
    raw = (up.directory / "custody" / "console" / "log.jsonl").read_bytes()
    entries = list(entries_of(raw))
    assert {
        "key enrolled", "signed in", "approval", "veto", "halt", "resume drafted", "resume signed", "resume sent",
        "freeze", "thaw signed", "policy drafted", "policy signed", "policy announced", "outcome",
    } <= {one.kind for one in entries}  # fmt: skip
    people["olga"].go("Audit log").page.get_by_text(entries[-1].digest.hex()).wait_for()
    shown = people["olga"].page.locator("tbody th").all_inner_texts()
    assert shown == [one.kind for one in reversed(entries)][: len(shown)]
    people["olga"].page.screenshot(path=tmp_path / "audit.png", full_page=True)
    checked = custody("console-log", "--head", entries[3].digest.hex(), "--directory", up.directory)
    assert f"{len(entries)} lines, each follows from the one before" in checked
    assert (
        "its end was cut off"
        in run_custody("console-log", "--head", "ab", "--directory", up.directory).stderr
    )
    for who in people.values():
        secret = who.key.read_bytes().strip().splitlines()[-2 if b"\n" in who.key.read_bytes().strip() else 0]
        assert secret not in raw


@pytest.mark.parametrize("name", ["anna", "bert"])
def test_nothing_stands_in_the_way_of_those_who_see_or_hear_it_otherwise(
    people: dict[str, Person], name: str
) -> None:
    """anna's browser is light, bert's dark."""
    if not AXE.exists():
        pytest.skip("axe-core is not installed: make axe")
    who = people[name]
    # What is where is the same in the dark; what can be told from what is not.
    only = {} if name == "anna" else {"runOnly": ["color-contrast", "link-in-text-block"]}
    for title in (*NAMES, ""):
        if title:
            who.go(title)
        else:
            who.go("Requests").page.locator("[data-withdrawal] a").first.click()
        who.page.wait_for_selector("section, table")
        who.page.evaluate(AXE.read_text())
        found = who.page.evaluate("(only) => axe.run(document, only)", only)
        grave = [
            (one["id"], [node["html"][:120] for node in one["nodes"]][:3])
            for one in found["violations"] if one["impact"] in ("serious", "critical", "moderate")
        ]  # fmt: skip
        assert grave == [], title
        assert found["passes"]


def test_a_phone_scrolls_down_and_not_sideways(people: dict[str, Person]) -> None:
    page = people["anna"].page
    page.set_viewport_size({"width": 360, "height": 740})
    for title in NAMES:
        people["anna"].go(title).page.wait_for_selector("section, table")
        widths = page.evaluate(
            "() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        )
        assert widths[0] <= widths[1], title


def test_the_keyboard_reaches_the_content_first(people: dict[str, Person]) -> None:
    page = people["olga"].page
    page.reload()
    page.get_by_role("button", name="Sign out").wait_for()
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.textContent") == "To the content"
    page.keyboard.press("Enter")
    assert page.evaluate("() => document.activeElement.id") == "main"


def test_the_exchanges_port_has_nothing_of_the_console(up: Up) -> None:
    names = [path.relative_to(PAGES).as_posix() for path in PAGES.rglob("*") if path.is_file()]
    assert names
    for name in [*names, "api/session", "api/requests"]:
        for place in ("", "console/", "trade/console/", "public/console/"):
            if (place, name) == ("", "icon.svg"):
                continue  # the exchange has one of its own
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(f"{up.url}/{place}{name}", timeout=10)
            assert refused.value.code == 404, place + name


async def ask_as_console(directory: Path, question: Any) -> Any:
    ports = read_ports(directory).cosigners
    client = CosignerClient(
        directory / "custody", {"ops-1": ("127.0.0.1", ports["ops-1"])}, asks_as="console"
    )
    return await client.ask("ops-1", question)


def test_co_signers_answer_the_console_what_people_ask_and_nothing_else(up: Up) -> None:
    """Its certificate is not the coordinator's: it collects no signature, with or without a batch."""
    coordinators = (
        Commit(Batch("batch-1-1", "clients", ())), Challenge("00"), Show("ops-2", "00", "00"), Recall("00"),
        Join("00", 1), Attach("{}"),
    )  # fmt: skip
    with ThreadPoolExecutor() as aside:  # the browser has this thread's loop

        def put(question: Any) -> Any:
            return aside.submit(lambda: asyncio.run(ask_as_console(up.directory, question))).result(20)

        assert isinstance(put(Status()), Standing)
        for question in coordinators:
            told = put(question)
            assert (type(told), told.reason) == (Refusal, "the console does not ask this"), question


def test_the_console_is_one_of_the_processes(up: Up) -> None:
    said = subprocess.run(
        [RINGFENCE, "status", up.directory, "--json"], capture_output=True, timeout=60, check=True
    )
    states = {one["name"]: one["state"] for one in json.loads(said.stdout)["processes"]}
    assert states["custody-console"] == "running"
    assert origin_of(read_ports(up.directory).console) in up.text


def test_no_page_of_the_console_brings_markup_from_elsewhere() -> None:
    sources = [path for path in (WEB / "src").rglob("*") if path.suffix in (".svelte", ".ts")]
    assert len(sources) > 20
    for path in sources:
        for sink in (
            "{@html",
            "innerHTML",
            "outerHTML",
            "insertAdjacent",
            "document.write",
            "eval(",
            "localStorage",
        ):
            assert sink not in path.read_text(), path.name


def test_who_signs_out_is_out(people: dict[str, Person]) -> None:
    olga = people["olga"]
    cookie = {one["name"]: one for one in olga.page.context.cookies()}["__Host-ringfence-console"]
    assert (cookie["httpOnly"], cookie["secure"], cookie["sameSite"]) == (True, True, "Strict")
    olga.page.get_by_role("button", name="Sign out").click()
    olga.page.get_by_role("button", name="Sign in with a hardware key").wait_for()
    olga.page.context.add_cookies([cookie])
    olga.page.reload()
    olga.page.get_by_role("button", name="Sign in with a hardware key").wait_for()
