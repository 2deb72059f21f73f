"""A browser's tab: what it complains about, and whom it asks, is kept."""

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from ringfence.exchange.gateway import pages

BUILT = pages.HOME / "trade" / "index.html"
_REFUSED = re.compile(r"Failed to load resource: the server responded with a status of (4\d\d)")
WAIT_MS = 30_000
SHOTS = os.environ.get("RINGFENCE_SCREENSHOTS")


def need_the_page() -> None:
    if not BUILT.exists():
        pytest.skip("the trade page is not built: `make web` builds it where npm is")


class Tab:
    def __init__(self, page: Any, url: str) -> None:
        self.page, self.url = page, url
        self.complaints: list[str] = []
        self.refusals: list[str] = []
        """HTTP statuses that the browser itself reports; a test that asks for a refusal takes them out."""
        self.elsewhere: list[str] = []
        page.set_default_timeout(WAIT_MS)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._heard)
        page.on("request", self._asked)

    def _heard(self, message: Any) -> None:
        refused = _REFUSED.match(message.text)
        if refused:
            self.refusals.append(refused[1])
        elif message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _asked(self, request: Any) -> None:
        if urlsplit(request.url).netloc != urlsplit(self.url).netloc:
            self.elsewhere.append(request.url)

    def told(self, text: str) -> None:
        """Wait until the person is told so."""
        self.page.locator(".toast", has_text=text).first.wait_for()

    def was_refused(self, *statuses: str) -> None:
        """The browser has reported just these; they are taken out."""
        assert self.refusals == list(statuses)
        self.refusals.clear()

    def shot(self, name: str, part: str = "body") -> None:
        """Keep what is shown in $RINGFENCE_SCREENSHOTS, if it is named: the documentation's pictures are such."""
        if SHOTS:
            self.page.locator(part).screenshot(path=f"{SHOTS}/{name}.png")

    def check_silence(self) -> None:
        """Nothing was complained about, nobody else was asked."""
        assert self.complaints == []
        assert self.refusals == []
        assert self.elsewhere == []


@contextmanager
def context(browser: Any, **options: Any) -> Iterator[Any]:
    """A browser with nothing remembered. When a test fails, what it shows is kept in $RINGFENCE_SCREENSHOTS."""
    made = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})
    try:
        yield made
    except BaseException:
        if SHOTS:
            for number, page in enumerate(made.pages):
                page.screenshot(path=f"{SHOTS}/failed-{time.time():.0f}-{number}.png", full_page=True)
        raise
    finally:
        made.close()
