"""The trade page as a person uses it; what it complains about and whom it asks is kept."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from ringfence.exchange.gateway import KeyRecord, pages

BUILT = pages.HOME / "trade" / "index.html"
_REFUSED = re.compile(r"Failed to load resource: the server responded with a status of (4\d\d)")
WAIT_MS = 10_000


def need_the_page() -> None:
    if not BUILT.exists():
        pytest.skip("the trade page is not built: `make web` builds it where npm is")


class TradePage:
    """One tab."""

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

    def open(self, symbol: str = "") -> "TradePage":
        self.page.goto(f"{self.url}/trade/" + (f"#{symbol}" if symbol else ""))
        self.page.wait_for_selector(".connection.live")
        self.page.wait_for_selector(".book:not(.stale) .line.bid")
        return self

    def sign_in(self, key: KeyRecord, secret: str | None = None) -> None:
        page = self.page
        page.get_by_role("button", name="Sign in", exact=True).first.click()
        page.get_by_label("Key", exact=True).fill(key.id)
        page.get_by_label("Secret").fill(key.secret if secret is None else secret)
        page.locator("dialog").get_by_role("button", name="Sign in").click()
        if secret is None:
            page.get_by_role("button", name="Sign out").wait_for()
            page.wait_for_selector(".tabs:not(.stale)")

    def tab(self, name: str) -> None:
        self.page.get_by_role("tab", name=re.compile(f"^{name}")).click()

    def told(self, text: str) -> None:
        """Wait until the person is told so."""
        self.page.locator(".toast", has_text=text).first.wait_for()

    def number(self, selector: str) -> float:
        """The first number of what is shown there."""
        text: str = self.page.locator(selector).first.inner_text()
        found = re.search(r"[\d,]+(\.\d+)?", text)
        assert found, text
        return float(found[0].replace(",", ""))

    def chooses(self, kind: str, **fields: object) -> None:
        """Choose an order type and fill its fields by their ids."""
        group = self.page.get_by_role("group", name="Order type")
        button = group.get_by_role("button", name=kind, exact=True)
        if button.count():
            button.click()
        else:
            group.get_by_label("More order types").select_option(label=kind)
        for field, value in fields.items():
            self.page.fill(f"#{field}", str(value))

    def check_silence(self) -> None:
        """Nothing was complained about, nobody else was asked."""
        assert self.complaints == []
        if self.refusals:
            self.tab("Events")
            pytest.fail(f"{self.refusals}: {self.page.locator('.events').inner_text()}")
        assert self.elsewhere == []


@contextmanager
def trade_page(browser: Any, url: str, **options: Any) -> Iterator[TradePage]:
    """Open a tab with nothing remembered."""
    context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})
    yield TradePage(context.new_page(), url)
    context.close()
