"""ccxt.pro: book, trades, own orders, fills, positions and balance over the WebSocket."""

import asyncio
import os

import ccxt.pro as ccxt

origin = os.environ["URL"]
SYMBOL = "BTC/USD:BTC"


async def main() -> None:
    exchange = ccxt.bitmex(
        {"apiKey": os.environ["KEY"], "secret": os.environ["SECRET"],
         "urls": {"api": {"public": origin, "private": origin, "ws": origin.replace("http", "ws") + "/realtime"}}}
    )  # fmt: skip
    try:
        await exchange.load_markets()
        books = 0
        for _ in range(5):
            book = await asyncio.wait_for(exchange.watch_order_book(SYMBOL), 20)
            assert book["bids"][0][0] < book["asks"][0][0]
            books += 1
        real = await exchange.fetch_order_book(SYMBOL)
        book = await asyncio.wait_for(exchange.watch_order_book(SYMBOL), 20)
        assert abs(book["bids"][0][0] - real["bids"][0][0]) < real["bids"][0][0] * 0.01
        ticker = await asyncio.wait_for(exchange.watch_ticker(SYMBOL), 20)
        assert ticker["bid"] and ticker["last"], ticker
        assert await asyncio.wait_for(exchange.watch_trades(SYMBOL), 20)
        print(f"{books} books, a ticker, trades")

        # Frames may come before the reply that names the order, so all of them are kept.
        async def collect(watch, rows):
            while True:
                rows.extend(await watch(SYMBOL))

        async def until(rows, matches):
            while not any(matches(row) for row in rows):
                await asyncio.sleep(0.05)
            return list(rows)

        placed, orders, fills = {"id": None}, [], []
        collecting = [
            asyncio.ensure_future(collect(exchange.watch_orders, orders)),
            asyncio.ensure_future(collect(exchange.watch_my_trades, fills)),
        ]
        positions = asyncio.ensure_future(exchange.watch_positions([SYMBOL]))
        await asyncio.wait_for(exchange.watch_balance(), 20)
        await asyncio.sleep(1)
        low = exchange.price_to_precision(SYMBOL, real["bids"][0][0] * 0.97)
        resting = await exchange.create_order(SYMBOL, "limit", "buy", 100, float(low))
        placed.update(await exchange.create_order(SYMBOL, "market", "buy", 100))
        await exchange.cancel_order(resting["id"], SYMBOL)
        seen = await asyncio.wait_for(until(orders, lambda row: row["id"] == placed["id"]), 20)
        assert all(order["price"] and order["side"] for order in seen), seen
        await asyncio.wait_for(until(fills, lambda row: row["order"] == placed["id"]), 20)
        for task in collecting:
            task.cancel()
        seen = await asyncio.wait_for(positions, 20)
        assert all(position["contracts"] is not None for position in seen), seen
        balance = await asyncio.wait_for(exchange.watch_balance(), 20)
        assert balance["BTC"]["total"] > 0, balance
        await exchange.create_order(SYMBOL, "market", "sell", 100, params={"reduceOnly": True})
        print("own order, fill, position, balance")
    finally:
        await exchange.close()


asyncio.run(main())
