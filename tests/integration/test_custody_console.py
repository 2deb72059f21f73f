"""The console's process where something is wrong at its start: it does not let anybody in."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from ringfence.console.record import Record
from ringfence.custody.ledger import LedgerGapError
from ringfence.daemons import custody_console
from ringfence.daemons.custody_console import EXIT_INPUT, EXIT_REFUSED, Follower
from ringfence.ports import free_ports
from tests.unit.console_house import charter


def start(directory: Path) -> tuple[int, str]:
    words = [
        sys.executable,
        "-m",
        "ringfence.daemons.custody_console",
        str(directory),
        "--port",
        str(free_ports(1)[0]),
    ]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stderr


def test_it_does_not_start_with_a_log_that_somebody_has_changed(tmp_path: Path) -> None:
    home = tmp_path / "custody"
    (home / "console").mkdir(parents=True)
    (home / "charter.json").write_bytes(msgspec.json.encode(charter()))
    record = Record(home / "console" / "log.jsonl")
    record.write("turned away", what="login", why="a test")
    record.write("turned away", what="login", why="another")
    record.close()
    path = home / "console" / "log.jsonl"
    path.write_bytes(path.read_bytes().replace(b"a test", b"a tost"))
    code, said = start(tmp_path)
    assert code == EXIT_REFUSED
    assert (
        "line 2 of the log does not follow the one before it; look at the log before anybody signs in" in said
    )


def test_behind_a_gap_in_the_ledger_it_follows_no_further(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later batch that can be read makes nothing good again: what is shown stays marked."""

    def fold(ledger: object, batch: object) -> None:
        raise LedgerGapError("withdrawal 7 is closed twice")

    follower = Follower(tmp_path, charter())
    monkeypatch.setattr(custody_console, "fold_batch", fold)
    monkeypatch.setattr(follower, "_reader", iter_reader(b"first", b"second"))
    for _ in range(3):
        follower.turn()
        assert follower.sight.trouble["feed"] == "withdrawal 7 is closed twice"
    assert not follower.sight.is_caught_up


def iter_reader(*batches: bytes) -> SimpleNamespace:
    waiting = list(batches)
    return SimpleNamespace(read=lambda: waiting.pop(0) if waiting else None)


def test_it_does_not_start_where_custody_was_not_founded(tmp_path: Path) -> None:
    code, said = start(tmp_path)
    assert (code, "charter.json cannot be read" in said) == (EXIT_INPUT, True)
