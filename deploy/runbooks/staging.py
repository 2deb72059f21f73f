"""What the scripts of runbooks share: steps that are said, facts that are checked, a staging exchange.

    python deploy/runbooks/NAME.py [--json] [--folder FOLDER]

Each script does what `docs/operating/runbooks/NAME.md` says, with real processes in a
folder of its own, and ends with status 1 at the first thing that is not as the page says. Nothing of a real exchange
is touched.
"""

import argparse
import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
for place in (ROOT, ROOT / "src"):
    if str(place) not in sys.path:
        sys.path.insert(0, str(place))

from tests.cluster.test_failover import Crowd  # noqa: E402
from tests.cluster.three import Cluster  # noqa: E402

from ringfence.daemons.cluster_seeding import seed  # noqa: E402

# What a machine of a cluster is given when it is set up; all else it learns.
_SET_UP = {"cluster.toml", "cluster", "ringfence.toml", "keys.json"}
_KEYS = ("signing.key", "nonces.key")


class NotAsWrittenError(AssertionError):
    """Something is not as the page says."""


class Runbook:
    """What a script has done, checked and measured."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet, self._started = quiet, time.monotonic()
        self.checked: list[str] = []
        self.figures: dict[str, float | int | str] = {}

    def step(self, what: str) -> None:
        """Say what is done next."""
        if not self._quiet:
            print(f"{time.monotonic() - self._started:7.2f}  {what}", file=sys.stderr)

    def check(self, is_so: bool, what: str) -> None:
        """Raises NotAsWrittenError unless something is so."""
        if not is_so:
            raise NotAsWrittenError(f"not so: {what}")
        self.checked.append(what)
        self.step(f"  {what}")

    def figure(self, name: str, value: float | int | str) -> None:
        self.figures[name] = round(value, 3) if isinstance(value, float) else value


def main(run: Callable[[Runbook, Path], None]) -> None:
    """Run a script in a folder of its own, and end the process."""
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--json", action="store_true", help="one object on standard output, no steps")
    parser.add_argument("--folder", type=Path, help="an empty or new folder, kept; else one that is removed")
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="ringfence-staging-"))
    book = Runbook(quiet=given.json)
    fault = ""
    try:
        run(book, folder)
    except (AssertionError, TimeoutError) as error:
        at = traceback.extract_tb(error.__traceback__)[-1]
        fault = str(error) or f"{at.line} ({Path(at.filename).name}:{at.lineno})"
    finally:
        if given.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    if given.json:
        print(json.dumps({"ok": not fault, "fault": fault, "checked": book.checked, "figures": book.figures}))
    else:
        for name, value in book.figures.items():
            print(f"{name:<40} {value}")
        print(
            f"not as the runbook says: {fault}"
            if fault
            else f"as the runbook says: {len(book.checked)} checks"
        )
    sys.exit(1 if fault else 0)


def ringfence(*arguments: str, seconds: float = 120) -> subprocess.CompletedProcess[str]:
    """Run the command line of this version."""
    command = [sys.executable, "-c", "from ringfence.cli import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)


def until_traded(crowd: Crowd, *, orders: int = 20, seconds: float = 60) -> None:
    """Wait until every trader has had so many orders acknowledged. Raises TimeoutError."""
    until = time.monotonic() + seconds
    while min(len(trader.acknowledged) for trader in crowd.traders) < orders:
        if time.monotonic() > until:
            raise TimeoutError(f"a trader has had fewer than {orders} orders acknowledged in {seconds:g} s")
        time.sleep(0.05)


# ---- machines and their disks


def stop(cluster: Cluster, *names: str) -> None:
    """Stop processes as an operator does."""
    for name in names:
        process = cluster.processes[name]
        if process.poll() is None:
            process.terminate()
            process.wait(30)


def lose_disk(cluster: Cluster, node: str) -> None:
    """Take from a machine everything but what a new one is set up with."""
    own = cluster.nodes[node]
    for path in own.iterdir():
        if path.name in _SET_UP or (own == cluster.directory and path.name in ("nodes", "stream", "roots")):
            continue
        if path.name == "roots":
            for file in path.iterdir():
                if file.name not in _KEYS:
                    file.unlink()
        elif path.is_dir():
            shutil.rmtree(path)
        elif not path.name.endswith(".log"):
            path.unlink()


def lose_stream(cluster: Cluster, *servers: str) -> None:
    """Take the store of servers that do not run."""
    for server in servers:
        shutil.rmtree(cluster.directory / "stream" / server, ignore_errors=True)


def seed_from(cluster: Cluster, node: str) -> int:
    """Fill the empty stream from a machine's journal; its servers run and no core does."""
    return asyncio.run(seed(cluster.nodes[node], on_progress=lambda done, total: None))
