"""Markets that nobody would open: an operator who means no good, contracts as large as records hold."""

import numpy as np

from ringfence.messages.batch import Records
from ringfence.messages.commands import (
    ALL_ASSETS,
    AccountParameter,
    Command,
    ContractKind,
    CrossMode,
    HaltScope,
    InstrumentParameter,
    InstrumentState,
    OrderFlag,
    OrderType,
    VenueParameter,
)
from ringfence.testing.play import START_NS, command
from ringfence.testing.workloads import turmoil
from ringfence.units.limits import MARK_SUBTICKS
from ringfence.units.time import NS_PER_HOUR

_P = InstrumentParameter
_SETTINGS: dict[InstrumentParameter, list[int]] = {
    _P.INITIAL_MARGIN_PPM: [10_000, 20_000, 50_000],
    _P.MAINTENANCE_MARGIN_PPM: [3_500, 5_000, 10_000],
    _P.TAKER_FEE_PPM: [-100, 0, 750, 5_000],
    _P.MAKER_FEE_PPM: [-250, 0, 500],
    _P.COLLAR_PPM: [1_000, 50_000],
    _P.ORDERS_PER_ACCOUNT_MAX: [3, 200],
    _P.STOPS_PER_ACCOUNT_MAX: [2, 10],
    _P.INTEREST_E8: [-10_000, 0, 10_000, 200_000],
    _P.IMPACT_VALUE: [0, 1_000, 10**6],
    _P.FUNDING_INTERVAL_NS: [0, NS_PER_HOUR, 8 * NS_PER_HOUR],
    _P.MARK_METHOD: [0, 1],
    _P.ADL_METHOD: [0, 1],
    _P.LAST_BAND_PPM: [0, 10_000, 50_000],
    _P.SETTLEMENT_FEE_PPM: [0, 500],
    _P.INDEX: [0, 8, 10],
    _P.RISK_LIMIT_BASE: [10**7, 10**10],
    _P.LOT_SIZE: [100],
    _P.EXPIRY_NS: [START_NS + NS_PER_HOUR // 4, START_NS + 9 * NS_PER_HOUR, 2**61, 2**61],
}


class _Operator:
    """Writes one command of an operator or of somebody's settings, sane and absurd."""

    def __init__(self, seed: int, accounts: int) -> None:
        self.dice = np.random.default_rng(seed)
        self.accounts = accounts

    def __call__(self) -> Records:
        kinds = [
            self._configure, self._configure, self._state, self._state, self._halt, self._resume, self._resume,
            self._resume, self._account, self._transfer, self._transfer, self._open, self._venue, self._settle,
            self._coins,
        ]  # fmt: skip
        return kinds[self.dice.integers(len(kinds))]()

    def _one_of(self, *values: int) -> int:
        return int(self.dice.choice(values))

    def _configure(self) -> Records:
        parameter = list(_SETTINGS)[self.dice.integers(len(_SETTINGS))]
        value = (
            self._one_of(*_SETTINGS[parameter]) if self.dice.random() < 0.9 else self._one_of(-1, 0, 2**60)
        )
        return command(Command.CONFIGURE, symbol=self._symbol(), type=parameter, qty=value)

    def _symbol(self) -> int:
        return int(self.dice.integers(1, 8)) if self.dice.random() < 0.95 else self._one_of(0, 8, 13, 63)

    def _state(self) -> Records:
        return command(
            Command.SET_STATE, symbol=self._symbol(), qty=self._one_of(1, 1, 1, 1, 1, 1, 1, 1, 2, 4, 5, 0)
        )

    def _scope(self) -> tuple[int, int]:
        scope = self._one_of(0, 1, 1, 2, 3, 4, 5)
        coins = scope in (HaltScope.DEPOSITS, HaltScope.WITHDRAWALS)
        of = self._one_of(0, 1, 7, ALL_ASSETS) if coins else self._symbol()
        return scope, of if coins or scope == HaltScope.CONTRACT else 0

    def _halt(self) -> Records:
        if self.dice.random() < 0.5:
            return self._resume()
        scope, symbol = self._scope()
        return command(Command.HALT, type=scope, symbol=symbol, qty=self._one_of(0, 1, 1, 2, 2, 3))

    def _resume(self) -> Records:
        """Resume something; the caller fills in the halt that it names."""
        scope, symbol = self._scope()
        return command(Command.RESUME, type=scope, symbol=symbol, qty=self._one_of(0, 0, 1, 1, 2), handle=1)

    def _account(self) -> Records:
        return command(
            Command.CONFIGURE_ACCOUNT, account=self._number(), type=self._one_of(1, 2, 3, 4, 5),
            qty=self._one_of(0, 0, 0, 1, 1, 2, 7),
        )  # fmt: skip

    def _number(self) -> int:
        return int(self.dice.integers(1, self.accounts + 2))

    def _transfer(self) -> Records:
        # The first two accounts have families.
        handle, account = int(self.dice.integers(0, self.accounts + 1)), self._one_of(1, 2, self._number())
        qty = self._one_of(-1, 1_000, 10_000, 10**6, 2**62)
        return command(
            Command.TRANSFER, account=account, handle=handle, symbol=self._one_of(0, 0, 1, 6), qty=qty
        )

    def _open(self) -> Records:
        if self.dice.random() < 0.2:
            return command(
                Command.OPEN_ACCOUNT, account=self._number(), handle=self._one_of(0, self.accounts, 2**62)
            )
        self.accounts += 1
        return command(Command.OPEN_ACCOUNT, account=self.accounts, handle=self._one_of(0, 1, 2))

    def _venue(self) -> Records:
        kind, qty = self._one_of(1, 2, 3, 3, 4, 11, 12, 13, 16, 17), self._one_of(0, 5, 100, 3 * 10**9, 2**60)
        return command(Command.CONFIGURE_VENUE, type=VenueParameter(3) if kind == 17 else kind, qty=qty)

    def _settle(self) -> Records:
        return command(Command.SETTLE, symbol=self._symbol() if self.dice.random() < 0.1 else 0)

    def _coins(self) -> Records:
        kind = Command.DEPOSIT if self.dice.random() < 0.7 else Command.WITHDRAW
        return command(
            kind, account=self._number(), symbol=self._one_of(0, 1, 2, 7), qty=self._one_of(0, 10**5, 10**7)
        )


def operated(seed: int, *, count: int, accounts: int, every: int = 12) -> Records:
    """Return `turmoil` with a command of the operator before every so many commands."""
    rows = turmoil(seed, count=count, accounts=accounts)
    dice = np.random.default_rng(seed)
    # The future and spot, too.
    moved = (rows["kind"] == Command.PLACE) & (dice.random(count) < 0.15)
    rows["symbol"] = np.where(moved, dice.choice([6, 7], count), rows["symbol"])
    rows["qty"] = np.where(moved & (rows["symbol"] == 7), rows["qty"] * 10, rows["qty"])
    operator = _Operator(seed, accounts + 1)
    parts = []
    for begin in range(0, count, every):
        parts += [operator(), rows[begin : begin + every]]
    return np.concatenate(parts)


_N_CONTRACTS = 6
_RISK_TIERS = 10


def _contract(dice: np.random.Generator, number: int) -> tuple[list[Records], int, int]:
    """List a contract of random size, as large as its limits let it be; return (commands, middle price, lot size)."""
    kind = int(
        dice.choice([ContractKind.INVERSE, ContractKind.LINEAR, ContractKind.SPOT], p=[0.45, 0.45, 0.1])
    )
    px_max = int(dice.choice([500, 20_000, 1_000_000, 2**24 - 2]))
    middle = int(px_max * dice.uniform(0.05, 0.9))
    lot_size = int(dice.choice([1, 3, 7, 100, 1_000]))
    lots = int(dice.choice([1_000, 100_000, 1_000_000]))
    lots = min(lots, 2_000_000_000 // lot_size)
    dearest = min(2**62 // lots, 2**55)
    factor = (
        int(dice.uniform(0.001, 1) * min(dearest, 2**52))
        if kind == ContractKind.INVERSE
        else dearest // px_max
    )
    factor = max(int(factor * 10 ** dice.uniform(-6, 0)), 1)
    value = factor // middle if kind == ContractKind.INVERSE else factor * middle
    maintenance = int(dice.choice([100, 3_333, 5_000, 25_000]))
    settings = {
        _P.LOT_SIZE: lot_size, _P.LOT_VALUE_FACTOR: factor, _P.SETTLE_ASSET: 0, _P.BASE_ASSET: 1,
        _P.PX_TICKS_MAX: px_max, _P.QTY_MAX: lots * lot_size, _P.MAINTENANCE_MARGIN_PPM: maintenance,
        _P.INITIAL_MARGIN_PPM: 2 * maintenance, _P.RISK_LIMIT_BASE: min(max(value * lots // 4, 10), 2**52),
        _P.RISK_LIMIT_STEP: min(max(value * lots // 7, 10), 2**52), _P.MAKER_FEE_PPM: int(dice.choice([-250, 0, 333])),
        _P.TAKER_FEE_PPM: int(dice.choice([-100, 0, 499, 750])), _P.COLLAR_PPM: int(dice.choice([30_000, 100_000])),
    }  # fmt: skip
    if kind != ContractKind.SPOT:
        settings |= {
            _P.INDEX: _N_CONTRACTS + 1, _P.INDEX_UNITS_PER_SUBTICK: 1, _P.IMPACT_VALUE: max(value, 1),
            _P.STOPS_PER_ACCOUNT_MAX: 10, _P.LAST_BAND_PPM: 20_000, _P.ADL_METHOD: int(dice.integers(2)),
            _P.FUNDING_INTERVAL_NS: 8 * NS_PER_HOUR, _P.INTEREST_E8: 10_000,
        }  # fmt: skip
    rows = [command(Command.LIST, symbol=number, type=kind)]
    rows += [
        command(Command.CONFIGURE, symbol=number, type=key, qty=setting) for key, setting in settings.items()
    ]
    rows.append(command(Command.SET_STATE, symbol=number, qty=InstrumentState.OPEN))
    if kind != ContractKind.SPOT:
        rows.append(command(Command.MARK, symbol=number, qty=middle * MARK_SUBTICKS))
    return rows, middle, lot_size


def large_contracts(seed: int, *, count: int, accounts: int) -> Records:
    """Return a market of contracts at the edge of what the records hold, for accounts that can pay for it."""
    dice = np.random.default_rng(seed)
    fund = accounts + 1
    parts = [command(Command.CONFIGURE_VENUE, type=VenueParameter.RISK_TIERS_MAX, qty=_RISK_TIERS)]
    made = [_contract(dice, number) for number in range(1, _N_CONTRACTS + 1)]
    parts += [row for rows, _, _ in made for row in rows]
    parts.append(command(Command.LIST, symbol=_N_CONTRACTS + 1, type=ContractKind.INDEX))
    for account in range(1, fund + 1):
        parts.append(command(Command.OPEN_ACCOUNT, account=account))
        for asset in (0, 1):
            rich = int(2 ** dice.uniform(30, 60))
            parts.append(command(Command.DEPOSIT, account=account, symbol=asset, qty=rich))
    parts.append(command(Command.CONFIGURE_VENUE, type=VenueParameter.INSURANCE_ACCOUNT, qty=fund))
    centre = [float(middle) for _, middle, _ in made]
    for _ in range(count):
        k = int(dice.integers(_N_CONTRACTS))
        symbol, lot_size = k + 1, made[k][2]
        account, draw = int(dice.integers(1, fund)), dice.random()
        if draw < 0.03:
            centre[k] *= 1 + dice.normal() * 0.03
            parts.append(command(Command.MARK, symbol=symbol, qty=max(int(centre[k] * MARK_SUBTICKS), 1)))
        elif draw < 0.06:
            leverage = int(dice.choice([0, 100, 333, 2_500, 10_000]))
            parts.append(command(Command.SET_LEVERAGE, account=account, symbol=symbol, qty=leverage))
        elif draw < 0.09:
            limit = int(2 ** dice.uniform(10, 56))
            parts.append(command(Command.SET_RISK_LIMIT, account=account, symbol=symbol, qty=limit))
        elif draw < 0.11:
            amount = int(2 ** dice.uniform(1, 50)) * int(dice.choice([-1, 1]))
            parts.append(command(Command.TRANSFER_MARGIN, account=account, symbol=symbol, qty=amount))
        elif draw < 0.15:
            parts.append(command(Command.CANCEL_ALL, account=account))
        elif draw < 0.2:
            parts.append(command(Command.TICK))
        else:
            qty = max(int(10 ** dice.uniform(0, 6)), 1) * lot_size
            px = max(int(centre[k] * (1 + dice.normal() * 0.004)), 1)
            flags = OrderFlag.SELL if dice.random() < 0.5 else 0
            kind = OrderType.MARKET if dice.random() < 0.2 else OrderType.LIMIT
            parts.append(
                command(Command.PLACE, account=account, symbol=symbol, qty=qty, px=px, flags=flags, type=kind)
            )
    return np.concatenate(parts)


_FEW = (1, 2, 3)
_DIGITS = {
    _P.LOT_SIZE: 1, _P.SETTLE_ASSET: 0, _P.BASE_ASSET: 1, _P.PX_TICKS_MAX: 60, _P.QTY_MAX: 40,
    _P.MAINTENANCE_MARGIN_PPM: 50_000, _P.INITIAL_MARGIN_PPM: 100_000, _P.RISK_LIMIT_BASE: 120, _P.RISK_LIMIT_STEP: 80,
    _P.COLLAR_PPM: 100_000, _P.INDEX: 4, _P.INDEX_UNITS_PER_SUBTICK: 1, _P.IMPACT_VALUE: 20, _P.LAST_BAND_PPM: 100_000,
    _P.STOPS_PER_ACCOUNT_MAX: 10, _P.FUNDING_INTERVAL_NS: NS_PER_HOUR, _P.INTEREST_E8: 3_000_000,
}  # fmt: skip


def small_numbers(seed: int, *, count: int, accounts: int, fund_keeps_ppm: int = 200_000) -> Records:
    """Return a market in which a lot is worth twenty units and a wallet holds a few dozen.

    Where a rule says "less than", two figures are the same every now and then: here that happens all the time. The
    less the fund keeps of what it earns, the more is deleveraged.
    """
    dice = np.random.default_rng(seed)
    fund = accounts + 1
    parts = [command(Command.CONFIGURE_VENUE, type=VenueParameter.RISK_TIERS_MAX, qty=5)]
    parts += [row for number in _FEW for row in _of_digits(dice, number)]
    parts.append(command(Command.LIST, symbol=len(_FEW) + 1, type=ContractKind.INDEX))
    for account in range(1, fund + 1):
        parts.append(command(Command.OPEN_ACCOUNT, account=account))
        parts.append(command(Command.DEPOSIT, account=account, symbol=0, qty=int(dice.integers(5, 60))))
    parts.append(command(Command.CONFIGURE_VENUE, type=VenueParameter.INSURANCE_ACCOUNT, qty=fund))
    parts.append(
        command(Command.CONFIGURE_VENUE, type=VenueParameter.FEE_DISCOUNT_1, qty=int(dice.integers(0, 101)))
    )
    own = Command.CONFIGURE_ACCOUNT
    parts.append(command(own, account=1, type=AccountParameter.FEE_TIER, qty=1))
    parts.append(command(own, account=2, type=AccountParameter.CROSS_MODE, qty=CrossMode.CLASSIC))
    parts += [command(Command.MARK, symbol=number, qty=20 * MARK_SUBTICKS) for number in _FEW]
    parts += [_step(dice, accounts, fund, fund_keeps_ppm) for _ in range(count)]
    return np.concatenate(parts)


def _of_digits(dice: np.random.Generator, number: int) -> list[Records]:
    kind = ContractKind.INVERSE if number == 3 else ContractKind.LINEAR
    settings = _DIGITS | {
        _P.LOT_VALUE_FACTOR: 400 if kind == ContractKind.INVERSE else 1,
        _P.MAKER_FEE_PPM: int(dice.choice([-50_000, 0, 50_000])),
        _P.TAKER_FEE_PPM: int(dice.choice([-50_000, 0, 50_000, 70_000])),
        _P.SETTLEMENT_FEE_PPM: int(dice.choice([0, 50_000])), _P.ADL_METHOD: int(dice.integers(2)),
    }  # fmt: skip
    rows = [command(Command.LIST, symbol=number, type=kind)]
    rows += [
        command(Command.CONFIGURE, symbol=number, type=key, qty=value) for key, value in settings.items()
    ]
    return [*rows, command(Command.SET_STATE, symbol=number, qty=InstrumentState.OPEN)]


def _step(dice: np.random.Generator, accounts: int, fund: int, fund_keeps_ppm: int) -> Records:
    symbol, account, draw = int(dice.choice(_FEW)), int(dice.integers(1, accounts + 1)), dice.random()
    if draw < 0.1:
        # Where the fund is poor prices jump: what it takes over has lost more than its margin.
        low, high = (15, 26) if fund_keeps_ppm else (12, 30)
        subticks = int(dice.integers(low, high)) * MARK_SUBTICKS + int(dice.choice([0, 0, 0, 25, 50]))
        return command(Command.MARK, symbol=symbol, qty=subticks)
    if draw < 0.14:
        return command(Command.INDEX, symbol=len(_FEW) + 1, qty=int(dice.integers(15, 26)) * MARK_SUBTICKS)
    if draw < 0.17:
        leverage = int(dice.choice([0, 100, 200, 300, 500, 1_000]))
        return command(Command.SET_LEVERAGE, account=account, symbol=symbol, qty=leverage)
    if draw < 0.19:
        return command(
            Command.SET_RISK_LIMIT, account=account, symbol=symbol, qty=int(dice.integers(50, 300))
        )
    if draw < 0.21:
        return command(Command.TRANSFER_MARGIN, account=account, symbol=symbol, qty=int(dice.integers(-4, 5)))
    if draw < 0.27:
        # Traders are paid for by the fund, which is never rich for long.
        of_fund = dice.random() < 0.5
        kind = Command.WITHDRAW if of_fund == (dice.random() * 10**6 >= fund_keeps_ppm) else Command.DEPOSIT
        whose = fund if of_fund else account
        return command(kind, account=whose, symbol=0, qty=int(dice.integers(1, 25)))
    if draw < 0.29:
        return command(Command.CANCEL_ALL, account=account)
    if draw < 0.36:
        return command(Command.TICK)
    if draw < 0.3602:
        return command(Command.SETTLE, symbol=symbol)
    kind = OrderType.MARKET if dice.random() < 0.2 else OrderType.LIMIT
    return command(
        Command.PLACE, account=account, symbol=symbol, qty=int(dice.integers(1, 7)), px=int(dice.integers(17, 24)),
        flags=OrderFlag.SELL if dice.random() < 0.5 else 0, type=kind,
    )  # fmt: skip
