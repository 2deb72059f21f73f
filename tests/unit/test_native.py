"""What is promised about the machine code: no compiler at run time, no damaged code, errors that tell."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ringfence.exchange.engine.native import keep, kept
from ringfence.exchange.engine.views import BUILD, COMPILED
from ringfence.messages.commands import Command
from ringfence.messages.records import COMMAND
from ringfence.testing.play import START_NS, command, open_venue


@pytest.mark.skipif(not COMPILED, reason="there is no machine code to load")
def test_an_engine_runs_without_its_compiler() -> None:
    import ringfence.exchange.engine  # noqa: F401  compiled now, if it was not

    code = (
        "import sys\n"
        "from ringfence.testing.play import open_venue\n"
        "open_venue()\n"
        "assert 'numba' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "RINGFENCE_ENGINE": BUILD})


def test_code_is_kept_whole(tmp_path: Path) -> None:
    path = tmp_path / "engine-0" / "kernel.o"
    assert kept(path) is None
    keep(path, b"code")
    keep(path, b"newer code")
    assert kept(path) == b"newer code"
    assert list(path.parent.iterdir()) == [path]


def test_damaged_code_is_not_run_but_missing(tmp_path: Path) -> None:
    path = tmp_path / "kernel.o"
    keep(path, b"some code")
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert kept(path) is None
    for index in range(len(whole)):
        path.write_bytes(whole[:index] + bytes([whole[index] ^ 1]) + whole[index + 1 :])
        assert kept(path) is None


@pytest.mark.skipif(BUILD == "unchecked", reason="this build does not look")
def test_an_index_outside_its_table_is_an_error_that_names_the_table() -> None:
    engine = open_venue()
    engine.state.header["cap_margins"] = 0
    with pytest.raises(IndexError, match="margins"):
        engine.step(command(Command.PLACE, account=1, symbol=1, qty=100, px=10_000), timestamp_ns=START_NS)


def test_what_the_kernel_asserts_is_an_assertion_outside() -> None:
    engine = open_venue()
    placed = engine.step(
        command(Command.PLACE, account=1, symbol=1, qty=100, px=9_000, clid=5), timestamp_ns=START_NS
    )
    handle = placed["handle"][0]
    engine.state.clids["slot"] = 0
    with pytest.raises(AssertionError):
        engine.step(command(Command.CANCEL, account=1, handle=handle), timestamp_ns=START_NS)


@pytest.mark.parametrize("wrong", [np.zeros(1, np.int64), np.zeros(4, COMMAND)[::2], np.zeros(1, COMMAND)[0]])
def test_only_contiguous_commands_are_applied(wrong: Any) -> None:
    with pytest.raises(AssertionError):
        open_venue().step(wrong, timestamp_ns=START_NS)
