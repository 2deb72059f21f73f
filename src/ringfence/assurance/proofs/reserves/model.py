"""What `reserves.json` says: every script and address with coins of the exchange, and what they come to.

Amounts are decimal texts in the chain's own smallest unit; totals are in the ledger's. The file has one form only: keys
sorted, no spaces. Source: docs/reference/proof-of-reserves.md.
"""

import re
from enum import StrEnum
from typing import TypeVar

import msgspec

from ringfence.assurance.proofs.errors import ForgedError
from ringfence.assurance.proofs.hashes import canonical

FORMAT = "ringfence reserves 1"
FILE_BYTES_MAX = 1 << 30
_DIGEST = re.compile(r"[0-9a-f]{64}")
_HEXADECIMAL = re.compile(r"(?:[0-9a-f]{2})*")
_AMOUNT = re.compile(r"0|[1-9][0-9]{0,77}")
_OUTPOINT = re.compile(r"([0-9a-f]{64}):(0|[1-9][0-9]{0,9})")
Part = TypeVar("Part", bound=msgspec.Struct)

FACTORS = {"XBt": 1, "USDt": 1, "Gwei": 10**9, "LAMPORT": 1}
"""How many of a chain's smallest units are one of the ledger's."""


class Kind(StrEnum):
    """Whose coins a script holds, and who can move them."""

    MULTISIG = "multisig"
    """Clients' coins under two keys of operations and one of policy."""
    THRESHOLD = "threshold"
    """Clients' coins under a key that nobody has."""
    INSURANCE = "insurance"
    COMPANY = "company"


COUNTED = (Kind.MULTISIG, Kind.THRESHOLD)
OF_CHAIN = "accounts"
"""The class of everything at addresses of a chain of accounts."""
CUSTODIAL = "custodial"


class Row(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """Something in a file: keys as JSON has them, and no others."""


class Asset(Row, frozen=True, kw_only=True):
    """What one asset comes to."""

    classes: dict[str, str]
    """What counts, by class, in the chain's smallest unit."""
    apart: dict[str, str]
    """What does not count, by class, in the chain's smallest unit."""
    fee_money: str
    """What of the counted coins is the company's, paid in for fees: it lies among them and is taken off."""
    total: str
    """In ledger units: the sum of the classes less the fee money, rounded down."""


class CoinRow(Row, frozen=True, kw_only=True):
    outpoint: str
    amount: str


class ScriptRow(Row, frozen=True, kw_only=True):
    """One script with its coins."""

    kind: Kind
    descriptor: str
    address: str
    script: str
    balance: str
    coins: tuple[CoinRow, ...]


class VaultRow(Row, frozen=True, kw_only=True):
    """What all scripts of one wallet have in common."""

    kind: Kind
    recovery: tuple[str, ...]
    """Extended public keys of five people, three of whom can move coins that nobody has moved for `recovery_blocks`."""
    recovery_blocks: int


class CustodialRow(Row, frozen=True, kw_only=True):
    """Coins that somebody else keeps for the exchange: never counted."""

    custodian: str
    address: str
    script: str
    balance: str


class Bitcoin(Row, frozen=True, kw_only=True):
    network: str
    vaults: tuple[VaultRow, ...]
    hot: str
    """Extended public key of the hot wallet; empty without one."""
    scripts: tuple[ScriptRow, ...]
    custodial: tuple[CustodialRow, ...]


class TokenRow(Row, frozen=True, kw_only=True):
    currency: str
    balance: str


class AccountRow(Row, frozen=True, kw_only=True):
    """One address below one of the keys: number 0 is the treasury, others are of deposits."""

    key: int
    number: int
    address: str
    balance: str
    tokens: tuple[TokenRow, ...]


class ContractRow(Row, frozen=True, kw_only=True):
    currency: str
    address: str


class Ethereum(Row, frozen=True, kw_only=True):
    """Every balance with what proves it against the state root of one block."""

    chain: str
    height: int
    block_hash: str
    header: str
    """The block's header as it is hashed, RLP in hexadecimal."""
    keys: tuple[str, ...]
    """Extended public keys, the one that is used last."""
    contracts: tuple[ContractRow, ...]
    accounts: tuple[AccountRow, ...]
    nodes: tuple[str, ...]
    """Nodes of the tries of accounts and of tokens' storage, in the order of the digits, each once."""


class SolanaRow(Row, frozen=True, kw_only=True):
    key: int
    seed: str
    """Of a deposit address, with its key and the system program; empty for the key's own address."""
    address: str
    balance: str


class Solana(Row, frozen=True, kw_only=True):
    chain: str
    slot: int
    blockhash: str
    keys: tuple[str, ...]
    accounts: tuple[SolanaRow, ...]


class Reserves(Row, frozen=True, kw_only=True):
    format: str
    venue: str
    snapshot: int
    height: int
    """Of the newest block of Bitcoin; 0 without Bitcoin."""
    block_hash: str
    assets: dict[str, Asset]
    bitcoin: Bitcoin | None
    ethereum: Ethereum | None
    solana: Solana | None


def read_reserves(raw: bytes) -> Reserves:
    """Return what a file says, if it has its one form. Raises ForgedError; whether it is true is not looked at."""
    found = read(raw, Reserves, "reserves.json")
    if found.format != FORMAT:
        raise ForgedError(f"the format is {found.format[:80]!r}, not {FORMAT}")
    check_digest("venue", found.venue)
    check_digest("blockHash", found.block_hash)
    for name, number in (("snapshot", found.snapshot), ("height", found.height)):
        if not 0 <= number < 2**53:
            raise ForgedError(f"{name} is {number}")
    return found


def read(raw: bytes, kind: type[Part], name: str) -> Part:
    """Return a file of JSON in its one form. Raises ForgedError."""
    if len(raw) > FILE_BYTES_MAX:
        raise ForgedError(f"{name} is longer than {FILE_BYTES_MAX} bytes")
    try:
        found = msgspec.json.decode(raw, type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise ForgedError(f"{name} cannot be read: {error}") from error
    if not raw.isascii() or canonical(found) != raw:
        raise ForgedError(f"{name} is not in the one form it may have: keys sorted, each once, no spaces")
    return found


def amount(name: str, text: str) -> int:
    """Raises ForgedError unless a text is an amount in its one spelling."""
    if not _AMOUNT.fullmatch(text):
        raise ForgedError(f"{name} is no amount: {text[:80]!r}")
    return int(text)


def hexadecimal(name: str, text: str) -> bytes:
    """Raises ForgedError unless a text is bytes in small hexadecimal digits."""
    if not _HEXADECIMAL.fullmatch(text):
        raise ForgedError(f"{name} is not in hexadecimal: {text[:80]!r}")
    return bytes.fromhex(text)


def check_digest(name: str, text: str) -> bytes:
    """Raises ForgedError unless a text is a digest."""
    if not _DIGEST.fullmatch(text):
        raise ForgedError(f"{name} is no digest: {text[:80]!r}")
    return bytes.fromhex(text)


def check_outpoint(name: str, text: str) -> tuple[str, int]:
    """Return txid and output number. Raises ForgedError."""
    found = _OUTPOINT.fullmatch(text)
    if found is None or int(found[2]) >= 2**32:
        raise ForgedError(f"{name} is no outpoint: {text[:80]!r}")
    return found[1], int(found[2])
