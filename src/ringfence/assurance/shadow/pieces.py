"""How much of what is left over is done at once.

A piece of upkeep ends when it has written 16,384 events: before each step, the most that the step may write is
added to what is written, and what goes beyond waits for the next piece. A step that is too large for any piece
gets one of its own. That is a rule and not a matter of speed: where a piece ends decides in which command an
account is liquidated. Source: docs/decisions/0007-upkeep-in-pieces.md.
"""

from dataclasses import dataclass
from enum import Enum

from ringfence.assurance.shadow.accounts import Position
from ringfence.assurance.shadow.venue import Venue

EVENTS_PER_PIECE = 1 << 14
ACCOUNTS_PER_PIECE = 1 << 14
FILLS_MAX = 500
"""Orders that one step of a liquidation may meet."""
EVENTS_PER_FILL = 6
"""A trade and the profit of both sides, twice for an order with hidden quantity."""
EVENTS_AROUND = 16
"""What an order says beside its fills and cancels."""


class Done(Enum):
    """What a piece of upkeep came to."""

    MORE = 0
    ALL = 1


@dataclass(slots=True)
class Piece:
    begun: int
    """Number of events in this frame when the piece began."""
    alone: bool
    """Nothing else is done by this command, so its first step may be as large as it needs."""

    @property
    def until(self) -> int:
        return self.begun + EVENTS_PER_PIECE

    def is_full(self, venue: Venue) -> bool:
        return len(venue.events) >= self.until

    def has_room(self, venue: Venue, events: int) -> bool:
        """Return whether a step that writes so many events at most may still be done."""
        written = len(venue.events)
        return written + events <= self.until or (self.alone and written == self.begun)


def events_to_cross(venue: Venue, position: Position | None, fills: int) -> int:
    """Return how many events an aggressive order with so many fills may cause at most."""
    own = len(position.orders) if position is not None else 0
    others = len(venue.reduce_only) + len(venue.linked) + own
    return fills * EVENTS_PER_FILL + others + EVENTS_AROUND
