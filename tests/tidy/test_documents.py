"""Pages are what the code says, examples give what they show, links lead somewhere."""

import doctest
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("changes/*.md")])
_LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["rejects.md", "records.md", "laws.md", "metrics.md", "settings.md"])
def test_a_generated_page_is_what_the_code_says(name: str) -> None:
    """If this fails: python docs/generate.py"""
    written = (ROOT / "docs" / "reference" / name).read_text()
    assert written == generator().PAGES[name]()


@pytest.mark.parametrize(("name", "examples"), [("reference/contracts.md", 13), ("internals/shadow.md", 8)])
def test_examples_give_what_they_show(name: str, examples: int) -> None:
    result = doctest.testfile(str(ROOT / "docs" / name), module_relative=False)
    assert result.attempted >= examples
    assert result.failed == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = _FENCE.sub("", page.read_text())
    for target in _LINK.findall(text):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_lines_fit_an_editor(page: Path) -> None:
    for line in _FENCE.sub("", page.read_text()).splitlines():
        assert len(line) <= 120 or line.startswith("|"), line


def test_every_decision_is_in_the_list() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = (folder / "README.md").read_text()
    for page in folder.glob("0*.md"):
        assert page.name in listed
