"""The header of a liabilities file: what was known before there were leaves, and what they come to.

Source: docs/reference/proofs.md, "Format v2". Amounts are decimal texts in the asset's ledger unit.
"""

import re
from typing import NamedTuple, TypeVar

import msgspec

from ringfence.assurance.proofs.errors import ForgedError
from ringfence.assurance.proofs.hashes import NONE, canonical, digest, named

FORMAT = "porl2"
HEADER_BYTES_MAX = 1 << 20
_DIGEST = re.compile(r"[0-9a-f]{64}")
_AMOUNT = re.compile(r"0|-?[1-9][0-9]{0,38}")
_NONE_HEX = NONE.hex()
Part = TypeVar("Part", bound=msgspec.Struct)


class Cut(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """The moment, and all that follows from it."""

    accounts_root: str
    asset: str
    block_hash: str
    height: int
    marks: dict[str, str]
    scale: int
    sequence: int
    snapshot: int
    state_root: str
    timestamp: str
    venue: str


class House(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """An owner that is no client, with everything that opens its leaves."""

    account: int
    balance: str
    key: str
    leaves: tuple[int, ...]
    login: str
    name: str
    nonce: str


class Sums(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """Where the total comes from."""

    demo: str
    fees: str
    in_flight: str
    negative: str
    net_deposits: str
    pending: str
    unrealised: str
    wallets: str


class V1(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """The same leaves as BitMEX has them; zeros where there is no such file."""

    bind: str = _NONE_HEX
    file: str = _NONE_HEX
    root: str = _NONE_HEX


class Figures(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """What was known once there were leaves."""

    format: str
    house: tuple[House, ...]
    leaves: int
    previous: str
    reserves: str
    software: str
    sums: Sums
    total: str
    v1: V1


class Header(NamedTuple):
    cut: Cut
    figures: Figures
    raw: bytes

    @property
    def seed(self) -> bytes:
        return seed_of(self.cut)

    @property
    def digest(self) -> bytes:
        return digest(self.raw)

    def snapshot_root(self, tree_root: bytes) -> bytes:
        return named("porl2/root", self.digest, tree_root)


def seed_of(cut: Cut) -> bytes:
    """Return what the keys of a snapshot are made with: nobody can use them for another one."""
    return digest(canonical(cut))


def header_of(cut: Cut, figures: Figures) -> Header:
    return Header(cut, figures, canonical(cut) + b"\n" + canonical(figures))


def read_header(raw: bytes) -> Header:
    """Return a header that is in its one form and adds up. Raises ForgedError."""
    lines = raw.split(b"\n")
    if len(raw) > HEADER_BYTES_MAX or len(lines) != 2:
        raise ForgedError(f"the header is not two lines, or longer than {HEADER_BYTES_MAX} bytes")
    header = Header(_read(lines[0], Cut, "cut"), _read(lines[1], Figures, "figures"), raw)
    _check(header)
    return header


def _read(raw: bytes, kind: type[Part], name: str) -> Part:
    try:
        found = msgspec.json.decode(raw, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ForgedError(f"the header's {name} cannot be read: {error}") from error
    if not raw.isascii() or canonical(found) != raw:
        raise ForgedError(
            f"the header's {name} is not in the one form it may have: keys sorted, each once, no spaces"
        )
    return found


def _check(header: Header) -> None:
    cut, figures = header.cut, header.figures
    digests = {
        "accountsRoot": cut.accounts_root, "blockHash": cut.block_hash, "stateRoot": cut.state_root,
        "venue": cut.venue, "previous": figures.previous, "reserves": figures.reserves, "v1.bind": figures.v1.bind,
        "v1.file": figures.v1.file, "v1.root": figures.v1.root,
        **{f"{one.name}.{of}": getattr(one, of) for one in figures.house for of in ("key", "nonce")},
    }  # fmt: skip
    for name, text in digests.items():
        if not _DIGEST.fullmatch(text):
            raise ForgedError(f"the header's {name} is no digest: {text[:80]!r}")
    for name, number in (("height", cut.height), ("scale", cut.scale), ("sequence", cut.sequence),
                         ("snapshot", cut.snapshot)):  # fmt: skip
        if not 0 <= number < 2**53:
            raise ForgedError(f"the header's {name} is {number}")
    if figures.format != FORMAT:
        raise ForgedError(f"the header's format is {figures.format[:80]!r}, not {FORMAT}")
    if figures.leaves < 1 or figures.leaves & (figures.leaves - 1):
        raise ForgedError(f"{figures.leaves} leaves are no power of two")
    is_minute = figures.reserves == _NONE_HEX
    if cut.snapshot == 1 and not is_minute and figures.previous != _NONE_HEX:
        raise ForgedError("the header of the first snapshot names one before it")
    _check_sums(figures)


def _check_sums(figures: Figures) -> None:
    sums, total = figures.sums, amount("total", figures.total)
    of = {name: amount(f"sums.{name}", getattr(sums, name)) for name in sums.__struct_fields__}
    held = of["wallets"] + of["unrealised"] + of["pending"] + of["fees"]
    if total < 0 or of["negative"] < 0 or of["in_flight"] < 0:
        raise ForgedError("the header has a total, a negative or a sum in flight below zero")
    if held != of["net_deposits"]:
        raise ForgedError(
            f"wallets, profit, pending and fees come to {held}, and {of['net_deposits']} came in"
        )
    if total - of["negative"] != held + of["in_flight"]:
        raise ForgedError(
            f"total less negative is {total - of['negative']}, and its parts come to {held + of['in_flight']}"
        )
    accounts = [one.account for one in figures.house]
    if len(set(accounts)) < len(accounts) or any(amount(one.name, one.balance) < 0 for one in figures.house):
        raise ForgedError("the header names somebody of the house twice, or with less than nothing")


def amount(name: str, text: str) -> int:
    """Return an amount. Raises ForgedError unless it is written in its one form."""
    if not _AMOUNT.fullmatch(text):
        raise ForgedError(f"{name} is no amount: {text[:80]!r}")
    return int(text)
