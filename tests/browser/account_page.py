"""The account page as a person uses it, with a passkey and their mail."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ringfence.exchange.users.founding import SOCKET, home_of
from ringfence.testing.person import PASSWORD, Mail, Person, code_now
from ringfence.testing.up import wait_for
from tests.browser.tab import Tab, context

EMAIL = "ada@example.com"
_AUTHENTICATOR = {
    "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
    "isUserVerified": True, "automaticPresenceSimulation": True,
}  # fmt: skip


class AccountPage(Tab):
    """One tab. `url` is by name: passkeys belong to names."""

    def __init__(self, page: Any, url: str, directory: Path, email: str = EMAIL) -> None:
        super().__init__(page, url)
        self.email = email
        self._person = Person(url, directory, email)

    def open(self, place: str = "") -> "AccountPage":
        self.page.goto(f"{self.url}/account/#{place}")
        self.page.locator("main h1").wait_for()
        return self

    def go(self, place: str) -> None:
        """Go on to another view of the page that is open."""
        self.page.evaluate("(place) => { location.hash = place; }", place)

    def has_a_passkey_at_hand(self) -> Any:
        """Give this tab an authenticator, as a laptop with a fingerprint reader has; return its line to the browser."""
        line = self.page.context.new_cdp_session(self.page)
        line.send("WebAuthn.enable")
        line.send("WebAuthn.addVirtualAuthenticator", {"options": _AUTHENTICATOR})
        return line

    def mail(self, subject: str) -> Mail:
        return self._person.mail(subject)

    def follow(self, mail: Mail) -> None:
        """Open the link of a mail."""
        found = re.search(r"http\S+/account/#\S+", mail.text)
        assert found, mail
        self.page.goto("about:blank")
        self.page.goto(found[0])

    # ---- deeds

    def press(self, name: str, within: str = "body") -> None:
        self.page.locator(within).get_by_role("button", name=name, exact=True).click()

    def twice(self, label: str) -> None:
        """Press what asks once more."""
        self.page.get_by_role("button", name=label, exact=True).click()
        self.page.get_by_role("button", name=re.compile(f"^{re.escape(label)}: ")).click()

    def fill(self, label: str, value: str, within: str = "body") -> None:
        field = self.page.locator(within).get_by_label(label, exact=True)
        field.and_(self.page.locator("input, textarea")).fill(value)

    def heading(self, name: str) -> Any:
        found = self.page.get_by_role("heading", name=name, exact=True)
        found.wait_for()
        return found

    def wrong(self, text: str, within: str = "body") -> None:
        """Wait until the page says that this is wrong."""
        self.page.locator(within).locator("[role=alert]", has_text=text).first.wait_for()

    # ---- stories

    def register(self, password: str = PASSWORD) -> None:
        self.open("register")
        self.fill("E-mail", self.email)
        self.fill("Password", password)
        self.press("Open an account")
        self.heading("Check your mail")
        self.follow(self.mail("Open your account"))
        self.press("This is my address")
        self.heading("Your account is open")

    def sign_in(self, password: str = PASSWORD) -> None:
        """As far as the password goes."""
        self.go("sign-in")
        self.heading("Sign in")
        self.fill("E-mail", self.email)
        self.fill("Password", password)
        self.press("Sign in")

    def is_in(self) -> None:
        self.page.get_by_role("button", name="Sign out").wait_for()

    def sign_out(self) -> None:
        self.page.get_by_role("button", name="Sign out").click()
        self.heading("Sign in")

    def add_passkey(self, name: str) -> None:
        self.go("security")
        self.fill("Name of the passkey", name)
        self.press("Add a passkey")

    def step_up(self, **answer: str) -> None:
        """Confirm in the dialog: with the passkey, or by `password` or `code`."""
        dialog = "dialog[open]"
        self.page.locator(dialog).wait_for()
        if "password" in answer:
            self.fill("Password", answer["password"], dialog)
            self.press("Confirm with the password", dialog)
        elif "code" in answer:
            self.fill("One-time code", answer["code"], dialog)
            self.press("Confirm with the code", dialog)
        else:
            self.press("Confirm with a passkey", dialog)
        self.page.locator(dialog).wait_for(state="detached")

    def confirms_if_asked(self, wanted: Any) -> None:
        """Wait for something; if the page asks meanwhile who it is, use the passkey."""
        dialog = self.page.locator("dialog[open]")
        wanted.or_(dialog).first.wait_for()
        if dialog.count():
            self.step_up()
        wanted.wait_for()

    def keep_codes(self) -> list[str]:
        """Read recovery codes and say that they are kept."""
        box = self.page.get_by_role("region", name="Recovery codes").first
        # The box may be there before they are.
        box.locator("li code").first.wait_for()
        codes: list[str] = box.locator("li code").all_inner_texts()
        self.press("I have kept them")
        return codes


def fresh_code(seed: str, last: str) -> str:
    """A one-time code that is not the last one: each is good once."""
    code = code_now(seed)
    while code == last:
        time.sleep(0.2)
        code = code_now(seed)
    return code


@contextmanager
def account_page(browser: Any, url: str, directory: Path, **options: Any) -> Iterator[AccountPage]:
    """Open a tab with nothing remembered, once the exchange has somebody at its account desk."""
    email = options.pop("email", EMAIL)
    wait_for((home_of(directory) / SOCKET).exists, 60, "account desk")
    with context(browser, **options) as made:
        yield AccountPage(made.new_page(), url.replace("127.0.0.1", "localhost"), directory, email)
