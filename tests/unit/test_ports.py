"""Free ports: not where outgoing connections end, nobody's twice, and a server can listen there at once."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ringfence.ports import HOST, _hold, free_ports, listens

RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def test_a_server_can_listen_at_once_at_a_port_that_nobody_else_is_given() -> None:
    ports = free_ports(50)
    assert len(set(ports)) == 50
    for port in ports:
        assert not listens(port)
        assert not _hold(port)
        # As servers do: asyncio, Go, PostgreSQL and Bitcoin Core all set it.
        with socket.create_server((HOST, port), reuse_port=False):
            assert listens(port)


def test_ports_in_a_row() -> None:
    first, *rest = free_ports(3, in_a_row=True)
    assert rest == [first + 1, first + 2]


def test_another_process_does_not_find_it_free() -> None:
    port = free_ports(1)[0]
    code = f"from ringfence.ports import _hold; raise SystemExit(_hold({port}))"
    assert subprocess.run([sys.executable, "-c", code], env=os.environ).returncode == 0


@pytest.mark.skipif(not RANGE.exists(), reason="Linux tells what it gives to connections")
def test_they_are_below_what_outgoing_connections_get() -> None:
    first = int(RANGE.read_text().split()[0])
    if first < 32_768:
        pytest.skip(f"this machine gives connections ports from {first} on")
    assert max(free_ports(100)) < first
