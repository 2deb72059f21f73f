"""The columns of every wire table, with the types that partials, the schema and the swagger name.

Row builders, SQL tables and documents are made from these lists, so a column has one home.
"""

from typing import NamedTuple

_TYPES = {
    "s": "symbol", "t": "timestamp", "l": "long", "f": "float", "b": "boolean", "g": "guid",
    "x": "string", "ts": "timespan",
}  # fmt: skip


class Column(NamedTuple):
    name: str
    type: str


class Table(NamedTuple):
    """One table. `keys` identify a row; `symbol_column` says what `topic:SYMBOL` filters by."""

    name: str
    model: str
    keys: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def types(self) -> dict[str, str]:
        return {column.name: column.type for column in self.columns}

    @property
    def has_symbol(self) -> bool:
        return "symbol" in self.names


def _columns(text: str) -> tuple[Column, ...]:
    pairs = (item.split() for item in text.replace("\n", " ").split(","))
    return tuple(Column(name, _TYPES[kind]) for name, kind in pairs)


_ORDER = """orderID g, clOrdID x, clOrdLinkID x, account l, symbol s, side s, orderQty l, price f,
displayQty l, stopPx f, pegOffsetValue f, pegPriceType s, currency s, settlCurrency s, ordType s,
timeInForce s, execInst s, contingencyType s, ordStatus s, triggered s, workingIndicator b, ordRejReason x,
leavesQty l, cumQty l, avgPx f, text x, transactTime t, timestamp t"""

_EXECUTION = (
    """execID g, """
    + _ORDER
    + """, lastQty l, lastPx f, lastLiquidityInd s, execType s,
commission f, feeType s, tradePublishIndicator s, trdMatchID g, execCost l, execComm l, homeNotional f,
foreignNotional f"""
)

_INSTRUMENT = """symbol s, rootSymbol s, state s, typ s, listing t, front t, expiry t, settle t,
listedSettle t, positionCurrency s, underlying s, quoteCurrency s, underlyingSymbol s, reference s,
referenceSymbol s, calcInterval ts, publishInterval ts, publishTime ts, maxOrderQty l, maxPrice f,
lotSize l, tickSize f, multiplier l, settlCurrency s, underlyingToPositionMultiplier l,
underlyingToSettleMultiplier l, quoteToSettleMultiplier l, isQuanto b, isInverse b, initMargin f,
maintMargin f, riskLimit l, riskStep l, limit f, taxed b, deleverage b, makerFee f, takerFee f,
settlementFee f, fundingBaseSymbol s, fundingQuoteSymbol s, fundingPremiumSymbol s, fundingTimestamp t,
fundingInterval ts, fundingRate f, indicativeFundingRate f, rebalanceTimestamp t, rebalanceInterval ts,
prevClosePrice f, limitDownPrice f, limitUpPrice f, prevTotalVolume l, totalVolume l, volume l, volume24h l,
prevTotalTurnover l, totalTurnover l, turnover l, turnover24h l, homeNotional24h f, foreignNotional24h f,
prevPrice24h f, vwap f, highPrice f, lowPrice f, lastPrice f, lastPriceProtected f, lastTickDirection s,
lastChangePcnt f, bidPrice f, midPrice f, askPrice f, impactBidPrice f, impactMidPrice f, impactAskPrice f,
hasLiquidity b, openInterest l, openValue l, fairMethod s, fairBasisRate f, fairBasis f, fairPrice f,
markMethod s, markPrice f, indicativeSettlePrice f, settledPriceAdjustmentRate f, settledPrice f,
instantPnl b, minTick f, timestamp t"""

_POSITION = """account l, symbol s, currency s, underlying s, quoteCurrency s, commission f,
initMarginReq f, maintMarginReq f, riskLimit l, leverage f, crossMargin b, deleveragePercentile f,
rebalancedPnl l, prevRealisedPnl l, prevUnrealisedPnl l, openingQty l, openOrderBuyQty l,
openOrderBuyCost l, openOrderBuyPremium l, openOrderSellQty l, openOrderSellCost l, openOrderSellPremium l,
currentQty l, currentCost l, currentComm l, realisedCost l, unrealisedCost l, grossOpenPremium l, isOpen b,
markPrice f, markValue l, riskValue l, homeNotional f, foreignNotional f, posState s, posCost l, posCross l,
posInit l, posComm l, posLoss l, posMargin l, posMaint l, initMargin l, maintMargin l, realisedPnl l,
unrealisedPnl l, unrealisedPnlPcnt f, unrealisedRoePcnt f, avgCostPrice f, avgEntryPrice f,
breakEvenPrice f, marginCallPrice f, liquidationPrice f, bankruptPrice f, timestamp t"""

_MARGIN = """account l, currency s, riskLimit l, state s, amount l, prevRealisedPnl l, grossComm l,
grossOpenCost l, grossOpenPremium l, grossExecCost l, grossMarkValue l, riskValue l, initMargin l,
maintMargin l, targetExcessMargin l, realisedPnl l, unrealisedPnl l, walletBalance l, marginBalance l,
marginLeverage f, marginUsedPcnt f, excessMargin l, availableMargin l, withdrawableMargin l,
makerFeeDiscount f, takerFeeDiscount f, timestamp t, foreignMarginBalance l, foreignRequirement l"""

_WALLET = """account l, currency s, deposited l, withdrawn l, transferIn l, transferOut l, amount l,
pendingCredit l, pendingDebit l, confirmedDebit l, timestamp t"""

_TRANSACTION = """transactID g, account l, currency s, network s, transactType s, amount l, fee l,
transactStatus s, address x, tx x, text x, transactTime t, walletBalance l, memo x, timestamp t"""

_TRADE = """timestamp t, symbol s, side s, size l, price f, tickDirection s, trdMatchID g, grossValue l,
homeNotional f, foreignNotional f, trdType s"""

_TRADE_BIN = """timestamp t, symbol s, open f, high f, low f, close f, trades l, volume l, vwap f, lastSize l,
turnover l, homeNotional f, foreignNotional f"""

_QUOTE = "timestamp t, symbol s, bidSize l, bidPrice f, askPrice f, askSize l"
_L2 = "symbol s, id l, side s, size l, price f, timestamp t, transactTime t"

BIN_NAMES = ("1m", "5m", "1h", "1d")

_LIST = [
    Table("order", "Order", ("orderID",), _columns(_ORDER)),
    Table("execution", "Execution", ("execID",), _columns(_EXECUTION)),
    Table("position", "Position", ("account", "symbol"), _columns(_POSITION)),
    Table("margin", "Margin", ("account", "currency"), _columns(_MARGIN)),
    Table("wallet", "Wallet", ("account", "currency"), _columns(_WALLET)),
    Table("transact", "Transaction", ("transactID",), _columns(_TRANSACTION)),
    Table("instrument", "Instrument", ("symbol",), _columns(_INSTRUMENT)),
    Table("orderBookL2", "OrderBookL2", ("symbol", "id", "side"), _columns(_L2)),
    Table("orderBookL2_25", "OrderBookL2", ("symbol", "id", "side"), _columns(_L2)),
    Table("orderBook10", "OrderBook10", ("symbol",), _columns("symbol s, bids x, asks x, timestamp t")),
    Table("quote", "Quote", (), _columns(_QUOTE)),
    Table("trade", "Trade", (), _columns(_TRADE)),
    *(Table(f"tradeBin{size}", "TradeBin", (), _columns(_TRADE_BIN)) for size in BIN_NAMES),
    *(Table(f"quoteBin{size}", "Quote", (), _columns(_QUOTE)) for size in BIN_NAMES),
    Table(
        "funding", "Funding", ("timestamp", "symbol"),
        _columns("timestamp t, symbol s, fundingInterval ts, fundingRate f, fundingRateDaily f"),
    ),
    Table(
        "insurance", "Insurance", ("currency", "timestamp"),
        _columns("currency s, timestamp t, walletBalance l"),
    ),
    Table(
        "settlement", "Settlement", ("timestamp", "symbol"),
        _columns(
            "timestamp t, symbol s, settlementType s, settledPrice f, optionStrikePrice f, "
            "optionUnderlyingPrice f, bankrupt l, taxBase l, taxRate f"
        ),
    ),
    Table(
        "liquidation", "Liquidation", ("orderID",),
        _columns("orderID g, symbol s, side s, price f, leavesQty l"),
    ),
    Table(
        "halt", "Halt", ("id",),
        _columns(
            "id l, timestamp t, halt l, scope s, symbol s, currency s, state s, previousState s, reopens t, by x, "
            "text x, law s, expected x, found x, cut l, dump x"
        ),
    ),
    Table(
        "shed", "Shed", ("venue",),
        _columns(
            "venue s, timestamp t, state s, since t, queueMilliseconds l, shedsPerMinute l, accountShare l, "
            "queueAge l, queueFull l, gatewayBusy l, withdrawn l"
        ),
    ),
    Table("announcement", "Announcement", ("id",), _columns("id l, link x, title x, content x, date t")),
    Table(
        "chat", "Chat", ("id",),
        _columns("id l, date t, user x, message x, html x, fromBot b, channelID f"),
    ),
    Table("connected", "ConnectedUsers", ("id",), _columns("id l, users l, bots l")),
    Table(
        "publicNotifications", "GlobalNotification", ("id",),
        _columns("id l, date t, title x, body x, ttl l, type s, closable b, persist b, sound x"),
    ),
    Table(
        "privateNotifications", "GlobalNotification", ("id",),
        _columns("id l, date t, title x, body x, ttl l, type s, closable b, persist b, sound x"),
    ),
    Table(
        "compositeIndex", "IndexComposite", ("symbol", "reference"),
        _columns(
            "timestamp t, symbol s, indexSymbol s, indexMultiplier f, reference s, lastPrice f, weight f, "
            "logged t, dropReason s"
        ),
    ),
    Table("affiliate", "Affiliate", ("account", "currency"), _columns("account l, currency s, timestamp t")),
    Table(
        "deleverage", "Deleverage", ("id",),
        _columns(
            "id l, timestamp t, symbol s, side s, price f, shortfallQty l, takenQty l, method s, rankedAccounts l, "
            "ranked x"
        ),
    ),
    Table(
        "userDeleverage", "UserDeleverage", ("id", "account"),
        _columns(
            "id l, account l, timestamp t, symbol s, side s, price f, pseudonym x, place l, qty l, value l"
        ),
    ),
    Table(
        "userEvent", "UserEventRow", ("id",),
        _columns("id l, account l, timestamp t, type s, status s, eventMeta x"),
    ),
    Table(
        "tradingVolume", "TradingDay", ("timestamp", "account"),
        _columns("timestamp t, account l, contractCents l, spotCents l"),
    ),
]  # fmt: skip

TABLES: dict[str, Table] = {table.name: table for table in _LIST}
PRIVATE = frozenset(
    ("order", "execution", "position", "margin", "wallet", "transact", "privateNotifications", "affiliate")
)
REST_ONLY = frozenset(("compositeIndex", "deleverage", "userDeleverage", "userEvent", "tradingVolume"))
"""Tables that can be asked for and not subscribed to."""
