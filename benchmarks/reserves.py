"""What it costs to check reserves: `python benchmarks/reserves.py [--json] [--quick]`.

A list of 10,000 scripts of the vault, five recovery keys of each derived anew, every address worked out, nothing twice;
then each coin held against a dump of the chain's coins, as `ringfence verify reserves FOLDER --dump FILE` does it. The
bar is 3 s; BitMEX's validator took 8 to 12 s for as many, and has to take a node back to the block before. Beside it
how fast a dump is read (the main chain has some 170 million coins) and what a proof of control of 64 drawn coins takes.
"""

import hashlib
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from embit import bip32
from embit.networks import NETWORKS

from ringfence.assurance.proofs.reserves import bitcoin, check_control, check_dump, check_listing, reserves_of
from ringfence.assurance.proofs.reserves.model import Bitcoin, CoinRow, Kind, ScriptRow, VaultRow
from ringfence.custody.chains.bitcoin.transactions import Output
from ringfence.custody.chains.bitcoin.utxo_snapshot import FoundCoin, SnapshotReader, write_snapshot
from ringfence.custody.wallets.coins import Outpoint
from ringfence.testing.measure import Result, pin_to_one_core, report, seconds
from ringfence.testing.reserves import VENUE, Treasure

QUICK = "--quick" in sys.argv[1:]
SCRIPTS = 1_000 if QUICK else 10_000
COINS = 50_000 if QUICK else 400_000
RUNS = 2 if QUICK else 5
BAR_SECONDS = 3.0
_BLOCK = hashlib.sha256(b"block").hexdigest()


def listed() -> tuple[bytes, list[FoundCoin]]:
    """Return a list of so many scripts, and their coins."""
    version = NETWORKS["regtest"]["xprv"]
    roots = [bip32.HDKey.from_seed(bytes([number]) * 32, version=version) for number in range(5)]
    recovery = tuple(root.to_public().to_base58() for root in roots)
    rows, coins = [], []
    for number in range(SCRIPTS):
        keys = ["02" + hashlib.sha256(b"%d %d" % (number, one)).hexdigest() for one in range(5)]
        path = f"/0/{number}"
        descriptor = (
            f"wsh(or_i(and_v(v:multi(2,{','.join(keys[:3])}),multi(1,{','.join(keys[3:])})),"
            f"and_v(v:multi(3,{','.join(one + path for one in recovery)}),older(26280))))"
        )
        script = bitcoin.read_descriptor(descriptor, "regtest").script
        outpoint = Outpoint(hashlib.sha256(b"coin %d" % number).hexdigest(), number % 5)
        coins.append(FoundCoin(outpoint, Output(50_000 + number, script), 90, False))
        row = ScriptRow(
            kind=Kind.MULTISIG, descriptor=descriptor, address=bitcoin.address_of(script, "regtest"),
            script=script.hex(), balance=str(50_000 + number),
            coins=(CoinRow(outpoint=str(outpoint), amount=str(50_000 + number)),),
        )  # fmt: skip
        rows.append(row)
    vault = VaultRow(kind=Kind.MULTISIG, recovery=recovery, recovery_blocks=26_280)
    of = Bitcoin(network="regtest", vaults=(vault,), hot="", scripts=tuple(rows), custodial=())
    raw = reserves_of(
        venue=VENUE,
        snapshot=1,
        height=100,
        block_hash=_BLOCK,
        bitcoin=of,
        ethereum=None,
        solana=None,
        fee_money={},
    )
    return raw, coins


def strangers() -> Iterator[FoundCoin]:
    for number in range(COINS):
        digest = hashlib.sha256(b"stranger %d" % number).digest()
        yield FoundCoin(Outpoint(digest.hex(), 0), Output(number, b"\0\x14" + digest[:20]), 1, False)


def results() -> Iterator[Result]:
    pin_to_one_core()
    raw, coins = listed()
    with tempfile.TemporaryDirectory() as folder:
        dump, others = Path(folder) / "coins.dat", Path(folder) / "others.dat"
        write_snapshot(dump, network="regtest", block_hash=_BLOCK, coins=coins)
        write_snapshot(others, network="regtest", block_hash=_BLOCK, coins=strangers())

        def verify() -> None:
            check_dump(dump, check_listing(raw))

        begun = time.process_time()
        took = median(seconds(verify) for _ in range(RUNS)) * 10_000 / SCRIPTS
        of_processor = (time.process_time() - begun) / RUNS * 10_000 / SCRIPTS
        peer = f"the bar of {BAR_SECONDS:.0f} s; BitMEX's validator: 8 to 12 s and a node that is taken back"
        yield Result("reserves.verify_10k_addresses_seconds", took, "s", peer, took / BAR_SECONDS)
        yield Result("reserves.verify_10k_addresses_cpu_seconds", of_processor, "s")
        yield Result("reserves.listed_bytes_an_address", len(raw) / SCRIPTS, "bytes")
        wanted = [coin.output.script for coin in coins]

        def read() -> None:
            with others.open("rb") as file:
                assert not list(SnapshotReader(file).coins(wanted))

        took = median(seconds(read) for _ in range(RUNS))
        yield Result("reserves.dump_coins_per_second", COINS / took, "1/s")
    treasure = Treasure(scripts=100, coins=4, with_accounts=False)
    made = treasure.made()
    checked = check_listing(made.reserves)
    drawn = len(check_control(made.control, checked, made.reserves).drawn)
    took = median(seconds(lambda: check_control(made.control, checked, made.reserves)) for _ in range(RUNS))
    yield Result("reserves.verify_control_seconds", took, "s", f"of {drawn} coins that 64 draws have chosen")


if __name__ == "__main__":
    report(results())
