"""A market with an operator who means no good: what `turmoil` has, and everything that is set from outside."""

import numpy as np

from ringfence.messages.batch import Records
from ringfence.messages.commands import (
    ALL_ASSETS,
    Command,
    HaltScope,
    InstrumentParameter,
    VenueParameter,
)
from ringfence.testing.play import command
from ringfence.testing.workloads import turmoil
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
