"""bitmex-ws: signs in by header, subscribes in the URL, keeps its tables."""

import os
import time

from bitmex_websocket import BitMEXWebsocket

endpoint = os.environ["URL"].replace("http", "ws") + "/realtime"
socket = BitMEXWebsocket(
    endpoint=endpoint, symbol="XBTUSD", api_key=os.environ["KEY"], api_secret=os.environ["SECRET"]
)
assert socket.get_instrument()["tickLog"] == 1
for _ in range(20):
    assert socket.ws.sock.connected
    ticker = socket.get_ticker()
    assert ticker["buy"] < ticker["sell"], ticker
    assert socket.funds()["walletBalance"] > 0
    assert isinstance(socket.open_orders("none"), list)
    book = socket.market_depth()
    assert len(book) > 10
    bids = [row["price"] for row in book if row["side"] == "Buy"]
    asks = [row["price"] for row in book if row["side"] == "Sell"]
    assert max(bids) < min(asks), "the kept book is crossed"
    assert socket.recent_trades()
    time.sleep(0.25)
socket.exit()
print("ticker, funds, book and trades kept for five seconds")
