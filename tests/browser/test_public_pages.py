"""The public pages as strangers see them: on a whole exchange, in a real browser, without a key."""

import io
import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from ringfence.cli import security
from ringfence.testing.up import Up, wait_for

SOURCES = Path(__file__).parents[2] / "src" / "ringfence" / "exchange" / "gateway" / "pages" / "public"
SEALS = (SOURCES / "vendor" / "age.js").exists()
"""What seals reports is built from its package: make age."""
PAGES = (
    "", "coins.html", "proofs.html", "markets.html", "risk.html", "security.html", *(["report.html"] if SEALS else []),
)  # fmt: skip
AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
FILLED = "() => [...document.querySelectorAll('.part')].every((one) => one.dataset.is)"
CANARY = "canary-9d27: a withdrawal is signed twice"


class Venue:
    def __init__(self, up: Up) -> None:
        self.url, self.directory = up.url, up.directory

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=20) as answer:
            return json.loads(answer.read())

    def texts(self, report: str) -> list[str]:
        """What the role reads of a report."""
        with redirect_stdout(io.StringIO()) as said:
            security.show(report, directory=self.directory, json=True)
        found: list[str] = json.loads(said.getvalue())["texts"]
        return found


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    with Up(tmp_path_factory.mktemp("public") / "x", "--no-bots", "--coin-keys", "2", custody=True) as up:
        made = Venue(up)
        wait_for(lambda: made.get("/api/v1/audit"), 60, "report of a judge")
        wait_for(lambda: made.get("/api/v1/custody/reconciliation"), 60, "comparison of chain and ledger")
        wait_for(lambda: made.get("/api/v1/porl/snapshots"), 60, "snapshot")
        yield made


@contextmanager
def looking(browser: Any, venue: Venue, **context: Any) -> Iterator[Any]:
    """Yield a page; afterwards nothing was complained of, and nobody else was asked for anything."""
    opened = browser.new_context(viewport={"width": 1280, "height": 900}, **context)
    page = opened.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type != "log" else None)
    page.on(
        "request", lambda asked: complaints.append(asked.url) if not asked.url.startswith(venue.url) else None
    )
    page.add_init_script(
        "document.addEventListener('securitypolicyviolation', (e) => console.error('policy', e.violatedDirective))"
    )
    yield page
    opened.close()
    assert complaints == []


def visit(page: Any, venue: Venue, name: str) -> None:
    page.goto(f"{venue.url}/public/{name}")
    page.wait_for_function(FILLED)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_loads_whole_and_asks_nobody_else(browser: Any, venue: Venue, name: str) -> None:
    with looking(browser, venue) as page:
        visit(page, venue, name)
        assert page.locator("h1").count() == 1
        assert page.locator("main").inner_text()
        assert page.locator(".trouble:visible").all_inner_texts() in ([], [""])
        assert page.locator("nav a").all_inner_texts() == [
            "Status",
            "Coins",
            "Proofs",
            "Markets",
            "Risk",
            "Security",
        ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_stands_in_the_way_of_those_who_see_or_hear_it_otherwise(
    browser: Any, venue: Venue, scheme: str
) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not installed: make axe")
    rules = AXE.read_text()
    # What is where is the same in the dark; what can be told from what is not.
    only = {} if scheme == "light" else {"runOnly": ["color-contrast", "link-in-text-block"]}
    with looking(browser, venue, color_scheme=scheme) as page:
        for name in PAGES:
            visit(page, venue, name)
            page.evaluate(rules)
            found = page.evaluate("(only) => axe.run(document, only)", only)
            grave = [
                (one["id"], [node["html"][:120] for node in one["nodes"]][:3])
                for one in found["violations"]
                if one["impact"] in ("serious", "critical", "moderate")
            ]
            assert grave == [], name
            assert found["passes"]


def test_a_phone_scrolls_down_and_not_sideways(browser: Any, venue: Venue) -> None:
    with looking(browser, venue) as page:
        page.set_viewport_size({"width": 360, "height": 740})
        for name in PAGES:
            visit(page, venue, name)
            widths = page.evaluate(
                "() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
            )
            assert widths[0] <= widths[1], name


def test_the_keyboard_reaches_the_content_first(browser: Any, venue: Venue) -> None:
    with looking(browser, venue) as page:
        visit(page, venue, "")
        page.keyboard.press("Tab")
        assert page.evaluate("() => document.activeElement.textContent") == "To the content"
        page.keyboard.press("Enter")
        assert page.url.endswith("#main")


# ---- what they say is what the API says


def cells(page: Any, part: str, number: int = 0) -> list[list[str]]:
    rows: list[list[str]] = page.evaluate(
        """([part, number]) => [...document.querySelectorAll(`#${part} table`)[number].tBodies[0].rows].map(
            (row) => [...row.cells].map((cell) => cell.innerText.replaceAll("\\u202f", "")))""",
        [part, number],
    )
    return rows


def test_status_says_what_judges_say(browser: Any, venue: Venue) -> None:
    with looking(browser, venue) as page:
        visit(page, venue, "")
        reports = {one["judge"]: one for one in venue.get("/api/v1/audit")}
        shown = {row[0]: row for row in cells(page, "judges")}
        assert set(shown) == set(reports)
        assert all(row[1] == "content" and row[3] == "0" for row in shown.values())
        laws = {one["law"] for one in reports["auditor"]["laws"]}
        assert {row[0] for row in cells(page, "laws")} == laws
        assert page.locator("#state strong").inner_text() == "Trading"
        people = [one["public_key"] for one in venue.get("/api/v1/halt/people")["people"]]
        assert [row[3] for row in cells(page, "people")] == people
        known = {f"{one['sequence']}" for one in venue.get("/api/v1/stateRoot?count=100")}
        assert {row[0] for row in cells(page, "roots")} <= known


def test_an_exchange_that_does_not_answer_is_no_good_exchange(browser: Any, venue: Venue) -> None:
    page = browser.new_page()
    page.route("**/api/v1/**", lambda asked: asked.abort())
    visit(page, venue, "")
    assert page.locator("#state .bad").inner_text().startswith("No answer")
    assert "cannot be shown now" in page.locator("#judges").inner_text()
    page.close()


def test_a_halt_is_seen(browser: Any, venue: Venue) -> None:
    program = "from ringfence.cli import main; main()"
    words = [
        "--scope",
        "withdrawals",
        "--of",
        "XBt",
        "--because",
        "drill",
        "--operator",
        "anna",
        "--directory",
    ]
    done = [sys.executable, "-c", program, "halt", "now", *words, str(venue.directory)]
    subprocess.run(done, check=True, timeout=60, capture_output=True)
    with looking(browser, venue) as page:
        visit(page, venue, "")
        row = cells(page, "halts")[0]
        assert [row[place] for place in (1, 2, 3, 4, 6)] == ["Withdrawals", "XBt", "Halted", "anna", "drill"]
        assert page.locator("#state").inner_text().endswith("1 halt in force")


def test_coins_are_those_of_the_reconciliation(browser: Any, venue: Venue) -> None:
    with looking(browser, venue) as page:
        visit(page, venue, "coins.html")
        assert [row[:2] + row[5:6] for row in cells(page, "reconciliation")] == [["XBT", "agrees", "0"]]
        before = cells(page, "reconciliation", page.locator("#reconciliation table").count() - 1)
        told = [row["height"] for row in venue.get("/api/v1/custody/reconciliation?count=200")]
        assert before
        assert {int(row[5].replace(",", "")) for row in before} <= set(told)
        assert {tuple(row[1:3] + row[4:5]) for row in before} == {("XBT", "agrees", "0")}
        said = venue.get("/api/v1/custody/policies")
        assert [row[3] for row in cells(page, "policies")] == [one["digest"] for one in said["policies"]]
        assert said["charter"] in page.locator("#policies").inner_text()
        roster = venue.get("/api/v1/custody/nominations")["roster"]
        assert [row[0] for row in cells(page, "nominations")] == [one["name"] for one in roster]


def test_proofs_are_those_of_the_signed_index(browser: Any, venue: Venue) -> None:
    index = json.loads(venue.get("/proofs/index.json")["index"])
    snapshot = index["snapshots"][-1]
    with looking(browser, venue) as page:
        visit(page, venue, "proofs.html")
        shown = {row[0]: row[1:6] for row in cells(page, "newest")}
        bitcoin = snapshot["assets"]["XBt"]
        assert bitcoin["demo"] == bitcoin["total"]
        owed = str(int(bitcoin["total"]) // 10**8)
        assert shown["XBT"] == [owed, owed, "0", "demo coins alone", "0"]
        assert page.locator("#venue").inner_text() == index["venue"]
        links = page.locator("main a").evaluate_all("(all) => all.map((one) => one.getAttribute('href'))")
        assert f"/proofs/{snapshot['folder']}/report.html" in links
        assert "/proofs/verifier.html" in links
        for link in links:
            if link.startswith("/proofs/"):
                assert urllib.request.urlopen(f"{venue.url}{link}", timeout=20).status == 200, link


def test_markets_are_those_of_the_api(browser: Any, venue: Venue) -> None:
    with looking(browser, venue) as page:
        visit(page, venue, "markets.html")
        funds = {row[0]: row[2] for row in cells(page, "insurance")}
        said = {one["currency"]: str(one["walletBalance"]) for one in venue.get("/api/v1/insurance")}
        assert funds == {"XBT": said["XBt"], "USDT": said["USDt"]}
        composite = venue.get("/api/v1/instrument/compositeIndex?symbol=.BXBT")
        constituents = [one["reference"] for one in composite if one["reference"] != "BMI"]
        assert [row[0] for row in cells(page, "indices")] == constituents
        perpetuals = [
            one["symbol"] for one in venue.get("/api/v1/instrument/active") if one["fundingInterval"]
        ]
        assert [row[0] for row in cells(page, "funding")] == perpetuals
        page.select_option("#contract", perpetuals[-1])
        shows = "(name) => document.getElementById('past-funding').innerText.includes(name)"
        page.wait_for_function(shows, arg=perpetuals[-1])


def test_numbers_stay_what_they_are_beyond_a_double(browser: Any, venue: Venue) -> None:
    """2^53 + 1 and tenths that no double holds: parsed, moved by their point, never computed with."""
    with looking(browser, venue) as page:
        visit(page, venue, "risk.html")
        shown = page.evaluate(
            """async (text) => {
                const { parseExact, decimal, percent, grouped, ofMillion } = await import("/public/js/exact.js");
                const one = parseExact(text);
                return [
                  one.a, one.b, one.e, decimal(one.a, 8), decimal(one.c[0], 18), decimal("5", 8),
                  decimal("-100000000", 8), percent(one.d), percent("0.0001"), percent("-0.000375"), percent("1"),
                  percent("0.1"), percent("0.0"), grouped("1234567.1234567"), ofMillion(1000000n), ofMillion(999999n),
                ].map((shown) => shown === null ? null : shown.replaceAll("\u202f", " "));
            }""",
            r'{"a": 9007199254740993, "b": "1\"2", "c": [-12345678900000000000001], "d": 1e-4, "e": null}',
        )
    assert shown == [
        "9007199254740993", '1"2', None, "90 071 992.54740993", "−12 345.678900000000000001", "0.00000005", "−1",
        "0.01 %", "0.01 %", "−0.0375 %", "100 %", "10 %", "0 %", "1 234 567.1234567", "100 %", "99.9999 %",
    ]  # fmt: skip


def test_a_chart_is_drawn_between_its_highest_and_lowest(browser: Any, venue: Venue) -> None:
    with looking(browser, venue) as page:
        visit(page, venue, "risk.html")
        said = page.evaluate(
            """async () => {
                const { lineChart } = await import("/public/js/chart.js");
                const points = ["7", "9", "8"].map((value, day) => (
                  { at: `2026-11-0${day + 1}T12:00:00.000Z`, value, label: `${value} coins` }));
                const made = lineChart("Fund", points);
                document.querySelector("main").append(made);
                const dots = [...made.querySelectorAll("circle")].map((dot) => Number(dot.getAttribute("cy")));
                return { label: made.querySelector("svg").getAttribute("aria-label"), dots };
            }"""
        )
    assert said["label"] == "Fund: from 7 coins to 8 coins; lowest 7 coins, highest 9 coins."
    assert said["dots"][1] < said["dots"][2] < said["dots"][0]


# ---- reporting a hole


@pytest.mark.skipif(not SEALS, reason="what seals reports is not built: make age")
def test_a_hole_is_reported_followed_and_answered(browser: Any, venue: Venue) -> None:
    with looking(browser, venue) as page:
        sent: list[str] = []
        page.on("request", lambda asked: sent.append(asked.post_data or ""))
        visit(page, venue, "report.html")
        page.wait_for_selector("#send:not([disabled])")
        page.click("#send")
        assert "both are required" in page.locator("#outcome").inner_text()
        page.fill("#title", CANARY)
        page.fill("#steps", f"{CANARY} <img src=x onerror=alert(1)>")
        page.fill("#thanks", "Zoë & <Zed>")
        page.click("#send")
        page.wait_for_selector("#saved")
        receipt = page.locator("#saved").input_value()
        report = receipt.split()[1]
        assert not [text for text in sent if "canary" in text or "AGE-SECRET-KEY" in text]

        assert json.loads(venue.texts(report)[0])["title"] == CANARY
        at = {"directory": venue.directory}
        security.state(report, "acknowledged", **at)
        security.message(report, "seen; <b>thank you</b>", **at)
        security.state(report, "triaged", band="high", **at)
        security.state(report, "accepted", **at)
        security.thank(report, **at)

        visit(page, venue, "report.html")
        page.fill("#mine", receipt[:-1])
        page.click("#look button")
        assert "no receipt" in page.locator("#trouble").inner_text()
        page.fill("#mine", f"my receipt:\n{receipt}\n")
        page.click("#look button")
        page.wait_for_selector("#found table")
        found = page.locator("#found").inner_text()
        assert "accepted" in found
        assert "seen; <b>thank you</b>" in found
        page.wait_for_selector("#send:not([disabled])")
        page.fill("#addition", f"{CANARY}, and again")
        page.click("#more button")
        page.wait_for_function("() => document.getElementById('added').textContent === 'It was added.'")
        assert CANARY in venue.texts(report)[1]

        visit(page, venue, "security.html")
        assert page.locator("#hall li").all_inner_texts() == ["Zoë & <Zed> (high)"]
        assert page.locator("#recipient").inner_text() == venue.get("/api/v1/securityPolicy")["recipient"]
    for path in venue.directory.rglob("*"):
        if path.is_file() and not path.is_symlink():
            assert b"canary-9d27" not in path.read_bytes(), path


@pytest.mark.skipif(not SEALS, reason="what seals reports is not built: make age")
def test_a_wrong_receipt_opens_nothing(browser: Any, venue: Venue) -> None:
    opened = browser.new_page()
    opened.goto(f"{venue.url}/public/report.html")
    opened.fill("#mine", f"ringfence-receipt R0123456789 {'x' * 43} AGE-SECRET-KEY-1{'Q' * 58}")
    opened.click("#look button")
    opened.wait_for_function("() => document.getElementById('trouble').textContent")
    assert opened.locator("#trouble").inner_text() == "there is no report with this receipt"
    opened.close()


# ---- their files


def test_pages_have_one_navigation_and_no_script_or_style_of_their_own() -> None:
    navigations = set()
    for path in SOURCES.glob("*.html"):
        text = path.read_text()
        begin, end = text.index("<nav"), text.index("</nav>")
        navigations.add(text[begin:end].replace(' aria-current="page"', ""))
        assert " style=" not in text, path.name
        assert "<style" not in text, path.name
        assert text.count("<script") == text.count('<script type="module" src="js/'), path.name
    assert len(navigations) == 1


def test_scripts_set_text_and_never_markup() -> None:
    for path in [*SOURCES.glob("js/*.js")]:
        text = path.read_text()
        for sink in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function("):
            assert sink not in text, path.name
