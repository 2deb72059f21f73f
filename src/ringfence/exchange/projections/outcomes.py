"""The fold of what the rules do to holders: funding, liquidation, deleveraging, settlement, insurance."""

from collections.abc import Container
from typing import TYPE_CHECKING, Any

from ringfence.exchange.projections.coins import Coins
from ringfence.exchange.projections.halts import Halts
from ringfence.exchange.projections.last_resort import FundView, Notice, Receipt, Share
from ringfence.exchange.projections.ledger import (
    FEES,
    INSURANCE,
    RECEIVING_LINE,
    Transaction,
    clearing,
    client,
    entry,
)
from ringfence.exchange.projections.market import Market, SettlementView
from ringfence.exchange.projections.orders import LIQUIDATION_TEXT, Movement, Order
from ringfence.exchange.projections.positions import Account, Margin, Position
from ringfence.instruments.specification import Instrument
from ringfence.instruments.value import discounted_ppm, mark_value
from ringfence.messages.batch import PEOPLE_LIST
from ringfence.messages.commands import AccountParameter, CrossMode, VenueParameter
from ringfence.messages.events import EventFlag, LiquidationStep
from ringfence.messages.rules import check_known
from ringfence.units.limits import RATE_E8
from ringfence.units.rounding import PPM

if TYPE_CHECKING:
    from ringfence.exchange.projections.views import Changes

_SELL = int(EventFlag.SELL)
_TAKEN_OVER = int(LiquidationStep.TAKEN_OVER)
_FUND = int(VenueParameter.INSURANCE_ACCOUNT)
_PEOPLE, _CUSTODY = int(VenueParameter.PEOPLE), int(VenueParameter.CUSTODY_ACCOUNT)
_CONFIGURATION, _RULES = int(VenueParameter.CONFIGURATION), int(VenueParameter.RULES)
_DISCOUNTS = range(int(VenueParameter.FEE_DISCOUNT_1), int(VenueParameter.FEE_DISCOUNT_6) + 1)
_FEE_TIER, _CROSS_MODE = int(AccountParameter.FEE_TIER), int(AccountParameter.CROSS_MODE)
_COVERED_TEXT = "Deficit covered by the insurance fund"


class Outcomes:
    """The part of the views that the rules move by themselves. Handlers take an event apart by place."""

    markets: dict[int, Market]
    accounts: dict[int, Account]
    timestamp_ns: int
    halts: Halts
    coins: Coins
    configuration: int
    """Number of the settings in force, 0 = none ever were."""
    fund_account: int
    """The insurance account, 0 = none."""
    _changes: "Changes"
    _number: int
    _reports_for: Container[int] | None
    _receipt: Receipt | None
    _discounts: dict[int, int]

    # ---- what the whole fold has

    def _position(self, account: int, market: Market) -> Position:
        raise NotImplementedError

    def _touch_margin(self, account: int, asset: int) -> Margin:
        raise NotImplementedError

    def _texts(self, sequence: int) -> dict[int, bytes]:
        raise NotImplementedError

    def _note_realised(self, account: int, of: Instrument, amount: int) -> None:
        raise NotImplementedError

    # ---- what can be asked

    def funds(self) -> list[FundView]:
        """Return the insurance fund of each asset as it is now."""
        if not self.fund_account:
            return []
        margins = self.accounts[self.fund_account].margins
        return [FundView(asset, self.timestamp_ns, margins[asset].wallet) for asset in sorted(margins)]

    def liquidations(self) -> list[Order]:
        """Return the open orders of the insurance account, oldest first."""
        return list(self.accounts[self.fund_account].orders.values()) if self.fund_account else []

    # ---- purses and positions

    def _purse(self, account: int) -> str:
        """Return the ledger account of an account's coins: the insurance fund's are nobody's."""
        return INSURANCE if account == self.fund_account else client(account)

    def _move_position(self, account: int, market: Market, qty: int, value: int) -> Position:
        """Take signed contracts of a signed exposure into an account's position."""
        position = self._position(account, market)
        before = position.qty
        position.fill(qty, value)
        market.open_interest += max(position.qty, 0) - max(before, 0)
        if (before == 0) != (position.qty == 0) and account != self.fund_account:
            market.ranking.note(account, position)
        return position

    def _report_movement(self, movement: Movement) -> None:
        if self._reports_for is None or movement.account in self._reports_for:
            self._changes.executions.append(movement)

    def _notice(self, account: int, kind: str, **meta: Any) -> None:
        self._changes.notices.append(Notice(self._number, account, kind, meta, self.timestamp_ns))

    # ---- what operators set

    def _venue_set(self, event: tuple[Any, ...]) -> None:
        parameter, value = event[6], event[3]
        if parameter == _FUND:
            # What the account had becomes the fund's.
            for margin in self.accounts[value].margins.values():
                self._changes.lines += entry(
                    self._number, "Insurance fund", margin.asset.number, margin.wallet, to=INSURANCE,
                    source=client(value),
                )  # fmt: skip
            self.fund_account = value
        elif parameter == _CUSTODY:
            self.coins.custody_account = value
        elif parameter == _PEOPLE:
            self.halts.people = (value, self._texts(event[0]).get(PEOPLE_LIST, b""))
        elif parameter == _CONFIGURATION:
            self.configuration = value
        elif parameter == _RULES:
            check_known(value, sequence=event[0])
        elif parameter in _DISCOUNTS:
            tier = parameter - _DISCOUNTS.start + 1
            self._discounts[tier] = value
            for account in self.accounts.values():
                if account.fee_tier == tier:
                    account.configure(is_classic=account.is_classic, fee_tier=tier, fee_discount=value)

    def _account_set(self, event: tuple[Any, ...]) -> None:
        account, parameter, value = self.accounts[event[7]], event[6], event[3]
        if parameter == _FEE_TIER:
            discount = self._discounts.get(value, 0)
            account.configure(is_classic=account.is_classic, fee_tier=value, fee_discount=discount)
        elif parameter == _CROSS_MODE:
            is_classic = value == CrossMode.CLASSIC
            account.configure(
                is_classic=is_classic, fee_tier=account.fee_tier, fee_discount=account.fee_discount
            )
        else:
            return
        for margin in account.margins.values():
            self._touch_margin(account.number, margin.asset.number)

    def _fee_ppm(self, account: int, rate_ppm: int) -> int:
        """Return the rate that an account pays: less its tier's discount; the insurance account pays nothing."""
        if account == self.fund_account:
            return 0
        discount = self.accounts[account].fee_discount
        return discounted_ppm(rate_ppm, discount) if discount else rate_ppm

    # ---- funding

    def _funding_set(self, event: tuple[Any, ...]) -> None:
        market = self.markets[event[9]]
        self._changes.markets[event[9]] = market
        paid = market.take_funding(rate_e8=event[4], next_rate_e8=event[5], next_ns=event[3])
        if paid is not None:
            self._changes.fundings.append(paid)

    def _funded(self, event: tuple[Any, ...]) -> None:
        account, symbol, qty, amount, rate_e8 = event[7], event[9], event[3], event[4], event[5]
        market = self.markets[symbol]
        of = market.instrument
        kind = "Funding" if qty else "Funding rounding"
        # Without an insurance account the venue keeps what is left over.
        purse = self._purse(account) if account else FEES
        self._changes.lines += entry(
            self._number, kind, of.settle_asset, amount, to=purse, source=clearing(of.symbol)
        )
        if not account:
            return
        self._touch_margin(account, of.settle_asset).wallet += amount
        self._note_realised(account, of, amount)
        if not qty:
            return
        position = self._position(account, market)
        position.funding -= amount
        position.realise(amount)
        value = position.wire_value(mark_value(of, market.mark_subticks, qty))
        self._report_movement(
            Movement(
                of, self._number, account, "Funding", "Funding", None, abs(qty), market.mark_subticks, value,
                -amount, rate_e8 / RATE_E8, self.timestamp_ns,
            )
        )  # fmt: skip

    # ---- liquidation and deleveraging

    def _liquidation(self, event: tuple[Any, ...]) -> None:
        account, symbol, qty, amount, step = event[7], event[9], event[3], event[4], event[6]
        market = self.markets[symbol]
        of = market.instrument
        if step != _TAKEN_OVER:
            position = self._position(account, market)
            position.risk_limit = of.risk_limit_base + amount * of.risk_limit_step
            self._notice(
                account, "positionStateWarning", symbol=of.symbol, step=LiquidationStep(step).name,
                currentQty=qty, riskLimit=position.risk_limit,
            )  # fmt: skip
            return
        subticks = event[5]
        self._hand_over(account, market, qty, amount)
        self._position(account, market).risk_limit = of.risk_limit_base
        self._report_closing(account, market, "Liquidation", LIQUIDATION_TEXT, qty, subticks, amount)
        self._notice(
            account, "positionStateLiquidated", symbol=of.symbol, qty=qty, price=of.mark_price(subticks)
        )

    def _hand_over(self, account: int, market: Market, qty: int, value: int) -> None:
        """Close a signed quantity of an account against the insurance account, at an exposure."""
        signed = value if qty > 0 else -value
        self._move_position(account, market, -qty, -signed)
        self._move_position(self.fund_account, market, qty, signed)

    def _report_closing(
        self, account: int, market: Market, kind: str, text: str, qty: int, subticks: int, value: int,
        *, fee: int = 0, fee_ppm: int = 0,
    ) -> None:  # fmt: skip
        """Report the closing of a signed quantity at an exposure."""
        of = market.instrument
        cost = value if (qty > 0) == of.is_inverse else -value
        self._report_movement(
            Movement(
                of, self._number, account, kind, text, qty > 0, abs(qty), subticks, cost, fee,
                fee_ppm / PPM, self.timestamp_ns,
            )
        )  # fmt: skip

    def _adl_begun(self, event: tuple[Any, ...]) -> None:
        market = self.markets[event[9]]
        held = self._position(event[8], market).qty
        self._receipt = Receipt(
            instrument=market.instrument, number=self._number, sequence=event[0], timestamp_ns=self.timestamp_ns,
            subticks=event[5], shortfall_qty=event[3], ranked=event[4], method=event[11], is_sell=held > 0,
        )  # fmt: skip
        self._changes.receipts.append(self._receipt)

    def _deleveraged(self, event: tuple[Any, ...]) -> None:
        account, symbol, qty, value, place = event[7], event[9], event[3], event[4], event[6]
        receipt = self._receipt
        assert receipt is not None
        assert receipt.sequence == event[0], "deleveraged without a beginning"
        market = self.markets[symbol]
        closed = qty if event[11] & _SELL else -qty
        self._hand_over(account, market, closed, value)
        receipt.shares.append(Share(account, place, qty, value))
        self._report_closing(account, market, "Liquidation", "Deleverage", closed, receipt.subticks, value)
        self._notice(
            account, "deleverageExecution", symbol=market.instrument.symbol, qty=-closed,
            price=market.instrument.mark_price(receipt.subticks), receipt=receipt.number,
        )  # fmt: skip

    def _covered(self, event: tuple[Any, ...]) -> None:
        account, asset, amount = event[7], event[9], event[4]
        self._changes.lines += entry(
            self._number, "Deficit", asset, amount, to=self._purse(account), source=INSURANCE
        )
        for holder, moved, line in ((account, amount, 0), (self.fund_account, -amount, RECEIVING_LINE)):
            margin = self._touch_margin(holder, asset)
            margin.wallet += moved
            self._changes.transactions.append(
                Transaction(
                    self._number, holder, asset, "Transfer", moved, self.timestamp_ns, margin.wallet, _COVERED_TEXT,
                    None, line,
                )
            )  # fmt: skip

    # ---- settlement

    def _settlement(self, event: tuple[Any, ...]) -> None:
        market = self.markets[event[9]]
        market.mark_subticks, market.basis_subticks = event[3], 0
        market.settled = SettlementView(market.instrument, self._number, self.timestamp_ns, event[3])
        market.set_funding_interval(0, self.timestamp_ns)
        self._changes.markets[event[9]] = market
        self._changes.settlements.append(market.settled)

    def _settled(self, event: tuple[Any, ...]) -> None:
        account, symbol, qty, fee = event[7], event[9], event[3], event[4]
        market = self.markets[symbol]
        of = market.instrument
        value = mark_value(of, market.mark_subticks, qty)
        position = self._move_position(account, market, -qty, -value)
        margin = self._touch_margin(account, of.settle_asset)
        margin.wallet -= fee
        margin.fees += fee
        position.fees += fee
        position.realise(-fee)
        self._note_realised(account, of, -fee)
        self._changes.lines += entry(
            self._number, "Settlement fee", of.settle_asset, fee, to=FEES, source=self._purse(account)
        )
        rate_ppm = of.settlement_fee_ppm if fee else 0
        self._report_closing(
            account, market, "Settlement", "Settlement", qty, market.mark_subticks, abs(value), fee=fee,
            fee_ppm=rate_ppm,
        )  # fmt: skip
