"""Keys that nobody has in `ringfence up`: ordered from the command line, and in no process and no file whole."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ringfence.custody.demonstration import PEOPLE, PLACES
from ringfence.custody.hsm import softhsm_module
from ringfence.custody.quorum.mpc.engine import engine_path
from ringfence.daemons.supervisor import read_run_state
from ringfence.testing.shamir import interpolated, public_key_of, secret_of
from ringfence.testing.up import RINGFENCE, Up, wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        softhsm_module() is None or shutil.which("softhsm2-util") is None,
        reason="SoftHSM is not installed: Debian package softhsm2",
    ),
    pytest.mark.skipif(
        engine_path() is None,
        reason="the MPC engine is not built: it needs Rust 1.88 or newer, then `make mpc`",
    ),
]


def run_key(directory: Path, *arguments: str, by: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    people: list[str] = []
    for name in by:
        people += ["--person", name, "--key", str(directory / "custody" / "people" / f"{name}.key")]
    words = [RINGFENCE, "custody", "key", *arguments, *people, "--directory", str(directory)]
    return subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)


def key(directory: Path, *arguments: str, by: tuple[str, ...] = tuple(PEOPLE)) -> str:
    done = run_key(directory, *arguments, by=by)
    assert done.returncode == 0, (arguments, done.stdout, done.stderr)
    return done.stdout


def epochs(directory: Path, name: str) -> dict[str, int]:
    said = json.loads(key(directory, "list", "--json", by=()))
    return {
        signer: held["epoch"] for signer, told in said.items() if told is not None for held in told.get("keys", ())
        if held["key"] == name
    }  # fmt: skip


def writable_memory(pid: int) -> bytes:
    """Return what a process has in memory that it may have written itself."""
    parts = []
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            span, mode, *rest = line.split()
            if not mode.startswith("rw") or any(name.startswith("[vvar") for name in rest):
                continue
            begin, end = (int(one, 16) for one in span.split("-"))
            try:
                memory.seek(begin)
                parts.append(memory.read(end - begin))
            except (OSError, ValueError):
                continue  # gone meanwhile
    return b"".join(parts)


def share_of(directory: Path, name: str, of: str, epoch: int) -> bytes:
    """Open a co-signer's share as only its own token can: in a process of its own, when it does not run."""
    story = (
        "import sys; from pathlib import Path; from ringfence.daemons.token_founding import configure, shares_label;"
        "from ringfence.custody.hsm import *; from ringfence.custody.quorum.mpc.shares import *;"
        "home = Path(sys.argv[1]); configure(home);"
        "token = Token(softhsm_module(), shares_label(sys.argv[2]), (home / 'pin').read_text(), Lockout(home / 'l'));"
        "vault = ShareVault(home / 'shares', token, FileCounter(home / 'shares.counter'), party=sys.argv[2]);"
        "sys.stdout.buffer.write(vault.share(Kept(sys.argv[3], int(sys.argv[4]), True)))"
    )
    home = directory / "custody" / "cosigners" / name
    words = [sys.executable, "-c", story, str(home), name, of, str(epoch)]
    return subprocess.run(words, capture_output=True, timeout=30, check=True).stdout


def test_a_key_is_made_refreshed_and_restored_and_is_nowhere_whole(tmp_path: Path) -> None:
    directory = tmp_path / "exchange"
    with Up(directory, "--coin-keys", "2", "--no-bots", custody=True) as up:
        refused = run_key(directory, "create", "hot", by=("custody-anna",))
        assert "2 people of different groups must sign" in refused.stderr
        said = key(directory, "create", "hot")
        assert "epoch 1 is in force at all of them" in said
        public = said.strip().splitlines()[-1].removeprefix("public key ")
        assert "there is a key hot already" in run_key(directory, "create", "hot", by=tuple(PEOPLE)).stderr

        # A co-signer that dies has its share when it is back, and takes part in the refresh.
        state = read_run_state(up.directory)
        assert state is not None
        os.kill(next(one.pid for one in state.processes if one.name == "cosigner-ops-2"), signal.SIGKILL)
        wait_for(lambda: len(epochs(directory, "hot")) == len(PLACES) or None, 30, "co-signer")
        assert public in key(directory, "refresh", "hot")
        assert set(epochs(directory, "hot").values()) == {2}
        told = key(directory, "verify", str(directory / "custody" / "keys" / "hot.json"), by=())
        assert "every co-signer says that it has destroyed what opened epoch 1" in told

        dumps = dumps_of(up)

    shares = {name: secret_of(share_of(directory, name, "hot", 2)) for name in PLACES}
    whole = interpolated({place: shares[name] for place, name in enumerate(list(PLACES)[:4], 1)})
    assert public_key_of(whole).hex() == public
    for name, content in dumps.items():
        assert not is_in(whole, content), f"{name} has the key"
        has = {holder for holder, share in shares.items() if is_in(share, content)}
        assert has <= {name.removeprefix("cosigner-")}, f"{name} has the shares of {has}"
    files = [path for path in directory.rglob("*") if path.is_file()]
    for path in files:
        content = path.read_bytes()
        assert not any(is_in(secret, content) for secret in (whole, *shares.values())), path


def dumps_of(up: Up) -> dict[str, bytes]:
    state: Any = read_run_state(up.directory)
    try:
        found = {one.name: writable_memory(one.pid) for one in state.processes if one.pid}
    except PermissionError:
        pytest.skip("the memory of other processes cannot be read here")
    assert {f"cosigner-{name}" for name in PLACES} <= set(found)
    assert all(len(content) > 1 << 20 for content in found.values())
    return found


def is_in(secret: int, content: bytes) -> bool:
    raw = secret.to_bytes(32, "big")
    return raw in content or raw[::-1] in content or raw.hex().encode() in content
