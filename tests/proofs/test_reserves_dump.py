"""All coins of a chain in a file: what the node writes is read again, and what is not whole is said at which byte."""

import io
from decimal import Decimal
from pathlib import Path

import pytest
from coincurve import PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from ringfence.custody.chains.bitcoin.regtest.faucet import Faucet
from ringfence.custody.chains.bitcoin.rpc import NodeRefusedError
from ringfence.custody.chains.bitcoin.transactions import Output
from ringfence.custody.chains.bitcoin.utxo_snapshot import (
    FoundCoin,
    SnapshotError,
    SnapshotReader,
    compressed_amount,
    compressed_script,
    decompressed_amount,
    decompressed_script,
    read_coins,
    varint,
    write_snapshot,
)
from ringfence.custody.wallets.coins import COIN_SATS_MAX, Outpoint
from ringfence.testing.bitcoin import NOBODY, RunningNode

OURS, THEIRS = b"\0\x20" + b"\x11" * 32, b"\0\x14" + b"\x22" * 20
KEY = PrivateKey(b"\7" * 32).public_key


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> RunningNode:
    running = RunningNode(tmp_path_factory.mktemp("node"))
    faucet = Faucet(running.rpc)
    running.rpc.generate(1, NOBODY)
    for sats in (50_000, 70_000, 123_456_789):
        faucet.pay([Output(sats, OURS), Output(10_000, THEIRS)])
        running.rpc.generate(1, NOBODY)
    yield running
    running.kill()


def dumped(node: RunningNode, folder: Path, height: int) -> Path:
    return node.rpc.dump_coins(folder / f"{height}.dat", height).path


def test_a_dump_of_the_tip_holds_what_the_node_says(node: RunningNode, tmp_path: Path) -> None:
    info = node.rpc.call("gettxoutsetinfo")
    height = node.rpc.block_count()
    with dumped(node, tmp_path, height).open("rb") as file:
        reader = SnapshotReader(file)
        coins = list(reader.coins())
    assert (reader.header.network, reader.header.block_hash) == ("regtest", info["bestblock"])
    assert len(coins) == reader.header.coins == info["txouts"]
    assert Decimal(sum(coin.output.amount_sats for coin in coins)) / 10**8 == info["total_amount"]
    scanned = node.rpc.scan([OURS])
    _, mine = read_coins(tmp_path / f"{height}.dat", [OURS])
    assert sorted((one.outpoint, one.output, one.height) for one in mine) == sorted(scanned.coins)
    assert sum(one.output.amount_sats for one in mine) == scanned.total_sats == 50_000 + 70_000 + 123_456_789


def test_a_past_height_is_dumped_and_the_chain_stays_where_it_is(node: RunningNode, tmp_path: Path) -> None:
    tip = node.rpc.chain_info()
    amounts = []
    for back in range(4):
        header, found = read_coins(dumped(node, tmp_path, tip.height - back), [OURS])
        assert header.block_hash == node.rpc.block_hash(tip.height - back)
        amounts.append(sum(one.output.amount_sats for one in found))
    assert amounts == [123_576_789, 120_000, 50_000, 0]
    assert node.rpc.chain_info() == tip
    assert node.rpc.mempool() == set()


def test_a_dump_is_never_written_over_another_file(node: RunningNode, tmp_path: Path) -> None:
    dumped(node, tmp_path, 3)
    with pytest.raises(NodeRefusedError, match="already exists"):
        dumped(node, tmp_path, 3)
    for height in (-1, node.rpc.block_count() + 1):
        with pytest.raises(NodeRefusedError, match="is no block of the chain"):
            dumped(node, tmp_path, height)


SCRIPTS = st.one_of(
    st.binary(max_size=200),
    st.binary(min_size=20, max_size=20).map(lambda h: b"\x76\xa9\x14" + h + b"\x88\xac"),
    st.binary(min_size=20, max_size=20).map(lambda h: b"\xa9\x14" + h + b"\x87"),
    st.just(b"\x21" + KEY.format() + b"\xac"),
    st.just(b"\x41" + KEY.format(compressed=False) + b"\xac"),
    st.just(b"\x41\x04" + b"\xff" * 64 + b"\xac"),
)


@given(st.integers(0, COIN_SATS_MAX))
def test_amounts_come_back(sats: int) -> None:
    assert decompressed_amount(compressed_amount(sats)) == sats


@given(SCRIPTS)
def test_scripts_come_back(script: bytes) -> None:
    assert decompressed_script(compressed_script(script)) == script


def test_numbers_are_written_as_core_documents_them() -> None:
    """The table in src/serialize.h."""
    for value, raw in (
        (0, "00"), (127, "7f"), (128, "8000"), (255, "807f"), (16383, "fe7f"), (16384, "ff00"), (65535, "82fe7f"),
    ):  # fmt: skip
        assert varint(value).hex() == raw
    # Core's own test of amounts, src/test/compress_tests.cpp.
    for sats, number in (
        (0, 0),
        (1, 1),
        (1_000_000, 7),
        (10**8, 9),
        (50 * 10**8, 0x32),
        (21_000_000 * 10**8, 0x1406F40),
    ):
        assert compressed_amount(sats) == number


COINS = st.lists(
    st.tuples(
        st.integers(0, 7), st.integers(0, 300), st.integers(0, COIN_SATS_MAX), SCRIPTS, st.integers(0, 2**30),
        st.booleans(),
    ),
    max_size=30, unique_by=lambda row: row[:2],
)  # fmt: skip


@given(COINS)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, int, int, bytes, int, bool]]
) -> None:
    coins = [
        FoundCoin(Outpoint(f"{number:064x}", vout), Output(sats, script), height, is_coinbase)
        for number, vout, sats, script, height, is_coinbase in rows
    ]
    path = tmp_path_factory.mktemp("dump") / "coins.dat"
    write_snapshot(path, network="main", block_hash="ab" * 32, coins=coins)
    with path.open("rb") as file:
        assert sorted(SnapshotReader(file).coins()) == sorted(coins)


def small() -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        coins = [FoundCoin(Outpoint("11" * 32, n), Output(5_000 + n, OURS), 9, False) for n in range(3)]
        coins += [FoundCoin(Outpoint("22" * 32, 0), Output(7, THEIRS), 9, True)]
        write_snapshot(path, network="regtest", block_hash="ab" * 32, coins=coins)
        return path.read_bytes()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda raw: b"", "does not begin"),
        (lambda raw: b"utxo\xfe" + raw[5:], "does not begin"),
        (lambda raw: raw[:5] + b"\1\0" + raw[7:], "version 1"),
        (lambda raw: raw[:7] + b"abcd" + raw[11:], "not known here"),
        (lambda raw: raw[:-1], "ends here"),
        (lambda raw: raw + b"\0", "bytes follow"),
        (lambda raw: raw[:43] + (5).to_bytes(8, "little") + raw[51:], "ends here"),
        (lambda raw: raw[:43] + (3).to_bytes(8, "little") + raw[51:], "bytes follow"),
        (lambda raw: raw[:43] + (1).to_bytes(8, "little") + raw[51:], "3 coins of one transaction"),
        (lambda raw: raw[:51] + b"\x33" * 32 + raw[83:], "is not in order"),
        (lambda raw: raw[:83] + b"\0" + raw[84:], "0 coins"),
    ],
)  # fmt: skip
def test_what_is_no_whole_snapshot_is_said_where(change: object, words: str) -> None:
    raw = small()
    assert len(list(SnapshotReader(io.BytesIO(raw)).coins())) == 4
    with pytest.raises(SnapshotError, match=words):
        list(SnapshotReader(io.BytesIO(change(raw))).coins())  # type: ignore[operator]


@given(st.integers(0, len(small()) - 1), st.integers(1, 255))
def test_no_byte_can_change_unnoticed_or_crash_the_reader(at: int, flip: int) -> None:
    """Either the file is refused, or it says something else: then a sum or the block's hash differs."""
    raw = small()
    changed = raw[:at] + bytes((raw[at] ^ flip,)) + raw[at + 1 :]
    before = SnapshotReader(io.BytesIO(raw))
    try:
        after = SnapshotReader(io.BytesIO(changed))
        assert (after.header, list(after.coins())) != (before.header, list(before.coins()))
    except SnapshotError:
        pass
