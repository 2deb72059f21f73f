"""What an account holds: positions, margins, wallets, and their rows.

Costs are exposures with the sign of the quantity, as in the engine; rows turn the sign round for
inverse contracts, whose long positions have negative value on the wire.
"""

from collections.abc import Container

from ringfence.exchange.projections.market import Market
from ringfence.exchange.projections.orders import Order, Row, notionals_at
from ringfence.instruments.specification import Instrument
from ringfence.instruments.value import (
    initial_ppm,
    maintenance_ppm,
    mark_value,
    order_margin,
    position_margin,
    profit,
    risk_tier,
)
from ringfence.units.assets import ASSETS, Asset
from ringfence.units.rounding import PPM, ceil_div, trunc_div
from ringfence.units.time import iso


class Position:
    """One account's position in one instrument, with the exposure of its open orders."""

    __slots__ = (
        "account", "buy_qty", "buy_value", "cost", "fees", "instrument", "leverage", "market", "opening_qty",
        "prev_realised", "qty", "realised", "risk_limit", "sell_qty", "sell_value", "timestamp_ns",
        "transferred",
    )  # fmt: skip

    def __init__(self, account: int, instrument: Instrument, market: Market) -> None:
        self.account, self.instrument, self.market = account, instrument, market
        self.qty = self.cost = 0
        self.buy_qty = self.buy_value = self.sell_qty = self.sell_value = 0
        self.leverage = 0
        self.risk_limit = instrument.risk_limit_base
        self.transferred = 0
        self.realised = self.prev_realised = self.fees = 0
        self.opening_qty = 0
        self.timestamp_ns = 0

    def fill(self, signed_qty: int, signed_value: int) -> int | None:
        """Take a fill in; return the profit it realises, None if it only opens or adds.

        The engine says the profit too, in REALISED; the two must be equal.
        """
        if self.qty == 0 or (self.qty > 0) == (signed_qty > 0):
            self.qty += signed_qty
            self.cost += signed_value
            return None
        held, closed = abs(self.qty), abs(signed_qty)
        if closed <= held:
            cost_out = trunc_div(self.cost * closed, held)
            gain = -signed_value - cost_out
            self.cost -= cost_out
            self.transferred = trunc_div(self.transferred * (held - closed), held)
        else:
            exit_value = trunc_div(signed_value * held, closed)
            gain = -exit_value - self.cost
            self.cost = signed_value - exit_value
            self.transferred = 0
        self.qty += signed_qty
        return -gain if self.instrument.is_inverse else gain

    def realise(self, amount: int) -> None:
        """Add profit (or, negative, a fee) to what this position has made since it was opened."""
        self.realised += amount
        if self.qty == 0 and amount:
            self.prev_realised, self.realised = self.realised, 0

    def count_order(self, order: Order, sign: int) -> None:
        """Add (+1) or take away (-1) the open exposure of an order."""
        if order.is_sell:
            self.sell_qty += sign * order.leaves
            self.sell_value += sign * order.open_value
        else:
            self.buy_qty += sign * order.leaves
            self.buy_value += sign * order.open_value

    # ---- what follows from it

    @property
    def tier(self) -> int:
        return risk_tier(self.instrument, self.risk_limit)

    @property
    def mark_exposure(self) -> int:
        if not self.qty or not self.market.mark_subticks:
            return 0
        return mark_value(self.instrument, self.market.mark_subticks, self.qty)

    @property
    def unrealised(self) -> int:
        if not self.qty or not self.market.mark_subticks:
            return 0
        return profit(self.instrument, cost=self.cost, value=self.mark_exposure)

    @property
    def position_margin(self) -> int:
        return position_margin(
            self.instrument, cost=self.cost, tier=self.tier, leverage_hundredths=self.leverage,
            transferred=self.transferred,
        )  # fmt: skip

    @property
    def order_margin(self) -> int:
        if self.instrument.is_spot:
            fee = ceil_div(self.buy_value * max(self.instrument.taker_fee_ppm, 0), PPM)
            return self.buy_value + fee
        return order_margin(
            self.instrument, cost=self.cost, open_buys=self.buy_value, open_sells=self.sell_value,
            tier=self.tier, leverage_hundredths=self.leverage,
        )  # fmt: skip

    def wire_value(self, exposure: int) -> int:
        return -exposure if self.instrument.is_inverse else exposure

    def price_of(self, cost: int, qty: int) -> float | None:
        """Return the price at which so many contracts cost so much, in the quote currency."""
        of = self.instrument
        if not qty or not cost:
            return None
        lots = abs(qty) / of.lot_size
        lot_cost = abs(cost) / lots
        ticks = of.lot_value_factor / lot_cost if of.is_inverse else lot_cost / of.lot_value_factor
        return float(round(ticks * of.tick_units / 10**of.tick_decimals, 4))

    def row(self, margin: "Margin") -> Row:
        of, market = self.instrument, self.market
        mark = of.mark_price(market.mark_subticks) if market.mark_subticks else None
        exposure, unrealised = self.mark_exposure, self.unrealised
        locked, ordered = self.position_margin, self.order_margin
        rate = initial_ppm(of, self.tier, self.leverage)
        upkeep = maintenance_ppm(of, self.tier)
        isolated = self.leverage != 0
        maintenance = ceil_div(abs(self.cost) * upkeep, PPM)
        initial = ceil_div(abs(self.cost) * 100, self.leverage) if isolated else 0
        exit_fee = ceil_div((abs(self.cost) + initial) * max(of.taker_fee_ppm, 0), PPM) if isolated else 0
        home, foreign = notionals_at(of, self.qty, mark or 0.0)
        entry = self.price_of(self.cost, self.qty)
        cost = self.wire_value(self.cost)
        percent = unrealised / abs(self.cost) if self.cost else 0.0
        shown_leverage = self.leverage / 100 if isolated else PPM / rate
        liquidation, bankrupt = self._danger_prices(margin, locked, maintenance + exit_fee, exit_fee)
        return {
            "account": self.account,
            "symbol": of.symbol,
            "currency": of.settle.currency,
            "underlying": of.underlying,
            "quoteCurrency": of.quote_currency,
            "commission": max(of.maker_fee_ppm, of.taker_fee_ppm, of.settlement_fee_ppm) / PPM,
            "initMarginReq": rate / PPM,
            "maintMarginReq": upkeep / PPM,
            "riskLimit": self.risk_limit,
            "leverage": shown_leverage,
            "crossMargin": not isolated,
            "deleveragePercentile": None,
            "rebalancedPnl": 0,
            "prevRealisedPnl": self.prev_realised,
            "prevUnrealisedPnl": 0,
            "openingQty": self.opening_qty,
            "openOrderBuyQty": self.buy_qty,
            "openOrderBuyCost": self.wire_value(self.buy_value),
            "openOrderBuyPremium": 0,
            "openOrderSellQty": self.sell_qty,
            "openOrderSellCost": self.wire_value(-self.sell_value),
            "openOrderSellPremium": 0,
            "currentQty": self.qty,
            "currentCost": cost,
            "currentComm": self.fees,
            "realisedCost": -(self.realised + self.fees),
            "unrealisedCost": cost,
            "grossOpenPremium": 0,
            "isOpen": self.qty != 0,
            "markPrice": mark,
            "markValue": self.wire_value(exposure),
            "riskValue": abs(exposure),
            "homeNotional": home,
            "foreignNotional": foreign,
            "posState": None,
            "posCost": cost,
            "posCross": self.transferred,
            "posInit": initial,
            "posComm": exit_fee,
            "posLoss": 0,
            "posMargin": locked,
            "posMaint": maintenance + exit_fee,
            "initMargin": ordered,
            "maintMargin": max(locked + unrealised, 0) if isolated else locked,
            "realisedPnl": self.realised,
            "unrealisedPnl": unrealised,
            "unrealisedPnlPcnt": round(percent, 4),
            "unrealisedRoePcnt": round(percent * shown_leverage, 4),
            "avgCostPrice": entry,
            "avgEntryPrice": entry,
            "breakEvenPrice": self._break_even(),
            "marginCallPrice": liquidation,
            "liquidationPrice": liquidation,
            "bankruptPrice": bankrupt,
            "timestamp": iso(self.timestamp_ns),
        }

    def _break_even(self) -> float | None:
        """Return the price that earns back cost and fees, rounded to a tick against the trader."""
        if not self.qty:
            return None
        sign = 1 if self.qty > 0 else -1
        fees = max(self.fees, 0)
        cost = self.cost - sign * fees if self.instrument.is_inverse else self.cost + sign * fees
        price = self.price_of(cost, self.qty)
        return None if price is None else self._to_tick(price, up=self.qty > 0)

    def _to_tick(self, price: float, *, up: bool) -> float:
        of = self.instrument
        ticks = price * 10**of.tick_decimals / of.tick_units
        whole = -int(-ticks // 1) if up else int(ticks // 1)
        return of.price(whole)

    def _danger_prices(
        self, margin: "Margin", locked: int, needed: int, exit_fee: int
    ) -> tuple[float | None, float | None]:
        """Return (liquidation, bankruptcy) price; 0 where none can be reached, None without a position."""
        if not self.qty:
            return None, None
        backing = locked if self.leverage else locked + max(margin.available, 0) - self.unrealised
        prices = []
        for floor in (needed, exit_fee):
            loss = max(backing - floor, 0)
            direction = 1 if self.qty > 0 else -1
            cost = (
                self.cost + direction * loss if self.instrument.is_inverse else self.cost - direction * loss
            )
            if (cost > 0) != (self.cost > 0) or cost == 0:
                prices.append(0.0)
                continue
            price = self.price_of(cost, self.qty)
            prices.append(0.0 if price is None else self._to_tick(price, up=self.qty > 0))
        return prices[0], prices[1]


class Margin:
    """One account's coins of one asset, and what its positions and orders lock of them."""

    __slots__ = (
        "account", "asset", "base_locked", "deposited", "fees", "positions", "realised", "session_start",
        "timestamp_ns", "transferred_in", "transferred_out", "wallet", "withdrawn",
    )  # fmt: skip

    def __init__(self, account: int, asset: Asset) -> None:
        self.account, self.asset = account, asset
        self.wallet = self.deposited = self.withdrawn = 0
        self.transferred_in = self.transferred_out = 0
        self.fees = self.realised = 0
        self.session_start = 0
        self.base_locked = 0
        self.positions: list[Position] = []
        self.timestamp_ns = 0

    @property
    def locked(self) -> int:
        return self.base_locked + sum(p.position_margin + p.order_margin for p in self.positions)

    @property
    def shared_unrealised(self) -> int:
        return sum(p.unrealised for p in self.positions if p.leverage == 0)

    @property
    def available(self) -> int:
        return self.wallet + self.shared_unrealised - self.locked

    @property
    def withdrawable(self) -> int:
        return max(0, self.wallet + min(self.shared_unrealised, 0) - self.locked)

    def row(self) -> Row:
        held = [p for p in self.positions if p.instrument.is_contract]
        ordered = sum(p.order_margin for p in self.positions) + self.base_locked
        upkeep = sum(p.position_margin for p in held)
        unrealised = sum(p.unrealised for p in held)
        balance = self.wallet + unrealised
        risk = sum(abs(p.mark_exposure) for p in held)
        excess = balance - upkeep - ordered
        return {
            "account": self.account,
            "currency": self.asset.currency,
            "riskLimit": sum(p.risk_limit for p in held) or None,
            "state": None,
            "amount": self.wallet - self.realised,
            "prevRealisedPnl": 0,
            "grossComm": self.fees,
            "grossOpenCost": sum(p.buy_value + p.sell_value for p in self.positions),
            "grossOpenPremium": 0,
            "grossExecCost": 0,
            "grossMarkValue": risk,
            "riskValue": risk,
            "initMargin": ordered,
            "maintMargin": upkeep,
            "targetExcessMargin": 0,
            "realisedPnl": self.realised,
            "unrealisedPnl": unrealised,
            "walletBalance": self.wallet,
            "marginBalance": balance,
            "marginLeverage": round(risk / balance, 8) if balance > 0 else 0.0,
            "marginUsedPcnt": round((upkeep + ordered) / balance, 4) if balance > 0 else 0.0,
            "excessMargin": excess,
            "availableMargin": max(0, self.available),
            "withdrawableMargin": self.withdrawable,
            "makerFeeDiscount": 0.0,
            "takerFeeDiscount": 0.0,
            "timestamp": iso(self.timestamp_ns),
            "foreignMarginBalance": 0,
            "foreignRequirement": 0,
        }

    def wallet_row(self) -> Row:
        return {
            "account": self.account,
            "currency": self.asset.currency,
            "deposited": self.deposited,
            "withdrawn": self.withdrawn,
            "transferIn": self.transferred_in,
            "transferOut": self.transferred_out,
            "amount": self.wallet,
            "pendingCredit": 0,
            "pendingDebit": 0,
            "confirmedDebit": 0,
            "timestamp": iso(self.timestamp_ns),
        }


class Account:
    """One account: its margins by asset, its positions by instrument number, its open orders by handle."""

    __slots__ = (
        "by_clordid", "cancel_all_at_ns", "margins", "name", "number", "opened_ns", "orders", "parent",
        "positions",
    )  # fmt: skip

    def __init__(self, number: int, opened_ns: int, *, parent: int = 0) -> None:
        """`parent` is the account that it is a sub-account of, 0 = none."""
        self.number, self.opened_ns, self.parent = number, opened_ns, parent
        self.name: str | None = None
        self.margins: dict[int, Margin] = {}
        self.positions: dict[int, Position] = {}
        self.orders: dict[int, Order] = {}
        self.by_clordid: dict[str, Order] = {}
        """The open orders that have a clOrdID."""
        self.cancel_all_at_ns = 0

    def margin(self, asset: int) -> Margin:
        margin = self.margins.get(asset)
        if margin is None:
            margin = self.margins[asset] = Margin(self.number, ASSETS[asset])
        return margin

    def position(self, instrument: Instrument, market: Market) -> Position:
        position = self.positions.get(instrument.number)
        if position is None:
            position = self.positions[instrument.number] = Position(self.number, instrument, market)
            self.margin(instrument.settle_asset).positions.append(position)
        return position

    def position_rows(self, numbers: Container[int] | None = None) -> list[Row]:
        """Return the rows of positions, of some instruments or of all."""
        return [
            position.row(self.margin(position.instrument.settle_asset))
            for number, position in self.positions.items()
            if position.instrument.is_contract and (numbers is None or number in numbers)
        ]

    def margin_rows(self) -> list[Row]:
        return [self.margins[asset.number].row() for asset in ASSETS if asset.number in self.margins]

    def wallet_rows(self) -> list[Row]:
        return [self.margins[asset.number].wallet_row() for asset in ASSETS if asset.number in self.margins]
