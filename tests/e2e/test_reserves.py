"""Reserves of `ringfence up`: listed from its nodes, signed for by its co-signers, checked by a stranger."""

import asyncio
import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import bdkpython
import pytest

from ringfence.custody.chains.bitcoin.rpc import BitcoinRpc, Endpoint
from ringfence.custody.chains.bitcoin.utxo_snapshot import read_coins
from ringfence.custody.chains.ethereum.devnet import anvil_path
from ringfence.custody.hsm import softhsm_module
from ringfence.custody.quorum.mpc.engine import engine_path
from ringfence.daemons.account_chains import read_nodes
from ringfence.daemons.chain_founding import ETHEREUM_CHAIN, SOLANA_CHAIN
from ringfence.daemons.control import ControlRefusedError, prove_control
from ringfence.daemons.custody_ports import HOST, read_ports
from ringfence.daemons.reserves import ListedReserves, ReservesUnavailableError, list_reserves
from ringfence.testing.client import Client
from ringfence.testing.up import RINGFENCE, Up, wait_for
from tests.e2e.test_custody import custody
from tests.proofs.bitmex_reserves import validate

DEPOSITS = {"Gwei": 3 * 10**9, "USDt": 500 * 10**6, "LAMPORT": 4 * 10**9, "XBt": 12 * 10**8}


def verify(folder: Path, *options: str) -> tuple[int, str]:
    done = subprocess.run(
        [RINGFENCE, "verify", "reserves", str(folder), *options], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def published(folder: Path, listed: ListedReserves, control: bytes) -> Path:
    folder.mkdir()
    (folder / "reserves.json").write_bytes(listed.reserves)
    (folder / "reserves.yaml").write_bytes(listed.yaml)
    (folder / "control.json").write_bytes(control)
    # Of the liabilities' header the list's hash alone is looked at here.
    figures = {"reserves": hashlib.sha256(listed.reserves).hexdigest()}
    (folder / "XBt.header").write_bytes(b"{}\n" + json.dumps(figures).encode())
    return folder


@pytest.mark.skipif(
    softhsm_module() is None or shutil.which("softhsm2-util") is None,
    reason="SoftHSM is not installed: Debian package softhsm2",
)
@pytest.mark.skipif(engine_path() is None, reason="the MPC engine is not built: Rust, then `make mpc`")
@pytest.mark.skipif(anvil_path() is None, reason="anvil is not installed: npm, then `make anvil`")
def test_a_stranger_finds_every_coin_and_its_keys(tmp_path: Path) -> None:
    directory = tmp_path / "exchange"
    there = ("--directory", directory)
    with Up(directory, "--no-bots", "--coin-keys", "6", custody=True, chains=True) as up:
        wait_for(lambda: "XBt come and go" in up.text, 120, "keys of all chains")
        account = Client(up.port, up.key("demo-2")).account
        for currency, amount in DEPOSITS.items():
            custody("faucet", amount, "--account", account, "--currency", currency, *there)

        def listed() -> ListedReserves | None:
            found = asyncio.run(list_reserves(directory, snapshot=1))
            is_whole = found.totals == DEPOSITS and not any(found.in_flight.values())
            return found if is_whole else None

        found = wait_for(listed, 60, "deposits that are credited")
        roots = {asset: hashlib.sha256(asset.encode()).hexdigest() for asset in found.totals}
        control = asyncio.run(prove_control(directory, reserves=found.reserves, snapshot_roots=roots))
        folder = published(tmp_path / "000001", found, control)

        # Without a node nothing is forged, and amounts are not proven.
        code, said = verify(folder)
        assert code == 4, said
        assert "amounts were not held against the chain" in said
        # With nodes of one's own all of it is.
        nodes, venue = read_nodes(directory), (directory / "roots" / "venue.pub").read_text().strip()
        rpc = BitcoinRpc(Endpoint(HOST, read_ports(directory).node, directory / "bitcoin" / ".cookie"))
        tip = rpc.chain_info().tip
        given = (
            "--node", f"http://{HOST}:{read_ports(directory).node}", "--cookie", str(directory / "bitcoin" / ".cookie"),
            "--ethereum", nodes[ETHEREUM_CHAIN], "--solana", nodes[SOLANA_CHAIN], "--venue", venue,
        )  # fmt: skip
        code, said = verify(folder, *given)
        assert code == 0, said
        assert "one key of policy and two of operations have signed" in said
        assert rpc.chain_info().tip == tip
        # A dump of another block says nothing; one satoshi more is named.
        rpc.dump_coins(tmp_path / "coins.dat", found.height)
        rpc.dump_coins(tmp_path / "before.dat", found.height - 1)
        code, said = verify(folder, "--dump", str(tmp_path / "before.dat"))
        assert (code, "the coins are those at block" in said) == (4, True)
        code, said = verify(folder, "--dump", str(tmp_path / "coins.dat"), "--json")
        assert (code, "each with its amount" in said) == (4, True)  # the other chains are left open
        (folder / "reserves.json").write_bytes(
            found.reserves.replace(b'"total":"1200000000"', b'"total":"1200000001"')
        )
        code, said = verify(folder, *given)
        assert (code, "XBt: the total is 1200000001" in said) == (2, True)
        (folder / "reserves.json").write_bytes(found.reserves)
        code, said = verify(folder, "--venue", "ab" * 32)
        assert (code, "of another exchange" in said) == (2, True)

        # BitMEX's rules: its validator takes a node back to the block and has it scan for the descriptors.
        def scan(descriptors: list[str]) -> int:
            scripts = []
            for one in descriptors:
                of = bdkpython.Descriptor(one, bdkpython.NetworkKind.TEST)
                address = of.derive_address(0, bdkpython.Network.REGTEST)
                scripts.append(bytes(address.script_pubkey().to_bytes()))
            return sum(coin.output.amount_sats for coin in read_coins(tmp_path / "coins.dat", scripts)[1])

        assert validate(found.yaml, chain="regtest", scan=scan) >= found.totals["XBt"]

        # A co-signer that is frozen is named; the proof may say so instead.
        custody("freeze", "--because", "looking", *there)
        again = asyncio.run(list_reserves(directory, snapshot=2))
        with pytest.raises(ControlRefusedError, match="looking"):
            asyncio.run(prove_control(directory, reserves=again.reserves, snapshot_roots=roots))
        part = asyncio.run(
            prove_control(directory, reserves=again.reserves, snapshot_roots=roots, is_partial=True)
        )
        code, said = verify(published(tmp_path / "000002", again, part), *given)
        assert (code, "Control is not shown: XBt, scripts 0: " in said) == (4, True)
    with pytest.raises(ReservesUnavailableError):
        asyncio.run(list_reserves(directory, snapshot=3))


def test_a_venue_without_custody_lists_nothing(tmp_path: Path) -> None:
    directory = tmp_path / "exchange"
    with Up(directory, "--no-bots"):
        found = asyncio.run(list_reserves(directory, snapshot=1))
        assert (found.totals, found.in_flight, found.height) == ({}, {}, 0)
        control = asyncio.run(prove_control(directory, reserves=found.reserves, snapshot_roots={}))
    folder = published(tmp_path / "000001", found, control)
    code, said = verify(folder)
    assert (code, "Nothing is listed" in said) == (3, True), said
