"""The development chain forgets nothing which it has told, however it ends."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from http.client import HTTPConnection
from pathlib import Path

import pytest

from ringfence.custody.chains.accounts import NodeError
from ringfence.custody.chains.ethereum.addresses import spelt
from ringfence.custody.chains.ethereum.devnet import (
    CHAIN_ID,
    DEVELOPER,
    Devnet,
    StateDamagedError,
    anvil_path,
)
from ringfence.custody.chains.ethereum.faucet import Faucet
from ringfence.custody.chains.ethereum.rpc import EthereumRpc, NodeRefusedError
from ringfence.ports import free_ports
from ringfence.testing.anvil import RunningDevnet
from ringfence.testing.up import wait_for
from tests.chains.ethereum.conftest import ETH, GWEI, USDT, Person

SOMEBODY = spelt(b"\x11" * 20)
KILLS = 3


def anvil_of(devnet: RunningDevnet) -> Path:
    """Return where Linux tells of the process."""
    (child,) = Path(f"/proc/{devnet.process.pid}/task/{devnet.process.pid}/children").read_text().split()
    process = Path("/proc") / child
    assert (process / "comm").read_text() == "anvil\n"
    return process


def digests(rpc: EthereumRpc) -> list[str]:
    headers = [rpc.header(height) for height in range(rpc.block_number() + 1)]
    return [header.digest for header in headers if header is not None]


def outcome(directory: Path, port: int, **environment: str) -> int:
    """Return how a daemon ends that cannot start."""
    words = [sys.executable, "-m", "ringfence.daemons.ethereum", str(directory), "--port", str(port)]
    return subprocess.run(
        words, env={**os.environ, **environment}, timeout=30, capture_output=True
    ).returncode


def test_a_new_chain_has_a_token_at_the_address_that_everybody_knows(devnet: RunningDevnet) -> None:
    rpc = devnet.rpc
    assert (rpc.chain_id(), rpc.block_number(), rpc.nonce(spelt(DEVELOPER), "latest")) == (CHAIN_ID, 1, 1)
    Faucet(rpc).pay_token(SOMEBODY, 7)
    Faucet(rpc).pay_wei(SOMEBODY, 8)
    assert rpc.balance_wei(SOMEBODY, "latest") == 0
    rpc.mine()
    assert (rpc.token_raw(USDT, SOMEBODY, "latest"), rpc.balance_wei(SOMEBODY, "latest")) == (7, 8)
    assert (rpc.token_raw(USDT, SOMEBODY, 1), rpc.balance_wei(SOMEBODY, 1)) == (0, 0)
    decimals = rpc.call("eth_call", {"to": USDT, "data": "0x313ce567"}, "latest")
    assert int(decimals, 16) == 6
    header = rpc.header("latest")
    assert header is not None
    assert abs(header.timestamp_s - time.time()) < 60
    assert header.transactions == 2


def test_a_kill_right_after_a_block_loses_neither_it_nor_what_waits(devnet: RunningDevnet) -> None:
    rpc, faucet = devnet.rpc, Faucet(devnet.rpc)
    person = Person(rpc, "waits", wei=ETH)
    mined = faucet.pay_wei(SOMEBODY, 5)
    rpc.mine()
    told, fee = digests(rpc), rpc.fee()
    devnet.kill()
    devnet.start()
    assert digests(rpc) == told
    assert rpc.is_known(mined)
    assert rpc.fee() == fee
    assert rpc.balance_wei(SOMEBODY, "latest") == 5
    assert rpc.balance_wei(SOMEBODY, len(told) - 2) == 0
    # Blocks have not lost what was looked into them for, and what waits is waiting again.
    traces, receipts = rpc.batch(
        [("trace_block", (hex(len(told) - 1),)), ("eth_getBlockReceipts", ("latest",))]
    )
    assert (
        [one["transactionHash"] for one in traces] == [one["transactionHash"] for one in receipts] == [mined]
    )
    replaced = person.send(SOMEBODY, 1)
    best = person.send(SOMEBODY, 2, nonce=0, priority_fee_wei=5 * GWEI)
    queued = person.send(SOMEBODY, 3, nonce=2)
    anvil = anvil_of(devnet)
    devnet.kill()
    wait_for(lambda: not anvil.exists(), 5, "end of anvil")
    devnet.start()
    assert [rpc.is_known(txid) for txid in (replaced, best, queued)] == [False, True, True]
    rpc.mine()
    assert rpc.nonce(person.address, "latest") == 1
    header = rpc.header("latest")
    assert header is not None
    assert header.parent == told[-1]
    devnet.kill()
    devnet.start()
    assert rpc.is_known(queued)
    person.send(SOMEBODY, 4, nonce=1)
    rpc.mine()
    assert rpc.nonce(person.address, "latest") == 3
    assert rpc.balance_wei(SOMEBODY, "latest") == 5 + 2 + 3 + 4
    assert (devnet.directory / "ethereum" / "pending").read_bytes() == b""


def test_a_kill_at_any_moment_loses_no_block_that_was_told_of(devnet: RunningDevnet) -> None:
    dice = random.Random(3)
    for _ in range(KILLS):
        told: list[tuple[int, str]] = []
        sent: list[str] = []

        def mine_on(told: list[tuple[int, str]] = told, sent: list[str] = sent) -> None:
            rpc = EthereumRpc(f"http://127.0.0.1:{devnet.port}/")
            try:
                while True:
                    sent.append(Faucet(rpc).pay_wei(SOMEBODY, 1))
                    rpc.mine()
                    header = rpc.header("latest")
                    assert header is not None
                    told.append((header.height, header.digest))
            except NodeError:
                rpc.close()

        miner = threading.Thread(target=mine_on)
        miner.start()
        wait_for(lambda told=told: len(told) > 2, 30, "three blocks")
        time.sleep(0.3 * dice.random())
        devnet.kill()
        miner.join()
        devnet.start()
        for height, digest in told:
            header = devnet.rpc.header(height)
            assert header is not None
            assert header.digest == digest
        assert devnet.rpc.block_number() - told[-1][0] in (0, 1)
        assert all(devnet.rpc.is_known(txid) for txid in sent)


def test_a_reorganisation_survives_a_kill_and_can_be_made_after_one(devnet: RunningDevnet) -> None:
    rpc = devnet.rpc
    person = Person(rpc, "forks", wei=ETH)
    rpc.mine(6)
    devnet.kill()
    devnet.start()
    old = digests(rpc)
    raw = person.raw(SOMEBODY, 5)
    rpc.call("anvil_reorg", 3, [[f"0x{raw.hex()}", 0]])
    new = digests(rpc)
    assert new[:5] == old[:5]
    assert new[5:] != old[5:]
    devnet.kill()
    devnet.start()
    assert digests(rpc) == new
    assert rpc.balance_wei(SOMEBODY, "latest") == 5


def test_if_anvil_ends_so_does_the_chain_and_the_next_start_has_everything(devnet: RunningDevnet) -> None:
    rpc = devnet.rpc
    rpc.mine(3)
    told = digests(rpc)
    os.kill(int(anvil_of(devnet).name), signal.SIGKILL)
    assert devnet.process.wait(timeout=10) == 70
    with pytest.raises(NodeError):
        rpc.mine()
    devnet.start()
    assert digests(rpc) == told
    anvil = anvil_of(devnet)
    assert devnet.stop(signal.SIGTERM) == 0
    assert not anvil.exists()
    devnet.start()
    assert digests(rpc) == told


def test_no_block_is_made_that_nobody_asked_for(devnet: RunningDevnet) -> None:
    for method in ("evm_setAutomine", "anvil_setIntervalMining", "eth_sendRawTransactionSync"):
        with pytest.raises(NodeRefusedError, match="when they are asked for"):
            devnet.rpc.call(method, True)
    assert devnet.rpc.batch([("eth_chainId", ()), ("evm_mine", ()), ("eth_blockNumber", ())]) == [
        hex(CHAIN_ID), "0x0", "0x2",
    ]  # fmt: skip
    line = HTTPConnection("127.0.0.1", devnet.port, timeout=10)
    for odd in ("{", "[]", "7", '{"a": 1}', "[" * 100_000):
        line.request("POST", "/", odd, {"Content-Type": "application/json"})
        assert "error" in json.load(line.getresponse())
    line.close()


def test_what_cannot_be_started_says_why(devnet: RunningDevnet, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    assert outcome(tmp_path, free_ports(1)[0]) == 75
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert outcome(elsewhere, taken.getsockname()[1]) == 69
    assert outcome(elsewhere, free_ports(1)[0], RINGFENCE_ANVIL=str(tmp_path / "none")) == 66
    devnet.kill()
    state = tmp_path / "ethereum" / "state"
    kept = state.read_bytes()
    for damaged in (
        b"",
        kept[:-9],
        kept[:200] + bytes([kept[200] ^ 1]) + kept[201:],
        b"\x1f\x8b" + bytes(30),
    ):
        state.write_bytes(damaged)
        with pytest.raises(StateDamagedError, match="state"):
            Devnet(tmp_path / "ethereum")
    assert outcome(tmp_path, free_ports(1)[0]) == 65
    assert state.read_bytes() == damaged
    state.write_bytes(kept)
    (tmp_path / "ethereum" / "pending").write_text("0xzz\n")
    with pytest.raises(StateDamagedError, match="pending"):
        Devnet(tmp_path / "ethereum")
    # A line that a kill cut off was told to nobody.
    (tmp_path / "ethereum" / "pending").write_text("0x02")
    devnet.start()
    assert devnet.rpc.block_number() == 1
    assert (tmp_path / "ethereum" / "pending").read_text() == ""


def test_anvil_is_where_it_is_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINGFENCE_ANVIL", str(tmp_path / "anvil"))
    assert anvil_path() is None
    (tmp_path / "anvil").touch()
    assert anvil_path() == tmp_path / "anvil"
