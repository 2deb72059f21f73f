"""Halts: what stands still when somebody has found a wrong number, and how trading goes on.

Source: messages/commands.py, `Command.HALT`, `Command.RESUME` and `InstrumentState`. A venue or a contract goes from
RUNNING over CANCEL_ONLY to HALTED, and only a RESUME leads back, over a time of cancels only. While something is
halted nothing in it is matched, triggered, funded, liquidated or settled; marks are kept, not acted on.
"""

from collections.abc import Iterable

from ringfence.assurance.shadow.funding import next_funding_ns
from ringfence.assurance.shadow.instrument import Instrument
from ringfence.assurance.shadow.venue import Asked, Venue
from ringfence.messages.commands import (
    ALL_ASSETS,
    Command,
    ContractKind,
    HaltScope,
    InstrumentState,
    MissedFunding,
    TradingState,
)
from ringfence.messages.events import Event
from ringfence.messages.rejects import Reject
from ringfence.units.assets import ASSETS
from ringfence.units.time import NS_PER_MINUTE

_NARROW_NS = 5 * NS_PER_MINUTE
_ALWAYS = (Command.HALT, Command.RESUME, Command.MARK, Command.INDEX, Command.TICK)
_ORDER_FLOW = (Command.PLACE, Command.AMEND, Command.CANCEL)
"""Refused, if at all, where the state of their instrument is looked at."""
_FUNDS = (Command.DEPOSIT, Command.WITHDRAW, Command.TRANSFER)
_OF_POSITIONS = (Command.SET_LEVERAGE, Command.SET_RISK_LIMIT, Command.TRANSFER_MARGIN, Command.SETTLE)


# ---- what a halt refuses


def refusal_of_halt(venue: Venue, asked: Asked) -> Reject | None:
    """Return why a command is not taken now, None if no halt stands against it."""
    kind = asked.kind
    if kind in _ALWAYS or kind in _ORDER_FLOW:
        return None
    if venue.halted == TradingState.HALTED:
        return Reject.VENUE_HALTED
    if kind in _FUNDS:
        return _refusal_of_funds(venue, asked)
    if kind in _OF_POSITIONS:
        adds_margin = kind == Command.TRANSFER_MARGIN and asked.qty > 0
        instrument = venue.instruments.get(asked.symbol)
        state = instrument.state if instrument is not None else None
        if venue.halted and not adds_margin:
            return Reject.CANCEL_ONLY
        if state == InstrumentState.HALTED:
            return Reject.VENUE_HALTED
        if state == InstrumentState.CANCEL_ONLY and not adds_margin:
            return Reject.CANCEL_ONLY
    return None


def _refusal_of_funds(venue: Venue, asked: Asked) -> Reject | None:
    """Coins may still come in while cancels only are taken; nothing goes out or across.

    What custody says has happened on a chain already.
    """
    custody = venue.custody.number if venue.custody is not None else None
    if asked.account == custody:
        return None
    if venue.halted and asked.kind != Command.DEPOSIT:
        return Reject.CANCEL_ONLY
    halted = {Command.DEPOSIT: venue.deposits_halted, Command.WITHDRAW: venue.withdrawals_halted}
    if asked.kind == Command.TRANSFER and asked.handle == custody:
        return Reject.FUNDS_HALTED if asked.symbol in venue.withdrawals_halted else None
    return Reject.FUNDS_HALTED if asked.symbol in halted.get(Command(asked.kind), ()) else None


# ---- scopes


def _scope_error(venue: Venue, scope: int, symbol: int) -> Reject | None:
    if scope > HaltScope.SIGNERS:
        return Reject.INVALID_PARAMETER
    if scope == HaltScope.CONTRACT:
        instrument = venue.instruments.get(symbol)
        known = instrument is not None and instrument.kind != ContractKind.INDEX
    elif scope in (HaltScope.DEPOSITS, HaltScope.WITHDRAWALS):
        known = symbol < len(ASSETS) or symbol == ALL_ASSETS
    else:
        known = symbol == 0
    return None if known else Reject.INVALID_SYMBOL


def _assets_of(symbol: int) -> Iterable[int]:
    return range(len(ASSETS)) if symbol == ALL_ASSETS else (symbol,)


def _coins(venue: Venue, scope: int) -> set[int]:
    return venue.deposits_halted if scope == HaltScope.DEPOSITS else venue.withdrawals_halted


def _state_of(venue: Venue, scope: int, symbol: int) -> int:
    """Return how far a scope is halted; of several assets, whether any is."""
    if scope == HaltScope.VENUE:
        return venue.halted
    if scope == HaltScope.CONTRACT:
        return venue.instruments[symbol].halted
    if scope == HaltScope.SIGNERS:
        return venue.signers_halted
    any_is = not _coins(venue, scope).isdisjoint(_assets_of(symbol))
    return TradingState.HALTED if any_is else TradingState.RUNNING


def _set(venue: Venue, scope: int, symbol: int, state: int, reopens_ns: int = 0) -> None:
    """Bring a scope into a state, and say so."""
    before = _state_of(venue, scope, symbol)
    if scope == HaltScope.VENUE:
        venue.halted, venue.reopens_ns = state, reopens_ns
    elif scope == HaltScope.CONTRACT:
        instrument = venue.instruments[symbol]
        instrument.halted, instrument.reopens_ns = state, reopens_ns
    elif scope == HaltScope.SIGNERS:
        venue.signers_halted = state
    elif state == TradingState.RUNNING:
        _coins(venue, scope).difference_update(_assets_of(symbol))
    else:
        _coins(venue, scope).update(_assets_of(symbol))
    venue.say(
        Event.HALT_SET, handle=venue.halt_sequence, symbol=symbol, qty=state, px=scope, amount=before,
        maker_amount=reopens_ns,
    )  # fmt: skip


def state_of(venue: Venue, instrument: Instrument) -> int:
    """Return the state that follows from an instrument's listing and from the halts of venue and contract."""
    halted, listed = max(venue.halted, instrument.halted), instrument.listed
    if halted == TradingState.HALTED and listed in (InstrumentState.OPEN, InstrumentState.CLOSED):
        return InstrumentState.HALTED
    if halted == TradingState.CANCEL_ONLY and listed in (InstrumentState.OPEN, InstrumentState.CLOSED):
        return InstrumentState.CANCEL_ONLY
    return listed


def _refresh_states(venue: Venue) -> None:
    """Bring every instrument's state up to what its listing and the halts make of it."""
    for instrument in venue.instruments.values():
        state = state_of(venue, instrument)
        if state != instrument.state:
            instrument.state = state
            venue.say(Event.STATE_SET, symbol=instrument.number, qty=state)


# ---- halting, and going on


def halt(venue: Venue, asked: Asked) -> None:
    """Halt a scope, or go further where it is halted already."""
    scope, symbol, wanted = asked.type, asked.symbol, asked.qty
    error = _scope_error(venue, scope, symbol)
    if error is not None:
        return venue.refuse(asked, error)
    of_trading = scope in (HaltScope.VENUE, HaltScope.CONTRACT)
    if wanted != TradingState.HALTED and not (of_trading and wanted == TradingState.CANCEL_ONLY):
        return venue.refuse(asked, Reject.INVALID_PARAMETER, wanted)
    venue.halt_sequence = venue.sequence
    _set(venue, scope, symbol, max(_state_of(venue, scope, symbol), wanted))
    return _refresh_states(venue)


def resume(venue: Venue, asked: Asked) -> None:
    """Lift a halt: coins at once, trading after a time of cancels only."""
    scope, symbol, missed = asked.type, asked.symbol, asked.qty
    error = _scope_error(venue, scope, symbol)
    if error is not None:
        return venue.refuse(asked, error)
    if not MissedFunding.PAY <= missed <= MissedFunding.SKIP:
        return venue.refuse(asked, Reject.INVALID_PARAMETER, missed)
    before = _state_of(venue, scope, symbol)
    if before == TradingState.RUNNING or asked.handle != venue.halt_sequence:
        return venue.refuse(asked, Reject.NOT_THAT_HALT, venue.halt_sequence)
    skips = missed == MissedFunding.SKIP
    if scope == HaltScope.VENUE:
        venue.skips_funding = skips
    elif scope == HaltScope.CONTRACT:
        venue.instruments[symbol].skips_funding = skips
    if scope not in (HaltScope.VENUE, HaltScope.CONTRACT) or not venue.cancel_only_ns:
        return _reopen(venue, scope, symbol)
    _set(venue, scope, symbol, TradingState.CANCEL_ONLY, venue.timestamp_ns + venue.cancel_only_ns)
    return _refresh_states(venue)


def next_reopen_ns(venue: Venue) -> int:
    """Return when trading goes on somewhere, 0 = no time is set."""
    times = [venue.reopens_ns, *(instrument.reopens_ns for instrument in venue.instruments.values())]
    return min((at for at in times if at), default=0)


def reopen_due(venue: Venue) -> None:
    """Let trading go on wherever its time has come."""
    if 0 < venue.reopens_ns <= venue.timestamp_ns:
        _reopen(venue, HaltScope.VENUE, 0)
    for instrument in venue.instruments.values():
        if 0 < instrument.reopens_ns <= venue.timestamp_ns:
            _reopen(venue, HaltScope.CONTRACT, instrument.number)


def _reopen(venue: Venue, scope: int, symbol: int) -> None:
    _set(venue, scope, symbol, TradingState.RUNNING)
    if scope in (HaltScope.VENUE, HaltScope.CONTRACT):
        for instrument in venue.instruments.values():
            concerned = scope == HaltScope.VENUE or instrument.number == symbol
            after = state_of(venue, instrument)
            goes_on = after in (InstrumentState.OPEN, InstrumentState.CLOSED) and after != instrument.state
            if concerned and goes_on:
                _take_up(venue, instrument)
    if scope == HaltScope.VENUE:
        venue.skips_funding = False
    _refresh_states(venue)


def _take_up(venue: Venue, instrument: Instrument) -> None:
    """Prepare an instrument to go on: funding that was missed, narrow collars, everybody looked at again."""
    missed = 0 < instrument.next_funding_ns <= venue.timestamp_ns
    if missed and (venue.skips_funding or instrument.skips_funding):
        instrument.next_funding_ns = next_funding_ns(instrument, venue.timestamp_ns)
    instrument.skips_funding = False
    instrument.narrow_until_ns = venue.timestamp_ns + _NARROW_NS
    instrument.set_width(venue.timestamp_ns)
    venue.check_accounts_of(instrument.settle)
    venue.stops_to_look_at = venue.fund_has_work = True
    if instrument.must_be_deleveraged:
        venue.must_deleverage = True
