"""Transactions and blocks, taken apart by embit and put in words."""

import hashlib
from io import BytesIO
from typing import Any, NamedTuple

from embit import compact
from embit import transaction as embit_transaction
from embit.networks import NETWORKS
from embit.script import Script

from ringfence.custody.wallets.coins import Outpoint

EMBIT_NETWORKS = {"main": "main", "testnet": "test", "signet": "signet", "regtest": "regtest"}
"""By Core's names: embit's."""
HEADER_BYTES = 80
TRANSACTION_BYTES_MAX = 4_000_000
"""No block holds more."""
WITNESS_SCALE = 4
FINAL_SEQUENCE = 0xFFFFFFFF
REPLACEABLE_SEQUENCE = 0xFFFFFFFD
"""Says that the transaction may be replaced (BIP125), and switches off no lock time."""


class TransactionError(ValueError):
    """These bytes are no transaction, or no block. Nothing was done with them."""


class Input(NamedTuple):
    """What a transaction spends."""

    outpoint: Outpoint
    sequence: int


class Output(NamedTuple):
    """What a transaction makes."""

    amount_sats: int
    script: bytes


class Transaction(NamedTuple):
    """A transaction, with the bytes that it was read from."""

    raw: bytes
    txid: str
    wtxid: str
    version: int
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    lock_time: int
    weight: int

    @property
    def vsize(self) -> int:
        """Its size in virtual bytes, by which fees are paid."""
        return -(-self.weight // WITNESS_SCALE)

    @property
    def is_coinbase(self) -> bool:
        return len(self.inputs) == 1 and self.inputs[0].outpoint.vout == FINAL_SEQUENCE

    @property
    def outputs_sats(self) -> int:
        return sum(output.amount_sats for output in self.outputs)


class Block(NamedTuple):
    """A block, with the bytes that it was read from."""

    raw: bytes
    digest: str
    previous: str
    time_s: int
    transactions: tuple[Transaction, ...]


def parse_transaction(raw: bytes) -> Transaction:
    """Return the transaction that is exactly these bytes. Raises TransactionError."""
    if len(raw) > TRANSACTION_BYTES_MAX:
        raise TransactionError(f"{len(raw)} bytes are more than a transaction may have")
    stream = BytesIO(raw)
    transaction = _read_transaction(stream, raw)
    if len(transaction.raw) != len(raw):
        raise TransactionError(f"{len(raw) - len(transaction.raw)} bytes follow the transaction")
    return transaction


def parse_block(raw: bytes) -> Block:
    """Return the block that is exactly these bytes; whether it is valid only a node can say.

    Raises TransactionError.
    """
    if not HEADER_BYTES < len(raw) <= TRANSACTION_BYTES_MAX:
        raise TransactionError(f"{len(raw)} bytes are no block")
    stream = BytesIO(raw)
    header = stream.read(HEADER_BYTES)
    try:
        count = int(compact.read_from(stream))
    except Exception as error:
        raise TransactionError("the block ends before its transactions") from error
    if not 0 < count <= len(raw):
        raise TransactionError(f"a block of {count} transactions")
    transactions = tuple(_read_transaction(stream, raw) for _ in range(count))
    if stream.tell() != len(raw):
        raise TransactionError(f"{len(raw) - stream.tell()} bytes follow the block")
    return Block(
        raw=raw, digest=shown(double_sha256(header)), previous=shown(header[4:36]),
        time_s=int.from_bytes(header[68:72], "little"), transactions=transactions,
    )  # fmt: skip


def check_block(block: Block) -> None:
    """Check that a block holds the transactions that its header says, and that work was done for the header.

    A node that lies can leave blocks out, but it cannot put a payment into one. Raises TransactionError.
    """
    txids = [bytes.fromhex(transaction.txid)[::-1] for transaction in block.transactions]
    # Twice the same would give the same root as once (CVE-2012-2459).
    if len(set(txids)) < len(txids) or merkle_root(txids) != block.raw[36:68]:
        raise TransactionError(f"block {block.digest} does not hold what its header says")
    bits = int.from_bytes(block.raw[72:76], "little")
    target = (bits & 0x7FFFFF) << (8 * max((bits >> 24) - 3, 0))
    if int(block.digest, 16) > target:
        raise TransactionError(f"no work was done for block {block.digest}")


def merkle_root(hashes: list[bytes]) -> bytes:
    """Return the root of Bitcoin's tree of hashes, as the bytes are in a header."""
    while len(hashes) > 1:
        if len(hashes) % 2:
            hashes = [*hashes, hashes[-1]]
        hashes = [double_sha256(hashes[n] + hashes[n + 1]) for n in range(0, len(hashes), 2)]
    return hashes[0]


def _read_transaction(stream: BytesIO, raw: bytes) -> Transaction:
    """Return the transaction at the stream's place in `raw`."""
    start = stream.tell()
    try:
        parsed = embit_transaction.Transaction.read_from(stream)
        taken = raw[start : stream.tell()]
        again = bytes(parsed.serialize())
    except Exception as error:
        # embit raises whatever its reading of impossible bytes happens to hit.
        raise TransactionError(f"no transaction: {error}") from error
    # embit does not mind bytes that end too soon, or lengths that are written in an odd way.
    if again != taken or not parsed.vin:
        raise TransactionError("no transaction: its bytes are not those that it would be written as")
    txid = parsed.txid().hex()
    stripped_size = _stripped_size(parsed, len(taken))
    return Transaction(
        raw=taken, txid=txid, wtxid=shown(double_sha256(taken)), version=parsed.version,
        inputs=tuple(Input(Outpoint(i.txid.hex(), i.vout), i.sequence) for i in parsed.vin),
        outputs=tuple(Output(o.value, bytes(o.script_pubkey.data)) for o in parsed.vout),
        lock_time=parsed.locktime, weight=stripped_size * (WITNESS_SCALE - 1) + len(taken),
    )  # fmt: skip


def _stripped_size(parsed: Any, size: int) -> int:
    if not parsed.is_segwit:
        return size
    witness = sum(len(item.witness.serialize()) for item in parsed.vin)
    return size - witness - len(b"\x00\x01")


def double_sha256(data: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


def shown(digest: bytes) -> str:
    """Return a hash as Bitcoin shows it: in reverse."""
    return digest[::-1].hex()


def address_of(script: bytes, network: str = "regtest") -> str | None:
    """Return the address of a script, None if it has none. `network` in embit's words: main, test, regtest."""
    try:
        return str(Script(script).address(NETWORKS[network]))
    except ValueError:
        return None
