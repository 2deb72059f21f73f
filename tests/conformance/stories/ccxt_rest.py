"""ccxt, synchronous: place, amend, cancel, fill, see position, margin, wallet history, errors."""

import os

import ccxt

origin = os.environ["URL"]
exchange = ccxt.bitmex(
    {
        "apiKey": os.environ["KEY"],
        "secret": os.environ["SECRET"],
        "urls": {"api": {"public": origin, "private": origin}},
    }
)
SYMBOL = "BTC/USD:BTC"
markets = exchange.load_markets()
assert {"BTC/USD:BTC", "ETH/USD:BTC", "BTC/USDT:USDT", "ETH/USDT:USDT", "SOL/USDT:USDT", "BTC/USDT"} <= set(
    markets
)

book = exchange.fetch_order_book(SYMBOL)
bid, ask = book["bids"][0][0], book["asks"][0][0]
assert bid < ask
print(f"book of {SYMBOL}: {len(book['bids'])} bids, {len(book['asks'])} asks")

rates = exchange.fetch_funding_rates()
assert {"BTC/USD:BTC", "ETH/USDT:USDT"} <= set(rates), rates
assert "BTC/USDT" not in rates
for rate in rates.values():
    assert abs(rate["fundingRate"]) < 0.01, rate
    assert abs(rate["nextFundingRate"]) < 0.01, rate
    assert rate["fundingTimestamp"] > exchange.milliseconds(), rate
    assert rate["markPrice"] > 0, rate
assert exchange.fetch_funding_rate(SYMBOL)["fundingDatetime"][13:] == ":00:00.000Z"
assert isinstance(exchange.fetch_funding_rate_history(SYMBOL, limit=10), list)
for liquidation in exchange.fetch_liquidations(SYMBOL):
    assert liquidation["price"] > 0, liquidation
assert isinstance(exchange.fetch_settlement_history(), list)
print("funding rates, liquidations, settlements")

low = exchange.price_to_precision(SYMBOL, bid * 0.97)
placed = exchange.create_order(
    SYMBOL, "limit", "buy", 100, float(low), {"clOrdID": "story/1=", "postOnly": True}
)
assert placed["status"] == "open", placed
open_ids = [order["id"] for order in exchange.fetch_open_orders(SYMBOL)]
assert placed["id"] in open_ids
amended = exchange.edit_order(placed["id"], SYMBOL, "limit", "buy", 200, float(low))
assert amended["id"] == placed["id"], amended
assert amended["info"]["orderQty"] in (200, "200"), amended
assert exchange.fetch_order(placed["id"], SYMBOL)["status"] == "open"
canceled = exchange.cancel_order(placed["id"], SYMBOL)
assert canceled["status"] == "canceled", canceled
assert exchange.fetch_order(placed["id"], SYMBOL)["status"] == "canceled"
print("placed, amended, cancelled")

high = exchange.price_to_precision(SYMBOL, ask * 1.03)
stop = exchange.create_order(
    SYMBOL, "market", "buy", 100, params={"triggerPrice": float(high), "triggerDirection": "above"}
)
assert stop["status"] == "open", stop
assert stop["triggerPrice"] == float(high), stop
assert stop["info"]["ordType"] == "Stop", stop
touched = exchange.create_order(
    SYMBOL, "limit", "buy", 100, float(low), {"triggerPrice": float(low), "triggerDirection": "below"}
)
assert touched["info"]["ordType"] == "LimitIfTouched", touched
trailing = exchange.create_order(
    SYMBOL, "Stop", "sell", 100, params={"trailingAmount": 500, "reduceOnly": True}
)
assert trailing["info"]["pegPriceType"] == "TrailingStopPeg", trailing
assert float(trailing["info"]["pegOffsetValue"]) == -500, trailing
assert trailing["info"]["execInst"] == "ReduceOnly,MarkPrice", trailing
assert trailing["triggerPrice"], trailing
waiting = {stop["id"], touched["id"], trailing["id"]}
assert waiting <= {order["id"] for order in exchange.fetch_open_orders(SYMBOL)}
for order_id in waiting:
    fetched = exchange.fetch_order(order_id, SYMBOL)
    assert fetched["status"] == "open", fetched
    assert fetched["triggerPrice"], fetched
assert exchange.cancel_order(stop["id"], SYMBOL)["status"] == "canceled"
assert len(exchange.cancel_all_orders(SYMBOL)) == 2
print("stop, if-touched, trailing: placed, fetched, cancelled")

before = exchange.fetch_balance()["BTC"]["total"]
bought = exchange.create_order(SYMBOL, "market", "buy", 100)
assert bought["status"] == "closed", bought
assert bought["average"], bought
position = next(p for p in exchange.fetch_positions([SYMBOL]) if p["contracts"])
assert position["entryPrice"] > 0, position
ranks = {rank["symbol"]: rank for rank in exchange.fetch_positions_adl_rank()}
assert 0.2 <= float(ranks[SYMBOL]["info"]["deleveragePercentile"]) <= 1, ranks
trades = exchange.fetch_my_trades(SYMBOL, params={"reverse": True})
assert any(trade["order"] == bought["id"] for trade in trades)
sold = exchange.create_order(SYMBOL, "market", "sell", 100, params={"reduceOnly": True})
assert sold["status"] == "closed", sold
assert exchange.fetch_balance()["BTC"]["total"] != before, "fees were paid"
ledger = exchange.fetch_ledger("BTC")
assert any(
    entry["type"] == "transaction" or entry["info"]["transactType"] == "Deposit" for entry in ledger
), ledger
print("bought, saw the position, sold, saw the ledger")

leverage = exchange.set_leverage(5, SYMBOL)
assert float(leverage["leverage"]) == 5, leverage
exchange.set_margin_mode("cross", SYMBOL)
assert exchange.fetch_leverages([SYMBOL])

spot = exchange.create_order("BTC/USDT", "market", "buy", 0.001)
assert spot["status"] == "closed", spot
print("leverage, margin mode, spot")

exchange.set_leverage(1, SYMBOL)
for call, error in (
    (lambda: exchange.create_order(SYMBOL, "limit", "buy", 100, 1e9), ccxt.InvalidOrder),
    (lambda: exchange.create_order(SYMBOL, "limit", "buy", 10_000_000, float(low)), ccxt.InsufficientFunds),
    (
        lambda: exchange.private_post_order({"symbol": "XBTUSD", "orderQty": 100, "ordType": "Stop"}),
        ccxt.InvalidOrder,
    ),
    (
        lambda: exchange.cancel_order("00000000-0000-8fff-8000-0000000fffff", SYMBOL),
        (ccxt.OrderNotFound, ccxt.ExchangeError),
    ),
    (lambda: exchange.cancel_order(placed["id"], SYMBOL), ccxt.OrderNotFound),
):
    try:
        call()
    except error:
        continue
    raise AssertionError(f"{error} was expected")
exchange.set_margin_mode("cross", SYMBOL)
exchange.create_order(SYMBOL, "limit", "buy", 100, float(low), {"clOrdID": "twice"})
try:
    exchange.create_order(SYMBOL, "limit", "buy", 100, float(low), {"clOrdID": "twice"})
    raise AssertionError("a duplicate clOrdID was taken")
except ccxt.InvalidOrder:
    pass
assert len(exchange.cancel_all_orders(SYMBOL)) == 1
exchange.secret = "wrong"
try:
    exchange.fetch_balance()
    raise AssertionError("a wrong secret was taken")
except (ccxt.AuthenticationError, ccxt.ExchangeNotAvailable):
    print("errors arrive as ccxt's own")
