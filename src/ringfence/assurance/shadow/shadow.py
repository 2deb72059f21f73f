"""The front door: commands in, events out."""

from collections.abc import Callable

from ringfence.assurance.shadow import (
    amending,
    halting,
    listing,
    placing,
    settings,
    settlement,
    special,
    timers,
    upkeep,
    wallets,
)
from ringfence.assurance.shadow.venue import Asked, Venue
from ringfence.messages.commands import Command, OrderType, TradingState
from ringfence.messages.layouts import COMMAND_STRUCT
from ringfence.messages.rejects import Reject
from ringfence.messages.rules import COMMAND_SINCE


class Shadow:
    """The exchange again: slow, exact, obvious. Twin: exchange/engine, byte for byte.

    `venue` is its state: accounts with their wallets, positions and orders, instruments with their prices and
    books. Read it, never change it.
    """

    def __init__(self) -> None:
        self.venue = Venue()

    def step(self, commands: bytes, *, timestamp_ns: int) -> bytes:
        """Apply the 64-byte commands of one journal frame, DATA slots included; return its 64-byte events.

        Raises UnknownRulesError before a command that puts rules in force which this build does not know; what came
        before it in the frame has moved the state, so nothing may be made of this shadow any more.
        """
        venue = self.venue
        assert timestamp_ns >= venue.timestamp_ns, "time went back"
        venue.timestamp_ns = timestamp_ns
        venue.events = []
        for fields in COMMAND_STRUCT.iter_unpack(commands):
            asked = Asked._make(fields)
            if asked.kind != Command.DATA:
                _apply(venue, asked)
            venue.sequence += 1
        venue.event_count += len(venue.events)
        return b"".join(venue.events)

    @property
    def next_sequence(self) -> int:
        """Sequence number of the next command."""
        return self.venue.sequence

    @property
    def event_count(self) -> int:
        """Events since the journal began."""
        return self.venue.event_count

    @property
    def timestamp_ns(self) -> int:
        """Timestamp of the last frame."""
        return self.venue.timestamp_ns

    @property
    def has_more_to_do(self) -> bool:
        """Whether a command left something over that TICKs go on with, at once and until nothing is left."""
        venue = self.venue
        left_over = (
            venue.stops_to_look_at or venue.accounts_to_check or venue.fund_has_work or venue.must_deleverage
        )
        return left_over and not venue.halted

    @property
    def wake_at_ns(self) -> int:
        """When the next TICK has something to do, 0 = nothing is waiting."""
        venue = self.venue
        waiting = [halting.next_reopen_ns(venue)]
        if venue.halted != TradingState.HALTED:
            waiting += [venue.next_timer_ns, venue.day_ends_ns]
        if venue.halted == TradingState.RUNNING:
            waiting.append(upkeep.next_due_ns(venue))
        return min((at for at in waiting if at), default=0)


def _apply(venue: Venue, asked: Asked) -> None:
    # What is newer than the rules in force is what an older build takes it for: a kind that nobody has.
    is_known = asked.kind in _APPLY and COMMAND_SINCE[asked.kind] <= venue.rules
    refused = halting.refusal_of_halt(venue, asked if is_known else asked._replace(kind=_NO_KIND))
    if refused is not None:
        venue.refuse(asked, refused)
    elif is_known:
        _APPLY[asked.kind](venue, asked)
    else:
        venue.refuse(asked, Reject.UNKNOWN_COMMAND, asked.kind)


def _place(venue: Venue, asked: Asked) -> None:
    if asked.type in (OrderType.LIMIT, OrderType.MARKET) and not asked.handle:
        placing.place(venue, asked)
    else:
        special.place_special(venue, asked)


def _tick(venue: Venue, asked: Asked) -> None:
    upkeep.tick(venue)


_NO_KIND = 0
_APPLY: dict[int, Callable[[Venue, Asked], None]] = {
    Command.PLACE: _place,
    Command.AMEND: amending.amend,
    Command.CANCEL: amending.cancel_one,
    Command.CANCEL_ALL: timers.cancel_all,
    Command.CANCEL_ALL_AFTER: timers.cancel_all_after,
    Command.SET_LEVERAGE: settings.set_leverage,
    Command.SET_RISK_LIMIT: settings.set_risk_limit,
    Command.TRANSFER_MARGIN: settings.transfer_margin,
    Command.OPEN_ACCOUNT: settings.open_account,
    Command.CONFIGURE_ACCOUNT: settings.configure_account,
    Command.DEPOSIT: wallets.deposit,
    Command.WITHDRAW: wallets.withdraw,
    Command.TRANSFER: wallets.transfer,
    Command.MARK: upkeep.price_command,
    Command.INDEX: upkeep.price_command,
    Command.TICK: _tick,
    Command.LIST: listing.list_instrument,
    Command.CONFIGURE: listing.configure,
    Command.SET_STATE: listing.set_state,
    Command.CONFIGURE_VENUE: listing.configure_venue,
    Command.SETTLE: settlement.settle_now,
    Command.HALT: halting.halt,
    Command.RESUME: halting.resume,
}
assert {*_APPLY, Command.DATA} == set(Command)
