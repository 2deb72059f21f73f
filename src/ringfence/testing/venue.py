"""A whole exchange in a folder, with its real processes, for tests and benchmarks."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ringfence.configuration import NAME, Settings, read_configuration, render, with_values
from ringfence.exchange.feed import CoreClient, FeedReader
from ringfence.exchange.users import founding as users_founding
from ringfence.exchange.users.keys import KeyLimits, KeyRecord, Permission, write_records
from ringfence.messages.batch import Records
from ringfence.monitoring.page import PAGE
from ringfence.ports import free_ports
from ringfence.testing.play import opening

_START_SECONDS = 60.0
TRIES = 6
"""That strangers have at a user in an hour."""
UNLIMITED = KeyLimits(requests_per_minute=0, orders_per_second=0)


def configure(directory: Path, chosen: dict[str, dict[str, Any]], *, before: Settings | None = None) -> None:
    """Write an exchange's settings with other values, table by table; nothing is put in force by that."""
    settings = read_configuration(directory).settings if before is None else before
    values = {f"{table}.{name}": value for table, said in chosen.items() for name, value in said.items()}
    directory.mkdir(parents=True, exist_ok=True)
    (directory / NAME).write_bytes(render(with_values(settings, values)))


def key_of(account: int, *permissions: Permission) -> KeyRecord:
    """Return the key `key-N` with secret `secret-N` of account N; all orders allowed if nothing is said."""
    return KeyRecord(
        id=f"key-{account}", secret=f"secret-{account}", account=account,
        permissions=permissions or (Permission.ORDER,), limits=UNLIMITED,
    )  # fmt: skip


class Venue:
    """Core, history and gateway on a free port, with credited accounts 1..N and their keys.

    With `people`, they can register: the account desk and a catcher of mail run as well. With `fix`, a FIX gateway
    listens on `fix_port`. Everything is found under `url`; output goes to `NAME.log` in the folder. Several gateways
    are `gateway`, `gateway-2` and so on, at `ports`.
    """

    def __init__(
        self,
        directory: Path,
        *,
        accounts: int = 4,
        mark_ticks: int = 100_000,
        keys: Sequence[KeyRecord] | None = None,
        limits: dict[str, int] | None = None,
        history: bool = True,
        pending_max: int = 20_000,
        people: bool = False,
        fix: bool = False,
        gateways: int = 1,
    ) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.ports = free_ports(gateways)
        self.port = self.ports[0]
        self._accounts, self._mark_ticks = accounts, mark_ticks
        self._names = ["core", *(["history"] if history else [])]
        self._arguments: dict[str, list[str]] = {}
        if people:
            mail = users_founding.found(directory, catcher_port=free_ports(1)[0])
            self._names += ["mail_catcher", "account_desk"]
            self._arguments = {
                "mail_catcher": ["--port", str(mail.port)],
                "account_desk": ["--url", self.url],
            }
        self.fix_port = free_ports(1)[0] if fix else 0
        if fix:
            self._names.append("fix_gateway")
            self._arguments["fix_gateway"] = ["--port", str(self.fix_port)]
        self._names.append("gateway")
        for number, port in enumerate(self.ports[1:], start=2):
            self._names.append(f"gateway-{number}")
            self._arguments[f"gateway-{number}"] = ["--port", str(port)]
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.environments: dict[str, dict[str, str]] = {}
        """What processes find in their environment beside what is in ours, by name: another build, for example."""
        self.set_keys(keys if keys is not None else [key_of(n) for n in range(1, accounts + 1)])
        unlimited = {"anonymous_requests_per_minute": 0, "connections_per_hour": 0}
        chosen: dict[str, dict[str, Any]] = {
            "gateway": {"port": self.port, "pending_max": pending_max}, "limits": {**unlimited, **(limits or {})},
            "fix": {"sessions_per_account": 200},
            # Everybody in a test comes from one address, and a guess takes a quarter of a second.
            "accounts": {
                "mails_of_address": 10_000, "failures_of_address": 10_000, "failures_of_user": TRIES,
            },
        }  # fmt: skip
        configure(directory, chosen, before=Settings())

    def set_keys(self, keys: Sequence[KeyRecord]) -> None:
        write_records(self.directory / "keys.json", tuple(keys))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def realtime_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/realtime"

    # ---- processes

    def start(self, name: str) -> None:
        log = open(self.directory / f"{name}.log", "ab")  # noqa: SIM115
        kind, _, number = name.partition("-")
        arguments = [sys.executable, "-m", f"ringfence.daemons.{kind}", str(self.directory)]
        arguments += self._arguments.get(name, [])
        page = {PAGE: str(self.directory / "metrics" / f"{name}.sock")} if number else {}
        environment = {**os.environ, **page, **self.environments.get(name, {})}
        self.processes[name] = subprocess.Popen(arguments, stdout=log, stderr=log, env=environment)
        log.close()

    def kill(self, name: str) -> None:
        """Kill a process as a power cut would, and wait until it is gone."""
        self.processes[name].send_signal(signal.SIGKILL)
        self.processes[name].wait()

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal, as SIGSTOP to hold a process where it is."""
        self.processes[name].send_signal(number)

    def wait_ready(self) -> None:
        """Wait until every gateway answers, and the account desk if there is one.

        Raises TimeoutError with the logs' ends.
        """
        until = time.monotonic() + _START_SECONDS
        desk = users_founding.socket_of(self.directory)
        while "account_desk" in self._names and not desk.exists() and time.monotonic() < until:
            time.sleep(0.02)
        waiting = list(self.ports)
        while time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", waiting[0]), timeout=1).close()
                waiting.pop(0)
                if not waiting:
                    return
            except OSError:
                if any(process.poll() is not None for process in self.processes.values()):
                    break
                time.sleep(0.02)
        ends = {name: (self.directory / f"{name}.log").read_text()[-2000:] for name in self.processes}
        raise TimeoutError(f"the venue did not start: {ends}")

    def __enter__(self) -> Self:
        self.start("core")
        commands = opening(accounts=self._accounts, mark_ticks=self._mark_ticks)
        # In a thread of its own: the caller may be running an event loop already.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, self.submit(commands)).result()
        for name in self._names[1:]:
            self.start(name)
        self.wait_ready()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in reversed(list(self.processes)):
            process = self.processes[name]
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    async def submit(self, commands: Records) -> None:
        """Send commands straight to the core and wait until they are durable."""
        await submit(self.directory, commands)


async def submit(directory: Path, commands: Records) -> None:
    """Send commands straight to the core of a directory and wait until they are durable."""
    client = CoreClient(directory / "core.sock", lambda sequence: None)
    until = time.monotonic() + _START_SECONDS
    while True:
        try:
            await client.connect()
            break
        except OSError:
            if time.monotonic() > until:
                raise
            await asyncio.sleep(0.02)
    reader = FeedReader(directory / "feed")
    while reader.read() is not None:
        pass
    target = reader.next_sequence + len(commands)
    client.submit(commands.tobytes())
    while reader.next_sequence < target:
        if reader.read() is None:
            await asyncio.sleep(0.002)
    client.close()
    reader.close()


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
