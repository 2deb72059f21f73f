"""Blocks made on request. Regtest asks for no work worth the name, and time is the last block's plus a second."""

from typing import NamedTuple

from embit import compact

from ringfence.custody.chains.bitcoin.regtest.mempool import Entry, Mempool
from ringfence.custody.chains.bitcoin.transactions import Transaction, double_sha256, merkle_root

BLOCK_WEIGHT_MAX = 3_996_000
"""A little below the 4,000,000 of consensus, for the header and the coinbase."""
_BITS = 0x207FFFFF
_TARGET = 0x7FFFFF << (8 * (0x20 - 3))
_SUBSIDY_SATS, _HALVING_BLOCKS = 50 * 100_000_000, 150
_VERSION = 0x20000000
_COMMITMENT = b"\x6a\x24\xaa\x21\xa9\xed"
_NO_WITNESS = bytes(32)
_FEE_RATE_SATS_PER_KVB_MIN = 1
"""Core's -blockmintxfee: a transaction that pays nothing, or less, is not mined."""


class Parent(NamedTuple):
    """The block to build on."""

    digest: str
    height: int
    time_s: int


def assemble(
    parent: Parent, script: bytes, transactions: list[Transaction], *, fees_sats: int, tag: int
) -> bytes:
    """Return a block with these transactions that pays its miner to a script.

    Two blocks of the same content would be one block: `tag` keeps them apart.
    """
    height = parent.height + 1
    witness_root = merkle_root([_NO_WITNESS, *(_inner(item.wtxid) for item in transactions)])
    coinbase, coinbase_id = _coinbase(
        height, script, subsidy_sats(height) + fees_sats, witness_root=witness_root, tag=tag
    )
    root = merkle_root([coinbase_id, *(_inner(item.txid) for item in transactions)])
    start = b"".join(
        (
            _VERSION.to_bytes(4, "little"), _inner(parent.digest), root,
            (parent.time_s + 1).to_bytes(4, "little"), _BITS.to_bytes(4, "little"),
        )
    )  # fmt: skip
    count: bytes = compact.to_bytes(1 + len(transactions))
    return _worked(start) + count + coinbase + b"".join(item.raw for item in transactions)


def choose(mempool: Mempool) -> list[Entry]:
    """Return what the next block holds: parents first, those that pay most per byte together with them."""

    def package_of(entry: Entry) -> list[Entry]:
        ancestors = mempool.ancestors(entry.transaction)
        if not ancestors:
            return [entry]
        return [e for txid, e in mempool.entries.items() if txid in ancestors] + [entry]

    def rate(entries: list[Entry]) -> int:
        fees_sats = sum(e.fee_sats + mempool.fee_deltas_sats.get(e.transaction.txid, 0) for e in entries)
        return fees_sats * 1000 // sum(e.transaction.vsize for e in entries)

    packages = [(rate(package), package) for package in map(package_of, mempool.entries.values())]
    packages.sort(key=lambda pair: -pair[0])
    chosen: dict[str, Entry] = {}
    weight = 0
    for fee_rate, package in packages:
        more = [entry for entry in package if entry.transaction.txid not in chosen]
        more_weight = sum(entry.transaction.weight for entry in more)
        if fee_rate < _FEE_RATE_SATS_PER_KVB_MIN or weight + more_weight > BLOCK_WEIGHT_MAX:
            continue
        weight += more_weight
        chosen.update((entry.transaction.txid, entry) for entry in more)
    return list(chosen.values())


def subsidy_sats(height: int) -> int:
    return _SUBSIDY_SATS >> (height // _HALVING_BLOCKS)


def _worked(start: bytes) -> bytes:
    """Return the header; two tries are needed, as a rule."""
    for nonce in range(1 << 32):
        header = start + nonce.to_bytes(4, "little")
        if int.from_bytes(double_sha256(header), "little") <= _TARGET:
            return header
    raise AssertionError("no nonce of four billion was good for a target that every second one meets")


def _coinbase(
    height: int, script: bytes, amount_sats: int, *, witness_root: bytes, tag: int
) -> tuple[bytes, bytes]:
    """Return the miner's transaction and its id, as the bytes are in a block."""
    extra = tag.to_bytes(8, "little")
    says = _script_number(height) + bytes([len(extra)]) + extra
    spends = b"\x01" + bytes(32) + b"\xff" * 4 + bytes([len(says)]) + says + b"\xff" * 4
    commitment = _COMMITMENT + double_sha256(witness_root + _NO_WITNESS)
    outputs = (
        b"\x02" + amount_sats.to_bytes(8, "little") + compact.to_bytes(len(script)) + script
        + bytes(8) + compact.to_bytes(len(commitment)) + commitment
    )  # fmt: skip
    version, lock_time = (2).to_bytes(4, "little"), bytes(4)
    witness = b"\x01\x20" + _NO_WITNESS
    whole = version + b"\x00\x01" + spends + outputs + witness + lock_time
    return whole, double_sha256(version + spends + outputs + lock_time)


def _script_number(number: int) -> bytes:
    """Return a number as a script pushes it: BIP34 wants the height in the shortest form."""
    if number <= 16:
        return bytes([0x50 + number])
    digits = number.to_bytes(number.bit_length() // 8 + 1, "little")
    return bytes([len(digits)]) + digits


def _inner(shown: str) -> bytes:
    return bytes.fromhex(shown)[::-1]
