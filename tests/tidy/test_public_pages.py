"""What of the public pages is made from elsewhere is what would be made now."""

import importlib.util
import json
import shutil
import subprocess
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


@pytest.mark.parametrize("name", ["risk.html", "laws.json"])
def test_a_page_is_what_its_source_says(name: str) -> None:
    """If this fails: python docs/generate.py"""
    made = maker()
    assert (made.PAGES / name).read_text() == made.MADE[name]()


def test_a_text_cannot_bring_markup_into_the_page_of_risks() -> None:
    assert maker().html_of("# <b>\n\na & <script>`x`\n\n- **one** & two") == (
        "      <h1>&lt;b&gt;</h1>\n      <p>a &amp; &lt;script&gt;<code>x</code></p>\n"
        "      <ul>\n        <li><strong>one</strong> &amp; two</li>\n      </ul>\n"
    )


def test_the_page_names_the_versions_that_are_locked() -> None:
    lock = json.loads((AGE / "package-lock.json").read_text())["packages"]
    banner = (maker().PAGES / "vendor" / "age.js").open().readline()
    assert f"age-encryption {lock['node_modules/age-encryption']['version']} " in banner
    assert all("integrity" in one for name, one in lock.items() if name)


def test_what_seals_reports_is_what_its_packages_make(tmp_path: Path) -> None:
    """The file that is served, byte for byte; to have the packages: npm ci --ignore-scripts in deploy/local/age."""
    if not (AGE / "node_modules").exists():
        pytest.skip("the packages are not installed: npm ci --ignore-scripts --prefix deploy/local/age")
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    made = tmp_path / "age.js"
    found = next(AGE.glob("node_modules/@esbuild/*/bin/esbuild"), None)
    assert found is not None
    words = json.loads((AGE / "package.json").read_text())["scripts"]["build"]
    banner = words.split('--banner:js="')[1].split('"')[0]
    options = [one for one in words.split(' --banner:js="')[0].split()[2:] if not one.startswith("--outfile")]
    subprocess.run(
        [str(found), "entry.js", *options, f"--banner:js={banner}", f"--outfile={made}"],
        cwd=AGE, check=True, capture_output=True,
    )  # fmt: skip
    assert made.read_bytes() == (maker().PAGES / "vendor" / "age.js").read_bytes()
