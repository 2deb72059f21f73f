"""A forked child does its work and holds on to nothing of its parent's."""

import fcntl
import os
import time
from pathlib import Path

from ringfence.exchange.forked import in_forked_child


def _lock(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


def test_a_lock_of_the_parent_does_not_live_on_in_the_child(tmp_path: Path) -> None:
    """A daemon killed while its child writes must be able to start again at once."""
    os.mkfifo(tmp_path / "go")
    held = _lock(tmp_path / "lock")

    def work() -> None:
        (tmp_path / "begun").touch()
        (tmp_path / "go").read_bytes()
        (tmp_path / "done").touch()

    child = in_forked_child(work)
    while not (tmp_path / "begun").exists():
        time.sleep(0.001)
    os.close(held)
    os.close(_lock(tmp_path / "lock"))
    (tmp_path / "go").write_bytes(b"x")
    assert os.waitpid(child, 0)[1] == 0
    assert (tmp_path / "done").exists()


def test_a_child_whose_work_fails_says_so() -> None:
    def work() -> None:
        raise ValueError

    assert os.waitstatus_to_exitcode(os.waitpid(in_forked_child(work), 0)[1]) == 1
