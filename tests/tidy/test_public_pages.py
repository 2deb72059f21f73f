"""What of the public pages is made from elsewhere is what would be made now."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
AGE = ROOT / "deploy" / "local" / "age"


def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("public_pages", ROOT / "docs" / "public_pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_page_is_framed() -> None:
    made = maker()
    assert set(made.FRAMED) == {path.name for path in made.PAGES.glob("*.html")} < set(made.MADE)
    assert set(made.MENU) | {name for name, page in made.FRAMED.items() if page.is_below} == set(made.FRAMED)


@pytest.mark.parametrize("name", sorted(maker().MADE))
def test_a_page_is_what_its_source_says(name: str) -> None:
    """If this fails: python docs/generate.py"""
    made = maker()
    assert (made.PAGES / name).read_text() == made.MADE[name]()


def test_a_page_without_scripts_says_where_its_figures_are() -> None:
    made = maker()
    for name, page in made.FRAMED.items():
        text = (made.PAGES / name).read_text()
        asked = (
            made._ASKED.findall((made.PAGES / "js" / f"{page.script}.js").read_text()) if page.script else []
        )
        if name != "report.html":
            assert all(f"{path}</code>" in text for _, path in asked), name
            assert ("<noscript>" in text) == bool(asked), name


def test_a_text_cannot_bring_markup_into_the_page_of_risks() -> None:
    assert maker().html_of("# <b>\n\na & <script>`x`\n\n- **one** & two") == (
        "      <h1>&lt;b&gt;</h1>\n      <p>a &amp; &lt;script&gt;<code>x</code></p>\n"
        "      <ul>\n        <li><strong>one</strong> &amp; two</li>\n      </ul>\n"
    )


def test_what_seals_reports_is_pinned_and_built_by_name() -> None:
    lock = json.loads((AGE / "package-lock.json").read_text())["packages"]
    banner = json.loads((AGE / "package.json").read_text())["scripts"]["build"]
    assert f"age-encryption {lock['node_modules/age-encryption']['version']} " in banner
    assert all("integrity" in one for name, one in lock.items() if name)
