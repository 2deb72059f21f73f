"""Chromium for tests, without a network of its own and without a screen; and the verifier's page in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ringfence.assurance.proofs import seal

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def chromium() -> Iterator[Any]:
    """Run a browser; without Chromium or playwright the test is skipped, and says so."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not Path(CHROMIUM).exists():
        pytest.skip(f"Chromium is not installed: there is no {CHROMIUM} (Debian package chromium)")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


class Verifier:
    """The page, driven as a person does; files and fields are changed without loading it again."""

    def __init__(self, page: Any, address: str = "") -> None:
        """The page from the source, or from where somebody serves it."""
        self.page = page
        self.page.goto(address or seal.PAGE.as_uri())

    def check(self, files: dict[str, bytes], form: dict[str, str]) -> dict[str, Any]:
        self.page.evaluate("() => { files = []; window.ringfenceResult = null; }")
        some = [{"name": name, "mimeType": "", "buffer": data} for name, data in files.items()]
        self.page.set_input_files("#pick", some)
        result: dict[str, Any] = self.page.evaluate(
            """async (form) => {
                for (const [name, value] of Object.entries(form)) byId("form").elements[name].value = value;
                byId("go").click();
                while (!window.ringfenceResult) await new Promise((done) => setTimeout(done, 2));
                return window.ringfenceResult;
            }""",
            form,
        )
        return result
