"""What the scripts of runbooks share: steps that are said, facts that are checked, a staging exchange.

    python deploy/runbooks/NAME.py [--json] [--folder FOLDER]

Each script does what `docs/operating/runbooks/NAME.md` says, with real processes in a
folder of its own, and ends with status 1 at the first thing that is not as the page says. Nothing of a real exchange
is touched.
"""

import argparse
import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import yaml

ROOT = Path(__file__).resolve().parents[2]
for place in (ROOT, ROOT / "src"):
    if str(place) not in sys.path:
        sys.path.insert(0, str(place))

from tests.cluster.test_failover import Crowd  # noqa: E402
from tests.cluster.three import Cluster  # noqa: E402
from tests.e2e.test_custody import custody, trader_account, wallet  # noqa: E402
from tests.e2e.test_up import Trader  # noqa: E402

from ringfence.custody.chains.ethereum.devnet import anvil_path  # noqa: E402
from ringfence.custody.quorum.mpc.engine import engine_path  # noqa: E402
from ringfence.daemons.cluster_seeding import seed  # noqa: E402
from ringfence.daemons.supervisor import RunState, read_run_state  # noqa: E402
from ringfence.daemons.venue import Venue as Founded  # noqa: E402
from ringfence.daemons.venue import write_venue  # noqa: E402
from ringfence.files import replace  # noqa: E402
from ringfence.instruments.catalogue import start_instruments  # noqa: E402
from ringfence.monitoring import metrics  # noqa: E402
from ringfence.monitoring.gather import gather, troubles  # noqa: E402
from ringfence.monitoring.scrape import Scrape  # noqa: E402
from ringfence.testing import up  # noqa: E402
from ringfence.testing.client import Client  # noqa: E402
from ringfence.testing.play import START_NS  # noqa: E402
from ringfence.testing.up import Up  # noqa: E402
from ringfence.testing.venue import Venue  # noqa: E402

# What a machine of a cluster is given when it is set up; all else it learns.
_SET_UP = {"cluster.toml", "cluster", "ringfence.toml", "keys.json"}
_KEYS = ("signing.key", "nonces.key")
_RULES = ROOT / "deploy" / "monitoring" / "rules" / "ringfence.yml"
_METRIC = re.compile(r"\bringfence_\w+")
_COUNTED = re.compile(r"_(total|bucket|count|sum)\{")
# Long enough for every `for` and every window of the rules but one, which looks back for an hour.
_BEFORE, _AFTER = 6, 20


class NotAsWrittenError(AssertionError):
    """Something is not as the page says."""


class ToolMissingError(NotAsWrittenError):
    """This machine lacks something that the script needs: nothing is said of the page."""


def needs(tool: str, package: str) -> None:
    """Raises ToolMissingError if a program is not there."""
    if shutil.which(tool) is None:
        raise ToolMissingError(f"{tool} is missing: Debian package {package}")


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
    folder.mkdir(parents=True, exist_ok=True)
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
    return up.ringfence(*arguments, seconds=seconds)


def until_traded(crowd: Crowd, *, orders: int = 20, seconds: float = 60) -> None:
    """Wait until every trader has had so many orders acknowledged. Raises TimeoutError."""
    until = time.monotonic() + seconds
    while min(len(trader.acknowledged) for trader in crowd.traders) < orders:
        if time.monotonic() > until:
            raise TimeoutError(f"a trader has had fewer than {orders} orders acknowledged in {seconds:g} s")
        time.sleep(0.05)


def until(is_so: Callable[[], object], what: str, *, seconds: float = 60) -> None:
    """Wait until something is so. Raises TimeoutError, which says what was waited for."""
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(0.05)


def place(client: Client, name: str, *, price: float = 9_000, qty: int = 100) -> int:
    """Place an order and return the answer's status, 0 if none came: its outcome is definite all the same."""
    try:
        return client.place(orderQty=qty, price=price, clOrdID=name).status
    except OSError:
        return 0


def known(client: Client) -> set[str]:
    """Return the names of the client's orders."""
    return {row["clOrdID"] for row in client.get("/order?count=500&reverse=true")}


def found(venue: Venue) -> None:
    """Write down what is listed and where it is, for the command line: nobody supervises this exchange."""
    listed = tuple(start_instruments(START_NS))
    write_venue(
        venue.directory, Founded(founded_ns=START_NS, instruments=listed, traders={}, bots={}, insurance=0)
    )
    state = RunState(supervisor=0, url=venue.url, started_ns=START_NS, processes=[])
    replace(venue.directory / "run.json", msgspec.json.encode(state))


def pid_of(directory: Path, name: str) -> int:
    """Return a process's number, 0 if the supervisor has none of that name running."""
    state = read_run_state(directory)
    assert state is not None
    return next((one.pid for one in state.processes if one.name == name), 0)


@contextmanager
def disturbed(pid: int, how: str) -> Iterator[None]:
    """Disturb every fdatasync of a running process with strace, as `delay_exit=150000` (microseconds) or `error=EIO`.

    Whoever waits for the disk cannot tell it from a slow or dying one.
    """
    strace = ["strace", "-f", "-qq", "-p", str(pid), "-e", "trace=fdatasync", "-e", f"inject=fdatasync:{how}"]
    needs("strace", "strace")
    started = subprocess.Popen([*strace, "-o", "/dev/null"])
    try:
        status = Path(f"/proc/{pid}/status")
        until(lambda: "TracerPid:\t0" not in status.read_text(), f"strace has hold of process {pid}")
        yield
    finally:
        started.terminate()
        started.wait(20)


@contextmanager
def held(pid: int) -> Iterator[None]:
    """Hold a process where it is, and let it go on whatever happens."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


_CLOCK = """\
import pathlib, sys, time
for _file in pathlib.Path(__file__).parent.glob("*.ahead"):
    if "ringfence.daemons." + _file.stem in sys.orig_argv:
        _ahead, _time, _time_ns = int(_file.read_text()), time.time, time.time_ns
        time.time = lambda: _time() + _ahead
        time.time_ns = lambda: _time_ns() + _ahead * 10**9
"""


class Clocks:
    """Moves the clocks of processes that are started while it is there; the machine's own is left alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True)
        # Python runs it before anything else.
        (folder / "sitecustomize.py").write_text(_CLOCK)

    def ahead(self, daemon: str, seconds: int) -> None:
        """Let a daemon that is started from now on be so many seconds ahead; 0 = as the machine."""
        path = self._folder / f"{daemon}.ahead"
        path.write_text(str(seconds)) if seconds else path.unlink(missing_ok=True)

    def __enter__(self) -> "Clocks":
        self._before = os.environ.get("PYTHONPATH", "")
        os.environ["PYTHONPATH"] = f"{self._folder}:{ROOT / 'src'}"
        return self

    def __exit__(self, *_: object) -> None:
        os.environ["PYTHONPATH"] = self._before


# ---- exchanges with custody


def with_custody(folder: Path, *, chains: bool = False) -> Up:
    """Return an exchange that moves development coins, and has no bots. Raises ToolMissingError."""
    needs("softhsm2-util", "softhsm2")
    if chains and (engine_path() is None or anvil_path() is None):
        raise ToolMissingError(
            "keys that nobody has need the MPC engine (`make mpc`) and anvil (`make anvil`)"
        )
    return Up(folder / "exchange", "--no-bots", "--coin-keys", "6", custody=True, chains=chains)


def deposited(trader: Trader, amount: int, directory: Path) -> int:
    """Pay coins to a trader and wait until they are credited; return what the trader has then."""
    before = int(wallet(trader)["amount"])
    custody("faucet", amount, "--account", trader_account(trader), "--directory", directory)
    until(lambda: wallet(trader)["amount"] == before + amount, "a deposit is credited")
    return before + amount


# ---- what Prometheus sees


_COME_SECONDS = 2.0


class Watch:
    """What Prometheus would see of a node, and what its rules make of that."""

    def __init__(self, directory: Path) -> None:
        """Wait until every process is ready: so it was before. Raises TimeoutError."""
        self._directory = directory
        self._before = self._last = ""
        # A gateway lets clients in a moment before it has a page.
        self.until(
            lambda page: any("gateway" in name for name in page.by(metrics.UP, "name")),
            "a gateway has a page",
        )
        # The first start of many processes takes a while, and the prover's first minute.
        until(lambda: not asyncio.run(troubles(directory)), "every process is ready", seconds=180)
        self._wait_all()
        self._before = self._last

    def _wait_all(self) -> None:
        """Wait until no further process has come for a while: one that has no page yet is no trouble either."""
        names, since = set(self.look().by(metrics.UP, "name")), time.monotonic()
        while time.monotonic() - since < _COME_SECONDS:
            time.sleep(0.2)
            if (now := set(self.look().by(metrics.UP, "name"))) != names:
                names, since = now, time.monotonic()

    def look(self) -> Scrape:
        """Read the node's page."""
        self._last = asyncio.run(gather(self._directory))
        return Scrape(self._last, at=time.time())

    def sees_nothing(self) -> None:
        """Take it that nobody has answered Prometheus."""
        self._last = ""

    def until(self, is_so: Callable[[Scrape], object], what: str, *, seconds: float = 60) -> None:
        """Look until the page says something. Raises TimeoutError."""
        until(lambda: is_so(self.look()), what, seconds=seconds)

    def fires(self, alert: str, *, goes_on: bool = False) -> bool:
        """Whether a rule fires if the page stays as it was read last, after it had been as at the beginning.

        If it goes on, what was counted in between is counted again every minute. Prometheus' own promtool plays the
        pages to the rule, in its own time: nobody waits for the rule's minutes.
        """
        needs("promtool", "prometheus")
        before, last = (_series(page, _metrics_of(alert)) for page in (self._before, self._last))
        series = [
            {
                "series": name,
                "values": f"{_steps(before.get(name), 0, _BEFORE)} {_steps(last.get(name), more, _AFTER)}",
            }
            for name in before | last
            for more in (last.get(name, 0) - before.get(name, 0) if goes_on and _COUNTED.search(name) else 0,)
        ]
        looks = [
            {"eval_time": f"{minute}m", "alertname": alert} for minute in range(_BEFORE, _BEFORE + _AFTER)
        ]
        played = {
            "interval": "5s",
            "input_series": series or [{"series": "nothing", "values": "_"}],
            "alert_rule_test": looks,
        }
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
            yaml.safe_dump(
                {"rule_files": [str(_RULES)], "evaluation_interval": "15s", "tests": [played]}, file
            )
            file.flush()
            done = subprocess.run(
                ["promtool", "test", "rules", file.name], capture_output=True, text=True, check=False
            )
        said = done.stdout + done.stderr
        assert done.returncode == 0 or "got:" in said, said
        return done.returncode != 0


def _metrics_of(alert: str) -> set[str]:
    rules = [rule for group in yaml.safe_load(_RULES.read_text())["groups"] for rule in group["rules"]]
    (expression,) = [rule["expr"] for rule in rules if rule["alert"] == alert]
    return set(_METRIC.findall(expression))


def _series(page: str, metrics: set[str]) -> dict[str, float]:
    """Return the lines of a page that are of some metrics: values by series."""
    lines = [line.rpartition(" ") for line in page.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines if name.partition("{")[0] in metrics}


def _steps(value: float | None, more: float, minutes: int) -> str:
    """Return a series in promtool's words: twelve values a minute, `_` where there is none."""
    return f"_x{12 * minutes - 1}" if value is None else f"{value:f}+{more / 12:f}x{12 * minutes - 1}"


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
        shutil.rmtree(cluster.directory / "stream" / server / "data", ignore_errors=True)


def seed_from(cluster: Cluster, node: str) -> int:
    """Fill the empty stream from a machine's journal; its servers run and no core does."""
    return asyncio.run(seed(cluster.nodes[node], on_progress=lambda done, total: None))
