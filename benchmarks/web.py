"""What the trade page and the account page take: `python benchmarks/web.py [--json]`.

A venue whose book changes 200 times a second is shown in Chromium, with neither screen nor graphics card. Counted
are the page's frames, what it fetches until it has drawn everything (as compressed; the API's answers, which go
uncompressed, are compressed for the count), and the seconds from the address to a book and a ticket that work. Of the
account page it is what it fetches until somebody can sign in.
"""

import gzip
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.browser.chromium import ARGUMENTS, CHROMIUM  # noqa: E402
from tests.browser.tab import BUILT, context  # noqa: E402
from tests.browser.trade_page import trade_page  # noqa: E402
from tests.browser.updates import COUNTS, FRAMES, LOAD, Updates  # noqa: E402

from ringfence.testing.measure import Result, report  # noqa: E402
from ringfence.testing.venue import Venue, key_of  # noqa: E402

UPDATES_PER_SECOND = 200
LIMIT_FRAMES, LIMIT_KB, LIMIT_SECONDS = 60, 200, 1.5
LOADS = 5
_INTERACTIVE = """() => new Promise((done) => {
    const look = () => document.querySelector(".book:not(.stale) .line.bid") && document.querySelector("#qty")
        ? done(performance.now() / 1000) : requestAnimationFrame(look);
    look();
})"""


def api_answers(page: Any) -> list[bytes]:
    """Return a list that grows with every answer of the API to the page."""
    answers: list[bytes] = []

    def keep(request: Any) -> None:
        if "/api/" in request.url:
            answers.append(request.response().body())

    page.on("requestfinished", keep)
    return answers


def fetched_kb(page: Any, answers: list[bytes]) -> float:
    wire = page.evaluate(LOAD)
    files = sum(item["encodedBodySize"] for item in wire if "/api/" not in item["name"])
    return float(files + sum(len(gzip.compress(answer)) for answer in answers)) / 1000


def results() -> Iterator[Result]:
    if not BUILT.exists():
        sys.exit("the trade page is not built: make web")
    with (
        tempfile.TemporaryDirectory() as folder,
        Venue(Path(folder) / "venue") as venue,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        updates = Updates(venue.url, key_of(1), price=10_000, per_second=UPDATES_PER_SECOND)
        updates.start()
        assert updates.is_running.wait(20)
        seconds = []
        for _ in range(LOADS):
            with trade_page(browser, venue.url) as found:
                found.page.goto(f"{venue.url}/trade/", wait_until="commit")
                seconds.append(found.page.evaluate(_INTERACTIVE))
        with trade_page(browser, venue.url) as found:
            answers = api_answers(found.page)
            found.page.add_init_script(COUNTS)
            found.open().page.wait_for_selector("[data-testid=chart][data-ready=true]")
            kb = fetched_kb(found.page, answers)
            found.page.wait_for_timeout(1_000)
            seen = found.page.evaluate(FRAMES, 8_000)
            found.check_silence()
        updates.stop()
        with context(browser) as made:
            page = made.new_page()
            answers = api_answers(page)
            page.goto(f"{venue.url}/trade/account.html")
            page.get_by_role("heading", name="Sign in").wait_for()
            page.wait_for_load_state("networkidle")
            account_kb = fetched_kb(page, answers)
        browser.close()
    yield Result(
        "web.frames_per_second_at_200_updates", seen["frames"], "1/s", f"the goal of {LIMIT_FRAMES}",
        seen["frames"] / LIMIT_FRAMES,
    )  # fmt: skip
    yield Result("web.longest_frame_ms", seen["longest"], "ms", f"{seen['updates']:.0f} updates a second")
    yield Result("web.first_load_kb", kb, "kB", f"the limit of {LIMIT_KB} kB", kb / LIMIT_KB)
    yield Result(
        "web.account_first_load_kb", account_kb, "kB", f"the limit of {LIMIT_KB} kB", account_kb / LIMIT_KB
    )
    spent = median(seconds)
    yield Result(
        "web.interactive_seconds", spent, "s", f"the limit of {LIMIT_SECONDS} s", spent / LIMIT_SECONDS
    )


if __name__ == "__main__":
    report(results())
