"""The balancer's file before real gateways: a key stays at its gateway, and only leaves one that is gone."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ringfence.ports import free_ports
from ringfence.testing.client import Client, sign
from ringfence.testing.venue import Venue

HAPROXY = shutil.which(os.environ.get("HAPROXY", "haproxy"))
"""`HAPROXY` in the environment says where it is, if not on the path."""
FILE = Path("deploy/exchange/haproxy.cfg")
GATEWAYS, KEYS = 3, 12

pytestmark = pytest.mark.skipif(HAPROXY is None, reason="no balancer: Debian package haproxy, 2.6 or newer")


@contextmanager
def balancer(venue: Venue) -> Iterator[int]:
    assert HAPROXY is not None
    port = free_ports(1)[0]
    told = {f"RINGFENCE_GATEWAY_{n}": f"127.0.0.1:{found}" for n, found in enumerate(venue.ports, start=1)}
    environment = {**os.environ, **told, "RINGFENCE_LISTEN": f"127.0.0.1:{port}"}
    subprocess.run([HAPROXY, "-c", "-f", FILE], env=environment, check=True, capture_output=True)
    process = subprocess.Popen([HAPROXY, "-db", "-f", FILE], env=environment)
    try:
        until = time.monotonic() + 20
        while not _answers(port):
            assert time.monotonic() < until
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def test_a_key_stays_at_one_gateway_and_an_order_is_seen_at_all(tmp_path: Path) -> None:
    with Venue(tmp_path, accounts=KEYS, history=False, gateways=GATEWAYS) as venue, balancer(venue) as port:
        places = {account: _place_of(port, account) for account in range(1, KEYS + 1)}
        assert len(set(places.values())) == GATEWAYS
        for account, place in places.items():
            assert {_place_of(port, account) for _ in range(3)} == {place}
            assert _realtime_place_of(port, account, in_query=False) == place
            assert _realtime_place_of(port, account, in_query=True) == place

        gone = places[1]
        venue.kill(gone if gone != "gateway-1" else "gateway")
        until = time.monotonic() + 15
        while _place_of(port, 1) in (gone, None):
            assert time.monotonic() < until
            time.sleep(0.2)
        for account, place in places.items():
            assert (_place_of(port, account) == place) == (place != gone)


def _answers(port: int) -> bool:
    try:
        return Client(port, None).call("GET", "/instrument?count=1").status == 200
    except OSError:
        return False


def _place_of(port: int, account: int) -> str | None:
    """Place an order; return which gateway took it, None if none did."""
    order = {"symbol": "XBTUSD", "orderQty": 100, "price": 9_000, "timeInForce": "ImmediateOrCancel"}
    answer = Client(port, account).call("POST", "/order", order)
    return answer.headers["x-gateway"] if answer.status == 200 else None


def _realtime_place_of(port: int, account: int, *, in_query: bool) -> str:
    """Open a realtime connection with the key in the header or the query; return which gateway has it."""
    expires = int(time.time()) + 30
    signature = sign(f"secret-{account}", "GET", "/realtime", expires)
    named = {"api-key": f"key-{account}", "api-expires": expires, "api-signature": signature}
    query = "?" + "&".join(f"{name}={value}" for name, value in named.items()) if in_query else ""
    headers = "" if in_query else "".join(f"{name}: {value}\r\n" for name, value in named.items())
    with socket.create_connection(("127.0.0.1", port), timeout=5) as line:
        line.sendall(
            f"GET /realtime{query} HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
            f"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n".encode()
        )
        head = b""
        while b"\r\n\r\n" not in head:
            head += line.recv(4096)
    assert head.startswith(b"HTTP/1.1 101 ")
    return head.partition(b"x-gateway: ")[2].partition(b"\r\n")[0].decode()
