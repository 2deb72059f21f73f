"""What every account is owed, as a pure function of one state of the engine and of the ledger at the same sequence.

Per asset: wallet, plus the profit of its positions at the marks of that state, plus the withdrawals that it has asked
for and that have not left. Profit comes from what positions have cost, in whole units, so over all accounts it adds up
to the unit, whatever the marks are. Source: docs/reference/proofs.md, "Liabilities of an account".

`claims_of` works on the engine's tables, for a million accounts; `equity_of` reads one account's statement with plain
integers: that is what an account's owner does, and a law holds the two together.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ringfence.commitments.statement import Statement
from ringfence.exchange.engine.snapshot import Tables
from ringfence.messages.commands import ContractKind
from ringfence.units.assets import ASSETS
from ringfence.units.limits import ASSETS_MAX, INT64_MAX, POSITION_COST_MAX, SYMBOL_MAX, WALLET_MAX

Int64s = NDArray[np.int64]
FEES_ACCOUNT, IN_FLIGHT_ACCOUNT = 2**32 - 1, 2**32 - 2
"""Owners that are no accounts: numbers above every account's."""

# An equity is a wallet and what an account's positions have made; withdrawals came out of a wallet.
assert 2 * WALLET_MAX + SYMBOL_MAX * POSITION_COST_MAX <= INT64_MAX


class Terms(NamedTuple):
    """What of a contract decides what a position is worth at the mark."""

    settle: int
    is_inverse: bool
    lot_size: int
    mark_lot_value: int


class Pending(NamedTuple):
    """Coins that an account has asked to withdraw and that have not left; the custody account holds them."""

    account: int
    asset: int
    amount: int


class Positions(NamedTuple):
    """Every position that holds anything, arrays of one length."""

    accounts: Int64s
    symbols: Int64s
    quantities: Int64s
    costs: Int64s


class Claims(NamedTuple):
    """Of one cut. Amounts in ledger units; sums are exact."""

    sequence: int
    timestamp_ns: int
    accounts: int
    insurance_account: int
    equities: Int64s
    """(ASSETS_MAX, accounts + 1): by asset and account number; below zero as it is. Row 0 of accounts is nobody's."""
    coins: Int64s
    """The same without profit: wallets, and what is pending."""
    positions: Positions
    marks: dict[int, int]
    """By instrument, in subticks."""
    wallets: tuple[int, ...]
    """By asset: of all accounts, without what is pending."""
    unrealised: tuple[int, ...]
    pending: tuple[int, ...]
    fees: tuple[int, ...]
    """Collected and not taken by anybody."""

    def total(self, asset: int) -> int:
        """Return what is owed to accounts and as fees: each equity, or nothing where it is below zero."""
        held = self.equities[asset]
        return exact_sum(held[held > 0]) + max(self.fees[asset], 0)

    def negative(self, asset: int) -> int:
        """Return what accounts owe, as a positive number."""
        held = self.equities[asset]
        return -exact_sum(held[held < 0]) + max(-self.fees[asset], 0)

    def net(self, asset: int) -> int:
        """Return what must have come in less what went out, if nothing was made or lost."""
        return self.wallets[asset] + self.unrealised[asset] + self.pending[asset] + self.fees[asset]


def claims_of(tables: Tables, pending: Iterable[Pending], *, custody_account: int) -> Claims:
    """Return the claims of all accounts in a state.

    Raises ValueError if more is pending than the custody account holds: then ledger and state are not of one moment.
    """
    header = tables.header
    accounts = int(header["n_accounts"])
    equities: Int64s = np.stack([tables.used[f"margins{asset}"]["wallet"] for asset in range(ASSETS_MAX)])
    waiting = [0] * ASSETS_MAX
    for one in pending:
        equities[one.asset, custody_account] -= one.amount
        equities[one.asset, one.account] += one.amount
        waiting[one.asset] += one.amount
    if custody_account and int(equities[:, custody_account].min()) < 0:
        raise ValueError(
            "more is pending than the custody account holds: ledger and state are not of one moment"
        )
    wallets = [exact_sum(row) - wait for row, wait in zip(equities, waiting, strict=True)]
    coins = equities.copy()
    terms, positions = terms_of(tables), _positions_of(tables)
    unrealised = _add_profits(positions, terms, equities)
    fees = [0] * ASSETS_MAX
    instruments = tables.used["instruments"]
    for row in instruments[1:]:
        fees[int(row["settle"])] += int(row["fee_pool"])
    return Claims(
        sequence=int(header["sequence"]), timestamp_ns=int(header["timestamp_ns"]), accounts=accounts,
        insurance_account=int(header["fund_account"]), equities=equities, coins=coins, positions=positions,
        marks={number: int(instruments[number]["mark"]) for number in terms},
        wallets=tuple(wallets), unrealised=tuple(unrealised), pending=tuple(waiting), fees=tuple(fees),
    )  # fmt: skip


def terms_of(tables: Tables) -> dict[int, Terms]:
    """Return the terms of every contract in which positions are held."""
    found = {}
    for row in tables.used["instruments"][1:]:
        kind = ContractKind(int(row["kind"]))
        if kind not in (ContractKind.SPOT, ContractKind.INDEX) and row["lot_size"]:
            found[int(row["number"])] = Terms(
                int(row["settle"]),
                kind == ContractKind.INVERSE,
                int(row["lot_size"]),
                int(row["mark_lot_value"]),
            )
    return found


def _positions_of(tables: Tables) -> Positions:
    used = tables.used["positions"]
    held = used[(used["account"] != 0) & ((used["qty"] != 0) | (used["cost"] != 0))]
    return Positions(*(held[name].astype(np.int64) for name in ("account", "symbol", "qty", "cost")))


def _add_profits(positions: Positions, terms: Mapping[int, Terms], equities: Int64s) -> list[int]:
    """Add every position's profit to its account's equity; return the sums by asset."""
    sums = [0] * ASSETS_MAX
    for symbol, of in terms.items():
        rows = np.flatnonzero(positions.symbols == symbol)
        # A quantity and a lot's value are below 2**56 together: an order's value is checked when a contract is listed.
        value = positions.quantities[rows] // of.lot_size * of.mark_lot_value
        cost = positions.costs[rows]
        profit = cost - value if of.is_inverse else value - cost
        np.add.at(equities[of.settle], positions.accounts[rows], profit)
        sums[of.settle] += exact_sum(profit)
    return sums


def exact_sum(column: Int64s) -> int:
    """Return the sum of 64-bit integers, however large."""
    values = np.ascontiguousarray(column, np.int64)
    return (int((values >> 32).sum()) << 32) + int((values & 0xFFFF_FFFF).sum())


def equity_of(statement: Statement, terms: Mapping[int, Terms], asset: int) -> int:
    """Return what a statement says its account has in an asset; what it has pending is not in it."""
    equity = sum(line.wallet for line in statement.wallets if line.asset == asset)
    for position in statement.positions:
        of = terms.get(position.symbol)
        if of is None or of.settle != asset:
            continue
        value = abs(position.qty) // of.lot_size * of.mark_lot_value
        value = value if position.qty > 0 else -value
        equity += position.cost - value if of.is_inverse else value - position.cost
    return equity


def claimed_assets(claims: Claims) -> list[int]:
    """Return the assets in which anybody is owed anything, or that coins came in of."""
    return [
        asset.number for asset in ASSETS
        if claims.equities[asset.number].any() or claims.fees[asset.number] or claims.net(asset.number)
    ]  # fmt: skip
