"""One instrument as the public sees it: book, quote, trades, bins, funding, settlement, and its row."""

from bisect import bisect_left, insort
from collections import deque
from typing import NamedTuple

from ringfence.exchange.projections.orders import Row, notionals, trade_id
from ringfence.exchange.projections.ranking import Ranking
from ringfence.instruments.specification import Instrument
from ringfence.instruments.value import mark_value, order_value
from ringfence.messages.commands import IndexStatus, InstrumentState, MarkMethod
from ringfence.messages.constituents import Hold, Reference, Verdict, decode_constituents
from ringfence.units.limits import INDEX_DECIMALS, MARK_SUBTICKS, RATE_E8
from ringfence.units.rounding import PPM, muldiv
from ringfence.units.time import (
    NS_PER_DAY,
    NS_PER_HOUR,
    NS_PER_MINUTE,
    NS_PER_MS,
    NS_PER_SECOND,
    floor_to,
    iso,
)

BIN_SIZES = {"1m": NS_PER_MINUTE, "5m": 5 * NS_PER_MINUTE, "1h": NS_PER_HOUR, "1d": NS_PER_DAY}
_RECENT_TRADES = 1_000
_MINUTES_PER_DAY = 1_440
_STATES = {
    InstrumentState.UNLISTED: "Unlisted", InstrumentState.OPEN: "Open",
    InstrumentState.CLOSED: "Closed", InstrumentState.SETTLED: "Settled",
    InstrumentState.CANCEL_ONLY: "CancelOnly", InstrumentState.HALTED: "Halted",
}  # fmt: skip
_TIMESPAN_ZERO_NS = 946_684_800_000_000_000
"""Timespans are written as that long after the year 2000 began."""
_NS_PER_YEAR = 365 * NS_PER_DAY

_TIMESPAN_1S = "2000-01-01T00:00:01.000Z"
INDEX_TRADE_NS = 5 * NS_PER_SECOND
"""A price of an index comes every second; one in five seconds is a row of `trade`, to spare the disk."""

Best = tuple[int, int, int, int]
"""(bid size, bid ticks, ask ticks, ask size), 0 = none."""


class Impact(NamedTuple):
    """What a book would give for the impact value, in subticks, 0 = too thin."""

    bid: int
    ask: int
    is_liquid: bool


class TradeView(NamedTuple):
    """One public trade."""

    instrument: Instrument
    number: int
    timestamp_ns: int
    is_sell: bool
    qty: int
    px: int
    tick_direction: str
    value: int

    def row(self) -> Row:
        of = self.instrument
        home, foreign = notionals(of, self.qty, self.px, False)
        return {
            "timestamp": iso(self.timestamp_ns),
            "symbol": of.symbol,
            "side": "Sell" if self.is_sell else "Buy",
            "size": self.qty,
            "price": of.price(self.px),
            "tickDirection": self.tick_direction,
            "trdMatchID": trade_id(self.number),
            "grossValue": self.value,
            "homeNotional": abs(home),
            "foreignNotional": abs(foreign),
            "trdType": "Regular",
        }


def timespan(span_ns: int) -> str:
    return iso(_TIMESPAN_ZERO_NS + span_ns)


class FundingView(NamedTuple):
    """One payment of funding: what holders paid each other at this instant."""

    instrument: Instrument
    paid_ns: int
    interval_ns: int
    rate_e8: int

    def row(self) -> Row:
        return {
            "timestamp": iso(self.paid_ns),
            "symbol": self.instrument.symbol,
            "fundingInterval": timespan(self.interval_ns),
            "fundingRate": self.rate_e8 / RATE_E8,
            "fundingRateDaily": self.rate_e8 * NS_PER_DAY / (RATE_E8 * self.interval_ns),
        }


class SettlementView(NamedTuple):
    """The end of a contract: the price at which every position was closed."""

    instrument: Instrument
    number: int
    settled_ns: int
    subticks: int

    def row(self) -> Row:
        return {
            "timestamp": iso(self.settled_ns),
            "symbol": self.instrument.symbol,
            "settlementType": "Settlement",
            "settledPrice": self.instrument.mark_price(self.subticks),
            "optionStrikePrice": None,
            "optionUnderlyingPrice": None,
            "bankrupt": None,
            "taxBase": None,
            "taxRate": None,
        }


class Bin:
    """Trades between two instants; prices in ticks, 0 = none yet."""

    __slots__ = (
        "close", "end_ns", "foreign", "high", "home", "last_size", "low", "open", "px_qty", "quote", "trades",
        "turnover", "volume",
    )  # fmt: skip

    def __init__(self, end_ns: int, previous_close: int) -> None:
        self.end_ns = end_ns
        self.open = self.high = self.low = self.close = previous_close
        self.trades = self.volume = self.turnover = self.last_size = self.px_qty = 0
        self.home = self.foreign = 0.0
        self.quote: Best = (0, 0, 0, 0)
        """The best when the bin closed."""

    def add(self, trade: TradeView, home: float, foreign: float) -> None:
        if not self.trades:
            if not self.open:
                self.open = trade.px
            self.high, self.low = max(self.open, trade.px), min(self.open, trade.px)
        self.high, self.low = max(self.high, trade.px), min(self.low, trade.px)
        self.close = trade.px
        self.trades += 1
        self.volume += trade.qty
        self.turnover += trade.value
        self.last_size = trade.qty
        self.px_qty += trade.px * trade.qty
        self.home += home
        self.foreign += foreign

    def merge(self, other: "Bin") -> None:
        """Add a later, shorter bin."""
        if other.trades:
            if not self.open:
                self.open = self.high = self.low = other.open
            if not self.trades:
                self.high, self.low = max(self.open, other.high), min(self.open, other.low)
            self.high, self.low = max(self.high, other.high), min(self.low, other.low)
            self.last_size = other.last_size
        self.close = other.close or self.close
        self.trades += other.trades
        self.volume += other.volume
        self.turnover += other.turnover
        self.px_qty += other.px_qty
        self.home += other.home
        self.foreign += other.foreign

    def row(self, of: Instrument) -> Row:
        def price(ticks: int) -> float | None:
            return of.price(ticks) if ticks else None

        return {
            "timestamp": iso(self.end_ns),
            "symbol": of.symbol,
            "open": price(self.open),
            "high": price(self.high),
            "low": price(self.low),
            "close": price(self.close),
            "trades": self.trades,
            "volume": self.volume,
            "vwap": round(of.price(1) * self.px_qty / self.volume, 4) if self.volume else None,
            "lastSize": self.last_size if self.trades else None,
            "turnover": self.turnover,
            "homeNotional": round(self.home, 8),
            "foreignNotional": round(self.foreign, 8),
        }

    def quote_row(self, of: Instrument) -> Row:
        return quote_row(of, self.end_ns, self.quote)


class Side:
    """Displayed quantity by price on one side of a book; `prices` ascend."""

    __slots__ = ("levels", "prices")

    def __init__(self) -> None:
        self.levels: dict[int, int] = {}
        self.prices: list[int] = []

    def add(self, px: int, qty: int) -> None:
        old = self.levels.get(px, 0)
        new = old + qty
        assert new >= 0, f"negative quantity at {px}"
        if new == 0:
            if old:
                del self.levels[px]
                self.prices.pop(bisect_left(self.prices, px))
        else:
            self.levels[px] = new
            if not old:
                insort(self.prices, px)


class Market:
    """One instrument: what is displayed, what traded, what the mark is."""

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.state = InstrumentState.UNLISTED
        self.bids, self.asks = Side(), Side()
        self.mark_subticks = self.basis_subticks = 0
        self.index_units = 0
        """An index: its price. A contract: the price of the index that it follows. 0 = none yet."""
        self.index_status = IndexStatus.LIVE
        self.index_stamped_ns = 0
        self.constituents = b""
        """What an index's last price was made of, as the journal has it."""
        self._index_trade_ns = 0
        self.impact: Impact | None = None
        """None = the engine has not looked yet."""
        self.funding_e8 = self.next_funding_e8 = 0
        """Rates in 1e-8: paid at `funding_ns`, and the one after it as it looks now."""
        self.funding_ns = self.funding_interval_ns = 0
        self.funded: FundingView | None = None
        self.settled: SettlementView | None = None
        self.ranking = Ranking()
        self.last_px = 0
        self.tick_direction = "ZeroPlusTick"
        self.trades: deque[TradeView] = deque(maxlen=_RECENT_TRADES)
        self.total_volume = self.total_turnover = 0
        self.open_interest = 0
        self.timestamp_ns = 0
        self.minutes: deque[Bin] = deque(maxlen=_MINUTES_PER_DAY)
        self._closed_day: Bin | None = None
        self.running: dict[str, Bin] = {}
        self.closed: dict[str, Bin] = {}

    # ---- the book

    def side(self, is_sell: bool) -> Side:
        return self.asks if is_sell else self.bids

    def level_id(self, px: int, is_sell: bool) -> int:
        """Return a number that names (instrument, price, side) for ever; below 2**53."""
        return self.instrument.number << 40 | px << 1 | is_sell

    def level_row(self, px: int, is_sell: bool) -> Row:
        stamp = iso(self.timestamp_ns)
        return {
            "symbol": self.instrument.symbol,
            "id": self.level_id(px, is_sell),
            "side": "Sell" if is_sell else "Buy",
            "size": self.side(is_sell).levels.get(px),
            "price": self.instrument.price(px),
            "timestamp": stamp,
            "transactTime": stamp,
        }

    def depth(self, depth: int) -> list[tuple[int, bool]]:
        """Return (price, is_sell) of the best `depth` levels a side (0 = all), price descending."""
        asks = self.asks.prices[:depth] if depth else self.asks.prices
        bids = self.bids.prices[-depth:] if depth else self.bids.prices
        return [(px, True) for px in reversed(asks)] + [(px, False) for px in reversed(bids)]

    def book_rows(self, depth: int) -> list[Row]:
        return [self.level_row(px, is_sell) for px, is_sell in self.depth(depth)]

    def book10_row(self) -> Row:
        of = self.instrument
        return {
            "symbol": of.symbol,
            "bids": [[of.price(px), self.bids.levels[px]] for px in reversed(self.bids.prices[-10:])],
            "asks": [[of.price(px), self.asks.levels[px]] for px in self.asks.prices[:10]],
            "timestamp": iso(self.timestamp_ns),
        }

    @property
    def best(self) -> Best:
        bid = self.bids.prices[-1] if self.bids.prices else 0
        ask = self.asks.prices[0] if self.asks.prices else 0
        return self.bids.levels.get(bid, 0), bid, ask, self.asks.levels.get(ask, 0)

    def quote_row(self) -> Row:
        return quote_row(self.instrument, self.timestamp_ns, self.best)

    # ---- trades and bins

    def trade(
        self, *, number: int, timestamp_ns: int, is_sell: bool, qty: int, px: int, is_public: bool = True
    ) -> TradeView:
        of = self.instrument
        if px != self.last_px:
            self.tick_direction = "PlusTick" if px > self.last_px else "MinusTick"
        elif self.tick_direction in ("PlusTick", "MinusTick"):
            self.tick_direction = "Zero" + self.tick_direction
        self.last_px = px
        value = order_value(of, px, qty) if qty else 0
        view = TradeView(of, number, timestamp_ns, is_sell, qty, px, self.tick_direction, value)
        if is_public:
            self.trades.append(view)
        self.total_volume += qty
        self.total_turnover += value
        home, foreign = notionals(of, qty, px, False)
        minute = self.running.get("1m")
        if minute is None:
            minute = self.running["1m"] = Bin(_end_of(timestamp_ns, NS_PER_MINUTE), self.last_px)
        minute.add(view, abs(home), abs(foreign))
        return view

    def take_index(
        self, *, number: int, timestamp_ns: int, units: int, status: int, constituents: bytes
    ) -> TradeView | None:
        """Take a price of this index; return it as a trade if it is time for one. Bins have them all."""
        self.index_units, self.index_status = units, IndexStatus(status)
        self.index_stamped_ns, self.constituents = timestamp_ns, constituents
        begun_ns = floor_to(timestamp_ns, INDEX_TRADE_NS)
        is_public, self._index_trade_ns = begun_ns > self._index_trade_ns, begun_ns
        view = self.trade(
            number=number, timestamp_ns=timestamp_ns, is_sell=False, qty=0, px=units, is_public=is_public
        )
        return view if is_public else None

    def composite_rows(self) -> list[Row]:
        """Return what the index's last price was made of, one row a constituent, and the index itself."""
        of, stamp = self.instrument, iso(self.index_stamped_ns)
        if not self.index_units:
            return []

        def row(reference: str, price: int, weight: float | None, at_ns: int, reason: str | None) -> Row:
            return {
                "timestamp": iso(at_ns), "symbol": of.symbol, "indexSymbol": of.symbol, "indexMultiplier": None,
                "reference": reference, "lastPrice": of.price(price) if price else None, "weight": weight,
                "logged": stamp, "dropReason": reason,
            }  # fmt: skip

        hold, said = decode_constituents(self.constituents) if self.constituents else (0, ())
        total = sum(one.weight for one in said if Verdict(one.verdict).counts)
        rows = [
            row(
                Reference(one.reference).name,
                one.price,
                round(one.weight / total, 4) if Verdict(one.verdict).counts and not hold else 0,
                max(self.index_stamped_ns - one.age_ms * NS_PER_MS, 0)
                if one.price
                else self.index_stamped_ns,
                _words(Verdict(one.verdict)) if one.verdict else None,
            )
            for one in said
        ]
        reason = _words(Hold(hold)) if hold else None
        return [*rows, row("BMI", self.index_units, None, self.index_stamped_ns, reason)]

    def close_bins(self, timestamp_ns: int) -> list[tuple[str, Bin]]:
        """Close every bin that ended at or before this instant, empty ones too; return (size, bin)."""
        closed: list[tuple[str, Bin]] = []
        minute = self.running.get("1m")
        if minute is None:
            self.running["1m"] = Bin(_end_of(timestamp_ns, NS_PER_MINUTE), self.last_px)
            return closed
        while minute.end_ns <= timestamp_ns:
            closed.append(("1m", minute))
            self.minutes.append(minute)
            self._add_to_longer(minute, closed)
            minute = Bin(minute.end_ns + NS_PER_MINUTE, minute.close)
        self.running["1m"] = minute
        for size, done in closed:
            done.quote = self.best
            self.closed[size] = done
        return closed

    def _add_to_longer(self, minute: Bin, closed: list[tuple[str, Bin]]) -> None:
        for size, step in BIN_SIZES.items():
            if size == "1m":
                continue
            longer = self.running.get(size)
            if longer is None:
                longer = self.running[size] = Bin(_end_of(minute.end_ns - 1, step), minute.open)
            longer.merge(minute)
            if longer.end_ns <= minute.end_ns:
                closed.append((size, longer))
                self.running[size] = Bin(longer.end_ns + step, longer.close)

    def partial_bin(self, size: str) -> Bin | None:
        """Return the running bin of a size, the current minute included."""
        minute = self.running.get("1m")
        if size == "1m" or minute is None:
            return minute
        step = BIN_SIZES[size]
        running = self.running.get(size)
        whole = Bin(_end_of(minute.end_ns - 1, step), running.open if running else minute.open)
        if running is not None and running.end_ns == whole.end_ns:
            whole.merge(running)
        whole.merge(minute)
        return whole

    # ---- the row

    def _day(self) -> Bin:
        """Return the last 24 hours to this moment as one bin.

        The closed minutes are summed once a minute, for the row is asked for many times a second.
        """
        last_end = self.minutes[-1].end_ns if self.minutes else 0
        if self._closed_day is None or self._closed_day.end_ns != last_end:
            whole = Bin(last_end, 0)
            for minute in self.minutes:
                whole.merge(minute)
            self._closed_day = whole
        day = Bin(last_end, 0)
        day.merge(self._closed_day)
        if "1m" in self.running:
            day.merge(self.running["1m"])
        return day

    @property
    def open_value(self) -> int:
        """What all open contracts are worth at the mark, in settlement units."""
        if not self.mark_subticks:
            return 0
        return abs(mark_value(self.instrument, self.mark_subticks, self.open_interest))

    @property
    def is_active(self) -> bool:
        """Whether it can be traded, or ended within a day."""
        if self.state == InstrumentState.SETTLED:
            return self.settled is not None and self.timestamp_ns - self.settled.settled_ns < NS_PER_DAY
        return self.state != InstrumentState.UNLISTED

    def set_funding_interval(self, interval_ns: int, now_ns: int) -> None:
        """Fund every so often, first at the next whole interval after the offset in the day; 0 = never."""
        self.funding_interval_ns = interval_ns
        offset_ns = self.instrument.funding_offset_hours * NS_PER_HOUR
        self.funding_ns = now_ns - (now_ns - offset_ns) % interval_ns + interval_ns if interval_ns else 0

    def take_funding(self, *, rate_e8: int, next_rate_e8: int, next_ns: int) -> FundingView | None:
        """Take in what is paid next and when; return the payment that was made if the time moved on."""
        paid = FundingView(self.instrument, self.funding_ns, self.funding_interval_ns, self.funding_e8)
        is_paid = 0 < self.funding_ns < next_ns
        self.funding_e8, self.next_funding_e8, self.funding_ns = rate_e8, next_rate_e8, next_ns
        if not is_paid:
            return None
        self.funded = paid
        return paid

    @property
    def last_protected(self) -> int:
        """The last price in subticks, held within the band around the mark."""
        last = self.last_px * MARK_SUBTICKS
        if not last or not self.mark_subticks:
            return last
        span = muldiv(self.mark_subticks, self.instrument.last_band_ppm, PPM)
        return min(max(last, self.mark_subticks - span), self.mark_subticks + span)

    def _protected_price(self) -> float | None:
        of = self.instrument
        if not self.last_px or of.is_index:
            return None
        return of.mark_price(self.last_protected)

    def _basis_rate(self) -> float | None:
        """Return the basis as a yearly rate: of perpetuals the funding that is paid next, of futures their own."""
        of = self.instrument
        if self.funding_interval_ns:
            return round(self.funding_e8 * _NS_PER_YEAR / (RATE_E8 * self.funding_interval_ns), 10)
        index = self.mark_subticks - self.basis_subticks
        if of.expiry_ns is None or index <= 0 or self.timestamp_ns >= of.expiry_ns:
            return None
        return round(self.basis_subticks / index * _NS_PER_YEAR / (of.expiry_ns - self.timestamp_ns), 8)

    def row(self) -> Row:
        of = self.instrument
        _, bid, ask, _ = self.best
        funds = self.funding_interval_ns > 0
        day = self._day()
        before = day.open or self.last_px
        change = round((self.last_px - before) / before, 4) if before and self.last_px else None
        is_future, is_spot = of.expiry_ns is not None, of.is_spot
        mark = of.mark_price(self.mark_subticks) if self.mark_subticks else None
        last = of.price(self.last_px) if self.last_px else None
        if is_spot or of.is_index:
            mark = last
        index = self.index_units / 10**INDEX_DECIMALS if self.index_units else None
        impact = self.impact
        middle = (of.price(bid) + of.price(ask)) / 2 if bid and ask else None
        expiry = iso(of.expiry_ns) if of.expiry_ns is not None else None
        return {
            "symbol": of.symbol,
            "rootSymbol": of.root_symbol,
            "state": _STATES[self.state],
            "typ": of.typ,
            "listing": iso(of.listing_ns),
            "front": iso(of.listing_ns),
            "expiry": expiry,
            "settle": expiry,
            "listedSettle": expiry,
            "positionCurrency": of.position_currency,
            "underlying": of.underlying,
            "quoteCurrency": of.quote_currency,
            "underlyingSymbol": f"{of.underlying}=",
            "reference": "BMI" if of.is_index else "BMEX",
            "referenceSymbol": of.reference_symbol,
            "calcInterval": _TIMESPAN_1S if of.is_index else None,
            "publishInterval": _TIMESPAN_1S if of.is_index else None,
            "publishTime": None,
            "maxOrderQty": of.qty_max or None,
            "maxPrice": of.price(of.px_ticks_max) if of.px_ticks_max else None,
            "lotSize": None if of.is_index else of.lot_size,
            "tickSize": of.price(1),
            "multiplier": of.multiplier,
            "settlCurrency": of.settle.currency if of.is_contract else None,
            "underlyingToPositionMultiplier": of.underlying_to_position,
            "underlyingToSettleMultiplier": of.underlying_to_settle,
            "quoteToSettleMultiplier": of.quote_to_settle,
            "isQuanto": of.is_quanto,
            "isInverse": of.is_inverse,
            "initMargin": of.initial_margin_ppm / PPM,
            "maintMargin": of.maintenance_margin_ppm / PPM,
            "riskLimit": of.risk_limit_base,
            "riskStep": of.risk_limit_step,
            "limit": None,
            "taxed": not of.is_index,
            "deleverage": of.is_contract,
            "makerFee": of.maker_fee_ppm / PPM,
            "takerFee": of.taker_fee_ppm / PPM,
            "settlementFee": of.settlement_fee_ppm / PPM,
            "fundingBaseSymbol": f".{of.underlying}BON8H" if funds else None,
            "fundingQuoteSymbol": f".{of.quote_currency}BON8H" if funds else None,
            "fundingPremiumSymbol": f".{of.symbol}PI8H" if funds else None,
            "fundingTimestamp": iso(self.funding_ns) if funds and self.funding_ns else None,
            "fundingInterval": timespan(self.funding_interval_ns) if funds else None,
            "fundingRate": self.funding_e8 / RATE_E8 if funds else None,
            "indicativeFundingRate": self.next_funding_e8 / RATE_E8 if funds else None,
            "rebalanceTimestamp": None,
            "rebalanceInterval": None,
            "prevClosePrice": of.price(before) if before else None,
            "limitDownPrice": None,
            "limitUpPrice": None,
            "prevTotalVolume": self.total_volume - day.volume,
            "totalVolume": self.total_volume,
            "volume": day.volume,
            "volume24h": day.volume,
            "prevTotalTurnover": self.total_turnover - day.turnover,
            "totalTurnover": self.total_turnover,
            "turnover": day.turnover,
            "turnover24h": day.turnover,
            "homeNotional24h": round(day.home, 8),
            "foreignNotional24h": round(day.foreign, 8),
            "prevPrice24h": of.price(before) if before else None,
            "vwap": round(of.price(1) * day.px_qty / day.volume, 4) if day.volume else None,
            "highPrice": of.price(day.high) if day.trades else None,
            "lowPrice": of.price(day.low) if day.trades else None,
            "lastPrice": last,
            "lastPriceProtected": self._protected_price(),
            "lastTickDirection": self.tick_direction,
            "lastChangePcnt": change,
            "bidPrice": of.price(bid) if bid else None,
            "midPrice": round(middle, 8) if middle is not None else None,
            "askPrice": of.price(ask) if ask else None,
            "impactBidPrice": of.mark_price(impact.bid) if impact and impact.bid else None,
            "impactMidPrice": _middle(of, impact) if impact and impact.bid and impact.ask else None,
            "impactAskPrice": of.mark_price(impact.ask) if impact and impact.ask else None,
            "hasLiquidity": impact.is_liquid if impact else bool(bid and ask),
            "openInterest": self.open_interest,
            "openValue": self.open_value,
            "fairMethod": None if not of.is_contract else "ImpactMidPrice" if is_future else "FundingRate",
            "fairBasisRate": self._basis_rate() if of.is_contract else None,
            "fairBasis": of.mark_price(self.basis_subticks) if of.is_contract and index else None,
            "fairPrice": mark if of.is_contract else None,
            "markMethod": _mark_method(of),
            "markPrice": mark,
            "indicativeSettlePrice": mark if is_spot else index,
            "settledPriceAdjustmentRate": None,
            "settledPrice": of.mark_price(self.settled.subticks) if self.settled is not None else None,
            "instantPnl": False,
            "minTick": of.price(1),
            "timestamp": iso(self.timestamp_ns),
        }


def _mark_method(of: Instrument) -> str:
    if not of.is_contract:
        return "LastPrice"
    return "LastPriceProtected" if of.mark_method == MarkMethod.LAST_PROTECTED else "FairPrice"


def _middle(of: Instrument, impact: Impact) -> float:
    return round(of.mark_price(impact.bid + impact.ask) / 2, 8)


def _words(why: Verdict | Hold) -> str:
    """Return a reason as the wire says it: Outlier, NotAPrice."""
    return "".join(word.capitalize() for word in why.name.split("_"))


def quote_row(of: Instrument, timestamp_ns: int, best: Best) -> Row:
    bid_size, bid, ask, ask_size = best
    return {
        "timestamp": iso(timestamp_ns),
        "symbol": of.symbol,
        "bidSize": bid_size or None,
        "bidPrice": of.price(bid) if bid else None,
        "askPrice": of.price(ask) if ask else None,
        "askSize": ask_size or None,
    }


def _end_of(timestamp_ns: int, step_ns: int) -> int:
    return floor_to(timestamp_ns, step_ns) + step_ns
