"""The trade page as a person uses it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ringfence.exchange.users.keys import KeyRecord
from tests.browser.tab import BUILT, Tab, context, need_the_page

__all__ = ["BUILT", "TradePage", "need_the_page", "trade_page"]


class TradePage(Tab):
    def open(self, symbol: str = "") -> "TradePage":
        self.page.goto(f"{self.url}/trade/" + (f"#{symbol}" if symbol else ""))
        return self.is_live()

    def is_live(self) -> "TradePage":
        self.page.wait_for_selector(".connection.live")
        self.page.wait_for_selector(".book:not(.stale) .line.bid")
        return self

    def sign_in(self, key: KeyRecord, secret: str | None = None) -> None:
        """Sign in with an API key."""
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
        if self.refusals:
            self.tab("Events")
            pytest.fail(f"{self.refusals}: {self.page.locator('.events').inner_text()}")
        super().check_silence()


@contextmanager
def trade_page(browser: Any, url: str, **options: Any) -> Iterator[TradePage]:
    """Open a tab with nothing remembered."""
    with context(browser, **options) as made:
        yield TradePage(made.new_page(), url)
