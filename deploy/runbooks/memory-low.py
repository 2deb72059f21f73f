"""The kernel kills the core, which has no memory left: it is started again, replays, and nothing is lost."""

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from staging import Runbook, Watch, known, main, place, until

from ringfence.monitoring import metrics
from ringfence.testing.client import Client
from ringfence.testing.venue import Venue

_GROUPS = Path("/sys/fs/cgroup/memory")
_ALERT_BYTES = 512 << 20


def run(book: Runbook, folder: Path) -> None:
    with Venue(folder / "exchange", accounts=1) as venue:
        client, core = Client(venue.port, 1), venue.processes["core"]
        told = [name for name in map(str, range(20)) if place(client, name) == 200]
        book.check(len(told) == 20, "orders are acknowledged before")
        watch = Watch(venue.directory)
        free = watch.look().value(metrics.MEMORY_FREE) or 0
        book.check(free > 0, "the page says how much memory the machine has left")
        book.check(watch.fires("MemoryLow") == (free < _ALERT_BYTES), "MemoryLow fires below 512 MiB")
        listed = subprocess.run(
            ["ps", "aux", "--sort", "-rss"], capture_output=True, text=True, check=True
        ).stdout
        book.check(f" {core.pid} " in listed, "`ps aux --sort -rss` has the processes by size")
        book.step("there is no memory left for the core")
        group = _GROUPS / f"ringfence-staged-{core.pid}"
        book.figure("killed by", _starve(core.pid, group))
        number = 0
        while core.poll() is None:
            number += 1
            told += [f"low-{number}"] if place(client, f"low-{number}") == 200 else []
            if number > 2_000:
                raise TimeoutError("the kernel does not kill the core")
        book.check(core.returncode == -signal.SIGKILL, "the core is killed as the kernel kills: at once")
        with suppress(OSError):
            group.rmdir()
        moment = time.monotonic()
        venue.start("core")
        # As many may rest as an account may have: who was slow to be killed has taken all of them.
        until(lambda: client.call("DELETE", "/order/all", {}).status == 200, "it takes cancels again")
        until(lambda: place(client, f"after-{time.monotonic_ns()}") == 200, "it trades again")
        book.figure("seconds from the start to an acknowledgement", time.monotonic() - moment)
        book.check(set(told[-200:]) <= known(client), "every acknowledged order is there")


def _starve(pid: int, group: Path) -> str:
    """Let the kernel give a process no more memory; where that is forbidden, kill it as the kernel does."""
    try:
        group.mkdir()
        (group / "cgroup.procs").write_text(str(pid))
        (group / "memory.limit_in_bytes").write_text(str(64 << 10))
    except OSError:
        os.kill(pid, signal.SIGKILL)
        return "a signal"
    return "the kernel"


if __name__ == "__main__":
    main(run)
