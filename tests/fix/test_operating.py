"""What an operator chooses and what an outage does: TLS, bounds, revoked keys, overload, a gateway that is killed."""

import socket
import ssl
import subprocess
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ringfence.exchange.fix import Config
from ringfence.testing.client import Client
from ringfence.testing.fix import FixClient
from ringfence.testing.venue import Venue, configure, key_of
from tests.fix.test_crash import come_back

OPEN = "/order?filter=%7B%22open%22%3Atrue%7D"


def restart(venue: Venue, **changes: dict[str, Any]) -> None:
    """Start the gateway again with other values, by their tables."""
    configure(venue.directory, changes)
    venue.kill("fix_gateway")
    venue.start("fix_gateway")


def test_strangers_are_listened_to_over_tls_alone() -> None:
    for config in (
        {"host": "0.0.0.0"}, {"host": "192.0.2.1"}, {"certificate": "a.pem"}, {"host": "::", "private_key": "k"},
    ):  # fmt: skip
        with pytest.raises(ValueError, match="certificate"):
            msgspec.convert(config, Config).check()
    msgspec.convert({"host": "0.0.0.0", "certificate": "a", "private_key": "k"}, Config).check()
    Config().check()


@pytest.mark.slow
def test_an_operators_choices_hold(tmp_path: Path) -> None:
    with Venue(tmp_path / "venue", accounts=2, fix=True) as venue:
        # Orders that there is no room for are rejected, and cancels are not.
        client = FixClient(venue.fix_port, 1)
        client.log_on()
        client.place("before", "1", 100, "9000")
        client.report("before")
        restart(venue, gateway={"pending_max": 0})
        come_back(client)
        client.place("shed", "1", 100, "9000")
        shed = client.report("shed")
        assert (shed[39], shed[9004], shed[37]) == ("8", "503", "NONE")
        assert "overloaded" in shed[58]
        assert [row["clOrdID"] for row in Client(venue.port, 1).get(OPEN)] == ["before"]
        client.cancel("still", "before", "1")
        assert client.report("still")[150] == "4"
        # Too many in a second.
        restart(venue, gateway={"pending_max": 1_000}, limits={"orders_per_second": 2})
        come_back(client)
        venue.set_keys([msgspec.structs.replace(key_of(1), limits=type(key_of(1).limits)()), key_of(2)])
        time.sleep(2)
        for number in range(6):
            client.place(f"many{number}", "1", 100, "9000")
        refused = [client.report(f"many{number}")[39] for number in range(6)].count("8")
        assert 3 <= refused <= 4
        assert client.until(lambda m: m.get(39) == "8" and m.get(9004) == "429")
        # A key that is gone loses its session, and its orders stay.
        venue.set_keys([key_of(2)])
        assert client.until(lambda m: m[35] == "5")[58] == "the API key was revoked"
        assert client.is_hung_up()
        venue.set_keys([key_of(1), key_of(2)])
        # Sessions are counted.
        restart(venue, fix={"sessions_per_account": 1}, limits={"orders_per_second": 0})
        other = FixClient(venue.fix_port, 1, sender="OTHER")
        assert "too many sessions" in other.log_on()[58]
        assert FixClient(venue.fix_port, 2, sender="OTHER").log_on()[35] == "A"


def test_a_killed_gateway_cancels_for_who_asked_for_that(tmp_path: Path) -> None:
    with Venue(tmp_path / "venue", accounts=1, fix=True) as venue:
        careful, other = (
            FixClient(venue.fix_port, 1, cancels=True),
            FixClient(venue.fix_port, 1, sender="OTHER"),
        )
        careful.log_on()
        other.log_on()
        careful.place("c1", "1", 100, "9000")
        careful.report("c1")
        other.place("o1", "1", 100, "9000")
        other.report("o1")
        # What is on its way when the gateway dies is cancelled as well.
        careful.place("c2", "1", 100, "9000")
        venue.kill("fix_gateway")
        venue.start("fix_gateway")
        rest, until = Client(venue.port, 1), time.monotonic() + 20
        names: list[str] = []
        while time.monotonic() < until and names != ["o1"]:
            names = [row["clOrdID"] for row in rest.get(OPEN)]
            time.sleep(0.1)
        assert names == ["o1"]
        come_back(careful)
        assert careful.report("c1", kind="4")[39] == "4"


def test_a_session_over_tls(tmp_path: Path) -> None:
    with Venue(tmp_path / "venue", accounts=1, fix=True) as venue:
        key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-keyout", key, "-out", certificate, "-days", "1", "-subj", "/CN=localhost",
             "-addext", "subjectAltName=DNS:localhost"],
            check=True, capture_output=True,
        )  # fmt: skip
        restart(venue, fix={"certificate": str(certificate), "private_key": str(key)})
        client = FixClient(venue.fix_port, 1)
        context = ssl.create_default_context(cafile=str(certificate))
        plain = client.connect

        def connect() -> None:
            plain()
            assert isinstance(client._socket, socket.socket)
            client._socket = context.wrap_socket(client._socket, server_hostname="localhost")

        client.connect = connect  # type: ignore[method-assign]
        assert client.log_on()[35] == "A"
        client.place("secret", "1", 100, "9000")
        assert client.report("secret")[39] == "0"
        client.close()
