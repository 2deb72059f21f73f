"""Killed, or told that the disk failed, at the n-th system call: for every n that is asked for.

RINGFENCE_SYSCALLS=1 sweeps n until a run gets through; the default tries a few. Needs strace (Debian package
`strace`) and a system that lets a process be traced.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from itertools import count
from pathlib import Path

import pytest

from ringfence.testing.iron import EXIT_DISK, acknowledged, check

SWEEP = os.environ.get("RINGFENCE_SYSCALLS") == "1"
BATCHES = 30
CALLS = ("pwrite64", "fdatasync", "fsync", "ftruncate", "rename", "unlink", "write", "fallocate")
OF_A_SECOND_START = ("ftruncate",)
"""Calls that are only made where an earlier life has left something."""
FEW = {"pwrite64": 38, "fdatasync": 21, "fsync": 14, "rename": 3, "ftruncate": 1}
FEW_FAILURES = {"pwrite64": 11, "fdatasync": 6, "fsync": 9, "fallocate": 3}
FAILURES = {"pwrite64": "ENOSPC", "fdatasync": "EIO", "fsync": "EIO", "fallocate": "ENOSPC", "rename": "EIO"}


def can_trace() -> str:
    """Return why no process can be traced here, nothing if it can."""
    if shutil.which("strace") is None:
        return "strace is not installed (Debian package `strace`)"
    done = subprocess.run(["strace", "-qq", "-e", "trace=none", "true"], capture_output=True, text=True)
    return done.stderr.strip() if done.returncode else ""


WHY_NOT = can_trace()
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=f"system calls cannot be counted here: {WHY_NOT}")


def run(directory: Path, inject: str, *, batches: int = BATCHES) -> subprocess.CompletedProcess[str]:
    call = inject.split(":")[0]
    words = [
        "strace",
        "-qq",
        "-o",
        "/dev/null",
        "-f",
        "-e",
        f"trace={call}",
        "-e",
        f"inject={inject}",
    ]
    words += [sys.executable, "-m", "ringfence.testing.iron", str(directory), "--batches", str(batches)]
    return subprocess.run(words, capture_output=True, text=True)


def moments(call: str, few: dict[str, int]) -> Iterable[int]:
    return count(1) if SWEEP else (few[call],)


@pytest.mark.parametrize("call", CALLS if SWEEP else sorted(FEW))
def test_killed_at_the_nth_call_nothing_is_lost_and_the_next_start_goes_on(call: str, tmp_path: Path) -> None:
    killed = 0
    for n in moments(call, FEW):
        directory = tmp_path / f"{call}-{n}"
        if call in OF_A_SECOND_START:
            run(directory, f"pwrite64:signal=KILL:when={FEW['pwrite64']}")
        done = run(directory, f"{call}:signal=KILL:when={n}")
        if done.returncode == 0:
            break
        killed += 1
        below = acknowledged(done.stdout)
        # Killed again at the same call of the next start: recovery can be interrupted as often as you like.
        again = run(directory, f"{call}:signal=KILL:when={n}", batches=1)
        below = max(below, acknowledged(again.stdout))
        assert check(directory, below) >= below
        shutil.rmtree(directory)
    assert killed
    print(f"{call}: killed at {killed} moments")


@pytest.mark.parametrize("call", sorted(FAILURES if SWEEP else FEW_FAILURES))
def test_after_a_failed_call_nothing_more_is_acknowledged(call: str, tmp_path: Path) -> None:
    failed = 0
    for n in moments(call, FEW_FAILURES):
        directory = tmp_path / f"{call}-{n}"
        done = run(directory, f"{call}:error={FAILURES[call]}:when={n}")
        if done.returncode == 0:
            break
        failed += 1
        assert done.returncode == EXIT_DISK, done.stderr
        assert "Traceback" not in done.stderr
        below = acknowledged(done.stdout)
        assert check(directory, below) >= below
        assert run(directory, "pwrite64:delay_enter=1:when=1", batches=3).returncode == 0
        shutil.rmtree(directory)
    assert failed
    print(f"{call}: failed at {failed} moments")
