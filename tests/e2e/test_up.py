"""`ringfence up` as a stranger meets it: start, paste the curl, lose processes, stop, start again."""

import hashlib
import hmac
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ringfence.daemons.metrics import read_monitoring
from ringfence.daemons.supervisor import read_run_state
from ringfence.exchange.users.keys import KeyRecord, read_records
from ringfence.monitoring import metrics
from ringfence.monitoring.scrape import ScrapeError, scrape
from ringfence.ports import free_ports
from ringfence.testing.up import RINGFENCE, Up, wait_for

START_SECONDS = 120
"""The engine may have to be compiled first."""
BACK_SECONDS = 20


def pid_of(up: Up, name: str) -> int:
    state = read_run_state(up.directory)
    assert state is not None
    return next(process.pid for process in state.processes if process.name == name)


class Trader:
    """Signed requests with the standard library, as the documentation describes them."""

    def __init__(self, url: str, key: KeyRecord) -> None:
        self._url, self._key = url, key

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
        data = json.dumps(body).encode() if body is not None else b""
        expires = str(int(time.time()) + 60)
        message = f"{method}{path}{expires}".encode() + data
        headers = {
            "api-key": self._key.id, "api-expires": expires, "content-type": "application/json",
            "api-signature": hmac.new(self._key.secret.encode(), message, hashlib.sha256).hexdigest(),
        }  # fmt: skip
        request = urllib.request.Request(self._url + path, data=data or None, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())
        except OSError as error:
            return 0, str(error)

    def open_orders(self) -> list[str] | None:
        status, rows = self.call("GET", "/api/v1/order?filter=%7B%22open%22%3Atrue%7D")
        return [row["clOrdID"] for row in rows] if status == 200 else None


def run_in_bash(text: str) -> Any:
    """Run what was printed, as if it were pasted."""
    if not all(shutil.which(tool) for tool in ("bash", "curl", "openssl")):
        return None
    done = subprocess.run(["bash", "-c", text], capture_output=True, timeout=20, check=True)
    return json.loads(done.stdout)


def test_a_stranger_trades_and_nothing_is_lost(tmp_path: Path) -> None:
    """The printed commands work, killed processes come back with every order, Ctrl-C ends it all."""
    port = free_ports(1)[0]
    url = f"http://127.0.0.1:{port}"
    directory = tmp_path / "exchange"
    up = Up(directory, port=port)
    try:
        printed = up.wait_until_it_trades()
        assert url in printed
        book = printed[printed.index("curl -s '") :].splitlines()[0]
        rows = run_in_bash(book)
        assert rows is None or {row["side"] for row in rows} == {"Buy", "Sell"}

        keys = {record.name: record for record in read_records(directory / "keys.json")}
        assert keys["demo-1"].secret in printed
        assert keys["bot-maker"].secret not in printed
        assert (directory / "keys.json").stat().st_mode & 0o777 == 0o600
        trader = Trader(url, keys["demo-1"])
        pasted = printed[printed.index("key=") : printed.index("; echo") + len("; echo")]
        order = run_in_bash(pasted)
        if order is None:
            market = {"symbol": "XBTUSD", "side": "Buy", "orderQty": 100, "ordType": "Market"}
            order = trader.call("POST", "/api/v1/order", market)[1]
        assert order["ordStatus"] == "Filled", order
        assert order["cumQty"] == 100

        assert Trader(url, keys["demo-1 read only"]).call("POST", "/api/v1/order", {})[0] == 403
        resting = {"symbol": "XBTUSD", "side": "Buy", "orderQty": 100, "price": 98_000, "clOrdID": "stays"}
        assert trader.call("POST", "/api/v1/order", resting)[0] == 200

        def indices() -> list[str]:
            status, rows = trader.call("GET", "/api/v1/instrument/indices")
            return [row["symbol"] for row in rows if status == 200 and row["lastPrice"]]

        wait_for(lambda: indices()[::5] == [".BXBT", ".BXBT30M"], BACK_SECONDS, "index prices")
        status, made_of = trader.call("GET", "/api/v1/instrument/compositeIndex?symbol=.BXBT")
        assert (status, made_of[0]["reference"], made_of[-1]["reference"]) == (200, "SIMULATED_A", "BMI")

        def watched() -> set[str]:
            config = read_monitoring(directory)
            with suppress(ScrapeError):
                if config is not None:
                    up_now = scrape(f"http://{config.host}:{config.port}").by(metrics.UP, "name")
                    return {name for name, is_up in up_now.items() if is_up}
            return set()

        wait_for(lambda: {"core", "gateway", "history", "shadow", "auditor", "price-feed", "account-desk", "bots"}
                 <= watched(), BACK_SECONDS, "figures of every process")  # fmt: skip

        for name in ("core", "gateway", "history", "shadow", "auditor", "price-feed"):
            killed = pid_of(up, name)
            os.kill(killed, signal.SIGKILL)
            wait_for(lambda n=name, k=killed: pid_of(up, n) not in (0, k), BACK_SECONDS, name)  # type: ignore[misc]
            wait_for(
                lambda: trader.open_orders() == ["stays"], BACK_SECONDS, f"order after {name} was killed"
            )
            status, position = trader.call("GET", "/api/v1/position")
            assert (status, position[0]["currentQty"]) == (200, 100)

        # The bots have come back by themselves.
        sell = {"symbol": "XBTUSD", "side": "Sell", "orderQty": 100, "ordType": "Market"}
        wait_for(
            lambda: trader.call("POST", "/api/v1/order", sell)[1].get("cumQty") == 100, BACK_SECONDS, "trade"
        )
        assert trader.call("GET", "/api/v1/position")[1][0]["currentQty"] == 0

        assert up.stop() == 0, up.text
        assert "everything acknowledged is in the journal" in up.text
    finally:
        up.stop()

    # All of it is there again.
    again = Up(directory, "--no-bots", port=port)
    try:
        assert again.wait_until_it_trades()
        assert trader.open_orders() == ["stays"]
        assert len(read_records(directory / "keys.json")) == len(keys)
    finally:
        assert again.stop() == 0, again.text


def test_a_port_that_is_taken_is_said_and_nothing_stays_behind(tmp_path: Path) -> None:
    """The gateway's own words are shown, and every process that was started is stopped again."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        up = Up(tmp_path / "exchange", "--no-bots", port=taken.getsockname()[1])
        try:
            assert up.process.wait(START_SECONDS) == 69
        finally:
            up.stop()
    assert "cannot listen on" in up.text
    assert pid_of(up, "core") == 0


@pytest.mark.slow
def test_a_damaged_journal_stops_everything_and_says_where(tmp_path: Path) -> None:
    """A core that says its journal is damaged is not started again in a loop."""
    directory = tmp_path / "exchange"
    up = Up(directory, "--no-bots")
    up.wait_until_it_trades()
    assert up.stop() == 0
    segment = sorted((directory / "journal").iterdir())[0]
    content = bytearray(segment.read_bytes())
    content[2_000] ^= 1
    segment.write_bytes(content)
    for snapshot in (directory / "snapshots").iterdir():
        snapshot.unlink()

    up = Up(directory, "--no-bots")
    try:
        assert up.process.wait(START_SECONDS) == 65, up.text
    finally:
        up.stop()
    assert "core ended with status 65 and is not started again" in up.text


@pytest.mark.slow
def test_one_directory_has_one_supervisor(tmp_path: Path) -> None:
    directory = tmp_path / "exchange"
    up = Up(directory, "--no-bots")
    try:
        up.wait_until_it_trades()
        second = Up(directory, "--no-bots")
        try:
            assert second.process.wait(START_SECONDS) == 75
        finally:
            second.stop()
        status = [RINGFENCE, "status", str(directory), "--json"]
        found = json.loads(subprocess.run(status, capture_output=True, check=True, timeout=20).stdout)
        assert found["is_running"]
        assert {process["state"] for process in found["processes"]} == {"running"}
    finally:
        up.stop()


def ringfence(*arguments: object, fails: bool = False) -> str:
    """Run a command of the command line and return what it said."""
    done = subprocess.run(
        [RINGFENCE, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode != 0) == fails, (arguments, done.stdout, done.stderr)
    return done.stderr if fails else done.stdout


@pytest.mark.slow
def test_one_person_halts_two_go_on_and_a_stranger_replays_it_all(tmp_path: Path) -> None:
    """Every step by the command line, as operators and auditors take it."""
    directory = tmp_path / "exchange"
    with Up(directory) as up:
        there = ("--directory", directory)

        def standing() -> Any:
            return json.loads(urllib.request.urlopen(f"{up.url}/api/v1/halt/status", timeout=10).read())

        def judges() -> dict[str, Any]:
            reports = json.loads(urllib.request.urlopen(f"{up.url}/api/v1/audit", timeout=10).read())
            return {one["judge"]: one for one in reports}

        wait_for(
            lambda: len(judges()) == 2 and all(one["red"] == 0 for one in judges().values()),
            60,
            "content judges",
        )
        trades = f"{up.url}/api/v1/trade?symbol=XBTUSD&count=1"
        wait_for(
            lambda: json.loads(urllib.request.urlopen(trades, timeout=10).read()), 30, "a trade to replay"
        )
        ringfence("halt", "now", "--because", "a drill", "--operator", "anna", *there)
        halted = standing()
        assert (halted["state"], halted["halted"][0]["text"]) == ("Halted", "a drill")
        halt = halted["halted"][0]["halt"]
        wait_for(
            lambda: all(one["rootSequence"] > halt for one in judges().values()), 30, "roots after the halt"
        )

        statement = tmp_path / "resume.txt"
        ringfence("halt", "draft", "--cause", "it was a drill", "--output", statement, *there)
        for name, role in (("demo-operations", "operations"), ("demo-risk", "risk")):
            key = directory / "people" / f"{name}.pem"
            ringfence("halt", "sign", statement, "--name", name, "--role", role, "--key", key)
        first, second = (f"{statement}.{name}.sig" for name in ("demo-operations", "demo-risk"))
        alone = ("halt", "resume", statement, "--signature", first, "--operator", "anna", *there)
        assert "2 people must sign" in ringfence(*alone, fails=True)
        wait_for(lambda: min(one["rootSequence"] for one in judges().values()) > 0, 5, "reports")
        both = ("--signature", first, "--signature", second)

        def lifted() -> bool:
            done = subprocess.run(
                [RINGFENCE, "halt", "resume", statement, *both, "--operator", "anna", *map(str, there)],
                capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
            # The auditor's cut may be a moment older than the root that was drafted.
            assert done.returncode == 0 or "earlier state" in done.stderr, done.stderr
            return done.returncode == 0

        wait_for(lifted, 30, "resumption")
        assert standing()["state"] == "CancelOnly"
        lifted_by = standing()["sequence"]
        # A public journal ends at the last root: one that holds the resumption is up to a second away.
        wait_for(
            lambda: all(one["rootSequence"] >= lifted_by for one in judges().values()), 30, "a root after it"
        )

        public = tmp_path / "public.journal"
        ringfence("journal", "export", public, *there)
    said = json.loads(ringfence("verify", "replay", public, "--every", 10, "--json").splitlines()[-1])
    assert said["ok"]
    assert said["resumed"] == 1
    assert said["events"]["TRADE"] > 0
    again = json.loads(
        ringfence("verify", "replay", public, "--shadow", "--every", 10, "--json").splitlines()[-1]
    )
    assert {**again, "seconds": 0} == {**said, "seconds": 0}
    raw = public.read_bytes()
    public.write_bytes(raw[:5000] + bytes((raw[5000] ^ 1,)) + raw[5001:])
    assert "record" in ringfence("verify", "replay", public, fails=True)
