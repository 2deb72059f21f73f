"""BitMEX's two programs for liabilities as their published scheme describes them, written for tests from that text.

Generator and validator share nothing with the product: whoever reads the format once more finds out what was misread.
The validator has the gaps of the original on purpose: it looks at its own paths alone.
"""

import hashlib
import hmac
import random
import struct
from collections.abc import Iterator

SPLIT_MIN = 2
Node = tuple[str, int]


def _u64(number: int) -> bytes:
    return struct.pack("<Q", number)


def sub_nonce(account_nonce: bytes, height: int, account: int) -> bytes:
    return hashlib.sha256(account_nonce + _u64(height) + _u64(account)).digest()


def leaf(key: bytes, value: int, place: int) -> str:
    return hmac.new(key, _u64(value) + _u64(place), hashlib.sha256).hexdigest()


def above(left: Node, right: Node) -> Node:
    raw = bytes.fromhex(left[0]) + _u64(left[1]) + bytes.fromhex(right[0]) + _u64(right[1])
    return hashlib.sha256(raw).hexdigest(), left[1] + right[1]


def generate(balances: dict[int, int], nonces: dict[int, bytes], *, height: int, dice: random.Random) -> str:
    """Return a file as the published generator makes it. Needs enough coins to be split, as that one does."""
    wanted = 1
    while wanted < len(balances) * SPLIT_MIN:
        wanted *= 2
    pieces = [(balance, account) for account, balance in balances.items() if balance]
    while len(pieces) < wanted:
        pieces.sort(reverse=True)
        for index in range(min(len(pieces), wanted - len(pieces))):
            value, account = pieces[index]
            cut = dice.randint(1, value - 1)
            pieces[index] = (value - cut, account)
            pieces.append((cut, account))
    dice.shuffle(pieces)
    keys = {account: sub_nonce(nonces[account], height, account) for account in balances}
    rows: list[list[Node]] = [
        [(leaf(keys[account], value, place), value) for place, (value, account) in enumerate(pieces)]
    ]
    while len(rows[0]) > 1:
        below = rows[0]
        rows.insert(0, [above(below[k], below[k + 1]) for k in range(0, len(below), 2)])
    lines = [f"block_height:{height}", *(f"{digest},{value}" for row in rows for digest, value in row)]
    return "\n".join(lines)


def validate(text: str, *, account: int | None = None, account_nonce: bytes = b"", nonce: bytes = b"") -> int:
    """Return what the published validator says that it has validated for a client."""
    lines = text.splitlines()
    height = int(lines[0].partition(":")[2])
    rows = list(_rows([(one.split(",")[0], int(one.split(",")[1])) for one in lines[1:]]))
    key = nonce or sub_nonce(account_nonce, height, account or 0)
    found = 0
    for place, node in enumerate(rows[-1]):
        if leaf(key, node[1], place) == node[0]:
            _walk(rows, place)
            found += node[1]
    return found


def _rows(nodes: list[Node]) -> Iterator[list[Node]]:
    begin, size = 0, 1
    while begin + size <= len(nodes):
        yield nodes[begin : begin + size]
        begin, size = begin + size, 2 * size


def _walk(rows: list[list[Node]], place: int) -> None:
    for level in range(len(rows) - 1, 0, -1):
        pair = place & ~1
        if above(rows[level][pair], rows[level][pair + 1]) != rows[level - 1][place // 2]:
            raise ValueError(f"row {level - 1}, node {place // 2}")
        place //= 2
