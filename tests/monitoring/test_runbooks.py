"""What a runbook tells somebody to type at night exists."""

import re
from pathlib import Path

import pytest
from cyclopts import App

from ringfence.cli import app
from ringfence.exchange.gateway.rest import ROUTES

RUNBOOKS = sorted((Path(__file__).parents[2] / "docs" / "operating" / "runbooks").glob("*.md"))
_COMMAND = re.compile(r"\bringfence ((?:[a-z-]+)(?: [a-z-]+)?)")
_ROUTE = re.compile(r"/api/v1(/[A-Za-z/]+)")
_CODE = re.compile(r"```bash\n(.*?)```|`([^`\n]+)`", re.DOTALL)
_SECTIONS = ["## Look", "## Do", "## Then"]


def _is_command(words: list[str]) -> bool:
    found: App = app
    for word in words:
        try:
            found = found[word]
        except KeyError:
            # The word after a command that takes no other is an argument of it, or goes on with the sentence.
            return found is not app and found.default_command is not None
    return True


@pytest.mark.parametrize("page", RUNBOOKS, ids=lambda page: page.stem)
def test_a_runbook_names_commands_and_addresses_that_there_are(page: Path) -> None:
    text = page.read_text()
    code = "\n".join(block or inline for block, inline in _CODE.findall(text))
    for named in _COMMAND.findall(code):
        assert _is_command(named.split()), f"there is no `ringfence {named}`"
    for route in _ROUTE.findall(code):
        assert ("GET", route) in ROUTES, f"there is no {route}"
    assert [line for line in text.splitlines() if line.startswith("## ")] == _SECTIONS


def test_a_command_that_does_not_exist_would_be_seen() -> None:
    assert _is_command(["halt", "status"])
    assert _is_command(["top"])
    assert not _is_command(["halt", "nothing"])
    assert not _is_command(["nothing"])
