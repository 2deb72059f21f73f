"""An order, and what it waits for.

An order is named by its handle: the low 32 bits of the sequence number of the command that placed it, and its
slot. A new order takes the slot that was freed last, else the next new one; that is a rule of identifiers,
because handles are in every event (see docs/reference/records.md and messages/identifiers.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ringfence.assurance.shadow.bits import OrderBit
from ringfence.messages.commands import Contingency, OrderType, Peg, TriggerPrice
from ringfence.messages.identifiers import order_handle

if TYPE_CHECKING:
    from ringfence.assurance.shadow.accounts import Position

SHOW_ALL = -1
"""The display of an order that is no iceberg."""
LAST_WITHIN_MARK = 3
"""A trigger price beside those of TriggerPrice: the last price, while it is near the mark."""
_HIGHEST_PX = 2**31 - 1


@dataclass(slots=True)
class Condition:
    """What an order that is triggered, pegged or linked was placed with."""

    type: int
    flags: int
    source: int
    peg: int
    peg_offset: int
    stop_px: int
    within_mark: bool
    whole_position: bool
    """A closing stop without a quantity closes whatever there is then."""
    contingency: int
    group: int
    is_primary: bool
    reference: int = 0
    """Trailing: the price in subticks that stop_px was set from."""

    @property
    def is_stop(self) -> bool:
        """Return whether it waits for a price; if not, and it waits, it waits for its primary order."""
        return OrderType.STOP <= self.type <= OrderType.LIMIT_IF_TOUCHED

    @property
    def is_trailing(self) -> bool:
        return self.peg == Peg.TRAILING

    @property
    def one_cancels_the_other(self) -> bool:
        return self.contingency == Contingency.ONE_CANCELS_THE_OTHER


@dataclass(slots=True, eq=False)
class Order:
    """An open order, or one that is coming in. Quantities are contracts (spot: base units), prices ticks."""

    slot: int
    sequence: int
    """Low 32 bits of that of the command that placed it."""
    position: Position
    sell: bool
    clid: int = 0
    px: int = 0
    leaves: int = 0
    """Open quantity; 0 while it is trading."""
    filled: int = 0
    display: int = SHOW_ALL
    shown: int = 0
    """Iceberg: what is left of the displayed slice."""
    post_only: bool = False
    reduce_only: bool = False
    day: bool = False
    in_book: bool = False
    untriggered: bool = False
    waits_for_primary: bool = False
    condition: Condition | None = None

    @property
    def handle(self) -> int:
        return order_handle(self.sequence, self.slot)

    @property
    def linked(self) -> bool:
        return self.condition is not None and self.condition.contingency != Contingency.NONE

    @property
    def what_it_waits_for(self) -> Condition:
        assert self.condition is not None
        return self.condition

    def displayed(self) -> int:
        """Return the displayed part of the open quantity."""
        return self.leaves if self.display == SHOW_ALL else self.shown

    def show_next_slice(self) -> None:
        self.shown = self.leaves if self.display == SHOW_ALL else min(self.display, self.leaves)

    def take_flags(self, flags: int) -> None:
        self.post_only = bool(flags & OrderBit.POST_ONLY)
        self.reduce_only = bool(flags & (OrderBit.REDUCE_ONLY | OrderBit.CLOSE))
        self.day = bool(flags & OrderBit.DAY)

    # ---- while it is untriggered

    def queue(self) -> tuple[int, bool]:
        """Return (trigger price, whether falling prices reach it): which queue of its instrument it stands in."""
        condition = self.what_it_waits_for
        if not condition.is_stop:
            return TriggerPrice.MARK, self.sell
        source = LAST_WITHIN_MARK if condition.within_mark else condition.source
        # Stops buy into rising prices; if-touched orders buy into falling ones.
        return source, self.sell == (condition.type in (OrderType.STOP, OrderType.STOP_LIMIT))

    def place_in_queue(self) -> tuple[int, int, int]:
        """Return what sorts its queue. What only waited for its primary order is reached by every price."""
        condition = self.what_it_waits_for
        reached_by_all = _HIGHEST_PX if self.sell else 1
        px = condition.stop_px if condition.is_stop else reached_by_all
        falling = self.queue()[1]
        return (-px if falling else px), self.sequence, self.slot
