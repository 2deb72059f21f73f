"""A browser for each module, and the verifier's page in it."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.chromium import Verifier, chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def verifier(browser: Any) -> Iterator[Verifier]:
    page = browser.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text))
    yield Verifier(page)
    page.close()
    assert complaints == []
