"""Accounts, what they hold in each asset, and their positions.

Positions have numbers, and where a rule needs a last resort to tell two apart (the queue of deleveraging) the
lower number goes first. They are given in blocks: an account's first position in an asset opens a block of two;
the third moves all to a block with a place for each instrument number, 16 if that is enough, else 64. The
places of a block that was left are not used again. Within an account, what is done to all positions is done in
the order of their numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ringfence.assurance.shadow.instrument import Instrument
from ringfence.assurance.shadow.orders import Order
from ringfence.messages.commands import SelfTrade

_SMALL, _MEDIUM, _LARGE = 2, 16, 64
FEE_EXEMPT = 7
"""The fee tier of the insurance account."""


@dataclass(slots=True, eq=False)
class Position:
    """What an account holds of one instrument, its settings there, and its open orders."""

    account: Account
    instrument: Instrument
    qty: int = 0
    """Contracts, negative = short."""
    cost: int = 0
    """Exposure at entry in settlement units, with the sign of qty."""
    leverage: int = 0
    """Hundredths, 0 = cross."""
    tier: int = 0
    """Steps above the base risk limit."""
    transferred: int = 0
    """Isolated: margin put in beyond the initial margin."""
    orders: dict[int, Order] = field(default_factory=dict)
    """Open orders by slot, oldest first."""

    @property
    def is_isolated(self) -> bool:
        return self.leverage != 0

    @property
    def holdings(self) -> Holdings:
        return self.account.in_asset(self.instrument.settle)

    def newest_first(self) -> list[Order]:
        return list(reversed(self.orders.values()))


@dataclass(slots=True, eq=False)
class Holdings:
    """What an account has in one asset: coins, and the positions that are settled in it."""

    wallet: int = 0
    positions: dict[int, Position] = field(default_factory=dict)
    """By instrument number, in the order of their own numbers."""
    block: int = 0
    block_size: int = 0

    def held(self) -> list[Position]:
        """Return the positions that have a quantity."""
        return [position for position in self.positions.values() if position.qty]

    def number_of(self, position: Position) -> int:
        if self.block_size == _SMALL:
            return self.block + list(self.positions).index(position.instrument.number)
        return self.block + position.instrument.number

    def first_of_block(self) -> Position | None:
        """Return the position in the first place of the block, if there is one: instruments count from 1."""
        if self.block_size != _SMALL:
            return None
        return next(iter(self.positions.values()), None)


@dataclass(slots=True, eq=False)
class Account:
    number: int
    parent: int = 0
    """The account that it is a sub-account of, 0 = none."""
    self_trade: int = SelfTrade.CANCEL_RESTING
    disabled: bool = False
    fee_tier: int = 0
    classic: bool = False
    """Classic cross: unrealised profit of one position does not support another."""
    assets: dict[int, Holdings] = field(default_factory=dict)

    def in_asset(self, asset: int) -> Holdings:
        holdings = self.assets.get(asset)
        if holdings is None:
            holdings = self.assets[asset] = Holdings()
        return holdings

    def find(self, instrument: Instrument) -> Position | None:
        holdings = self.assets.get(instrument.settle)
        return holdings.positions.get(instrument.number) if holdings else None


class PositionNumbers:
    """Gives positions their numbers."""

    def __init__(self) -> None:
        self.next = 1

    def position_of(self, account: Account, instrument: Instrument) -> Position:
        """Return an account's position in an instrument, a new one if it never had any."""
        holdings = account.in_asset(instrument.settle)
        position = holdings.positions.get(instrument.number)
        if position is None:
            self._make_place(holdings, instrument.number)
            position = holdings.positions[instrument.number] = Position(account, instrument)
            if holdings.block_size != _SMALL:
                holdings.positions = dict(sorted(holdings.positions.items()))
        return position

    def _make_place(self, holdings: Holdings, symbol: int) -> None:
        if holdings.block_size == 0:
            self._give_block(holdings, _SMALL)
        elif holdings.block_size == _SMALL and len(holdings.positions) == _SMALL:
            self._give_block(holdings, _size_for([*holdings.positions, symbol]))
        elif holdings.block_size == _MEDIUM and symbol >= _MEDIUM:
            self._give_block(holdings, _LARGE)

    def _give_block(self, holdings: Holdings, size: int) -> None:
        holdings.block, holdings.block_size = self.next, size
        self.next += size


def _size_for(symbols: Iterable[int]) -> int:
    return _MEDIUM if max(symbols) < _MEDIUM else _LARGE
