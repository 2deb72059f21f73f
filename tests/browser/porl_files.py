"""A second writer of proofs, for tests: made from docs/reference/proofs.md alone, so that the two can disagree.

It shares nothing with the product's own writer. Whatever a test wants to forge is a field or a piece of bytes here.
"""

import hashlib
import hmac
import json
import random
import struct
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ZEROS = "0" * 64
FUND, FEES, UNCREDITED = 7, 4294967295, 4294967294
HOUSE_LOGINS = {FUND: "insurance fund", FEES: "fees", UNCREDITED: "uncredited deposits"}
SCALES = {"XBt": 8, "USDt": 6, "Gwei": 9, "LAMPORT": 9}
EPOCH_KEY = bytes(range(32))


def sha(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def mac(key: bytes, *parts: bytes) -> bytes:
    return hmac.digest(key, b"".join(parts), "sha256")


def u64(value: int) -> bytes:
    return struct.pack("<Q", value)


def dumps(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


class Keys:
    """The venue's key and its publisher's, the same in every run."""

    def __init__(self, seed: str = "venue") -> None:
        self._venue = Ed25519PrivateKey.from_private_bytes(sha(seed.encode()))
        self._publisher = Ed25519PrivateKey.from_private_bytes(sha(seed.encode(), b"publisher"))
        self.venue = self._venue.public_key().public_bytes_raw()
        self.publisher = self._publisher.public_key().public_bytes_raw()
        self.endorsement = self._venue.sign(b"porl2/publisher\0" + self.publisher)

    def sign(self, message: bytes) -> bytes:
        return self._publisher.sign(message)


def login_bytes(login: str) -> bytes:
    return unicodedata.normalize("NFC", login.lower()).encode()


def account_nonce(currency: str, account: int) -> bytes:
    return mac(EPOCH_KEY, b"porl\0", currency.encode(), b"\0", u64(account))


def sub_nonce(nonce: bytes, height: int, account: int) -> bytes:
    return sha(nonce, u64(height), u64(account))


def uid_tag(venue: bytes, account: int, login: str, seed: bytes) -> bytes:
    return sha(b"porl-uid\0", venue, u64(account), sha(login_bytes(login)), seed)


def pieces(units: int, base_bits: int) -> list[int]:
    """Whole pieces of 2^32, then one for each digit that is not zero."""
    found = [2**32] * (units >> 32)
    rest, place = units & 0xFFFFFFFF, 0
    while rest:
        digit = rest & ((1 << base_bits) - 1)
        if digit:
            found.append(digit << place)
        rest >>= base_bits
        place += base_bits
    return found


def book_of(accounts: int, seed: int = 1) -> dict[int, tuple[str, int]]:
    """Balances by account, with logins: a third has nothing, some have dust, one has a lot."""
    rng = random.Random(seed)
    book = {}
    for account in range(1, accounts + 1):
        kind = rng.random()
        units = (
            0 if kind < 0.3 else rng.randint(1, 1000) if kind < 0.4 else int(rng.lognormvariate(14.5, 2.0))
        )
        book[account] = (f"user{account}@example.com", units)
    if 3 in book:
        book[3] = (book[3][0], 150_000_000)
    if 5 in book:
        book[5] = (book[5][0], 9 * 2**32 + 77)
    if 6 in book:
        book[6] = (book[6][0], 0)
    book[FUND] = (HOUSE_LOGINS[FUND], 12_345_678)
    book[FEES] = (HOUSE_LOGINS[FEES], 4_321)
    book[UNCREDITED] = (HOUSE_LOGINS[UNCREDITED], 99_000)
    return book


def tree_v1(digests: list[bytes], values: list[int]) -> list[tuple[list[bytes], list[int]]]:
    """Rows from the leaves up."""
    rows = [(digests, values)]
    sha256 = hashlib.sha256
    while len(digests) > 1:
        packed = np.array(values, dtype="<u8").tobytes()
        data = [packed[8 * k : 8 * k + 8] for k in range(len(values))]
        digests = [
            sha256(digests[k] + data[k] + digests[k + 1] + data[k + 1]).digest()
            for k in range(0, len(values), 2)
        ]
        values = [values[k] + values[k + 1] for k in range(0, len(values), 2)]
        rows.append((digests, values))
    return rows


def text_v1(height: int, rows: list[tuple[list[bytes], list[int]]], *, newline: bool = True) -> bytes:
    lines = [f"block_height:{height}"]
    for digests, values in reversed(rows):
        lines += [f"{digest.hex()},{value}" for digest, value in zip(digests, values, strict=True)]
    return ("\n".join(lines) + "\n" * newline).encode()


def rows_v2(leaves: list[tuple[bytes, int]]) -> Iterable[tuple[int, list[tuple[bytes, int]]]]:
    """Rows over the leaves, with their levels."""
    sha256, level = hashlib.sha256, 0
    row = leaves
    while len(row) > 1:
        level += 1
        head = b"porl2/node\0" + bytes([level])
        above = []
        for k in range(0, len(row), 2):
            (left, lv), (right, rv) = row[k], row[k + 1]
            node = head + left + lv.to_bytes(16, "little") + right + rv.to_bytes(16, "little")
            above.append((sha256(node).digest(), lv + rv))
        row = above
        yield level, row


@dataclass
class Snapshot:
    """What one asset's files of a snapshot say, with all secrets; `files()` writes them."""

    keys: Keys
    asset: str = "XBt"
    number: int = 1
    book: dict[int, tuple[str, int]] = field(default_factory=lambda: book_of(40))
    previous: str = ZEROS
    height: int = 900_000
    sequence: int = 1_000
    timestamp: str = "2026-10-07T12:00:00.000Z"
    leaves_min: int = 128
    base_bits: int = 4
    seed: int = 1
    with_v1: bool = True
    reserves: bytes = b'{"height":900000}'
    change_cut: Callable[[dict[str, Any]], None] = lambda _: None
    change_figures: Callable[[dict[str, Any]], None] = lambda _: None
    share: dict[int, int] = field(default_factory=dict)
    """Weakness W1: this account (key) is given the leaves of that one (value)."""

    def build(self) -> "Snapshot":
        rng = random.Random(self.seed)
        self.cut = dumps(self._cut())
        self.header_seed = sha(self.cut)
        placed = [
            (a, v) for a, (_, units) in sorted(self.book.items()) for v in pieces(units, self.base_bits)
        ]
        count = max(self.leaves_min, 1)
        while count < len(placed):
            count *= 2
        placed += [(0, 0)] * (count - len(placed))
        rng.shuffle(placed)
        self.placed = placed
        self.noise = rng.randbytes(32 * count * 3)
        self._leaves_v2()
        self._leaves_v1()
        self._header()
        return self

    def _cut(self) -> dict[str, Any]:
        cut: dict[str, Any] = {
            "accountsRoot": sha(b"accounts", u64(self.sequence)).hex(),
            "asset": self.asset,
            "blockHash": sha(b"block", u64(self.height)).hex(),
            "height": self.height,
            "marks": {"XBTUSD": "62000.5", "XBTZ26": "62500"},
            "scale": SCALES[self.asset],
            "sequence": self.sequence,
            "snapshot": self.number,
            "stateRoot": sha(b"state", u64(self.sequence)).hex(),
            "timestamp": self.timestamp,
            "venue": self.keys.venue.hex(),
        }
        self.change_cut(cut)
        return cut

    def nonce(self, account: int) -> bytes:
        return account_nonce(self.asset, account)

    def snapshot_key(self, account: int) -> bytes:
        return sha(b"porl2/key\0", self.nonce(account), self.header_seed, u64(account))

    def sub_nonce(self, account: int) -> bytes:
        return sub_nonce(
            self.nonce(self.share.get(account, account)), self.height, self.share.get(account, account)
        )

    def tag(self, account: int) -> bytes:
        return uid_tag(self.keys.venue, account, self.book[account][0], self.header_seed)

    def places(self, account: int) -> list[int]:
        return [place for place, (owner, _) in enumerate(self.placed) if owner == account]

    def balance(self, account: int) -> int:
        return self.book[account][1]

    def _leaves_v2(self) -> None:
        sha256, owners = hashlib.sha256, {}
        for account in self.book:
            owners[account] = (self.snapshot_key(account), sha256(b"porl2/leaf\0" + self.tag(account)))
        leaves = []
        for index, (account, value) in enumerate(self.placed):
            if account == 0:
                leaves.append((self.noise[32 * index : 32 * index + 32], 0))
                continue
            key, begun = owners[account]
            digest = begun.copy()
            digest.update(hmac.digest(key, struct.pack("<QQ", value, index), "sha256"))
            leaves.append((digest.digest(), value))
        self.leaves = leaves
        self.root, self.top = (leaves[0][0], leaves[0][1]), b""
        for level, row in rows_v2(leaves):
            if level == 12:
                self.top = b"".join(digest + value.to_bytes(16, "little") for digest, value in row)
            self.root = row[0]

    def _leaves_v1(self) -> None:
        count = len(self.placed)
        self.v1, self.bind = b"", b""
        if not self.with_v1:
            return
        subs = {account: self.sub_nonce(account) for account in self.book}
        tags = {account: b"porl-bind\0" + self.tag(account) for account in self.book}
        digests, binds = [], []
        for index, (account, value) in enumerate(self.placed):
            if account == 0:
                at = 32 * (count + index)
                digests.append(self.noise[at : at + 32])
                binds.append(self.noise[at + 32 * count : at + 32 * count + 32])
                continue
            digest = hmac.digest(subs[account], struct.pack("<QQ", value, index), "sha256")
            digests.append(digest)
            binds.append(sha(tags[account], digest))
        self.rows = tree_v1(digests, [value for _, value in self.placed])
        self.v1 = text_v1(self.height, self.rows)
        self.bind = b"".join(binds)

    def _header(self) -> None:
        total = self.root[1]
        fees = self.book.get(FEES, ("", 0))[1]
        in_flight = self.book.get(UNCREDITED, ("", 0))[1]
        negative, unrealised, pending = 555, -44, 2_000
        wallets = total - negative - unrealised - pending - fees - in_flight
        no_file = {"bind": ZEROS, "file": ZEROS, "root": ZEROS}
        figures: dict[str, Any] = {
            "format": "porl2",
            "house": [
                {
                    "account": account,
                    "balance": str(self.balance(account)),
                    "key": self.snapshot_key(account).hex(),
                    "leaves": self.places(account),
                    "login": self.book[account][0],
                    "name": self.book[account][0],
                    "nonce": self.sub_nonce(account).hex(),
                }
                for account in (FUND, FEES, UNCREDITED)
                if account in self.book
            ],
            "leaves": len(self.placed),
            "previous": self.previous,
            "reserves": sha(self.reserves).hex() if self.reserves else ZEROS,
            "software": "ringfence 0.1.0",
            "sums": {
                "demo": "1000",
                "fees": str(fees),
                "inFlight": str(in_flight),
                "negative": str(negative),
                "netDeposits": str(wallets + unrealised + pending + fees),
                "pending": str(pending),
                "unrealised": str(unrealised),
                "wallets": str(wallets),
            },
            "total": str(total),
            "v1": {
                "bind": sha(self.bind).hex(),
                "file": sha(self.v1).hex(),
                "root": self.rows[-1][0][0].hex(),
            }
            if self.with_v1
            else no_file,
        }
        self.change_figures(figures)
        self.figures = figures
        self.header = self.cut + b"\n" + dumps(figures)
        self.porl2 = self.sealed(self.header)

    def sealed(self, header: bytes, *, leaves: bytes | None = None, keys: Keys | None = None) -> bytes:
        """Return a porl2 file of this header, signed as if it were right: what a forger with the key can do."""
        keys = keys or self.keys
        body = (
            leaves if leaves is not None else b"".join(digest + u64(value) for digest, value in self.leaves)
        )
        self.snapshot_root = sha(b"porl2/root\0", sha(header), self.root[0])
        start = b"porl2\0\0\0" + struct.pack("<I", len(header)) + header + body
        signature = keys.sign(b"porl2/sign\0" + self.snapshot_root)
        return start + keys.publisher + keys.endorsement + signature

    def files(self) -> dict[str, bytes]:
        """Files of the snapshot's folder by name, as the index lists them."""
        files = {f"{self.asset}.porl2": self.porl2, f"{self.asset}.header": self.header}
        if self.with_v1:
            files |= {f"{self.asset}.liabilities.csv": self.v1, f"{self.asset}.bind": self.bind}
        if self.top:
            files[f"{self.asset}.top"] = self.top
        if self.reserves:
            files["reserves.json"] = self.reserves
        return files

    def after(self, **changes: Any) -> "Snapshot":
        """Return the snapshot that follows this one."""
        fresh = {"number": self.number + 1, "previous": sha(self.header).hex(), "seed": self.seed + 1}
        fresh |= {
            "sequence": self.sequence + 500,
            "height": self.height + 500,
            "timestamp": "2026-10-11T00:00:00.000Z",
        }
        return replace(self, **(fresh | changes)).build()


def stored(data: bytes) -> dict[str, Any]:
    return {"bytes": len(data), "sha256": sha(data).hex()}


def index_of(
    keys: Keys, snapshots: list[Snapshot], *, minutes: dict[str, bytes] | None = None,
    change: Callable[[dict[str, Any]], None] = lambda _: None,
) -> bytes:  # fmt: skip
    """index.json over these snapshots, one asset each."""
    rows = []
    for one in snapshots:
        listed = {
            "header": sha(one.header).hex(),
            "snapshotRoot": one.snapshot_root.hex(),
            "total": one.figures["total"],
            "negative": one.figures["sums"]["negative"],
            "demo": one.figures["sums"]["demo"],
            "reserves": None,
        }
        rows.append(
            {
                "snapshot": one.number,
                "folder": f"{one.number:06}",
                "timestamp": one.timestamp,
                "height": one.height,
                "sequence": one.sequence,
                "because": "period",
                "withheld": None,
                "assets": {one.asset: listed},
                "files": {name: stored(data) for name, data in one.files().items()},
            }
        )
    index = {
        "venue": keys.venue.hex(),
        "period": 302_400,
        "snapshots": rows,
        "minutes": {f"minutes/{name}": stored(data) for name, data in (minutes or {}).items()},
        "openings": {},
    }
    change(index)
    return index_signed(keys, dumps(index).decode())


def index_signed(keys: Keys, text: str) -> bytes:
    outer = {
        "index": text,
        "publisher": keys.publisher.hex(),
        "endorsement": keys.endorsement.hex(),
        "signature": keys.sign(b"porl2/index\0" + text.encode()).hex(),
    }
    return json.dumps(outer).encode()


def minute_link(text: bytes) -> bytes:
    return sha(b"porl2/link\0", text)


@dataclass
class Minutes:
    """A chain of minutes; `lines` are the texts as they are signed."""

    keys: Keys
    count: int = 12
    first: int = 0
    previous: str = ZEROS
    snapshot: Snapshot | None = None
    change: Callable[[int, dict[str, Any]], None] = lambda _n, _minute: None

    def build(self) -> "Minutes":
        self.lines: list[bytes] = []
        previous = self.previous
        for k in range(self.count):
            n = self.first + k
            minute: dict[str, Any] = {
                "n": n,
                "because": "block" if n % 5 == 3 else "minute",
                "timestamp": f"2026-10-07T{12 + n // 60:02}:{n % 60:02}:00.000Z",
                "sequence": 1_000 + 7 * n,
                "stateRoot": sha(b"state", u64(1_000 + 7 * n)).hex(),
                "height": 900_000 + n // 10,
                "blockHash": sha(b"block", u64(900_000 + n // 10)).hex(),
                "accounts": sha(b"claims", u64(n)).hex(),
                "totals": {"XBt": ["123456789", "555", None], "USDt": ["5", "0", "7"]},
                "published": ZEROS,
                "previous": previous,
            }
            if n == 0 and self.snapshot is not None:
                figures = self.snapshot.figures
                owed = int(figures["total"]) - int(figures["sums"]["inFlight"])
                minute["totals"]["XBt"] = [str(owed), figures["sums"]["negative"], None]
            self.change(n, minute)
            text = dumps(minute)
            self.lines.append(text)
            previous = minute_link(text).hex()
        return self

    def line(self, text: bytes, keys: Keys | None = None) -> bytes:
        signature = (keys or self.keys).sign(b"porl2/minute\0" + text).hex()
        return json.dumps({"minute": text.decode(), "signature": signature}).encode() + b"\n"

    def file(self) -> bytes:
        return b"".join(self.line(text) for text in self.lines)


def block_header(merkle_root: bytes, *, bits: int = 0x207FFFFF, time: int = 1_791_375_600) -> bytes:
    """Return 80 bytes of a block with this Merkle root, worked for as a test network asks."""
    for nonce in range(2**32):
        header = struct.pack("<I32s32sIII", 0x20000000, sha(b"before"), merkle_root, time, bits, nonce)
        if int.from_bytes(sha(sha(header)), "little") < (bits & 0xFFFFFF) << (8 * ((bits >> 24) - 3)):
            return header
    raise AssertionError


def stamp(digest: bytes, *, height: int = 900_002, pending: bool = False) -> tuple[bytes, bytes]:
    """Return an .ots file over a digest, made by the reference library, and the block header where it ends.

    The path has all that real ones have: a branch to a calendar, a transaction around it, a Merkle path of a block.
    """
    from opentimestamps.core.notary import BitcoinBlockHeaderAttestation, PendingAttestation
    from opentimestamps.core.op import OpAppend, OpHexlify, OpPrepend, OpReverse, OpSHA1, OpSHA256
    from opentimestamps.core.serialize import BytesSerializationContext
    from opentimestamps.core.timestamp import DetachedTimestampFile, Timestamp

    start = Timestamp(digest)
    salted = start.ops.add(OpAppend(sha(b"salt")[:16])).ops.add(OpSHA256())
    salted.attestations.add(PendingAttestation("https://calendar.example.com"))
    side = start.ops.add(OpSHA1())
    side.attestations.add(PendingAttestation("https://old.example.com"))
    turned = salted.ops.add(OpReverse()).ops.add(OpHexlify()).ops.add(OpSHA256())
    raw = turned.ops.add(OpPrepend(b"\x01\0\0\0transaction")).ops.add(OpAppend(b"\0\0\0\0"))
    node = raw.ops.add(OpSHA256()).ops.add(OpSHA256())
    for k in range(3):
        op = OpAppend(sha(bytes([k]))) if k % 2 else OpPrepend(sha(bytes([k])))
        node = node.ops.add(op).ops.add(OpSHA256()).ops.add(OpSHA256())
    if not pending:
        node.attestations.add(BitcoinBlockHeaderAttestation(height))
    else:
        node.attestations.add(PendingAttestation("https://calendar.example.com"))
    context = BytesSerializationContext()
    DetachedTimestampFile(OpSHA256(), start).serialize(context)
    return context.getbytes(), block_header(node.msg)
