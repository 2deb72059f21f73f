"""What an account has, and how the venue stands, as bytes that anyone can make from the same state.

An account's statement is a header and three lists in a fixed order, little endian, without gaps:

    header     magic 8 | account u4 | parent u4 | wallets u2 | positions u2 | orders u4
    wallet     asset u2 | zeros 6 | wallet i8 | locked i8                           by asset, without empty ones
    position   symbol u2 | leverage u2 | tier u4 | qty i8 | cost i8 | transferred i8   by symbol, without empty ones
    order      symbol u2 | flags u2 | stop_px i4 | handle u8 | leaves i4 | filled i4 | px i4 | zeros 4   by handle

The venue's is a header and its instruments. Behind the header of `RFVENU02` stands the number of the configuration in
force, u8; while none ever was it is `RFVENU01`, without. From rules 2 on it is `RFVENU03`, in which the configuration
(0 if none ever was) and the version of the rules follow, u8 each. So old journals give old roots. Units are those of
the journal: ticks, contracts, ledger units.
"""

import hashlib
import struct
from collections.abc import Sequence
from typing import NamedTuple

from ringfence.messages.rules import RULES_FIRST

ACCOUNT_MAGIC, VENUE_MAGIC, CONFIGURED_VENUE_MAGIC = b"RFACCT01", b"RFVENU01", b"RFVENU02"
RULED_VENUE_MAGIC = b"RFVENU03"
HEADER = struct.Struct("<8sIIHHI")
WALLET = struct.Struct("<H6xqq")
POSITION = struct.Struct("<HHIqqq")
ORDER = struct.Struct("<HHiQiii4x")
ORDER_SELLS, ORDER_IS_UNTRIGGERED = 1, 2
_VENUE = struct.Struct("<8sQQIIIIIIq")
_CONFIGURATION = struct.Struct("<Q")
_RULED = struct.Struct("<QQ")
_INSTRUMENT = struct.Struct("<HHIqqqqq")


class WalletLine(NamedTuple):
    asset: int
    wallet: int
    locked: int


class PositionLine(NamedTuple):
    symbol: int
    leverage: int
    """Hundredths, 0 = cross."""
    tier: int
    qty: int
    cost: int
    transferred: int


class OrderLine(NamedTuple):
    symbol: int
    flags: int
    """ORDER_SELLS, ORDER_IS_UNTRIGGERED."""
    stop_px: int
    """Ticks; 0 if it does not wait for a price."""
    handle: int
    leaves: int
    """0 = the whole position, of an untriggered order."""
    filled: int
    px: int


class InstrumentLine(NamedTuple):
    symbol: int
    state: int
    funding_rate_e8: int
    """Signed, as 64 bits."""
    mark: int
    index_px: int
    fee_pool: int
    next_funding_ns: int


def account_statement(
    account: int, parent: int, wallets: Sequence[WalletLine], positions: Sequence[PositionLine],
    orders: Sequence[OrderLine],
) -> bytes:  # fmt: skip
    """Return an account's statement; the lists are in order and hold nothing that is empty."""
    return b"".join(
        (
            HEADER.pack(ACCOUNT_MAGIC, account, parent, len(wallets), len(positions), len(orders)),
            *(WALLET.pack(*line) for line in wallets),
            *(POSITION.pack(*line) for line in positions),
            *(ORDER.pack(*line) for line in orders),
        )
    )


class Statement(NamedTuple):
    """A statement in words."""

    account: int
    parent: int
    wallets: list[WalletLine]
    positions: list[PositionLine]
    orders: list[OrderLine]


def read_statement(raw: bytes) -> Statement:
    """Return what a statement says. Raises ValueError if it is none."""
    if len(raw) < HEADER.size or not raw.startswith(ACCOUNT_MAGIC):
        raise ValueError("these bytes are no account statement")
    _, account, parent, n_wallets, n_positions, n_orders = HEADER.unpack_from(raw)
    sizes = (n_wallets * WALLET.size, n_positions * POSITION.size, n_orders * ORDER.size)
    if len(raw) != HEADER.size + sum(sizes):
        raise ValueError(f"a statement of {len(raw)} bytes is cut off or too long")
    first = HEADER.size + sizes[0]
    second = first + sizes[1]
    return Statement(
        account, parent,
        [WalletLine(*line) for line in WALLET.iter_unpack(raw[HEADER.size : first])],
        [PositionLine(*line) for line in POSITION.iter_unpack(raw[first:second])],
        [OrderLine(*line) for line in ORDER.iter_unpack(raw[second:])],
    )  # fmt: skip


def venue_statement(
    *, halt_sequence: int, reopens_ns: int, accounts: int, insurance_account: int, halted: int, deposits_halted: int,
    withdrawals_halted: int, signers_halted: int, people: int, configuration: int,
    rules: int, instruments: Sequence[InstrumentLine],
) -> bytes:  # fmt: skip
    """Return how the venue stands: halts, and every instrument's prices, funding and collected fees.

    `configuration` is 0 while none was ever in force, `rules` the version in force.
    """
    lines = [
        _INSTRUMENT.pack(one.symbol, one.state, 0, one.funding_rate_e8, one.mark, one.index_px, one.fee_pool,
                         one.next_funding_ns)
        for one in instruments
    ]  # fmt: skip
    magic, configured = VENUE_MAGIC, b""
    if rules > RULES_FIRST:
        magic, configured = RULED_VENUE_MAGIC, _RULED.pack(configuration, rules)
    elif configuration:
        magic, configured = CONFIGURED_VENUE_MAGIC, _CONFIGURATION.pack(configuration)
    head = _VENUE.pack(
        magic, halt_sequence, reopens_ns, accounts, insurance_account, halted, deposits_halted,
        withdrawals_halted, signers_halted, people,
    )  # fmt: skip
    return head + configured + b"".join(lines)


def venue_digest(statement: bytes) -> bytes:
    """Return the hash of a venue's statement, as it stands in a root."""
    return hashlib.blake2b(statement, digest_size=32).digest()
