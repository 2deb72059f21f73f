"""`ringfence up --cluster` as an operator meets it: an exchange that ran alone becomes three machines and loses one."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ringfence.daemons.supervisor import read_run_state
from ringfence.exchange.users.keys import read_records
from ringfence.ports import free_ports
from ringfence.testing.client import Client
from ringfence.testing.up import READY, RINGFENCE, Up, wait_for

START_SECONDS = 120


def status(up: Up) -> list[dict[str, Any]]:
    done = subprocess.run(
        [RINGFENCE, "cluster", "status", str(up.directory), "--json"], capture_output=True, text=True
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def leader(up: Up) -> str | None:
    return next((one["node"] for one in status(up) if one["role"] == "leader"), None)


def is_level(up: Up) -> bool:
    rows = status(up)
    return len(rows) == 3 and all(row["role"] != "down" and row.get("behind") == 0 for row in rows)


@pytest.mark.slow
def test_an_exchange_becomes_a_cluster_and_loses_its_leader(tmp_path: Path) -> None:
    port, directory = free_ports(3, in_a_row=True)[0], tmp_path / "exchange"
    alone = Up(directory, "--no-bots", port=port)
    wait_for(lambda: READY in alone.text, START_SECONDS, "exchange")
    key = next(key for key in read_records(directory / "keys.json") if key.name == "demo-1")
    order = {"orderQty": 100, "price": 20_000}
    assert Client(port, key).place(**order, clOrdID="alone").status == 200
    alone.stop()

    with Up(directory, "--no-bots", "--cluster", port=port) as up:
        wait_for(lambda: READY in up.text, START_SECONDS, "cluster")
        assert "seeding the stream" in up.text
        wait_for(lambda: is_level(up), 30, "machines that are level")
        gateways = [Client(port + number, key) for number in range(3)]
        for number, gateway in enumerate(gateways):
            assert gateway.place(**order, clOrdID=f"at-{number}").status == 200
        old = leader(up)
        assert old is not None
        os.kill(pid_of(up, old), signal.SIGKILL)
        new = wait_for(lambda: (now := leader(up)) != old and now, 20, "another leader")
        place = int(str(new).rpartition("-")[2]) - 1
        wait_for(lambda: gateways[place].place(**order, clOrdID="after").status == 200, 20, "order after it")
        wait_for(lambda: is_level(up), 30, "machines that are level again")
        handed = subprocess.run(
            [RINGFENCE, "cluster", "hand-over", str(directory), "--to", old], capture_output=True, text=True
        )
        assert handed.stdout == f"{new} hands over to {old}\n", handed.stderr
        wait_for(lambda: leader(up) == old, 20, "the old leader leading")
        wait_for(lambda: is_level(up), 30, "machines that are level at last")
        found = {row["clOrdID"] for row in gateways[place].get("/order?count=100")}
        assert found == {"alone", "at-0", "at-1", "at-2", "after"}


def pid_of(up: Up, node: str) -> int:
    state = read_run_state(up.directory)
    assert state is not None
    name = "core" if node == "node-1" else f"core-{node}"
    return next(process.pid for process in state.processes if process.name == name)


def test_an_exchange_that_runs_alone_has_no_cluster(tmp_path: Path) -> None:
    done = subprocess.run([RINGFENCE, "cluster", "status", str(tmp_path)], capture_output=True, text=True)
    assert done.returncode != 0
    assert "belongs to no cluster" in done.stderr
