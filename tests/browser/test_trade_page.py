"""The trade page in Chromium against a whole exchange: what a trader does, and what the page may not do."""

import gzip
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ringfence.testing.up import RINGFENCE, Up, wait_for
from ringfence.testing.venue import Venue, key_of
from tests.browser.axe import AXE, serious
from tests.browser.trade_page import TradePage, need_the_page, trade_page
from tests.browser.updates import COUNTS, FRAMES, LOAD, Updates
from tests.e2e.test_up import pid_of

ROOT = Path(__file__).parents[2]
WEB = ROOT / "web"
FIRST_LOAD_BYTES_MAX = 200_000
FRAMES_MIN = 5
"""Lenient: other tests share the cores. benchmarks/web.py has the figure."""
UPDATES_PER_SECOND = 200


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Iterator[Up]:
    need_the_page()
    with Up(tmp_path_factory.mktemp("trade") / "exchange") as found:
        yield found


@pytest.fixture
def visitor(browser: Any, up: Up) -> Iterator[TradePage]:
    with trade_page(browser, up.url) as found:
        yield found.open()
        found.check_silence()


@pytest.fixture(scope="module")
def signed_in(browser: Any, up: Up) -> Iterator[TradePage]:
    with trade_page(browser, up.url) as found:
        found.open().sign_in(up.key("demo-1"))
        yield found


@pytest.fixture
def trader(signed_in: TradePage) -> Iterator[TradePage]:
    yield signed_in
    signed_in.check_silence()


def test_without_a_key_everything_public_is_there(visitor: TradePage) -> None:
    page = visitor.page
    page.wait_for_selector("[data-testid=chart][data-ready=true] canvas")
    page.wait_for_selector(".trades tbody tr:nth-child(3)")
    assert page.locator("[data-instrument]").count() == 7
    bid, ask = visitor.number(".bids .line .price"), visitor.number(".asks .line:last-child .price")
    assert 0 < bid < ask
    first = page.locator(".lines").inner_text()
    wait_for(lambda: page.locator(".lines").inner_text() != first, 10, "another book")
    assert re.fullmatch(r"\d\d:\d\d:\d\d", page.get_by_test_id("countdown").inner_text())
    page.locator("[data-instrument=ETHUSDT]").click()
    page.wait_for_selector(".book:not(.stale) .line.bid")
    assert page.evaluate("location.hash") == "#ETHUSDT"
    assert visitor.number(".bids .line .price") < bid / 5
    page.select_option(".book select", label="0.50")
    prices = [text.split(".")[1] for text in page.locator(".bids .line .price").all_inner_texts()]
    assert set(prices) <= {"00", "50"}
    page.get_by_label("Quantity").fill("100")
    page.locator(".bids .line").first.click()
    assert visitor.number("[data-testid=cost-Buy]") > 0
    page.get_by_role("button", name="5m").click()
    page.wait_for_selector("[data-testid=chart][data-ready=true]")


def test_who_signs_wrongly_is_told_so(visitor: TradePage, up: Up) -> None:
    page, key = visitor.page, up.key("demo-1")
    visitor.sign_in(key, secret="wrong")
    page.locator("dialog [role=alert]", has_text="Signature not valid").wait_for()
    assert visitor.refusals == ["401"]
    visitor.refusals.clear()
    page.get_by_label("Secret").fill(key.secret)
    page.locator("dialog").get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Sign out").wait_for()
    assert key.secret not in page.url
    assert key.secret not in page.content()
    assert page.evaluate("JSON.stringify(localStorage)").find(key.secret) < 0
    page.reload()
    page.get_by_role("button", name="Sign out").click()
    page.locator(".tabs .empty", has_text="Sign in").wait_for()
    assert page.evaluate("sessionStorage.length") == 0
    page.wait_for_selector(".connection.live")


def test_an_order_is_placed_amended_in_its_row_and_cancelled(trader: TradePage) -> None:
    page = trader.page
    trader.tab("Orders")
    price = int(trader.number(".bids .line .price")) - 500
    trader.chooses("Limit", qty="200", price=price)
    assert trader.number("[data-testid=cost-Buy]") > 0
    page.get_by_label("Post-only").check()
    page.get_by_role("button", name="Buy / Long").click()
    row = page.locator("[data-order]")
    assert "post-only" in row.inner_text()
    row.get_by_role("button", name="Price").click()
    page.get_by_label("Price", exact=True).fill(str(price - 10))
    page.keyboard.press("Enter")
    row.get_by_role("button", name=f"Price {price - 10:,}.0").wait_for()
    row.get_by_role("button", name="Quantity left").click()
    page.get_by_label("Quantity left", exact=True).fill("150")
    page.keyboard.press("Enter")
    trader.told("Invalid orderQty")
    page.keyboard.press("Escape")
    assert trader.refusals == ["400"]
    trader.refusals.clear()
    row.get_by_role("button", name="Cancel").click()
    row.wait_for(state="detached")
    trader.told("Cancelled")


def test_a_position_is_opened_protected_levered_and_closed(trader: TradePage) -> None:
    page = trader.page
    trader.tab("Positions")
    trader.chooses("Market", qty="1000")
    page.get_by_role("button", name="Buy / Long").click()
    row = page.locator("[data-position=XBTUSD]")
    assert "Long 1,000" in re.sub(r"\s+", " ", row.inner_text())
    assert row.get_by_role("img", name="Deleveraging queue").count() == 1
    trader.told("Bought")

    stop = int(trader.number(".bids .line .price")) - 3000
    trader.chooses("Stop market", qty="", stop=stop)
    page.get_by_label("Close", exact=True).check()
    page.get_by_role("button", name="Sell / Short").click()
    trader.tab("Orders")
    waiting = page.locator("[data-order]")
    waiting.wait_for()
    assert "Waiting" in waiting.inner_text()
    trader.chooses("Trailing stop", qty="100", offset="500")
    page.get_by_label("Close", exact=True).uncheck()
    page.get_by_role("button", name="Sell / Short").click()
    page.locator("[data-order]", has_text="Trailing").wait_for()
    page.get_by_role("button", name="Cancel all orders", exact=True).click()
    page.get_by_role("button", name="Cancel all orders: Cancel all 2?").click()
    page.locator(".tabs .empty", has_text="No open orders").wait_for()

    trader.tab("Positions")
    slider = page.locator(".ticket input[type=range]")
    slider.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    trader.told("isolated at 3")
    page.locator(".ticket .head", has_text="Isolated 3").wait_for()
    # What the ticket says beforehand of liquidation is where the engine will put it, but for the price of the fill.
    trader.chooses("Market", qty="1000")
    wait_for(lambda: trader.number("[data-testid=liquidation-Buy]"), 5, "preview")
    said = trader.number("[data-testid=liquidation-Buy]")
    page.get_by_role("button", name="Buy / Long").click()
    page.locator("[data-position=XBTUSD]", has_text="2,000").wait_for()
    assert trader.number("[data-position=XBTUSD] .liquidation") == pytest.approx(said, rel=1e-3)
    margin = trader.number("[data-position=XBTUSD] .margin")
    row.get_by_role("button", name="Add margin").click()
    page.get_by_label("Add margin").fill("0.01")
    page.keyboard.press("Enter")
    wait_for(lambda: trader.number("[data-position=XBTUSD] .margin") > margin + 0.009, 5, "more margin")
    row.get_by_role("button", name="To cross").click()
    page.locator(".ticket .head", has_text="Cross").wait_for()
    row.get_by_role("button", name="Close XBTUSD").click()
    row.get_by_role("button", name="Close at market?").click()
    row.wait_for(state="detached")
    trader.tab("Fills")
    assert page.locator(".tabs tbody tr").count() >= 2
    trader.tab("Balances")
    assert page.locator(".tabs tbody tr", has_text="XBT").count() >= 1


def test_every_kind_of_order_is_taken(trader: TradePage) -> None:
    page = trader.page
    trader.tab("Orders")
    last = int(trader.number(".bids .line .price"))
    kinds: list[tuple[str, str, dict[str, object]]] = [
        ("Limit", "Buy", {"price": last - 400}), ("Stop market", "Buy", {"stop": last + 900}),
        ("Stop limit", "Buy", {"stop": last + 900, "price": last + 950}),
        ("Market if touched", "Buy", {"stop": last - 900}),
        ("Limit if touched", "Sell", {"stop": last + 900, "price": last + 880}),
        ("Trailing stop", "Buy", {"offset": 700}), ("Pegged", "Buy", {"offset": -300}),
    ]  # fmt: skip
    for number, (kind, side, fields) in enumerate(kinds, 1):
        trader.chooses(kind, qty=100, **fields)
        page.locator(f".sides .{side.lower()}").click()
        page.get_by_role("tab", name=f"Orders ({number})").wait_for()
    for displayed, shown in (("part", "shows 100"), ("none", "hidden")):
        trader.chooses("Limit", qty=300, price=last - 500)
        page.get_by_label("Displayed").select_option(displayed)
        if displayed == "part":
            page.get_by_label("Display quantity").fill("100")
        page.get_by_role("button", name="Buy / Long").click()
        page.locator("[data-order]", has_text=shown).wait_for()
    page.get_by_label("Displayed").select_option("all")
    page.get_by_role("button", name="Cancel all orders of XBTUSD").click()
    page.get_by_role("button", name="Cancel all orders of XBTUSD: Cancel 9?").click()
    page.locator(".tabs .empty", has_text="No open orders").wait_for()


@pytest.mark.slow
def test_a_bracket_goes_with_its_order_and_closes_what_it_opened(trader: TradePage) -> None:
    page = trader.page
    trader.tab("Orders")
    price = int(trader.number(".bids .line .price"))
    page.get_by_text("Take profit, stop loss").click()
    trader.chooses("Limit", qty=200, price=price - 500, profit=price + 2_000, loss=price - 2_000)
    page.get_by_role("button", name="Buy / Long").click()
    page.get_by_role("tab", name="Orders (3)").wait_for()
    assert page.locator("[data-order]", has_text="Waiting").count() == 2
    page.locator("[data-order]", has_text="▲ Buy").get_by_role("button", name="Cancel").click()
    page.locator(".tabs .empty", has_text="No open orders").wait_for()
    # Filled at once, it is protected at once; whoever reaches the profit first loses the stop.
    trader.chooses("Market", qty=200, profit=price - 1_000, loss=price - 2_000)
    page.get_by_role("button", name="Buy / Long").click()
    trader.told("Triggered: Sell 200 XBTUSD")
    page.locator(".tabs .empty", has_text="No open orders").wait_for()
    trader.tab("Positions")
    page.locator(".tabs .empty", has_text="No open positions").wait_for()
    trader.chooses("Limit", profit="", loss="")


def test_coins_are_bought_on_the_spot(trader: TradePage) -> None:
    page = trader.page
    page.locator("[data-instrument=XBT_USDT]").click()
    page.wait_for_selector(".book:not(.stale) .line.bid")
    assert page.input_value("#qty") == ""
    trader.chooses("Market", qty="100000")
    assert trader.number("[data-testid=cost-Buy]") > 50
    page.get_by_role("button", name="Buy", exact=True).click()
    trader.told("Bought 100,000 XBT_USDT")
    page.locator("[data-instrument=XBTUSD]").click()
    page.wait_for_selector(".book:not(.stale) .line.bid")


def test_a_refusal_is_told_in_the_words_of_the_api(trader: TradePage) -> None:
    page = trader.page
    trader.chooses("Limit", qty="100", price="100000.05")
    page.get_by_role("button", name="Buy / Long").click()
    trader.told("Invalid price tickSize")
    trader.chooses("Limit", qty="150", price=int(trader.number(".bids .line .price")))
    page.get_by_role("button", name="Buy / Long").click()
    trader.told("Invalid orderQty")
    trader.tab("Events")
    assert page.locator(".events .bad", has_text="tickSize").count() == 1
    assert trader.refusals == ["400", "400"]
    trader.refusals.clear()


def test_a_trade_without_a_mouse(visitor: TradePage, up: Up) -> None:
    """Sign in, choose a price in the book, buy, amend, cancel: keys alone."""
    page, key, keyboard = visitor.page, up.key("demo-2"), visitor.page.keyboard
    page.get_by_role("button", name="Sign in", exact=True).first.focus()
    keyboard.press("Enter")
    page.wait_for_selector("dialog[open]")
    # Past the ways to the account page.
    keyboard.press("Tab")
    keyboard.press("Tab")
    for text in (key.id, key.secret):
        keyboard.type(text)
        keyboard.press("Tab")
    keyboard.press("Enter")
    page.get_by_role("button", name="Sign out").wait_for()
    page.wait_for_selector("dialog", state="detached")
    keyboard.press("b")
    page.wait_for_function("() => document.activeElement.id === 'book'")
    for name in ("ArrowDown", "ArrowDown", "ArrowDown", "Enter", "q"):
        keyboard.press(name)
    page.wait_for_function("() => document.activeElement.id === 'qty'")
    keyboard.type("100")
    keyboard.press("ArrowUp")
    assert page.input_value("#qty") == "200"
    price = page.input_value("#price")
    keyboard.press("Escape")
    keyboard.press("p")
    page.wait_for_function("() => document.activeElement.id === 'price'")
    keyboard.press("Shift+ArrowDown")
    assert float(page.input_value("#price")) == float(price) - 1
    keyboard.type("")
    page.fill("#price", str(int(float(price)) - 700))
    keyboard.press("Control+Enter")
    visitor.told("Placed: Buy 200 XBTUSD")
    keyboard.press("Escape")
    keyboard.press("2")
    page.wait_for_function("() => document.activeElement.id === 'tab-orders'")
    page.wait_for_selector("[data-order]")
    row = page.locator("[data-order]")
    row.get_by_role("button", name="Cancel").focus()
    keyboard.press("Enter")
    row.wait_for(state="detached")


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_axe_finds_nothing_serious(browser: Any, up: Up, scheme: str) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not installed: `make web` installs it where npm is")
    with trade_page(browser, up.url, color_scheme=scheme) as found:
        found.open().sign_in(up.key("demo-2"))
        assert found.page.evaluate("document.documentElement.dataset.theme") == scheme
        found.page.evaluate(AXE.read_text())
        found.page.wait_for_selector("[data-testid=chart][data-ready=true]")
        assert serious(found.page) == []
        found.tab("Balances")
        found.page.get_by_role("button", name="Help").click()
        assert serious(found.page) == []
        found.check_silence()


def test_a_phone_shows_one_part_at_a_time(browser: Any, up: Up) -> None:
    phone = {"width": 390, "height": 844}
    with trade_page(browser, up.url, viewport=phone, has_touch=True, is_mobile=True) as found:
        page = found.page
        page.goto(f"{up.url}/trade/")
        page.wait_for_selector(".connection.live")
        for view, part in (
            ("Book", ".book"),
            ("Trade", ".ticket"),
            ("Account", ".tabs"),
            ("Chart", ".chart"),
        ):
            page.locator(".views").get_by_role("button", name=view).click()
            assert page.locator(part).is_visible()
            assert page.locator(".instruments").is_visible() is False
            assert page.evaluate("document.documentElement.scrollWidth") <= phone["width"]
        found.check_silence()


def test_the_first_load_is_small(browser: Any, up: Up) -> None:
    with trade_page(browser, up.url) as found:
        answers: list[Any] = []
        found.page.on("response", lambda answer: answers.append(answer))
        found.open().page.wait_for_selector("[data-testid=chart][data-ready=true]")
        wire = {item["name"]: item["encodedBodySize"] for item in found.page.evaluate(LOAD)}
        files = sum(size for name, size in wire.items() if "/api/" not in name)
        # The API does not compress its answers; a proxy in front of it would.
        data = sum(len(gzip.compress(answer.body())) for answer in answers if "/api/" in answer.url)
        assert files > 50_000
        assert files + data < FIRST_LOAD_BYTES_MAX, wire
        found.check_silence()


@pytest.mark.slow
def test_frames_go_on_while_the_book_changes_all_the_time(browser: Any, tmp_path: Path) -> None:
    need_the_page()
    with Venue(tmp_path / "venue") as venue, trade_page(browser, venue.url) as found:
        found.page.add_init_script(COUNTS)
        key = key_of(1)
        updates = Updates(venue.url, key, price=10_000, per_second=UPDATES_PER_SECOND)
        updates.start()
        assert updates.is_running.wait(10)
        found.open()
        seen = found.page.evaluate(FRAMES, 2_500)
        updates.stop()
        # How fast is benchmarks/web.py's to say; here it has to go on at all.
        assert seen["updates"] > 0, seen
        assert seen["frames"] > FRAMES_MIN, seen
        # What is shown is what the exchange says, to the last level.
        page, said = found.page, {}
        answer = page.request.get(f"{venue.url}/api/v1/orderBook/L2?symbol=XBTUSD&depth=3")
        for row in answer.json():
            said[f"{row['price']:,.1f}"] = f"{row['size']:,}"
        page.wait_for_function(
            """(said) => {
                const shown = {};
                for (const line of document.querySelectorAll(".line"))
                    shown[line.querySelector(".price").textContent] = line.querySelector(".size").textContent;
                return Object.entries(said).every(([price, size]) => shown[price] === size);
            }""",
            arg=said,
        )
        found.check_silence()


def test_what_is_old_is_grey_until_it_is_new_again(browser: Any, up: Up) -> None:
    """The gateway is killed under the page; the page says so, comes back by itself, still signed in."""
    with trade_page(browser, up.url) as found:
        page = found.open().page
        found.sign_in(up.key("demo-1"))
        os.kill(pid_of(up, "gateway"), signal.SIGKILL)
        page.wait_for_selector(".connection.reconnecting")
        page.wait_for_selector(".book.stale")
        page.wait_for_selector(".tabs.stale")
        page.locator(".banner", has_text="Reconnecting").wait_for()
        # A gateway reads its views anew before it answers, on a busy machine for a while.
        page.wait_for_selector(".connection.live", timeout=60_000)
        page.wait_for_selector(".book:not(.stale) .line.bid")
        page.wait_for_selector(".tabs:not(.stale)")
        assert found.elsewhere == []


def test_a_halt_is_said_above_everything(browser: Any, up: Up) -> None:
    """The last story: two people would have to lift it."""
    with trade_page(browser, up.url) as found:
        page = found.open().page
        subprocess.run(
            [RINGFENCE, "halt", "now", "--because", "a drill", "--operator", "test", "--directory", str(up.directory)],
            check=True, capture_output=True, timeout=20,
        )  # fmt: skip
        page.locator(".halts", has_text="The exchange: Halted").wait_for()
        assert "a drill" in page.locator(".halts").inner_text()
        found.check_silence()


def test_what_is_computed_is_right() -> None:
    """The page's own unit tests: book, grouping, preview, formatting, signatures."""
    if shutil.which("npm") is None or not (WEB / "node_modules").exists():
        pytest.skip("npm is missing, or web/node_modules: `make web` installs it")
    done = subprocess.run(
        ["npm", "test", "--silent", "--", "--reporter=json"],
        cwd=WEB,
        capture_output=True,
        timeout=60,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["numPassedTests"] > 30
