"""All coins of a chain at one block, in a file: what Bitcoin Core's `dumptxoutset` writes, version 2.

    "utxo" 0xff | version u16 | network magic 4 | base block hash 32 | coins u64
    then, for each transaction that has coins: txid 32 | count | count times (vout | coin)
    coin = VARINT(2 * height + is_coinbase) | VARINT(compressed amount) | compressed script

Counts and vouts are in Bitcoin's compact size, little-endian; VARINT is Core's other one, most significant first.
A file of the main chain has ten gigabytes: it is read once from the beginning, and nothing of it is kept.

Source: Bitcoin Core, src/node/utxo_snapshot.h, src/compressor.cpp, src/serialize.h.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from coincurve import PublicKey
from embit import compact

from ringfence.custody.chains.bitcoin.transactions import Output
from ringfence.custody.wallets.coins import COIN_SATS_MAX, Outpoint

MAGIC, VERSION = b"utxo\xff", 2
NETWORKS = {
    "main": bytes.fromhex("f9beb4d9"), "testnet": bytes.fromhex("0b110907"), "signet": bytes.fromhex("0a03cf40"),
    "regtest": bytes.fromhex("fabfb5da"),
}  # fmt: skip
"""The first bytes of every message of a network."""
SCRIPT_BYTES_MAX = 10_000
"""Longer ones cannot be spent, and are no coins."""
_HEADER_BYTES = 5 + 2 + 4 + 32 + 8
_CHUNK_BYTES = 1 << 20
_AHEAD_BYTES = 32 + 9 + 9 + 2 * 10 + 10 + SCRIPT_BYTES_MAX
"""No group's beginning and no coin is longer."""
_SPECIAL = 6
"""Numbers below this one stand for scripts of a known form; above, for their length plus this."""
_SPECIAL_BYTES = (20, 20, 32, 32, 32, 32)


class SnapshotError(Exception):
    """The file is no snapshot of coins, or not a whole one. Nothing was taken from it; the text says where and why."""


class Header(NamedTuple):
    """What a file says of itself."""

    network: str
    block_hash: str
    coins: int


class FoundCoin(NamedTuple):
    """A coin as the file has it."""

    outpoint: Outpoint
    output: Output
    height: int
    is_coinbase: bool


class SnapshotReader:
    """Reads a file from its beginning to its end, once."""

    def __init__(self, file: BinaryIO) -> None:
        """Read the header. Raises SnapshotError, OSError."""
        self._file, self._buffer, self._at, self._before = file, b"", 0, 0
        raw = file.read(_HEADER_BYTES)
        self._before = len(raw)
        if len(raw) < _HEADER_BYTES or not raw.startswith(MAGIC):
            raise SnapshotError("the file does not begin as a snapshot of coins does")
        version = int.from_bytes(raw[5:7], "little")
        if version != VERSION:
            raise SnapshotError(f"the snapshot has version {version}; {VERSION} is read here")
        network = next((name for name, magic in NETWORKS.items() if magic == raw[7:11]), None)
        if network is None:
            raise SnapshotError(f"the snapshot is of a network {raw[7:11].hex()} that is not known here")
        self.header = Header(network, raw[11:43][::-1].hex(), int.from_bytes(raw[43:51], "little"))

    def coins(
        self,
        scripts: Collection[bytes] | None = None,
        *,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Iterator[FoundCoin]:
        """Yield the coins of some scripts, or all. Raises SnapshotError, also if anything is behind the last one.

        on_progress: how many coins were passed, and how many there are.
        """
        wanted = None if scripts is None else {compressed_script(one) for one in scripts}
        whole, passed, before = self.header.coins, 0, b""
        while passed < whole:
            self._fill()
            txid = self._take(32)
            if txid <= before:
                raise self._error(f"transaction {txid[::-1].hex()} is not in order")
            before, count = txid, self._compact()
            if not 0 < count <= whole - passed:
                raise self._error(f"{count} coins of one transaction, {whole - passed} are left")
            vout_before = -1
            for _ in range(count):
                self._fill()
                vout = self._compact()
                if not vout_before < vout < 2**32:
                    raise self._error(f"output {vout} is not in order")
                vout_before = vout
                code, amount = self._varint(), self._varint()
                script = self._script()
                if wanted is None or script in wanted:
                    yield self._coin(txid, vout, code, amount, script)
            passed += count
            if on_progress is not None:
                on_progress(passed, whole)
        if self._left() or self._file.read(1):
            raise self._error("bytes follow the last coin")

    def _coin(self, txid: bytes, vout: int, code: int, amount: int, script: bytes) -> FoundCoin:
        sats = decompressed_amount(amount)
        if sats > COIN_SATS_MAX or code >> 1 >= 2**31:
            raise self._error(f"{sats} satoshis of block {code >> 1} are no coin")
        try:
            plain = decompressed_script(script)
        except ValueError as error:
            raise self._error(str(error)) from error
        return FoundCoin(Outpoint(txid[::-1].hex(), vout), Output(sats, plain), code >> 1, bool(code & 1))

    def _fill(self) -> None:
        """Have enough ahead for the longest thing that may follow, as far as the file goes."""
        if self._left() < _AHEAD_BYTES:
            more = self._file.read(_CHUNK_BYTES)
            self._before += self._at
            self._buffer, self._at = self._buffer[self._at :] + more, 0

    def _left(self) -> int:
        return len(self._buffer) - self._at

    def _take(self, count: int) -> bytes:
        taken = self._buffer[self._at : self._at + count]
        if len(taken) < count:
            raise self._error("the file ends here, in the middle of a coin")
        self._at += count
        return taken

    def _compact(self) -> int:
        first = self._take(1)[0]
        if first < 0xFD:
            return first
        size = {0xFD: 2, 0xFE: 4, 0xFF: 8}[first]
        value = int.from_bytes(self._take(size), "little")
        if value < {2: 0xFD, 4: 2**16, 8: 2**32}[size]:
            raise self._error("a count is written longer than it has to be")
        return value

    def _varint(self) -> int:
        value = 0
        while True:
            byte = self._take(1)[0]
            value = value << 7 | byte & 0x7F
            if not byte & 0x80:
                return value
            value += 1
            if value >= 2**57:
                raise self._error("a number is beyond 64 bits")

    def _script(self) -> bytes:
        """Return a script in its compressed form, its number in front."""
        start = self._at
        number = self._varint()
        size = _SPECIAL_BYTES[number] if number < _SPECIAL else number - _SPECIAL
        if size > SCRIPT_BYTES_MAX:
            raise self._error(f"a script of {size} bytes, which could never be spent")
        self._take(size)
        return self._buffer[start : self._at]

    def _error(self, what: str) -> SnapshotError:
        return SnapshotError(f"byte {self._before + self._at}: {what}")


def read_coins(
    path: Path, scripts: Collection[bytes], *, on_progress: Callable[[int, int], None] | None = None
) -> tuple[Header, list[FoundCoin]]:
    """Return what a file says of itself, and its coins of some scripts. Raises SnapshotError, OSError."""
    with path.open("rb") as file:
        reader = SnapshotReader(file)
        return reader.header, list(reader.coins(scripts, on_progress=on_progress))


def write_snapshot(path: Path, *, network: str, block_hash: str, coins: Iterable[FoundCoin]) -> str:
    """Write a snapshot of these coins; return Core's hash over all of them (`hash_serialized_3`). Raises OSError."""
    ordered = sorted(coins, key=lambda coin: (bytes.fromhex(coin.outpoint.txid)[::-1], coin.outpoint.vout))
    by_transaction: dict[str, list[FoundCoin]] = {}
    for coin in ordered:
        by_transaction.setdefault(coin.outpoint.txid, []).append(coin)
    digest = hashlib.sha256()
    with path.open("xb") as file:
        file.write(MAGIC + VERSION.to_bytes(2, "little") + NETWORKS[network])
        file.write(bytes.fromhex(block_hash)[::-1] + len(ordered).to_bytes(8, "little"))
        for txid, group in by_transaction.items():
            file.write(bytes.fromhex(txid)[::-1] + compact.to_bytes(len(group)))
            for coin in group:
                code = 2 * coin.height + coin.is_coinbase
                file.write(compact.to_bytes(coin.outpoint.vout) + varint(code))
                file.write(varint(compressed_amount(coin.output.amount_sats)))
                file.write(compressed_script(coin.output.script))
                digest.update(_hashed(coin, code))
    return hashlib.sha256(digest.digest()).digest()[::-1].hex()


def _hashed(coin: FoundCoin, code: int) -> bytes:
    outpoint = bytes.fromhex(coin.outpoint.txid)[::-1] + coin.outpoint.vout.to_bytes(4, "little")
    script = coin.output.script
    length: bytes = compact.to_bytes(len(script))
    return (
        outpoint
        + code.to_bytes(4, "little")
        + coin.output.amount_sats.to_bytes(8, "little")
        + length
        + script
    )


# ---- Core's compression


def varint(value: int) -> bytes:
    assert value >= 0
    found = bytearray((value & 0x7F,))
    while value > 0x7F:
        value = (value >> 7) - 1
        found.append(value & 0x7F | 0x80)
    return bytes(reversed(found))


def compressed_amount(sats: int) -> int:
    """Return an amount as Core writes it: zeros at the end are counted instead of written."""
    if not sats:
        return 0
    zeros = 0
    while sats % 10 == 0 and zeros < 9:
        sats //= 10
        zeros += 1
    if zeros == 9:
        return 1 + (sats - 1) * 10 + 9
    return 1 + (sats // 10 * 9 + sats % 10 - 1) * 10 + zeros


def decompressed_amount(value: int) -> int:
    if not value:
        return 0
    rest, zeros = divmod(value - 1, 10)
    if zeros == 9:
        return (rest + 1) * 10**9
    rest, digit = divmod(rest, 9)
    return int((rest * 10 + digit + 1) * 10**zeros)


def compressed_script(script: bytes) -> bytes:
    """Return a script as Core writes it. Uncompressed keys that are no point of the curve are written as they are."""
    if len(script) == 25 and script[:3] == b"\x76\xa9\x14" and script[23:] == b"\x88\xac":
        return b"\0" + script[3:23]
    if len(script) == 23 and script[:2] == b"\xa9\x14" and script[22:] == b"\x87":
        return b"\1" + script[2:22]
    if len(script) == 35 and script[0] == 33 and script[1] in (2, 3) and script[34] == 0xAC:
        return script[1:34]
    if (
        len(script) == 67
        and script[0] == 65
        and script[1] == 4
        and script[66] == 0xAC
        and _is_point(script[1:66])
    ):
        return bytes((4 + (script[65] & 1),)) + script[2:34]
    return varint(len(script) + _SPECIAL) + script


def decompressed_script(raw: bytes) -> bytes:
    """Raises ValueError for a key that is no point of the curve."""
    number = raw[0]
    if number == 0:
        return b"\x76\xa9\x14" + raw[1:] + b"\x88\xac"
    if number == 1:
        return b"\xa9\x14" + raw[1:] + b"\x87"
    if number in (2, 3):
        return b"\x21" + raw + b"\xac"
    if number in (4, 5):
        try:
            key = PublicKey(bytes((number - 2,)) + raw[1:]).format(compressed=False)
        except Exception as error:  # libsecp256k1's errors are bare ones
            raise ValueError("a script's public key is no point of the curve") from error
        return b"\x41" + bytes(key) + b"\xac"
    start = 1
    while raw[start - 1] & 0x80:
        start += 1
    return raw[start:]


def _is_point(key: bytes) -> bool:
    try:
        PublicKey(key)
    except Exception:  # libsecp256k1's errors are bare ones: whatever it is, it is no key
        return False
    return True
