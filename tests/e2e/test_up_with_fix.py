"""`ringfence up --fix-port`: a FIX client trades with the key that `up` has made, and after a kill goes on."""

import os
import signal
from pathlib import Path

import pytest

from ringfence.daemons.supervisor import read_run_state
from ringfence.ports import free_ports
from ringfence.testing.fix import FixClient
from ringfence.testing.up import Up


@pytest.mark.slow
def test_up_runs_a_fix_gateway_if_it_is_asked_to(tmp_path: Path) -> None:
    port = free_ports(1)[0]
    with Up(tmp_path / "exchange", "--fix-port", str(port), "--no-bots") as up:
        key = up.key("demo-1")
        client = FixClient(port, key.account, key=key.id, secret=key.secret)
        assert client.log_on()[35] == "A"
        client.place("first", "1", 100, "1000")
        answer = client.report("first")
        state = read_run_state(up.directory)
        assert state is not None
        os.kill(next(p.pid for p in state.processes if p.name == "fix-gateway"), signal.SIGKILL)
        assert client.is_hung_up()
        assert client.log_on()[34] == str(int(answer[34]) + 1)
        client.close()
        assert up.stop() == 0
