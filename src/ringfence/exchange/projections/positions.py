"""What an account holds: positions, margins, wallets, and their rows.

Costs are exposures with the sign of the quantity, as in the engine; rows turn the sign round for
inverse contracts, whose long positions have negative value on the wire.
"""

from collections.abc import Container

from ringfence.exchange.projections.market import Market
from ringfence.exchange.projections.orders import Order, Row, notionals_at
from ringfence.instruments.specification import Instrument
from ringfence.instruments.value import (
    exit_commission,
    initial_margin,
    initial_ppm,
    maintenance_margin,
    maintenance_ppm,
    mark_value,
    order_margin,
    position_margin,
    profit,
    rank_key,
    risk_tier,
    ticks_of_value,
    value_of_gain,
)
from ringfence.units.assets import ASSETS, Asset
from ringfence.units.rounding import PPM, ceil_div, trunc_div
from ringfence.units.time import iso


class Position:
    """One account's position in one instrument, with the exposure of its open orders."""

    __slots__ = (
        "account", "buy_qty", "buy_value", "cost", "fees", "funding", "instrument", "leverage", "market",
        "opening_qty", "prev_realised", "qty", "realised", "risk_limit", "sell_qty", "sell_value",
        "timestamp_ns", "transferred",
    )  # fmt: skip

    def __init__(self, account: int, instrument: Instrument, market: Market) -> None:
        self.account, self.instrument, self.market = account, instrument, market
        self.qty = self.cost = 0
        self.buy_qty = self.buy_value = self.sell_qty = self.sell_value = 0
        self.leverage = 0
        self.risk_limit = instrument.risk_limit_base
        self.transferred = 0
        self.realised = self.prev_realised = self.fees = self.funding = 0
        """Since it was opened: profit net of fees and funding, fees paid, funding paid (negative: received)."""
        self.opening_qty = 0
        self.timestamp_ns = 0

    def fill(self, signed_qty: int, signed_value: int) -> int | None:
        """Take a fill in; return the profit it realises, None if it only opens or adds.

        The engine says the profit too, in REALISED; the two must be equal.
        """
        if self.qty == 0 or (self.qty > 0) == (signed_qty > 0):
            if self.qty == 0:
                self.fees = self.funding = 0
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
        if self.qty == 0:
            self.prev_realised, self.realised = self.realised, 0
        return -gain if self.instrument.is_inverse else gain

    def realise(self, amount: int) -> None:
        """Add profit (or, negative, a fee) to what this position has made; a closed one takes it as well."""
        if self.qty == 0:
            self.prev_realised += amount
        else:
            self.realised += amount

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
    def maintenance(self) -> int:
        """What the position must have left, lest it be liquidated."""
        return maintenance_margin(
            self.instrument, cost=self.cost, tier=self.tier, leverage_hundredths=self.leverage,
            funding_e8=self.market.funding_e8,
        )  # fmt: skip

    @property
    def rank_key(self) -> int:
        """Where the position stands in the queue of deleveraging, higher first. Twin: engine, `rank_key`."""
        margin = self.position_margin
        if not self.leverage:
            margin = abs(self.cost) * maintenance_ppm(self.instrument, self.tier) // PPM
        return rank_key(
            self.instrument,
            cost=self.cost,
            value=abs(self.mark_exposure),
            gain=self.unrealised,
            margin=margin,
        )

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
        isolated = self.leverage != 0
        home, foreign = notionals_at(of, self.qty, mark or 0.0)
        entry = self.price_of(self.cost, self.qty)
        cost = self.wire_value(self.cost)
        percent = unrealised / abs(self.cost) if self.cost else 0.0
        shown_leverage = self.leverage / 100 if isolated else PPM / rate
        liquidation, bankrupt = self.danger_prices(margin)
        buy_premium, sell_premium = self._premiums()
        return {
            "account": self.account,
            "symbol": of.symbol,
            "currency": of.settle.currency,
            "underlying": of.underlying,
            "quoteCurrency": of.quote_currency,
            "commission": max(of.maker_fee_ppm, of.taker_fee_ppm, of.settlement_fee_ppm) / PPM,
            "initMarginReq": rate / PPM,
            "maintMarginReq": maintenance_ppm(of, self.tier) / PPM,
            "riskLimit": self.risk_limit,
            "leverage": shown_leverage,
            "crossMargin": not isolated,
            "deleveragePercentile": market.ranking.percentile(self, market.timestamp_ns),
            "rebalancedPnl": 0,
            "prevRealisedPnl": self.prev_realised,
            "prevUnrealisedPnl": 0,
            "openingQty": self.opening_qty,
            "openOrderBuyQty": self.buy_qty,
            "openOrderBuyCost": self.wire_value(self.buy_value),
            "openOrderBuyPremium": buy_premium,
            "openOrderSellQty": self.sell_qty,
            "openOrderSellCost": self.wire_value(-self.sell_value),
            "openOrderSellPremium": sell_premium,
            "currentQty": self.qty,
            "currentCost": cost,
            "currentComm": self.fees,
            "realisedCost": -(self.realised + self.fees),
            "unrealisedCost": cost,
            "grossOpenPremium": buy_premium + sell_premium,
            "isOpen": self.qty != 0,
            "markPrice": mark,
            "markValue": self.wire_value(exposure),
            "riskValue": abs(exposure),
            "homeNotional": home,
            "foreignNotional": foreign,
            "posState": None,
            "posCost": cost,
            "posCross": self.transferred,
            "posInit": initial_margin(self.cost, self.leverage),
            "posComm": exit_commission(of, self.cost, self.leverage),
            "posLoss": 0,
            "posMargin": locked,
            "posMaint": self.maintenance,
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

    def _premiums(self) -> tuple[int, int]:
        """Return what open bids above the mark and asks below it would lose at once, in settlement units."""
        of, market = self.instrument, self.market
        if not market.mark_subticks or not of.is_contract:
            return 0, 0
        bids = profit(of, cost=self.buy_value, value=mark_value(of, market.mark_subticks, self.buy_qty))
        asks = profit(of, cost=-self.sell_value, value=mark_value(of, market.mark_subticks, -self.sell_qty))
        return max(-bids, 0), max(-asks, 0)

    def price_of_gain(self, gain: int) -> float:
        """Return the price at which closing gains so much, to a tick against the holder; 0 = there is none."""
        of = self.instrument
        ticks = ticks_of_value(of, qty=self.qty, value=value_of_gain(of, cost=self.cost, gain=gain))
        return 0.0 if ticks is None else of.price(ticks)

    def _break_even(self) -> float | None:
        """Return the price that earns back cost, fees and funding."""
        return self.price_of_gain(self.fees + self.funding) if self.qty else None

    def danger_prices(self, margin: "Margin") -> tuple[float | None, float | None]:
        """Return (liquidation, bankruptcy) price; 0 where none can be reached, None without a position.

        An isolated position is liquidated when what is left of its own margin does not reach its maintenance,
        and is bankrupt when all of it is gone. A cross one stands for all cross positions of its asset:
        the price is the one of this position with every other mark as it is.
        """
        if not self.qty:
            return None, None
        if self.leverage:
            backing, needed = self.position_margin, self.maintenance
        else:
            backing, needed = margin.cross_backing(self)
        return self.price_of_gain(needed - backing), self.price_of_gain(-backing)


class Margin:
    """One account's coins of one asset, and what its positions and orders lock of them."""

    __slots__ = (
        "account", "asset", "base_locked", "deposited", "fee_discount", "fees", "is_classic", "positions",
        "realised", "session_start", "timestamp_ns", "transferred_in", "transferred_out", "wallet", "withdrawn",
    )  # fmt: skip

    def __init__(self, account: int, asset: Asset) -> None:
        self.account, self.asset = account, asset
        self.fee_discount = 0
        """Per cent off the fees, by the account's tier."""
        self.is_classic = False
        """CrossMode.CLASSIC: unrealised losses count, unrealised profit does not."""
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
        return sum(self._counted(p) for p in self.positions if p.leverage == 0)

    def _counted(self, position: Position) -> int:
        return min(position.unrealised, 0) if self.is_classic else position.unrealised

    def cross_backing(self, position: Position) -> tuple[int, int]:
        """Return what one cross position can lose until nothing is left, and the maintenance of all of them.

        Orders are cancelled before anybody is liquidated, so what they lock counts. Twin:
        engine/liquidation.py, `shortage`.
        """
        free, made, needed = self.wallet, 0, 0
        for other in self.positions:
            if not other.qty or not other.instrument.is_contract:
                continue
            if other.leverage:
                free -= other.position_margin
                continue
            needed += other.maintenance
            if other is not position:
                made += self._counted(other)
        # Coins that a spot order may sell at any moment carry no position.
        return free - min(self.base_locked, max(free, 0)) + made, needed

    @property
    def available(self) -> int:
        return self.wallet + self.shared_unrealised - self.locked

    @property
    def withdrawable(self) -> int:
        return max(0, self.wallet + min(self.shared_unrealised, 0) - self.locked)

    def row(self) -> Row:
        held = [p for p in self.positions if p.instrument.is_contract]
        premium = sum(sum(p._premiums()) for p in held)
        ordered = sum(p.order_margin for p in self.positions) + self.base_locked
        # An isolated position's own profit and loss stay with it, as in its row.
        upkeep = sum(p.position_margin + (p.unrealised if p.leverage else 0) for p in held)
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
            "grossOpenPremium": premium,
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
            "makerFeeDiscount": self.fee_discount / 100,
            "takerFeeDiscount": self.fee_discount / 100,
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
        "by_clordid", "cancel_all_at_ns", "fee_discount", "fee_tier", "is_classic", "margins", "name", "number",
        "opened_ns", "orders", "parent", "positions",
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
        self.fee_tier = self.fee_discount = 0
        self.is_classic = False

    def margin(self, asset: int) -> Margin:
        margin = self.margins.get(asset)
        if margin is None:
            margin = self.margins[asset] = Margin(self.number, ASSETS[asset])
            margin.is_classic, margin.fee_discount = self.is_classic, self.fee_discount
        return margin

    def configure(self, *, is_classic: bool, fee_tier: int, fee_discount: int) -> None:
        """Take over what an operator set: it holds for the coins of every asset."""
        self.is_classic, self.fee_tier, self.fee_discount = is_classic, fee_tier, fee_discount
        for margin in self.margins.values():
            margin.is_classic, margin.fee_discount = is_classic, fee_discount

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
