"""An exchange on three machines, all of them this one: real servers of the stream, real cores, real gateways."""

import asyncio
import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ringfence.configuration import Settings
from ringfence.daemons import cluster, cluster_founding
from ringfence.exchange.users.keys import write_records
from ringfence.lines import NoAnswerError, ask
from ringfence.monitoring.page import PAGE
from ringfence.ports import HOST, free_ports
from ringfence.testing.play import opening
from ringfence.testing.venue import configure, key_of, submit

_START_SECONDS = 60.0
_ASK_SECONDS = 2.0
_NEAR = 100
"""Entries behind the leader that are caught up with at once."""


class Cluster:
    """Three nodes; as many gateways as are asked for, one after another beside each; one history beside the first.

    Processes are named `nats-N`, `node-N`, `gateway-N` and `history`, and write to `NAME.log` in the folder.
    """

    def __init__(
        self, directory: Path, *, accounts: int = 4, gateways: int = 2, replicas: int = 3,
        limits: dict[str, int] | None = None, hosts: tuple[str, ...] = (HOST,) * 3, spaces: tuple[str, ...] = (),
        kind: str = cluster_founding.NATS,
    ) -> None:  # fmt: skip
        """`hosts` has the machines' addresses, `spaces` the network namespaces that they are in, if they are."""
        directory.mkdir(parents=True, exist_ok=True)
        self.directory, self._accounts, self._gateways = directory, accounts, gateways
        self.layout = cluster_founding.found(directory, replicas=replicas, hosts=hosts, kind=kind)
        self.nodes = self.layout.directories
        self.hosts, self._spaces = hosts, spaces
        self.ports = free_ports(gateways)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.environments: dict[str, dict[str, str]] = {}
        """What processes find in their environment beside what is in ours, by name: another build, for example."""
        unlimited = {"anonymous_requests_per_minute": 0, "connections_per_hour": 0}
        for own, host in zip(self.nodes.values(), hosts, strict=True):
            write_records(own / "keys.json", tuple(key_of(n) for n in range(1, accounts + 1)))
            chosen = {"gateway": {"host": host}, "limits": {**unlimited, **(limits or {})}}
            configure(own, chosen, before=Settings())

    # ---- processes

    def start(self, name: str) -> None:
        """Start a process, or start it again."""
        kind, _, number = name.partition("-")
        environment = os.environ | self.environments.get(name, {})
        if kind in (cluster_founding.NATS, cluster_founding.ETCD):
            arguments = ["stream_server", str(self.directory), name]
        elif kind == "node":
            arguments = ["core", str(self.nodes[name])]
        elif kind == "gateway":
            place = int(number) - 1
            own = list(self.nodes.values())[place % len(self.nodes)]
            history = f"sqlite:///{self.directory / 'history.sqlite'}"
            arguments = ["gateway", str(own), "--port", str(self.ports[place]), "--history-url", history]
            environment[PAGE] = str(own / "metrics" / f"{name}.sock")
        else:
            arguments = [kind, str(self.directory)]
        space = self._spaces[int(number) - 1] if self._spaces and number else ""
        inside = ["ip", "netns", "exec", space] if space else []
        command = [*inside, sys.executable, "-m", f"ringfence.daemons.{arguments[0]}", *arguments[1:]]
        with open(self.directory / f"{name}.log", "ab") as log:
            self.processes[name] = subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    def kill(self, name: str) -> None:
        """Kill a process as a power cut would, and wait until it is gone."""
        self.processes[name].send_signal(signal.SIGKILL)
        self.processes[name].wait()

    def signal(self, name: str, number: signal.Signals) -> None:
        self.processes[name].send_signal(number)

    def keep(self) -> None:
        """Start again what has ended, as a supervisor does."""
        for name, process in list(self.processes.items()):
            if process.poll() is not None:
                self.start(name)

    # ---- who leads

    def ask(self, node: str, **question: str) -> dict[str, Any] | None:
        """Return what a node answers, None if it does not."""
        try:
            return asyncio.run(ask(self.nodes[node] / cluster.SOCKET, question, seconds=_ASK_SECONDS))
        except NoAnswerError:
            return None

    def leader(self) -> str | None:
        """Return who says that it leads; the newest, if two do."""
        said = [(name, self.ask(name, ask="status")) for name in self.nodes]
        leading = [(status["epoch"], name) for name, status in said if status and status["role"] == "leader"]
        return max(leading)[1] if leading else None

    def wait_leader(self, *, seconds: float = _START_SECONDS, other_than: str = "") -> str:
        """Wait until a node leads, and return its name. Raises TimeoutError."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            found = self.leader()
            if found is not None and found != other_than:
                return found
            time.sleep(0.02)
        raise TimeoutError(f"nobody leads after {seconds:g} s")

    def wait_followers(self, leader: str, *, seconds: float = 20) -> None:
        """Wait until the leader hears of every other machine, and none is far behind. Raises TimeoutError."""
        until = time.monotonic() + seconds
        while True:
            said = self.ask(leader, ask="status") or {"followers": {}, "number": 0}
            near = [number for number in said["followers"].values() if said["number"] - number < _NEAR]
            if len(near) == len(self.nodes) - 1:
                return
            if time.monotonic() > until:
                raise TimeoutError(f"{leader} does not hear of the others")
            time.sleep(0.05)

    def wait_level(self, *, seconds: float = 20) -> list[dict[str, Any]]:
        """Wait until all nodes are at the same entry, and return what they say. Raises TimeoutError."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            said = [self.ask(name, ask="status") for name in self.nodes]
            whole = [one for one in said if one is not None]
            if len(whole) == len(said) and len({(one["number"], one["sequence"]) for one in whole}) == 1:
                return whole
            time.sleep(0.05)
        raise TimeoutError(f"the nodes are not level after {seconds:g} s: {said}")

    # ---- life

    def wait_ready(self) -> None:
        """Wait until every gateway answers. Raises TimeoutError."""
        import socket

        until = time.monotonic() + _START_SECONDS
        for host, port in zip(itertools.cycle(self.hosts), self.ports, strict=False):
            while True:
                try:
                    socket.create_connection((host, port), timeout=1).close()
                    break
                except OSError:
                    # At the start two may lead one after the other; the first one ends, to follow.
                    self.keep()
                    if time.monotonic() > until:
                        raise TimeoutError(f"the gateway on port {port} did not start") from None
                    time.sleep(0.02)

    def __enter__(self) -> Self:
        for name in (*self.layout.servers, *self.nodes):
            self.start(name)
        leader = self.wait_leader()
        commands = opening(accounts=self._accounts, mark_ticks=100_000)
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, submit(self.nodes[leader], commands)).result()
        self.start("history")
        for number in range(1, self._gateways + 1):
            self.start(f"gateway-{number}")
        self.wait_ready()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in sorted(
            self.processes,
            key=lambda name: ("gateway", "history", "node", "nats", "etcd").index(name.partition("-")[0]),
        ):
            process = self.processes[name]
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        if error is None:
            shutil.rmtree(self.directory / cluster.SERVERS_FOLDER, ignore_errors=True)
