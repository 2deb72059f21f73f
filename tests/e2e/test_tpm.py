"""`ringfence up --tpm`: a payment with a TPM beside every token, and what a co-signer does not start with any more."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ringfence.custody.demonstration import PLACES
from ringfence.custody.hsm import softhsm_module
from ringfence.daemons.token_founding import measured
from ringfence.testing.bitcoin import NOBODY
from ringfence.testing.tpm import can_run
from ringfence.testing.up import Up, wait_for
from tests.e2e.test_custody import XBT, custody, state_of, trader_account, wallet, withdrawals
from tests.e2e.test_up import Trader

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        softhsm_module() is None or not can_run(),
        reason="Debian packages softhsm2, swtpm and tpm2-tools are missing",
    ),
]
REFUSED, TOKEN = 65, 77


@contextmanager
def software_tpm(directory: Path, name: str) -> Iterator[None]:
    socket = directory / "custody" / "cosigners" / name / "tpm.sock"
    socket.unlink(missing_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "ringfence.daemons.software_tpm", directory, name],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for(socket.exists, 10, "swtpm")
        yield
    finally:
        process.terminate()
        process.wait(10)


def start_alone(directory: Path, name: str) -> tuple[int, str]:
    """Start a co-signer that is expected not to; return its exit status and what it says."""
    with software_tpm(directory, name):
        words = [sys.executable, "-m", "ringfence.daemons.cosigner", directory, name]
        done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    return done.returncode, done.stderr


def test_a_payment_with_tpms_and_what_they_do_not_forget(tmp_path: Path) -> None:
    directory = tmp_path / "exchange"
    homes = {name: directory / "custody" / "cosigners" / name for name in PLACES}
    with Up(directory, "--tpm", custody=True) as up:
        there = ("--directory", directory)
        trader = Trader(up.url, up.key("demo-2"))
        before = wallet(trader)["amount"]
        custody("faucet", XBT, "--account", trader_account(trader), *there)
        wait_for(lambda: wallet(trader)["amount"] == before + XBT, 30, "credit")
        ask = {"currency": "XBt", "network": "btc", "amount": XBT // 2, "address": NOBODY}
        asked = trader.call("POST", "/api/v1/user/requestWithdrawal", ask)[1]["transactID"]
        wait_for(lambda: state_of(there, asked) == "paid", 60, "payment")
        signer = withdrawals(there)[0]["signers"][0]
    assert not [name for name, home in homes.items() if (home / "pin").exists()], (
        "a PIN lies beside its token"
    )
    home = homes[signer]
    shutil.copytree(home, tmp_path / "copy")

    # The end of the log is gone, and everything else on the disk is as somebody wants it.
    log = home / "log.jsonl"
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-1]))
    code, said = start_alone(directory, signer)
    assert (code, "somebody cut off the end" in said) == (REFUSED, True), said

    # One bit of a key's file: the TPM keeps the PIN.
    shutil.copy(tmp_path / "copy" / "log.jsonl", log)
    victim = next(path for path in measured(home).rglob("*.object") if path.name != "token.object")
    raw = bytearray(victim.read_bytes())
    raw[-1] ^= 1
    victim.write_bytes(raw)
    code, said = start_alone(directory, signer)
    assert (code, "the TPM does not open the PIN" in said) == (TOKEN, True), said
