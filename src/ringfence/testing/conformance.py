"""What the real thing and its fake must both do, so that a test on the fake says something."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from ringfence.assurance.audit.chains import ChainError, ChainReader, Tip
from ringfence.custody.chains.bitcoin.rpc import (
    AlreadyConfirmedError,
    BitcoinRpc,
    NodeRefusedError,
    NotFoundError,
    RejectedError,
)
from ringfence.custody.chains.bitcoin.utxo_snapshot import read_coins
from ringfence.custody.wallets.building import Funds, Payment, Unsigned, build
from ringfence.custody.wallets.coins import Outpoint
from ringfence.custody.wallets.owners import Owner
from ringfence.exchange.disk import Disk
from ringfence.testing.bitcoin import NOBODY, Signers, funded, wallets_of


def check_disk(disk: Disk) -> None:
    """Check an empty disk. Raises AssertionError."""
    assert disk.names("") == []
    file = disk.create("b.part", 1000)
    assert disk.names("") == ["b.part"]
    assert disk.size("b.part") == 1000
    assert disk.read("b.part") == bytes(1000)
    assert _refuses(FileExistsError, lambda: disk.create("b.part", 10))
    assert disk.size("b.part") == 1000

    file.write_at(10, b"hello")
    assert disk.read("b.part", 9, 7) == b"\0hello\0"
    file.sync()
    file.write_at(12, b"LL")
    file.close()
    assert disk.read("b.part", 10, 5) == b"heLLo"
    assert disk.read("b.part", 998) == b"\0\0"
    assert disk.read("b.part", 998, 100) == b"\0\0"
    assert disk.read("b.part", 2000) == b""

    again = disk.open("b.part")
    again.write_at(998, b"beyond")
    again.sync()
    again.close()
    assert disk.size("b.part") == 1004
    assert disk.read("b.part", 996) == b"\0\0beyond"

    disk.put("a.part", b"one")
    disk.put("a.part", b"two!")
    disk.put("a.other", b"")
    assert disk.read("a.part") == b"two!"
    assert disk.read("a.other") == b""
    assert disk.names(".part") == ["a.part", "b.part"]
    assert disk.names(".none") == []
    disk.put("a.part", b"in ", memoryview(b"two parts"))
    assert disk.read("a.part") == b"in two parts"
    disk.remove("a.part")
    assert not disk.exists("a.part")
    assert disk.names("") == ["a.other", "b.part"]
    disk.create("a.part", 4).close()
    assert disk.read("a.part") == bytes(4)

    grown = disk.begin("grown")
    grown.write_at(0, b"hello, world")
    reader = disk.open_to_read("grown")
    assert reader.read_at(7, 100) == b"world"
    grown.truncate(5)
    assert reader.read_at(0, 100) == disk.read("grown") == b"hello"
    grown.sync()
    disk.sync_names()
    disk.begin("grown").close()
    assert disk.size("grown") == 0
    assert not reader.is_removed()
    disk.remove("grown")
    assert reader.is_removed()
    grown.close()
    reader.close()
    for missing in (disk.read, disk.size, disk.open, disk.remove):
        assert _refuses(FileNotFoundError, lambda missing=missing: missing("nowhere"))  # type: ignore[misc]


def check_chain_reader(
    reader: ChainReader, *, asset: int, receive: Callable[[int], None], amount: int = 7
) -> None:
    """Check a chain reader; `receive` lets an amount arrive, and be confirmed. Raises AssertionError."""
    before = reader.tip()
    held = reader.confirmed(asset, before)
    assert held >= 0
    assert reader.tip() == before
    assert reader.confirmed(asset, before) == held
    receive(amount)
    after = reader.tip()
    assert after.height > before.height
    assert after.digest != before.digest
    assert reader.confirmed(asset, after) == held + amount
    # Nothing is said but as of a block, so an older one is still answered for as it was.
    assert reader.confirmed(asset, before) == held
    for about in (reader.change_in_flight, reader.uncredited, reader.paid_ahead):
        assert about(asset, after) >= 0
    try:
        reader.confirmed(asset, Tip(after.height + 100, "nobody's"))
    except ChainError:
        return
    raise AssertionError("a block that is not in the chain was answered for")


class BitcoinNode(Protocol):
    """A regtest node and how it is made to reorganise."""

    rpc: BitcoinRpc

    def reorganise(self, depth: int, first: Sequence[bytes] = ()) -> list[str]: ...


def check_bitcoin_node(node: BitcoinNode) -> None:
    """Check a regtest node, embedded or Core's own, through the calls that custody makes. Raises AssertionError."""
    signers = Signers(seed=77)
    wallets = wallets_of({Owner.CLIENTS: signers})
    rpc = node.rpc
    funds = funded(rpc, wallets, Owner.CLIENTS, 3)

    def payment(coin: Funds, *, rate: int, to: int = 0x77) -> tuple[Unsigned, bytes]:
        script = b"\x00\x14" + bytes([to]) * 20
        unsigned = build(
            wallets, Owner.CLIENTS, [coin], [Payment(script, 1_000_000)], fee_rate_sats_per_kvb=rate,
            change_index=0,
        )  # fmt: skip
        return unsigned, signers.spend(wallets, unsigned.psbt, [coin], (0, 1, 3)).raw

    # The chain answers as of a block, and for nothing that it does not have.
    info = rpc.chain_info()
    assert info.chain == "regtest"
    assert rpc.block_hash(info.height) == info.tip
    assert rpc.block_header(info.tip)["confirmations"] == 1
    assert rpc.block(info.tip).previous == rpc.block_hash(info.height - 1)
    assert _says(NotFoundError, lambda: rpc.block_hash(info.height + 1))
    assert _says(NotFoundError, lambda: rpc.block("00" * 32))
    assert _says(NotFoundError, lambda: rpc.raw_transaction("00" * 32))
    assert _says(NotFoundError, lambda: rpc.mempool_entry("00" * 32))
    assert _says(NodeRefusedError, lambda: rpc.call("nosuchcall"))
    assert rpc.tx_out(Outpoint("00" * 32, 0), with_mempool=True) is None
    scripts = [coin.coin.script for coin in funds]
    assert rpc.scan(scripts).total_sats == sum(coin.coin.amount_sats for coin in funds)

    # All coins at a height, in a file; the chain stays where it is.
    with tempfile.TemporaryDirectory() as folder:
        for back in (0, 1):
            dump = rpc.dump_coins(Path(folder) / f"{back}.dat", info.height - back)
            assert (dump.height, dump.block_hash) == (info.height - back, rpc.block_hash(info.height - back))
            header, _ = read_coins(dump.path, scripts)
            assert (header.network, header.block_hash, header.coins) == (
                "regtest",
                dump.block_hash,
                dump.coins,
            )
        _, at_tip = read_coins(Path(folder) / "0.dat", scripts)
        assert sorted((one.outpoint, one.output, one.height) for one in at_tip) == sorted(
            rpc.scan(scripts).coins
        )
        assert rpc.chain_info() == info

    # A payment is taken, waits, and is in the next block; sending it again changes nothing.
    unsigned, raw = payment(funds[0], rate=2000)
    tried = rpc.test_accept(raw)
    assert (tried.is_accepted, tried.fee_sats) == (True, unsigned.fee_sats)
    assert rpc.mempool() == set()
    txid = rpc.send(raw)
    assert rpc.send(raw) == txid
    assert rpc.mempool() == {txid}
    assert rpc.mempool_entry(txid).fee_sats == unsigned.fee_sats
    assert rpc.raw_transaction(txid).raw == raw
    spent = funds[0].coin.outpoint
    assert rpc.spenders([spent, funds[1].coin.outpoint]) == {spent: txid}
    assert rpc.tx_out(spent, with_mempool=True) is None
    assert rpc.tx_out(spent, with_mempool=False) is not None

    # Replacement: less, or as much, is refused; more takes its place.
    assert _says(RejectedError, lambda: rpc.send(payment(funds[0], rate=2000, to=0x78)[1]))
    second = rpc.send(payment(funds[0], rate=9000, to=0x78)[1])
    assert rpc.mempool() == {second}

    # What breaks a rule is refused by name and changes nothing.
    broken = bytearray(payment(funds[1], rate=2000)[1])
    broken[-200] ^= 1
    assert _says(RejectedError, lambda: rpc.send(bytes(broken)))
    assert not rpc.test_accept(bytes(broken)).is_accepted
    assert _says(NodeRefusedError, lambda: rpc.send(b"\x00" * 20))
    assert rpc.mempool() == {second}

    # A stuck one: the miner leaves it until it is worth his while.
    rpc.prioritise(second, -1_000_000)
    rpc.generate(1, NOBODY)
    assert rpc.mempool() == {second}
    rpc.prioritise(second, 1_000_000)
    (mined,) = rpc.generate(1, NOBODY)
    assert rpc.mempool() == set()
    assert second in {transaction.txid for transaction in rpc.block(mined).transactions}
    assert rpc.raw_transaction(second, mined).txid == second
    found = rpc.tx_out(Outpoint(second, 0), with_mempool=True)
    assert found is not None
    assert found.confirmations == 1
    assert _says(AlreadyConfirmedError, lambda: rpc.send(rpc.raw_transaction(second, mined).raw))
    assert _says(RejectedError, lambda: rpc.send(raw))

    # Reorganisations: what has left the chain waits again, or is gone if another spends its coin.
    for depth in (1, 3, 6):
        rpc.generate(depth - 1, NOBODY)
        height = rpc.block_count()
        node.reorganise(depth)
        assert rpc.block_count() == height + 1
        assert rpc.mempool() == {second}
        assert rpc.block_header(mined)["confirmations"] == -1
        (mined,) = rpc.generate(1, NOBODY)
        assert rpc.mempool() == set()
    node.reorganise(1, [raw])
    assert rpc.mempool() == set()
    assert rpc.tx_out(Outpoint(second, 0), with_mempool=True) is None
    assert rpc.tx_out(Outpoint(txid, 0), with_mempool=True) is not None

    # A block that is known is told from one that is new.
    tip = rpc.chain_info().tip
    assert rpc.submit_block(bytes(rpc.block(tip).raw)) == "duplicate"
    assert rpc.chain_info().tip == tip
    assert rpc.fee_rate_sats_per_kvb(6) is None or rpc.fee_rate_sats_per_kvb(6) in range(100, 10_000_000)


def _says(error: type[NodeRefusedError], action: Callable[[], object]) -> bool:
    try:
        action()
    except error:
        return True
    return False


def _refuses(error: type[OSError], action: Callable[[], object]) -> bool:
    try:
        action()
    except error:
        return True
    return False
