"""Runbooks are run: each script does what its page says, with real processes. RINGFENCE_RUNBOOKS=all runs every one."""

import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS, PAGES = ROOT / "deploy" / "runbooks", ROOT / "docs" / "operating" / "runbooks"
FAST = {"halted", "leaked-key", "overload"}
NAMES = sorted(path.stem for path in SCRIPTS.glob("*.py") if path.stem != "staging")


def _load(path: Path) -> Any:
    if str(SCRIPTS) not in sys.path:
        sys.path.insert(0, str(SCRIPTS))
    found = importlib.util.spec_from_file_location(path.stem.replace("-", "_") + "_runbook", path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def _run(path: Path, folder: Path) -> dict[str, Any]:
    module = _load(path)
    book = module.Runbook(quiet=True)
    run: Callable[[Any, Path], None] = module.run
    try:
        run(book, folder)
    except importlib.import_module("staging").ToolMissingError as error:
        pytest.skip(str(error))
    assert book.checked
    print(path.stem, book.figures)
    figures: dict[str, Any] = book.figures
    return figures


def test_every_page_has_a_script_that_can_be_run_and_names_it() -> None:
    assert {path.stem for path in PAGES.glob("*.md")} == set(NAMES)
    for name in NAMES:
        assert f"`deploy/runbooks/{name}.py`" in (PAGES / f"{name}.md").read_text()
        assert callable(_load(SCRIPTS / f"{name}.py").run), "what it imports is there"


@pytest.mark.parametrize("name", NAMES)
def test_a_runbook(name: str, tmp_path: Path) -> None:
    if name not in FAST and os.environ.get("RINGFENCE_RUNBOOKS") != "all":
        pytest.skip("RINGFENCE_RUNBOOKS=all runs it")
    _run(SCRIPTS / f"{name}.py", tmp_path)


@pytest.mark.skipif(os.environ.get("RINGFENCE_RUNBOOKS") != "all", reason="RINGFENCE_RUNBOOKS=all runs it")
def test_the_disaster_drill(tmp_path: Path) -> None:
    figures = _run(ROOT / "deploy" / "drills" / "disaster.py", tmp_path)
    assert figures["site lost: acknowledged before the backup, lost"] == 0
    assert figures["stream lost: acknowledged orders lost"] == 0
