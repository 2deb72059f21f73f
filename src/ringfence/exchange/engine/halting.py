"""Halts: what stands still when somebody has found a wrong number, and how trading goes on.

A venue or a contract goes from RUNNING over CANCEL_ONLY to HALTED, and only a RESUME leads back: over a time
of cancels only, so that nobody is filled by an order that they would have taken away. While anything is halted
nothing in it is matched, triggered, funded, liquidated or settled; marks are kept, not acted on. An instrument's
`state` is what follows from its listing and from both halts, so that the paths of orders ask one question.
"""

from typing import Any

import numpy as np

from ringfence.exchange.engine.listing import (
    narrow_collars,
    next_funding,
    set_next_due,
    trading_state,
)
from ringfence.exchange.engine.margin import ask_for_scan
from ringfence.exchange.engine.records import PENDING_ADL, PENDING_TRIGGERS, PENDING_WORK
from ringfence.exchange.engine.tables import emit, has_room, instruments, refuse
from ringfence.exchange.engine.views import Record, U, compiled
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

_HALT_SET, _STATE_SET = int(Event.HALT_SET), int(Event.STATE_SET)
_VENUE, _CONTRACT = int(HaltScope.VENUE), int(HaltScope.CONTRACT)
_DEPOSITS, _WITHDRAWALS, _SIGNERS = (
    int(HaltScope.DEPOSITS), int(HaltScope.WITHDRAWALS), int(HaltScope.SIGNERS),
)  # fmt: skip
_RUNNING, _CANCEL_ONLY, _HALTED = (
    int(TradingState.RUNNING), int(TradingState.CANCEL_ONLY), int(TradingState.HALTED),
)  # fmt: skip
_STATE_CANCEL_ONLY, _STATE_HALTED = int(InstrumentState.CANCEL_ONLY), int(InstrumentState.HALTED)
_OPEN = int(InstrumentState.OPEN)
_INDEX_KIND, _SKIP = int(ContractKind.INDEX), int(MissedFunding.SKIP)
_N_ASSETS = len(ASSETS)
_EVENTS = 128

_HALT, _RESUME = int(Command.HALT), int(Command.RESUME)
_MARK, _INDEX, _TICK = int(Command.MARK), int(Command.INDEX), int(Command.TICK)
_DEPOSIT, _WITHDRAW, _TRANSFER = int(Command.DEPOSIT), int(Command.WITHDRAW), int(Command.TRANSFER)
_SET_LEVERAGE, _SET_RISK_LIMIT = int(Command.SET_LEVERAGE), int(Command.SET_RISK_LIMIT)
_TRANSFER_MARGIN, _SETTLE = int(Command.TRANSFER_MARGIN), int(Command.SETTLE)

_R_PARAMETER, _R_SYMBOL = int(Reject.INVALID_PARAMETER), int(Reject.INVALID_SYMBOL)
_R_HALTED, _R_CANCEL_ONLY = int(Reject.VENUE_HALTED), int(Reject.CANCEL_ONLY)
_R_FUNDS, _R_NOT_THAT = int(Reject.FUNDS_HALTED), int(Reject.NOT_THAT_HALT)


# ---- what a halt refuses; orders are refused where their instrument's state is looked at


@compiled
def refusal_of_halt(h: Record, cmd: Record, kind: int) -> Any:
    """Return why a command that is not order flow is not taken now, 0 if no halt stands against it."""
    if kind == _HALT or kind == _RESUME or kind == _MARK or kind == _INDEX or kind == _TICK:
        return 0
    if h.halted == _HALTED:
        return _R_HALTED
    if kind == _DEPOSIT or kind == _WITHDRAW or kind == _TRANSFER:
        return refusal_of_funds(h, cmd, kind, np.int64(cmd.symbol))
    adds_margin = kind == _TRANSFER_MARGIN and cmd.qty > 0
    if kind == _SET_LEVERAGE or kind == _SET_RISK_LIMIT or kind == _TRANSFER_MARGIN or kind == _SETTLE:
        if h.halted != 0 and not adds_margin:
            return _R_CANCEL_ONLY
        if cmd.symbol != 0 and cmd.symbol <= h.n_instruments:
            state = np.int64(instruments(h, cmd.symbol).state)
            if state == _STATE_HALTED:
                return _R_HALTED
            if state == _STATE_CANCEL_ONLY and not adds_margin:
                return _R_CANCEL_ONLY
    return 0


@compiled
def refusal_of_funds(h: Record, cmd: Record, kind: int, asset: int) -> Any:
    """Coins may still come in while cancels only are taken; nothing goes out or across.

    What custody says of coins that have left a chain, or that come back from it, is what has happened already.
    """
    if h.custody_account != 0 and cmd.account == h.custody_account:
        return 0
    if h.halted != 0 and kind != _DEPOSIT:
        return _R_CANCEL_ONLY
    halted = np.int64(h.deposits_halted) if kind == _DEPOSIT else np.int64(h.withdrawals_halted)
    leaves = kind != _TRANSFER or (h.custody_account != 0 and cmd.handle == U(h.custody_account))
    if leaves and asset < _N_ASSETS and (halted >> asset) & 1:
        return _R_FUNDS
    return 0


# ---- halting


@compiled
def halt(h: Record, cmd: Record) -> bool:
    """Halt a scope, or go further where it is halted already. False = no room for the events."""
    if not has_room(h, _EVENTS):
        return False
    scope, wanted, symbol = np.int64(cmd.type), np.int64(cmd.qty), np.int64(cmd.symbol)
    code = scope_error(h, scope, symbol)
    if code != 0:
        return refuse(h, cmd, code, 0)
    if wanted != _HALTED and (wanted != _CANCEL_ONLY or scope > _CONTRACT):
        return refuse(h, cmd, _R_PARAMETER, wanted)
    before = state_of_scope(h, scope, symbol)
    after: Any = max(before, wanted)
    h.halt_sequence = h.sequence
    set_scope(h, scope, symbol, after, 0)
    say(h, scope, symbol, before, after, 0)
    refresh_states(h)
    return True


@compiled
def scope_error(h: Record, scope: int, symbol: int) -> Any:
    if scope > _SIGNERS:
        return _R_PARAMETER
    if scope == _CONTRACT:
        if symbol == 0 or symbol > h.n_instruments or instruments(h, symbol).kind == _INDEX_KIND:
            return _R_SYMBOL
    elif scope == _DEPOSITS or scope == _WITHDRAWALS:
        if symbol >= _N_ASSETS and symbol != ALL_ASSETS:
            return _R_SYMBOL
    elif symbol != 0:
        return _R_SYMBOL
    return 0


@compiled
def assets_of(symbol: int) -> Any:
    """Return the bits of the assets that a scope names."""
    if symbol == ALL_ASSETS:
        return np.int64((1 << _N_ASSETS) - 1)
    return np.int64(1) << symbol


@compiled
def state_of_scope(h: Record, scope: int, symbol: int) -> Any:
    if scope == _VENUE:
        return np.int64(h.halted)
    if scope == _CONTRACT:
        return np.int64(instruments(h, symbol).halted)
    if scope == _SIGNERS:
        return np.int64(h.signers_halted)
    bits = np.int64(h.deposits_halted) if scope == _DEPOSITS else np.int64(h.withdrawals_halted)
    return np.int64(_HALTED) if bits & assets_of(symbol) else np.int64(_RUNNING)


@compiled
def set_scope(h: Record, scope: int, symbol: int, state: int, reopens_ns: int) -> None:
    if scope == _VENUE:
        h.halted = state
        h.reopens_ns = reopens_ns
    elif scope == _CONTRACT:
        instruments(h, symbol).halted = state
        instruments(h, symbol).reopens_ns = reopens_ns
    elif scope == _SIGNERS:
        h.signers_halted = state
    elif scope == _DEPOSITS:
        h.deposits_halted = with_bits(np.int64(h.deposits_halted), assets_of(symbol), state != _RUNNING)
    else:
        h.withdrawals_halted = with_bits(np.int64(h.withdrawals_halted), assets_of(symbol), state != _RUNNING)


@compiled
def with_bits(old: int, bits: int, on: bool) -> Any:
    return old | bits if on else old & ~bits


@compiled
def say(h: Record, scope: int, symbol: int, before: int, after: int, reopens_ns: int) -> None:
    e = emit(h, _HALT_SET, 0, U(h.halt_sequence), 0, symbol, after, scope, before)
    e.maker_amount = reopens_ns


@compiled
def refresh_states(h: Record) -> None:
    """Bring every instrument's state up to what its listing and both halts make of it."""
    earliest = np.int64(h.reopens_ns)
    for symbol in range(1, np.int64(h.n_instruments) + 1):
        ins = instruments(h, symbol)
        state = trading_state(h, ins)
        if state != ins.state:
            ins.state = state
            emit(h, _STATE_SET, 0, U(0), 0, symbol, state, 0, 0)
        if ins.reopens_ns != 0 and (earliest == 0 or ins.reopens_ns < earliest):
            earliest = ins.reopens_ns
    h.next_reopen_ns = earliest
    set_next_due(h)


# ---- going on


@compiled
def resume(h: Record, cmd: Record) -> bool:
    """Lift a halt: coins at once, trading after a time of cancels only. False = no room for the events."""
    if not has_room(h, _EVENTS):
        return False
    scope, symbol = np.int64(cmd.type), np.int64(cmd.symbol)
    code = scope_error(h, scope, symbol)
    if code != 0:
        return refuse(h, cmd, code, 0)
    if cmd.qty < 0 or cmd.qty > _SKIP:
        return refuse(h, cmd, _R_PARAMETER, cmd.qty)
    before = state_of_scope(h, scope, symbol)
    if before == _RUNNING or cmd.handle != U(h.halt_sequence):
        return refuse(h, cmd, _R_NOT_THAT, h.halt_sequence)
    if scope == _VENUE:
        h.skip_funding = cmd.qty
    elif scope == _CONTRACT:
        instruments(h, symbol).skip_funding = cmd.qty
    if scope > _CONTRACT or h.cancel_only_ns == 0:
        reopen(h, scope, symbol, before)
        return True
    reopens_ns = h.timestamp_ns + h.cancel_only_ns
    set_scope(h, scope, symbol, _CANCEL_ONLY, reopens_ns)
    say(h, scope, symbol, before, _CANCEL_ONLY, reopens_ns)
    refresh_states(h)
    return True


@compiled
def reopen_due(h: Record) -> bool:
    """Let trading go on wherever its time has come. False = no room for the events."""
    if not has_room(h, 2 * _EVENTS):
        return False
    if h.reopens_ns != 0 and h.reopens_ns <= h.timestamp_ns:
        reopen(h, _VENUE, 0, np.int64(h.halted))
    for symbol in range(1, np.int64(h.n_instruments) + 1):
        ins = instruments(h, symbol)
        if ins.reopens_ns != 0 and ins.reopens_ns <= h.timestamp_ns:
            reopen(h, _CONTRACT, symbol, np.int64(ins.halted))
    return True


@compiled
def reopen(h: Record, scope: int, symbol: int, before: int) -> None:
    set_scope(h, scope, symbol, _RUNNING, 0)
    say(h, scope, symbol, before, _RUNNING, 0)
    if scope <= _CONTRACT:
        for number in range(1, np.int64(h.n_instruments) + 1):
            ins = instruments(h, number)
            if (
                (scope == _VENUE or number == symbol)
                and trading_state(h, ins) < _STATE_CANCEL_ONLY
                and ins.state >= _STATE_CANCEL_ONLY
            ):
                take_up(h, ins)
    if scope == _VENUE:
        h.skip_funding = 0
    refresh_states(h)


@compiled
def take_up(h: Record, ins: Record) -> None:
    """Prepare an instrument to go on: funding that was missed, narrow collars, everybody looked at again."""
    if ins.next_funding_ns != 0 and ins.next_funding_ns <= h.timestamp_ns:
        if h.skip_funding == _SKIP or ins.skip_funding == _SKIP:
            ins.next_funding_ns = next_funding(ins, h.timestamp_ns)
    ins.skip_funding = 0
    narrow_collars(h, ins)
    ask_for_scan(h, np.int64(ins.settle))
    h.pending = np.int64(h.pending) | PENDING_TRIGGERS | PENDING_WORK
    if ins.adl_due != 0:
        h.pending = np.int64(h.pending) | PENDING_ADL
