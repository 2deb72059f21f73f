"""Forged files: each is refused, with the line, byte or leaf at which it is seen.

W1 to W10 are the weaknesses of the published scheme as shared/spec/proofs.md lists them. Those of reserves, W11 to W13,
are in test_reserves_*.py; the same list goes through a real browser in tests/browser.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import pytest

from ringfence.assurance.proofs import bitmex, pieces, porl2
from ringfence.assurance.proofs.errors import DifferentError, ForgedError, InconclusiveError, ProofError
from ringfence.assurance.proofs.hashes import digest
from ringfence.assurance.proofs.header import header_of, read_header
from ringfence.assurance.proofs.porl2 import read_head
from ringfence.assurance.proofs.tree import Level, v1_above
from ringfence.assurance.proofs.verify import Claimant, key_of, verify_bitmex, verify_porl2
from ringfence.testing.proof_operator import publisher_of
from tests.proofs import bitmex_tool
from tests.proofs.books import HEIGHT, Book, book

MUTATIONS = 10_002


@dataclass
class Small:
    """Files of eight leaves, so that thousands can be forged."""

    made: Book

    @property
    def lines(self) -> list[str]:
        return self.made.filed.csv.decode().splitlines()


@pytest.fixture(scope="module")
def small() -> Small:
    before = pieces.LEAVES_MIN
    pieces.LEAVES_MIN = 8
    try:
        return Small(book(1, balances={1: 0, 2: 3_000, 3: 3_000, 4: 17}))
    finally:
        pieces.LEAVES_MIN = before


def _csv(lines: list[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()


def _with(lines: list[str], line: int, text: str) -> bytes:
    """Return a file with another text in a line, counted from 1."""
    return _csv([*lines[: line - 1], text, *lines[line:]])


def _values(lines: list[str], line: int, value: str) -> bytes:
    return _with(lines, line, f"{lines[line - 1].split(',')[0]},{value}")


BITMEX: dict[str, tuple[Callable[[list[str]], bytes], str]] = {
    "W2: cut inside the last row": (lambda lines: _csv(lines[:-1]), r"line 16: 14 nodes are no whole tree"),
    "W2: cut inside a line": (lambda lines: _csv(lines)[:-20], r"line 16: .* is no DIGEST,VALUE"),
    "W2: the last row is gone": (lambda lines: _csv(lines[:8]), r"the header says"),
    "W4: another height": (lambda lines: _with(lines, 1, "block_height:7"), r"the header says 840000 of the"),
    "W5: a falsified subtree of others": (lambda lines: _values(lines, 3, "5"), r"line [23]: the node says"),
    "W6: a negative leaf": (lambda lines: _values(lines, 10, "-5"), r"line 10: .* is no DIGEST,VALUE"),
    "W7: one leaf, and it is the root": (lambda lines: _csv(lines[:2]), r"the header says"),
    "a value with a sign": (lambda lines: _values(lines, 12, "+5"), r"line 12: .* is no DIGEST,VALUE"),
    "a value with a space": (lambda lines: _values(lines, 12, " 5"), r"line 12: .* is no DIGEST,VALUE"),
    "a value with a leading zero": (lambda lines: _values(lines, 12, "05"), r"line 12: .* is no DIGEST,VALUE"),
    "no value": (lambda lines: _values(lines, 12, ""), r"line 12: .* is no DIGEST,VALUE"),
    "a value of 2^64": (lambda lines: _values(lines, 12, str(2**64)), r"line 12: .* below 2\^64"),
    "a value of 30 digits": (lambda lines: _values(lines, 12, "9" * 30), r"line 12: .* is no DIGEST,VALUE"),
    "a digest in capitals": (lambda lines: _with(lines, 9, lines[8].upper()), r"line 9: .* is no DIGEST,VALUE"),
    "a digest that is none": (lambda lines: _with(lines, 9, "g" + lines[8][1:]), r"line 9: .* is no DIGEST,VALUE"),
    "a short digest": (lambda lines: _with(lines, 9, lines[8][1:]), r"line 9: .* DIGEST,VALUE"),
    "a semicolon": (lambda lines: _with(lines, 9, lines[8].replace(",", ";")), r"line 9: .* DIGEST,VALUE"),
    "another digest of a leaf": (lambda lines: _with(lines, 9, "00" * 32 + lines[8][64:]), r"line 5: the node's hash"),
    "another digest of a node": (lambda lines: _with(lines, 4, "00" * 32 + lines[3][64:]), r"line [24]: the node's"),
    "another digest of the root": (lambda lines: _with(lines, 2, "00" * 32 + lines[1][64:]), r"line 2: the node's"),
    "another total": (lambda lines: _values(lines, 2, "6016"), r"line 2: the node says 6016, the two below"),
    "leaves in another order": (
        lambda lines: _csv([*lines[:8], lines[9], lines[8], *lines[10:]]), r"line 5: the node's hash",
    ),
    "a line too much": (lambda lines: _csv([*lines, lines[-1]]), r"16 nodes are no whole tree"),
    "an empty line": (lambda lines: _csv([*lines[:5], "", *lines[5:]]), r"line 6: b'' is no DIGEST,VALUE"),
    "an empty line at the end": (lambda lines: _csv(lines) + b"\n", r"line 17: b'' is no DIGEST,VALUE"),
    "line ends of another system": (lambda lines: _csv(lines).replace(b"\n", b"\r\n"), r"line [12]: "),
    "no header": (lambda lines: _csv(lines[1:]), r"line 1: this is no `block_height:`"),
    "a header alone": (lambda lines: lines[0].encode(), r"line 2: the file ends"),
    "nothing": (lambda lines: b"", r"line 1: this is no"),
    "a height that is none": (lambda lines: _with(lines, 1, "block_height:-1"), r"line 1: this is no"),
    "a height with a leading zero": (lambda lines: _with(lines, 1, "block_height:0840000"), r"line 1: this is no"),
}  # fmt: skip


@pytest.mark.parametrize("name", BITMEX)
def test_a_forged_file_in_bitmex_format_is_refused_by_line(small: Small, name: str) -> None:
    forge, where = BITMEX[name]
    raw = forge(small.lines)
    assert raw != small.made.filed.csv
    with pytest.raises(ForgedError, match=where):
        verify_bitmex(
            raw, small.made.claimant(2), header=small.made.filed.header, sidecar=small.made.filed.bind
        )


def test_w1_one_leaf_shown_to_two_clients_is_seen_by_the_sidecar(small: Small) -> None:
    """Accounts 2 and 3 have the same balance; 3 is given the nonce of 2, and the published tool says yes to both."""
    made = small.made
    shared = made.sub_nonce(2)
    text = made.filed.csv.decode()
    assert bitmex_tool.validate(text, nonce=shared) == 3_000
    mallory = Claimant(3, "account-3", sub_nonce=shared, expected=3_000)
    with pytest.raises(DifferentError, match=r"line \d+: leaf \d is bound to somebody else"):
        verify_bitmex(made.filed.csv, mallory, header=made.filed.header, sidecar=made.filed.bind)
    assert not verify_bitmex(made.filed.csv, mallory, header=None, sidecar=None).is_bound
    in_v2 = Claimant(
        3, "account-3", snapshot_key=made.claimant(2, by="snapshot_key").snapshot_key, expected=3_000
    )
    with pytest.raises(DifferentError, match="0 units of account 3"):
        verify_porl2(made.filed.porl2, in_v2, venue=made.venue)


@pytest.mark.parametrize("added", ["00", "0000", "", "00" * 32])
def test_w1b_a_key_has_32_bytes(small: Small, added: str) -> None:
    """HMAC takes a key with zeros behind it for the same key."""
    text = small.made.sub_nonce(2).hex()
    text = text + added if added else text[:-2]
    with pytest.raises(InconclusiveError, match=r"--nonce has \d+ bytes"):
        key_of(text, "--nonce")


def test_w3_an_omitted_client_or_a_wrong_nonce_is_no_success(small: Small) -> None:
    for claimant in (
        Claimant(9, "account-9", account_nonce=bytes(32)),
        small.made.claimant(2)._replace(account=3),
    ):
        with pytest.raises(DifferentError):
            verify_bitmex(small.made.filed.csv, claimant._replace(expected=None), header=None, sidecar=None)


@pytest.mark.parametrize(
    "balances", [{1: 1, 2: 1, 3: 1}, {1: 0, 2: 0}, {1: 0, 2: 5}, dict.fromkeys(range(1, 5), 0)], ids=str
)
def test_w8_to_w10_any_book_can_be_written(balances: dict[int, int]) -> None:
    """Three accounts of one unit, a zero balance, a book without coins: the published generator hangs or fails."""
    made = book(1, balances=balances)
    for account in balances:
        assert (
            verify_porl2(made.filed.porl2, made.claimant(account), venue=made.venue).mine == balances[account]
        )
        assert (
            bitmex_tool.validate(made.filed.csv.decode(), nonce=made.sub_nonce(account)) == balances[account]
        )


def test_max_for_sum_is_refused(small: Small) -> None:
    """A node that takes the larger of two values, as some venues' trees let it, does not add up."""
    leaves = Level(
        b"".join(bytes.fromhex(one.split(",")[0]) for one in small.lines[8:]), _numbers(small.lines[8:])
    )
    rows = [leaves]
    while len(rows[-1].values) > 1:
        above = v1_above(rows[-1])
        larger = rows[-1].values.reshape(-1, 2).max(axis=1)
        rows.append(Level(above.digests, larger))
    lines = [f"block_height:{HEIGHT}"]
    for row in reversed(rows):
        lines += [
            f"{row.digests[32 * k : 32 * k + 32].hex()},{value}"
            for k, value in enumerate(row.values.tolist())
        ]
    with pytest.raises(ForgedError, match=r"line \d: the node says"):
        bitmex.decode(_csv(lines))


def _numbers(lines: list[str]) -> pieces.UInt64s:
    import numpy as np

    return np.array([int(one.split(",")[1]) for one in lines], np.uint64)


# ---- format v2

Forge2 = Callable[[Book], bytes]


def _resigned(made: Book, **changes: object) -> bytes:
    """Return the file with other figures, signed anew by the exchange itself."""
    figures = msgspec.structs.replace(made.filed.header.figures, **changes)
    return _encoded(made, msgspec.structs.replace(made.filed.header.cut), figures)


def _recut(made: Book, **changes: object) -> bytes:
    return _encoded(
        made, msgspec.structs.replace(made.filed.header.cut, **changes), made.filed.header.figures
    )


def _encoded(made: Book, cut: object, figures: object) -> bytes:
    file = porl2.decode(made.filed.porl2)
    return porl2.encode(header_of(cut, figures), file.leaves, made.filed.root, made.publisher)  # type: ignore[arg-type]


def _sums(made: Book, **changes: str) -> bytes:
    return _resigned(made, sums=msgspec.structs.replace(made.filed.header.figures.sums, **changes))


def _house(made: Book, **changes: object) -> bytes:
    first, *rest = made.filed.header.figures.house
    return _resigned(made, house=(msgspec.structs.replace(first, **changes), *rest))


def _leaf(made: Book, at: int, *, by: int = 1) -> bytes:
    _, begin = read_head(made.filed.porl2)
    raw = bytearray(made.filed.porl2)
    raw[begin + at] ^= by
    return bytes(raw)


def _head(made: Book, old: bytes, new: bytes) -> bytes:
    """Return the file with other text in its header, of whatever length."""
    _, begin = read_head(made.filed.porl2)
    head = made.filed.porl2[12:begin].replace(old, new, 1)
    return made.filed.porl2[:8] + len(head).to_bytes(4, "little") + head + made.filed.porl2[begin:]


OTHERS = publisher_of("others")
PORL2: dict[str, tuple[Forge2, str]] = {
    "another digest of a leaf": (lambda m: _leaf(m, 0), r"signature \(porl2/sign\)"),
    "another value of a leaf": (lambda m: _leaf(m, 32), r"the leaves add up to"),
    "a value beyond 2^63": (lambda m: _leaf(m, 39, by=0x80), r"the leaves add up to"),
    "two leaves changed places": (
        lambda m: (lambda b: m.filed.porl2[:b] + m.filed.porl2[b + 40 : b + 80] + m.filed.porl2[b : b + 40]
                   + m.filed.porl2[b + 80 :])(read_head(m.filed.porl2)[1]), r"signature \(porl2/sign\)",
    ),
    "a byte too much": (lambda m: m.filed.porl2 + b"\0", r"the file has \d+ bytes"),
    "a byte too few": (lambda m: m.filed.porl2[:-1], r"the file has \d+ bytes"),
    "half of the leaves": (lambda m: m.filed.porl2[:-320], r"the file has \d+ bytes"),
    "no magic": (lambda m: b"x" + m.filed.porl2[1:], r"byte 0"),
    "a header of 4 GB": (lambda m: m.filed.porl2[:8] + b"\xff\xff\xff\xff" + m.filed.porl2[12:], r"byte 8"),
    "a header of nothing": (lambda m: m.filed.porl2[:8] + bytes(4) + m.filed.porl2[12:], r"byte 8"),
    "nothing": (lambda m: b"", r"byte 0"),
    "a space in the header": (lambda m: _head(m, b'"asset":', b'"asset": '), r"cut is not in the one form"),
    "a key twice": (lambda m: _head(m, b'"asset":"XBt"', b'"asset":"XBt","asset":"XBt"'), r"the one form"),
    "a key that is not known": (lambda m: _head(m, b'"asset":', b'"alias":"x","asset":'), r"cannot be read"),
    "a key too few": (lambda m: _head(m, b'"scale":8,', b""), r"cannot be read"),
    "a number as text": (lambda m: _head(m, b'"scale":8', b'"scale":"8"'), r"cannot be read"),
    "an umlaut": (lambda m: _head(m, b"insurance fund", "f\u00fcr uns".encode()), r"not in the one form"),
    "a third line": (lambda m: _head(m, b"}\n{", b"}\n\n{"), r"not two lines"),
    "another total": (lambda m: _resigned(m, total="6016"), r"total less negative is 6016"),
    "another total and sums that fit it": (
        lambda m: _resigned(m, total="6016", sums=msgspec.structs.replace(
            m.filed.header.figures.sums, net_deposits="6016", wallets="6016")), r"the leaves add up to 6017",
    ),
    "a negative total": (lambda m: _resigned(m, total="-1"), r"below zero"),
    "debts that lower the total": (lambda m: _sums(m, negative="-1"), r"below zero"),
    "profit out of nowhere": (lambda m: _sums(m, unrealised="-5"), r"come to 6012, and 6017 came in"),
    "deposits that are not there": (lambda m: _sums(m, in_flight="5"), r"its parts come to 6022"),
    "an amount with a leading zero": (lambda m: _sums(m, wallets="06017"), r"sums.wallets is no amount"),
    "an amount with a point": (lambda m: _sums(m, wallets="6017.0"), r"sums.wallets is no amount"),
    "minus zero": (lambda m: _sums(m, fees="-0"), r"sums.fees is no amount"),
    "leaves that are no power of two": (lambda m: _resigned(m, leaves=7), r"7 leaves are no power of two"),
    "more leaves than there are": (lambda m: _resigned(m, leaves=16), r"with 16 leaves it has"),
    "no leaves": (lambda m: _resigned(m, leaves=0), r"0 leaves are no power of two"),
    "2^40 leaves": (lambda m: _resigned(m, leaves=2**40), r"the file has \d+ bytes"),
    "another format": (lambda m: _resigned(m, format="porl3"), r"format is 'porl3'"),
    "a digest that is none": (lambda m: _resigned(m, previous="x"), r"previous is no digest"),
    "a venue that is none": (lambda m: _recut(m, venue="00"), r"venue is no digest"),
    "a height below zero": (lambda m: _recut(m, height=-1), r"height is -1"),
    "a leaf of the house that is not theirs": (lambda m: _house(m, leaves=(0, 1)), r"leaf \d is not of insurance fund"),
    "a leaf of the house that is not there": (lambda m: _house(m, leaves=(99,)), r"leaf 99 is not of"),
    "a leaf of the house below zero": (lambda m: _house(m, leaves=(-1,)), r"leaf -1 is not of"),
    "a house that owns less than it says": (lambda m: _house(m, balance="5"), r"add up to 0, the header says 5"),
    "the house twice": (
        lambda m: _resigned(m, house=(m.filed.header.figures.house[0],) * 2), r"the house twice",
    ),
    "another exchange": (lambda m: book_of_others().filed.porl2, r"of another exchange"),
    "signed by a stranger": (
        lambda m: porl2.encode(m.filed.header, porl2.decode(m.filed.porl2).leaves, m.filed.root, OTHERS),
        r"has not named the key",
    ),
    "another signature": (lambda m: m.filed.porl2[:-1] + bytes([m.filed.porl2[-1] ^ 1]), r"signature"),
    "another endorsement": (
        lambda m: m.filed.porl2[:-65] + bytes([m.filed.porl2[-65] ^ 1]) + m.filed.porl2[-64:], r"has not named",
    ),
    "a signature of nothing": (lambda m: m.filed.porl2[:-64] + bytes(64), r"signature"),
}  # fmt: skip


def book_of_others() -> Book:
    """Return the same book, published by another exchange."""
    before = pieces.LEAVES_MIN
    pieces.LEAVES_MIN = 8
    try:
        made = book(1, balances={1: 0, 2: 3_000, 3: 3_000, 4: 17})
    finally:
        pieces.LEAVES_MIN = before
    cut = msgspec.structs.replace(made.filed.header.cut, venue=OTHERS.venue.hex())
    figures = msgspec.structs.replace(made.filed.header.figures, house=())
    raw = porl2.encode(
        header_of(cut, figures), porl2.decode(made.filed.porl2).leaves, made.filed.root, OTHERS
    )
    return made._replace(filed=made.filed._replace(porl2=raw))


@pytest.mark.parametrize("name", PORL2)
def test_a_forged_file_in_format_v2_is_refused(small: Small, name: str) -> None:
    forge, where = PORL2[name]
    raw = forge(small.made)
    assert raw != small.made.filed.porl2
    with pytest.raises(ForgedError, match=where):
        verify_porl2(raw, small.made.claimant(2), venue=small.made.venue)


@pytest.mark.parametrize("change", ["shorter", "longer", "another"])
def test_another_sidecar_is_refused(small: Small, change: str) -> None:
    bind = small.made.filed.bind
    forged = {"shorter": bind[:-32], "longer": bind + bytes(32), "another": bytes(len(bind))}[change]
    with pytest.raises(ForgedError, match="the sidecar is not the one that the header names"):
        verify_bitmex(
            small.made.filed.csv, small.made.claimant(2), header=small.made.filed.header, sidecar=forged
        )


# ---- thousands of them


def _mutated(raw: bytes, dice: random.Random) -> bytes:
    """Return other bytes than these: something flipped, gone, added, doubled or swapped."""
    while True:
        at, size = dice.randrange(len(raw)), dice.choice([1, 1, 1, 2, 8, 32, 40, 67])
        some = raw[at : at + size]
        found = dice.choice(
            [
                raw[:at] + bytes([raw[at] ^ 1 << dice.randrange(8)]) + raw[at + 1 :], raw[:at] + raw[at + size :],
                raw[:at] + some + raw[at:], raw[:at] + dice.randbytes(size) + raw[at + size :], raw[:at],
                raw[:at] + some[::-1] + raw[at + size :],
                raw[:at] + dice.choice([b"0", b"9", b",", b"\n", b" ", b"-", b"\0"]) + raw[at + size :],
            ]
        )  # fmt: skip
        # BitMEX's own tool writes no newline at the end, and its `print` does: both are the same file.
        if found.rstrip(b"\n") != raw.rstrip(b"\n"):
            return found


@pytest.mark.parametrize("part", range(3))
def test_no_mutated_file_is_accepted(small: Small, part: int) -> None:
    made, accepted = small.made, []
    dice = random.Random(part)
    checks: list[tuple[bytes, Callable[[bytes], object]]] = [
        (made.filed.porl2, lambda raw: verify_porl2(raw, made.claimant(2), venue=made.venue)),
        (
            made.filed.csv,
            lambda raw: verify_bitmex(raw, made.claimant(2), header=made.filed.header, sidecar=made.filed.bind),
        ),
        (
            made.filed.bind,
            lambda raw: verify_bitmex(made.filed.csv, made.claimant(2), header=made.filed.header, sidecar=raw),
        ),
        (
            made.filed.header.raw,
            lambda raw: _same_root(read_header(raw), made),
        ),
    ]  # fmt: skip
    for number in range(MUTATIONS // 3):
        raw, check = checks[number % len(checks)]
        forged = _mutated(raw, dice)
        try:
            check(forged)
        except ProofError:
            continue
        accepted.append(forged)
    assert not accepted


def _same_root(header: object, made: Book) -> None:
    """A header alone is signed by way of the root: another one gives another root."""
    if digest(header.raw) != made.filed.header.digest:  # type: ignore[attr-defined]
        raise ForgedError("another header")
