"""Secrets that are known to the test, and a search for them wherever a stranger or an operator could look."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ringfence.exchange.users.keys import Permission, write_records
from ringfence.monitoring.gather import gather
from ringfence.monitoring.logs import REDACTED
from ringfence.testing.canaries import Secret, command_lines, leaks, logs_of, secrets_of
from ringfence.testing.client import Client, sign
from ringfence.testing.socket import Socket
from ringfence.testing.venue import Venue, key_of
from ringfence.testing.wire import Wire, signature_headers, written

CANARY = "canary-4f1d2e7a9b3c-"
_OWN = key_of(1, Permission.ORDER, Permission.WITHDRAW)
KEY = msgspec.structs.replace(_OWN, id="key-canary", secret=CANARY + "secret", otp_secret="JBSWY3DPEHPK3PXP")
ASKED: list[tuple[str, str, dict[str, Any] | None]] = [
    ("GET", "/apiKey", None), ("GET", "/user", None), ("POST", "/order", {"symbol": "no"}), ("GET", "/no", None),
    ("POST", "/order", {"symbol": "XBTUSD", "orderQty": 100, "price": 5000, "text": "fine"}),
    ("POST", "/user/requestWithdrawal", {"currency": "XBt", "network": "btc", "amount": 5, "otpToken": "1"}),
]  # fmt: skip


async def test_a_venue_keeps_its_secrets_whatever_is_asked_and_however_it_ends(tmp_path: Path) -> None:
    with Venue(tmp_path, accounts=2, keys=[KEY, key_of(2)]) as venue:
        told: list[tuple[str, bytes]] = []
        client = Client(venue.port, KEY)
        for method, path, value in ASKED:
            told.append((f"{method} {path}", client.call(method, path, value).body))
        with Wire(venue.port) as wire:
            wrong = signature_headers(KEY, "GET", "/api/v1/order")
            for target in ("/api/v1/user", "/api/v1/order?secret=" + CANARY + "query", "/" + CANARY + "path"):
                told.append(
                    (target[:12], wire.ask(written("GET", target, wrong)).body.replace(target.encode(), b""))
                )
            body = b'{"api-secret": "' + CANARY.encode() + b'body", nonsense'
            headers = signature_headers(KEY, "POST", "/api/v1/order", body)
            told.append(("body", wire.ask(written("POST", "/api/v1/order", headers, body)).body))
        socket = await Socket.open(venue.realtime_url)
        socket.say(
            op="authKeyExpires", args=[KEY.id, int(time.time()) + 30, sign(KEY.secret, "GET", "/no", 1)]
        )
        await socket.wait(lambda: socket.is_closed)
        told.append(("realtime", repr(socket.frames).encode()))
        secrets = [*secrets_of(tmp_path), Secret("what was sent", CANARY.encode())]
        assert {one.home for one in secrets} >= {"keys.json", "what was sent"}
        figures = await gather(tmp_path)
        told.append(("metrics", figures.encode()))
        assert leaks(secrets, [*told, *command_lines(), *logs_of(tmp_path)]) == []
        # A crash in the middle, with a fault handler's last words and whatever the system would write of it.
        gateway = venue.processes["gateway"]
        limits = Path(f"/proc/{gateway.pid}/limits").read_text()
        (of_core,) = (line.split() for line in limits.splitlines() if line.startswith("Max core file size"))
        assert of_core[4:6] == ["0", "0"], "a crash would leave an image of its memory"
        venue.signal("gateway", signal.SIGABRT)
        assert gateway.wait(10) == -signal.SIGABRT
        assert leaks(secrets, logs_of(tmp_path)) == []
        assert not list(tmp_path.rglob("core*.dump")) + list(Path.cwd().glob("core.*"))
        # And a start that fails, because the file with the secrets is damaged.
        (tmp_path / "keys.json").write_bytes((tmp_path / "keys.json").read_bytes()[:-20])
        venue.start("gateway")
        assert venue.processes["gateway"].wait(20) == 66
        assert leaks(secrets, logs_of(tmp_path)) == []


def test_what_gets_out_would_be_found(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "pin").write_text("71834029\n")
    (tmp_path / "token.key").write_bytes(bytes(range(128, 160)))
    armour = "-----BEGIN " + "PRIVATE KEY-----\n" + "QUJD" * 12 + "\n-----END PRIVATE KEY-----\n"
    (tmp_path / "tls.key").write_text(armour)
    (tmp_path / "logs" / "a.log").write_text("opened the token with 71834029")
    (tmp_path / "logs" / "b.log.1").write_text("key " + bytes(range(128, 160)).hex())
    (tmp_path / "gateway.log").write_text("cert\n" + "QUJD" * 12)
    found = leaks(secrets_of(tmp_path), logs_of(tmp_path))
    assert sorted(found) == [
        "pin is in logs/a.log",
        "tls.key is in gateway.log",
        "token.key is in logs/b.log.1",
    ]
    process = subprocess.Popen(["sleep", "30", "0.71834029"])
    try:
        # A process is there a moment before its arguments can be read.
        until = time.monotonic() + 10
        while not Path(f"/proc/{process.pid}/cmdline").read_bytes():
            assert time.monotonic() < until
        assert any("arguments of process" in one for one in leaks(secrets_of(tmp_path), command_lines()))
    finally:
        process.kill()
        process.wait()


_CARELESS = """
import logging, sys
from pathlib import Path
from ringfence.exchange.users.keys import read_records
from ringfence.monitoring import set_up_logs
set_up_logs("careless")
log = logging.getLogger("ringfence.careless")
folder = Path(sys.argv[1])
(key,) = read_records(folder / "keys.json")
raw = (folder / "token.key").read_bytes()
armour = (folder / "tls.key").read_text()
pin = (folder / "pin").read_text().strip()
log.info("key %s", key)
log.info("headers %s", {"api-key": key.id, "api-signature": raw.hex(), "cookie": "a=" + key.secret})
log.warning("opened with pin=%s and %s", pin, raw.hex(), extra={"secret": key.secret, "pin": pin, "raw": raw})
log.error("the file holds %s", armour, extra={"body": {"otpToken": key.otp_secret, "inner": [armour]}})
try:
    raise ValueError(f"password: {key.secret}, passphrase={pin}, {armour}")
except ValueError:
    log.exception("it failed with secret=%s", key.secret)
raise RuntimeError(f"otp_secret='{key.otp_secret}' in {armour}")
"""


def test_a_careless_line_of_code_gives_nothing_away(tmp_path: Path) -> None:
    """Whatever somebody writes into a log by mistake is known for a secret by the name of its field or by its shape."""
    write_records(tmp_path / "keys.json", (KEY,))
    (tmp_path / "pin").write_text("71834029\n")
    (tmp_path / "token.key").write_bytes(bytes(range(128, 160)))
    (tmp_path / "tls.key").write_text(
        "-----BEGIN " + "PRIVATE KEY-----\n" + "QUJD" * 12 + "\n-----END PRIVATE KEY-----\n"
    )
    (tmp_path / "logs").mkdir()
    with open(tmp_path / "logs" / "careless.log", "wb") as log:
        subprocess.run([sys.executable, "-c", _CARELESS, tmp_path], stderr=log, check=False)
    text = (tmp_path / "logs" / "careless.log").read_text()
    assert text.count("\n") == 6
    assert text.count(REDACTED) > 10
    found = secrets_of(tmp_path)
    assert {one.home for one in found} == {"keys.json", "pin", "token.key", "tls.key"}
    assert leaks(found, logs_of(tmp_path)) == []


@pytest.mark.parametrize("name", ["keys.json"])
def test_files_with_secrets_are_their_owners_alone(tmp_path: Path, name: str) -> None:
    os.umask(0o022)
    venue = Venue(tmp_path, keys=[KEY])
    assert (venue.directory / name).stat().st_mode & 0o077 == 0
