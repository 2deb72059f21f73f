"""The engine by itself: what its shares are, what it refuses, and that it asks for nothing but its streams."""

import asyncio
import itertools
import json
import secrets
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from ringfence.custody.demonstration import PLACES
from ringfence.custody.quorum.mpc.engine import ProtocolAbort, Scheme, engine_path, is_signature
from ringfence.custody.quorum.mpc.shares import Kept
from ringfence.testing.mpc import THRESHOLD
from ringfence.testing.shamir import interpolated, public_key_of, secret_of
from tests.mpc.conftest import Settled

RUN = {
    "operation": "sign", "scheme": "ed25519", "me": 1, "threshold": 4, "count": 5, "parties": [1, 2, 3, 4], "target": 0,
    "session": "00" * 32, "share": "", "package": "", "message": "", "path": "",
}  # fmt: skip


async def test_any_four_shares_are_the_key_and_no_three_are(settled: Settled) -> None:
    """Arithmetic of our own, for the test alone: nothing in the product puts shares together."""
    circle, record = settled.circle, settled.records[Scheme.ECDSA]
    points = {
        place: secret_of(circle.parties[name].vault.share(Kept(record.name, 1, is_in_force=True)))
        for place, name in enumerate(PLACES, 1)
    }
    public = bytes.fromhex(record.public_key)
    for four in itertools.combinations(points, THRESHOLD):
        secret = interpolated({place: points[place] for place in four})
        assert public_key_of(secret) == public
        digest = secrets.token_bytes(32)
        (one, *_) = await circle.sign(record, digest, [tuple(PLACES)[place - 1] for place in four])
        assert is_signature(Scheme.ECDSA, public_key_of(secret), digest, one.signature)
    for three in itertools.combinations(points, THRESHOLD - 1):
        wrong = interpolated({place: points[place] for place in three})
        assert public_key_of(wrong) != public


async def test_what_one_party_has_on_its_disk_is_neither_its_share_nor_the_key(settled: Settled) -> None:
    circle, record = settled.circle, settled.records[Scheme.ECDSA]
    shares = {
        name: circle.parties[name].vault.share(Kept(record.name, 1, is_in_force=True)) for name in PLACES
    }
    points = [secret_of(share).to_bytes(32, "big") for share in shares.values()]
    key = interpolated({place: int.from_bytes(point, "big") for place, point in enumerate(points, 1)})
    secret = [*points, key.to_bytes(32, "big")]
    files = [path for path in circle.folder.rglob("*") if path.is_file()]
    files += [path for path in circle.hardware.folder.rglob("*") if path.is_file()]
    assert len(files) > 20
    for path in files:
        content = path.read_bytes()
        for one in secret:
            assert one not in content, path
            assert one.hex().encode() not in content, path


def talk(frames: list[bytes]) -> dict[str, object]:
    """Say some bytes to a fresh engine, and return the last frame it says before it is over."""
    path = engine_path()
    assert path is not None
    done = subprocess.run([path], input=b"".join(frames), capture_output=True, timeout=10, check=False)
    out, last = done.stdout, {}
    while out:
        size = struct.unpack(">I", out[:4])[0]
        last, out = json.loads(out[4 : 4 + size]), out[4 + size :]
    return last


def frame(said: object) -> bytes:
    raw = json.dumps(said).encode()
    return struct.pack(">I", len(raw)) + raw


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        ([], "the parent has gone"),
        ([b"\0\0"], "the parent has gone"),
        ([b"\xff\xff\xff\xff"], "too long"),
        ([struct.pack(">I", 9) + b"{"], "cut short"),
        ([struct.pack(">I", 4) + b"null"], "cannot be read"),
        ([frame({})], "missing field"),
        ([frame({**RUN, "operation": "leak"})], "unknown variant"),
        ([frame({**RUN, "session": "00"})], "32 bytes"),
        ([frame({**RUN, "session": "xx"})], "cannot be read"),
        ([frame({**RUN, "parties": [1, 2, 3]})], "4 parties take part, not 3"),
        ([frame({**RUN, "parties": [1, 1, 2, 3]})], "each once and in order"),
        ([frame({**RUN, "parties": [2, 3, 4, 5]})], "does not take part"),
        ([frame({**RUN, "parties": [1, 2, 3, 9]})], "each once and in order"),
        ([frame({**RUN, "threshold": 1, "parties": [1]})], "each once and in order"),
        ([frame({**RUN, "target": 2})], "a repair has a target"),
        ([frame({**RUN, "operation": "repair", "parties": [1, 2, 3, 4, 5]})], "a repair has a target"),
        ([frame(RUN)], "the share cannot be read"),
        ([frame({**RUN, "scheme": "ecdsa-secp256k1"})], "the share cannot be read"),
        ([frame({**RUN, "share": "00" * 40})], "the share cannot be read"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("tokens")
def test_what_is_no_run_is_refused_by_name(frames: list[bytes], reason: str) -> None:
    last = talk(frames)
    assert last["kind"] == "abort"
    assert reason in str(last["abort"])


async def test_a_share_of_one_key_signs_for_no_other_threshold(settled: Settled) -> None:
    """Three shares that are told that three are enough."""
    for scheme in Scheme:
        circle, record = settled.circle, settled.records[scheme]
        share = circle.parties["ops-1"].vault.share(Kept(record.name, 1, is_in_force=True))
        run = {
            **RUN, "scheme": scheme.value, "threshold": 3, "parties": [1, 2, 3], "share": share.hex(),
            "package": record.package, "message": "11" * 32,
        }  # fmt: skip
        last = talk([frame(run), frame({"round": 1, "broadcast": {}, "private": {}})])
        assert last["kind"] == "abort", last


@pytest.mark.skipif(shutil.which("strace") is None, reason="Debian package strace is missing")
@pytest.mark.usefixtures("tokens")
def test_the_engine_opens_no_socket_and_no_file_of_its_own(tmp_path: Path) -> None:
    path = engine_path()
    assert path is not None
    log = tmp_path / "calls"
    words = [
        "strace",
        "-f",
        "-o",
        log,
        "-e",
        "trace=%network,openat,open,creat,execve,prctl,prlimit64,mlockall",
        path,
    ]
    run = {**RUN, "operation": "dkg", "parties": [1, 2, 3, 4, 5]}
    subprocess.run(words, input=frame(run), capture_output=True, timeout=10, check=False)
    calls = log.read_text()
    assert "socket(" not in calls
    assert "connect(" not in calls
    opened = [line.split('"')[1] for line in calls.splitlines() if "openat(" in line and "ENOENT" not in line]
    assert all(
        name.startswith(("/etc/ld.so", "/lib", "/usr/lib", "/proc/self", "/sys/fs/cgroup")) for name in opened
    ), opened
    for asked in (
        "RLIMIT_CORE",
        "PR_SET_DUMPABLE, SUID_DUMP_DISABLE",
        "PR_SET_NO_NEW_PRIVS",
        "mlockall(MCL_CURRENT|MCL_FUTURE)",
    ):
        assert asked in calls, asked


async def test_an_engine_that_is_killed_ends_the_run_at_once(
    settled: Settled, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    circle, record = settled.circle, settled.records[Scheme.ED25519]
    broken = tmp_path / "engine"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setenv("RINGFENCE_MPC", str(broken))
    with pytest.raises(ProtocolAbort, match="the engine has died"):
        await asyncio.wait_for(
            circle.parties["ops-1"].party.sign(
                circle.task(record, bytes(32), ("ops-1", "ops-2", "policy-1", "policy-2"))
            ),
            2,
        )
