"""What an account sets: leverage, risk limit, isolated margin, coins in and out, its own switches."""

from typing import Any

import numpy as np

from ringfence.exchange.engine.arithmetic import PPM, udiv
from ringfence.exchange.engine.margin import (
    SPOT,
    available,
    maintenance,
    own_margin,
    profit_at_mark,
    relock,
    touch_margin,
    withdrawable,
    worst_exposure,
)
from ringfence.exchange.engine.records import (
    FEE_EXEMPT,
    MARGIN_CLASSIC,
    MARGIN_DISABLED,
    MARGIN_FEE_TIER_MASK,
    MARGIN_FEE_TIER_SHIFT,
    MARGIN_SELF_TRADE_MASK,
    MARGIN_SELF_TRADE_SHIFT,
)
from ringfence.exchange.engine.tables import (
    emit,
    instruments,
    margin_of,
    position_of,
    positions,
    refuse,
)
from ringfence.exchange.engine.views import Record, U, compiled
from ringfence.messages.commands import AccountParameter, AccountSays, ContractKind, OrderFlag, SelfTrade
from ringfence.messages.events import Event, EventFlag
from ringfence.messages.rejects import Reject
from ringfence.units.assets import ASSETS
from ringfence.units.limits import ACCOUNT_MAX, LEVERAGE_HUNDREDTHS_MAX, WALLET_MAX

_POSITION_SET, _OPENED = int(Event.POSITION_SET), int(Event.ACCOUNT_OPENED)
_ACCOUNT_SET, _TRANSFERRED = int(Event.ACCOUNT_SET), int(Event.TRANSFERRED)
_DEPOSITED, _WITHDRAWN = int(Event.DEPOSITED), int(Event.WITHDRAWN)
_DEMO_EVENT, _DEMO = int(EventFlag.DEMO), int(OrderFlag.DEMO)
_SELF_TRADE, _DISABLED = int(AccountParameter.SELF_TRADE), int(AccountParameter.TRADING_DISABLED)
_FEE_TIER, _CROSS_MODE = int(AccountParameter.FEE_TIER), int(AccountParameter.CROSS_MODE)
_WITHDRAWALS, _SAYS_LAST = int(AccountParameter.WITHDRAWALS), int(max(AccountSays))
_SELF_TRADE_LAST = int(SelfTrade.ALLOW)
_N_ASSETS = len(ASSETS)
_INDEX_KIND = int(ContractKind.INDEX)

_R_SYMBOL, _R_ACCOUNT = int(Reject.INVALID_SYMBOL), int(Reject.INVALID_ACCOUNT)
_R_LEVERAGE, _R_TOO_HIGH = int(Reject.INVALID_LEVERAGE), int(Reject.LEVERAGE_TOO_HIGH)
_R_RISK_LIMIT, _R_CROSS = int(Reject.INVALID_RISK_LIMIT), int(Reject.POSITION_IS_CROSS)
_R_ISOLATED = int(Reject.INSUFFICIENT_ISOLATED_MARGIN)
_R_AMOUNT, _R_BALANCE = int(Reject.INVALID_AMOUNT), int(Reject.INSUFFICIENT_BALANCE)
_R_LIQUIDATION = int(Reject.IMMEDIATE_LIQUIDATION)
_R_INSTRUCTION, _R_CUSTODY = int(Reject.INSTRUCTION_OUT_OF_ORDER), int(Reject.CUSTODY_ONLY)
_R_PARAMETER, _R_FAMILY = int(Reject.INVALID_PARAMETER), int(Reject.NOT_ONE_FAMILY)


@compiled
def derivative_error(h: Record, cmd: Record) -> Any:
    """Return why a position setting cannot apply, 0 if it can: spot and indices have no positions."""
    if cmd.account == 0 or cmd.account > h.n_accounts or cmd.account == h.fund_account:
        return _R_ACCOUNT
    if cmd.symbol == 0 or cmd.symbol > h.n_instruments:
        return _R_SYMBOL
    kind = np.int64(instruments(h, cmd.symbol).kind)
    return _R_SYMBOL if kind == SPOT or kind == _INDEX_KIND else 0


@compiled
def say_position(h: Record, ins: Record, p: Record) -> bool:
    limit = ins.risk_base + np.int64(p.tier) * ins.risk_step
    e = emit(h, _POSITION_SET, 0, U(0), p.account, p.symbol, np.int64(p.leverage), 0, limit)
    e.maker_amount = p.transferred
    return True


@compiled
def leverage_max(ins: Record, tier: int) -> Any:
    """Return the highest leverage, in hundredths, whose margin covers the tier's initial rate."""
    rate = np.int64(ins.initial_ppm) + tier * np.int64(ins.maintenance_ppm)
    return min(udiv(np.int64(100 * PPM), rate), LEVERAGE_HUNDREDTHS_MAX)


@compiled
def isolated_below_maintenance(ins: Record, p: Record) -> bool:
    """Return whether an isolated position's own margin is below its maintenance margin at the mark."""
    if p.leverage == 0 or p.qty == 0:
        return False
    return bool(own_margin(ins, p) + profit_at_mark(ins, p) < maintenance(ins, p))


@compiled
def change_position(
    h: Record, cmd: Record, ins: Record, m: Record, p: Record, leverage: int, tier: int, transferred: int
) -> bool:
    """Apply new settings if the account can afford them, else put the old ones back and refuse."""
    old_leverage, old_tier = np.int64(p.leverage), np.int64(p.tier)
    old_transferred, old_locked = p.transferred, p.locked
    free_before = available(h, m)
    p.leverage, p.tier, p.transferred = leverage, tier, transferred
    m.epoch = 0
    relock(ins, m, p)
    free = available(h, m)
    code = 0
    if free < 0 and free < free_before:
        code = _R_BALANCE
    elif isolated_below_maintenance(ins, p) and free_before != free:
        code = _R_LIQUIDATION
    if code != 0:
        need = p.locked - old_locked
        p.leverage, p.tier, p.transferred = old_leverage, old_tier, old_transferred
        m.epoch = 0
        relock(ins, m, p)
        return refuse(h, cmd, code, need if code == _R_BALANCE else 0)
    return say_position(h, ins, p)


@compiled
def set_leverage(h: Record, cmd: Record) -> bool:
    code = derivative_error(h, cmd)
    if code != 0:
        return refuse(h, cmd, code, 0)
    ins = instruments(h, cmd.symbol)
    m = margin_of(h, ins.settle, cmd.account)
    p = positions(h, position_of(h, m, np.int64(cmd.account), np.int64(cmd.symbol)))
    if cmd.qty < 0 or cmd.qty > LEVERAGE_HUNDREDTHS_MAX:
        return refuse(h, cmd, _R_LEVERAGE, 0)
    if cmd.qty > leverage_max(ins, np.int64(p.tier)):
        return refuse(h, cmd, _R_TOO_HIGH, leverage_max(ins, np.int64(p.tier)))
    transferred = np.int64(0) if cmd.qty == 0 else p.transferred
    return change_position(h, cmd, ins, m, p, cmd.qty, np.int64(p.tier), transferred)


@compiled
def set_risk_limit(h: Record, cmd: Record) -> bool:
    code = derivative_error(h, cmd)
    if code != 0:
        return refuse(h, cmd, code, 0)
    ins = instruments(h, cmd.symbol)
    m = margin_of(h, ins.settle, cmd.account)
    p = positions(h, position_of(h, m, np.int64(cmd.account), np.int64(cmd.symbol)))
    highest = ins.risk_base + np.int64(h.risk_tiers_max) * ins.risk_step
    if cmd.qty <= 0 or cmd.qty > highest or cmd.qty < worst_exposure(p, p.open_buys, p.open_sells):
        return refuse(h, cmd, _R_RISK_LIMIT, highest)
    tier = udiv(max(cmd.qty - ins.risk_base, 0) + ins.risk_step - 1, ins.risk_step)
    if p.leverage > leverage_max(ins, tier):
        return refuse(h, cmd, _R_TOO_HIGH, leverage_max(ins, tier))
    return change_position(h, cmd, ins, m, p, np.int64(p.leverage), tier, p.transferred)


@compiled
def transfer_margin(h: Record, cmd: Record) -> bool:
    code = derivative_error(h, cmd)
    if code != 0:
        return refuse(h, cmd, code, 0)
    ins = instruments(h, cmd.symbol)
    m = margin_of(h, ins.settle, cmd.account)
    p = positions(h, position_of(h, m, np.int64(cmd.account), np.int64(cmd.symbol)))
    if p.leverage == 0:
        return refuse(h, cmd, _R_CROSS, 0)
    if cmd.qty == 0 or abs(cmd.qty) > WALLET_MAX or p.qty == 0:
        return refuse(h, cmd, _R_AMOUNT, 0)
    if p.transferred + cmd.qty < 0:
        return refuse(h, cmd, _R_ISOLATED, p.transferred)
    if cmd.qty > 0 and available(h, m) < cmd.qty:
        return refuse(h, cmd, _R_BALANCE, cmd.qty)
    p.transferred += cmd.qty
    if cmd.qty < 0 and isolated_below_maintenance(ins, p):
        p.transferred -= cmd.qty
        return refuse(h, cmd, _R_ISOLATED, p.transferred)
    relock(ins, m, p)
    return say_position(h, ins, p)


@compiled
def open_account(h: Record, cmd: Record) -> bool:
    if cmd.account != h.n_accounts + 1 or cmd.account > ACCOUNT_MAX:
        return refuse(h, cmd, _R_ACCOUNT, np.int64(h.n_accounts) + 1)
    parent = np.int64(cmd.handle)
    # A sub-account has no sub-accounts of its own: a family is one deep.
    if parent != 0 and (parent < 0 or parent > h.n_accounts or margin_of(h, 0, parent).parent != 0):
        return refuse(h, cmd, _R_ACCOUNT, parent)
    h.n_accounts += 1
    margin_of(h, 0, cmd.account).parent = parent
    e = emit(h, _OPENED, 0, U(0), cmd.account, 0, 0, 0, 0)
    e.maker_account = parent
    return True


@compiled
def family_of(h: Record, account: int) -> Any:
    """Return the main account of an account, itself if it is one."""
    parent = np.int64(margin_of(h, 0, account).parent)
    return parent if parent != 0 else np.int64(account)


@compiled
def transfer(h: Record, cmd: Record) -> bool:
    """Move coins between two accounts of one family, or between an account and custody's."""
    account, other = np.int64(cmd.account), np.int64(cmd.handle)
    if account == 0 or account > h.n_accounts or other <= 0 or other > h.n_accounts:
        return refuse(h, cmd, _R_ACCOUNT, other)
    if cmd.symbol >= _N_ASSETS:
        return refuse(h, cmd, _R_SYMBOL, 0)
    is_custody = h.custody_account != 0 and (account == h.custody_account or other == h.custody_account)
    if account == other or not (is_custody or family_of(h, account) == family_of(h, other)):
        return refuse(h, cmd, _R_FAMILY, 0)
    if account == h.custody_account and out_of_order(h, cmd):
        return refuse(h, cmd, _R_INSTRUCTION, np.int64(h.instruction_next))
    m, to = margin_of(h, cmd.symbol, account), margin_of(h, cmd.symbol, other)
    if cmd.qty <= 0 or cmd.qty > WALLET_MAX or to.wallet > WALLET_MAX - cmd.qty:
        return refuse(h, cmd, _R_AMOUNT, 0)
    if withdrawable(h, m) < cmd.qty:
        return refuse(h, cmd, _R_BALANCE, cmd.qty)
    m.wallet -= cmd.qty
    to.wallet += cmd.qty
    if account == h.custody_account:
        h.instruction_next += 1
    e = emit(h, _TRANSFERRED, 0, U(0), account, cmd.symbol, 0, 0, cmd.qty)
    e.maker_account = other
    return True


@compiled
def is_of_venue(h: Record, account: int) -> bool:
    return bool(account == h.fund_account or account == h.custody_account)


@compiled
def out_of_order(h: Record, cmd: Record) -> bool:
    """Return whether this is not custody's next instruction: sent again after a crash, it has been done."""
    return bool(np.int64(cmd.px) != h.instruction_next)


@compiled
def configure_account(h: Record, cmd: Record) -> bool:
    if cmd.account == 0 or cmd.account > h.n_accounts:
        return refuse(h, cmd, _R_ACCOUNT, 0)
    account = np.int64(cmd.account)
    for asset in range(_N_ASSETS):
        m = margin_of(h, asset, account)
        flags = np.int64(m.flags)
        if cmd.type == _SELF_TRADE and cmd.qty >= 0 and cmd.qty <= _SELF_TRADE_LAST:
            m.flags = (flags & ~MARGIN_SELF_TRADE_MASK) | (cmd.qty << MARGIN_SELF_TRADE_SHIFT)
        elif cmd.type == _DISABLED and (cmd.qty == 0 or cmd.qty == 1) and not is_of_venue(h, account):
            m.flags = (flags & ~MARGIN_DISABLED) | cmd.qty
        elif cmd.type == _FEE_TIER and cmd.qty >= 0 and cmd.qty < FEE_EXEMPT and account != h.fund_account:
            m.flags = (flags & ~MARGIN_FEE_TIER_MASK) | (cmd.qty << MARGIN_FEE_TIER_SHIFT)
        elif cmd.type == _CROSS_MODE and (cmd.qty == 0 or cmd.qty == 1):
            m.flags = (flags & ~MARGIN_CLASSIC) | (MARGIN_CLASSIC if cmd.qty == 1 else 0)
            touch_margin(m)
        elif not (cmd.type == _WITHDRAWALS and cmd.qty >= 1 and cmd.qty <= _SAYS_LAST):
            return refuse(h, cmd, _R_PARAMETER, 0)
    emit(h, _ACCOUNT_SET, 0, U(0), cmd.account, 0, cmd.qty, np.int64(cmd.type), 0)
    return True


@compiled
def deposit(h: Record, cmd: Record) -> bool:
    if cmd.account == 0 or cmd.account > h.n_accounts:
        return refuse(h, cmd, _R_ACCOUNT, 0)
    if cmd.symbol >= _N_ASSETS:
        return refuse(h, cmd, _R_SYMBOL, 0)
    is_of_chain = h.custody_account != 0 and not cmd.flags & _DEMO
    if is_of_chain and out_of_order(h, cmd):
        return refuse(h, cmd, _R_INSTRUCTION, np.int64(h.instruction_next))
    m = margin_of(h, cmd.symbol, cmd.account)
    if cmd.qty <= 0 or cmd.qty > WALLET_MAX or m.wallet > WALLET_MAX - cmd.qty:
        return refuse(h, cmd, _R_AMOUNT, WALLET_MAX - m.wallet)
    m.wallet += cmd.qty
    if is_of_chain:
        h.instruction_next += 1
    flags = _DEMO_EVENT if cmd.flags & _DEMO else 0
    emit(h, _DEPOSITED, flags, U(0), cmd.account, cmd.symbol, 0, 0, cmd.qty)
    return True


@compiled
def withdraw(h: Record, cmd: Record) -> bool:
    if cmd.account == 0 or cmd.account > h.n_accounts:
        return refuse(h, cmd, _R_ACCOUNT, 0)
    if cmd.symbol >= _N_ASSETS:
        return refuse(h, cmd, _R_SYMBOL, 0)
    is_of_chain = h.custody_account != 0 and not cmd.flags & _DEMO
    if h.custody_account != 0 and is_of_chain != (cmd.account == h.custody_account):
        return refuse(h, cmd, _R_CUSTODY, 0)
    if is_of_chain and out_of_order(h, cmd):
        return refuse(h, cmd, _R_INSTRUCTION, np.int64(h.instruction_next))
    m = margin_of(h, cmd.symbol, cmd.account)
    if cmd.qty <= 0 or cmd.qty > WALLET_MAX:
        return refuse(h, cmd, _R_AMOUNT, 0)
    if withdrawable(h, m) < cmd.qty:
        return refuse(h, cmd, _R_BALANCE, cmd.qty)
    m.wallet -= cmd.qty
    if is_of_chain:
        h.instruction_next += 1
    flags = _DEMO_EVENT if cmd.flags & _DEMO else 0
    emit(h, _WITHDRAWN, flags, U(0), cmd.account, cmd.symbol, 0, 0, cmd.qty)
    return True
