"""A standby's copy and a restored one are the journal's, byte for byte, whatever runs them.

`nox -s copies -- PYTHON ...` does it for a million commands and every Python that is there.
"""

import sys
from pathlib import Path

import pytest

from ringfence.testing.pythons import HASH_SEEDS, compare


@pytest.mark.slow
def test_every_copy_comes_to_one_state(tmp_path: Path) -> None:
    rows = compare(tmp_path, [sys.executable], commands=10_000)
    assert len(rows) == 1 + 2 * len(HASH_SEEDS)
    assert {row["how"] for row in rows} == {"made", "restored", "followed"}
    assert {row["seed"] for row in rows} == set(HASH_SEEDS)
    for name in ("commands", "events", "state", "feed", "journal"):
        assert len({row[name] for row in rows}) == 1, name
    assert rows[0]["events"] > rows[0]["commands"] > 10_000
