"""The custody console as people use it: each with a browser of their own, a hardware key, and their key file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from ringfence.console import has_pages, origin_of
from ringfence.daemons.custody_ports import read_ports

WAIT_MS = 20_000
HARDWARE_KEY = {
    "protocol": "ctap2", "transport": "usb", "hasResidentKey": True, "hasUserVerification": True,
    "isUserVerified": True, "automaticPresenceSimulation": True,
}  # fmt: skip


def need_the_pages() -> None:
    if not has_pages():
        pytest.skip("the console's pages are not built: `make web` builds them where npm is")


class Person:
    """Somebody at the console. What the browser complains about, and whom it asks, is kept."""

    def __init__(self, page: Any, directory: Path, seat: str, key: Path, passphrase: str = "") -> None:
        self.page, self.url = page, origin_of(read_ports(directory).console)
        self.seat, self.key, self.passphrase = seat, key, passphrase
        self.complaints: list[str] = []
        page.set_default_timeout(WAIT_MS)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._heard)
        page.on("request", self._asked)
        page.add_init_script(
            "document.addEventListener('securitypolicyviolation', (e) => console.error('policy', e.violatedDirective))"
        )
        self.line = page.context.new_cdp_session(page)
        self.line.send("WebAuthn.enable")
        made = self.line.send("WebAuthn.addVirtualAuthenticator", {"options": HARDWARE_KEY})
        self.hardware = made["authenticatorId"]

    def _heard(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _asked(self, request: Any) -> None:
        if urlsplit(request.url).netloc != urlsplit(self.url).netloc:
            self.complaints.append(request.url)

    # ---- in and out

    def open(self) -> "Person":
        self.page.goto(self.url)
        self.page.get_by_role("button", name="Sign in with a hardware key").wait_for()
        return self

    def enrol(self) -> "Person":
        of, name, role = self.seat.split("/")
        self.page.get_by_label("List", exact=True).select_option(of)
        self.page.get_by_label("Name on the list").fill(name)
        self.page.get_by_label("Group" if of == "custody" else "Role", exact=True).fill(role)
        self.sign("Enrol")
        self.page.get_by_text(f"enrolled for {self.seat}").wait_for()
        return self

    def sign_in(self) -> "Person":
        self.page.get_by_role("button", name="Sign in with a hardware key").click()
        self.page.get_by_role("button", name="Sign out").wait_for()
        return self

    def go(self, name: str) -> "Person":
        self.page.get_by_role("navigation").get_by_role("link", name=name).click()
        self.page.get_by_role("heading", level=1).filter(has_text=name).wait_for()
        return self

    # ---- deeds

    def sign(self, verb: str, within: Any = None) -> None:
        """Choose the key file in the form of a button, and press it."""
        form = (
            (within or self.page)
            .locator("form.sign")
            .filter(has=self.page.get_by_role("button", name=verb, exact=True))
        )
        form.get_by_label("Your key file").set_input_files(self.key)
        form.get_by_label("Its passphrase, if it has one").fill(self.passphrase)
        form.get_by_role("button", name=verb, exact=True).click()

    def told(self, text: str) -> None:
        self.page.locator(".outcome", has_text=text).first.wait_for()


@contextmanager
def person(browser: Any, directory: Path, seat: str, key: Path, **options: Any) -> Iterator[Person]:
    passphrase = options.pop("passphrase", "")
    context = browser.new_context(**options)
    found = Person(context.new_page(), directory, seat, key, passphrase)
    yield found
    context.close()
    assert found.complaints == []
