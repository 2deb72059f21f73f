"""The register of ablations: its texts stand in the sources, it is out of reach of the product, and some are run."""

import ast
import os
import sys
from pathlib import Path

import pytest

import ringfence
from ringfence.testing.ablations import ABLATIONS, WORLD
from ringfence.testing.ablations.hook import ablated, edit
from ringfence.testing.ablations.runner import by_name, run_all

ROOT = Path(__file__).parents[2]
SOURCES = Path(ringfence.__file__).parent
FAST = (
    "acknowledged before the sync", "published before it is written", "the feed does not say what was acknowledged",
    "what waits is given up when the line is lost", "time may go back", "no hash chain",
    "the signature leaves out the body",
    "fees go nowhere",
)  # fmt: skip


def test_there_are_forty_and_more_and_no_two_are_the_same() -> None:
    assert len(ABLATIONS) >= 40
    assert len({ablation.name for ablation in ABLATIONS}) == len(ABLATIONS)
    assert len({(ablation.module, ablation.replacement, ablation.text) for ablation in ABLATIONS}) == len(
        ABLATIONS
    )


@pytest.mark.parametrize("ablation", ABLATIONS, ids=lambda ablation: ablation.name)
def test_what_is_taken_away_stands_in_the_source(ablation: object) -> None:
    """A change of the source must not disarm an ablation unnoticed."""
    found = next(a for a in ABLATIONS if a is ablation)
    ast.parse(ablated(found))
    if found.catcher != WORLD:
        for test in found.catcher.split():
            assert (ROOT / test.split("::")[0]).exists()


def test_the_product_cannot_take_a_safeguard_away() -> None:
    """Nothing outside `testing` names the ablations, and a module that is imported is not edited any more."""
    for path in SOURCES.rglob("*.py"):
        if "testing" not in path.relative_to(SOURCES).parts:
            assert "ablation" not in path.read_text(), path
    assert "ringfence.exchange.journal.journal" in sys.modules or __import__("ringfence.exchange.journal")
    with pytest.raises(RuntimeError, match="imported already"):
        edit("ringfence.exchange.journal.journal", "")


@pytest.mark.slow
def test_some_of_them_are_caught() -> None:
    """`nox -s ablations` runs all."""
    workers = min(2, os.cpu_count() or 1)
    results = run_all(map(by_name, FAST), workers=workers, on_progress=lambda _: None, first_only=True)
    assert [(caught.name, caught.how) for caught in results if not caught.is_caught] == []
