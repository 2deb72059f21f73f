"""Rounds of a beacon: known ones, ones of a key of our own that another library signs, and everything that is none."""

import http.server
import json
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.custody.beacon import QUICKNET, BeaconError
from ringfence.daemons.beacon_rounds import BeaconSource, signature_of
from ringfence.testing import beacon as testing
from ringfence.units.time import NS_PER_SECOND

KNOWN = 657_413
SIGNATURE = "b713718a38ae728dfd477991af2822e08d2f305e47718cef9f7848ce4050e7be41076862b98fad56e91a6b85b89cd97b"
RANDOMNESS = "fc1873a13f3545aeade8401532ef5519920652eee6b0d2b19ca12643b87b3587"
OURS = testing.beacon_from(1_000)


def test_a_round_of_quicknet_as_it_was_published() -> None:
    assert QUICKNET.randomness(KNOWN, SIGNATURE).hex() == RANDOMNESS


def test_a_round_that_another_library_has_signed() -> None:
    assert len(OURS.randomness(77, testing.signature_of(77))) == 32
    with pytest.raises(BeaconError):
        QUICKNET.randomness(77, testing.signature_of(77))


@pytest.mark.parametrize(
    ("number", "signature"),
    [
        (KNOWN + 1, SIGNATURE), (KNOWN, SIGNATURE[:-1] + "c"), (KNOWN, ""), (KNOWN, "zz"), (KNOWN, SIGNATURE[:-2]),
        (KNOWN, SIGNATURE + "00"), (KNOWN, "00" * 48), (KNOWN, "c0" + "00" * 47), (KNOWN, "ff" * 48), (-1, SIGNATURE),
        (2**64, SIGNATURE),
    ],
)  # fmt: skip
def test_what_is_not_the_signature_of_a_round(number: int, signature: str) -> None:
    """`zz` made the library panic, which no `except Exception` catches: a co-signer would have died of it."""
    with pytest.raises(BeaconError):
        QUICKNET.randomness(number, signature)


@given(st.binary(max_size=60) | st.text(max_size=100))
def test_whatever_is_brought_it_is_refused_by_name(said: bytes | str) -> None:
    with pytest.raises(BeaconError):
        QUICKNET.randomness(KNOWN, said.hex() if isinstance(said, bytes) else said)


@given(st.integers(0, 2**40))
def test_the_round_after_a_moment_is_yet_to_come_and_the_one_before_it_is_not(second: int) -> None:
    now_ns = second * NS_PER_SECOND
    number = OURS.round_after(now_ns)
    assert OURS.time_ns(number) > now_ns
    assert number == 1 or OURS.time_ns(number - 1) <= now_ns


@pytest.fixture
def server() -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            number = int(self.path.rsplit("/", 1)[-1])
            self.send_response(200 if number < 100 else 425)
            self.end_headers()
            self.wfile.write(json.dumps({"round": number, "signature": f"{number:02x}"}).encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    httpd = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    httpd.shutdown()
    httpd.server_close()


async def test_servers_are_asked_in_turn_and_one_that_has_nothing_is_passed_over(server: str) -> None:
    nowhere = "http://127.0.0.1:1"
    assert await signature_of(BeaconSource(OURS, (nowhere, server)), 77) == "4d"
    assert await signature_of(BeaconSource(OURS, (server,)), 100) == ""
    assert (
        await signature_of(BeaconSource(OURS, (nowhere, "file:///etc/hostname", "http://example.org")), 77)
        == ""
    )
