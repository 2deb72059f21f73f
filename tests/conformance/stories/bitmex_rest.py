"""BitMEX's own REST client (bravado, made from our swagger document): forms, filters, an order's life."""

import json
import os
import time

from BitMEXAPIKeyAuthenticator import APIKeyAuthenticator
from bravado.client import SwaggerClient
from bravado.exception import HTTPBadRequest
from bravado.requests_client import RequestsClient

origin = os.environ["URL"]
http = RequestsClient()
http.authenticator = APIKeyAuthenticator(origin, os.environ["KEY"], os.environ["SECRET"])
config = {"use_models": False, "validate_responses": False, "also_return_response": True}
client = SwaggerClient.from_url(f"{origin}/api/explorer/swagger.json", config=config, http_client=http)


def call(operation, **parameters):
    value, response = operation(**parameters).result(timeout=20)
    assert response.status_code == 200
    return value


instruments = call(client.Instrument.Instrument_getActive)
assert {row["symbol"] for row in instruments} >= {"XBTUSD", "XBTUSDT", "XBT_USDT"}
book = call(client.OrderBook.OrderBook_getL2, symbol="XBTUSD", depth=5)
bid = max(row["price"] for row in book if row["side"] == "Buy")
low = round(bid * 0.97)

name = f"bx+{int(time.time())}/="
placed = call(client.Order.Order_new, symbol="XBTUSD", orderQty=100, price=float(low), clOrdID=name)
assert placed["ordStatus"] == "New", placed
found = call(client.Order.Order_getOrders, filter=json.dumps({"clOrdID": name, "open": True}))
assert [row["orderID"] for row in found] == [placed["orderID"]]
amended = call(client.Order.Order_amend, orderID=placed["orderID"], orderQty=300.0)
assert amended["orderQty"] == 300
canceled = call(client.Order.Order_cancel, orderID=placed["orderID"])
assert canceled[0]["ordStatus"] == "Canceled"
bought = call(client.Order.Order_new, symbol="XBTUSD", orderQty=100, ordType="Market")
assert bought["ordStatus"] == "Filled"
held = call(client.Position.Position_get, filter=json.dumps({"symbol": "XBTUSD"}))
assert held[0]["currentQty"] != 0 or held[0]["isOpen"] is False
call(client.Order.Order_new, symbol="XBTUSD", orderQty=-100, ordType="Market")
fills = call(client.Execution.Execution_getTradeHistory, symbol="XBTUSD", reverse=True, count=5.0)
assert len(fills) == 5 or fills
assert call(client.Position.Position_isolateMargin, symbol="ETHUSD", enabled=True)["crossMargin"] is False
assert call(client.Position.Position_isolateMargin, symbol="ETHUSD", enabled=False)["crossMargin"] is True
assert call(client.User.User_getMargin)["walletBalance"] > 0
assert call(client.User.User_getWalletHistory)
assert call(
    client.Trade.Trade_getBucketed, binSize="1m", partial=True, symbol="XBTUSD", reverse=True, count=3
)
assert call(client.Quote.Quote_get, symbol="XBTUSD")[0]["bidPrice"]
for table in (client.Funding.Funding_get, client.Settlement.Settlement_get, client.Liquidation.Liquidation_get,
              client.Deleverage.Deleverage_get):  # fmt: skip
    assert isinstance(call(table, count=5), list)
assert isinstance(call(client.Insurance.Insurance_get), list)
assert call(client.User.User_getCommission)["XBTUSD"]["takerFee"] > 0
assert set(call(client.User.User_getTradingVolume)[0]) == {"advUsd", "advUsdSpot", "advUsdContract"}
timer = call(client.Order.Order_cancelAllAfter, timeout=60000.0)
assert timer["cancelTime"]
call(client.Order.Order_cancelAllAfter, timeout=0.0)
call(client.Order.Order_cancelAll)
try:
    call(client.Order.Order_new, symbol="XBTUSD", orderQty=150, price=float(low))
    raise AssertionError("a bad quantity was taken")
except HTTPBadRequest as error:
    assert "Invalid orderQty" in error.response.text
print("an order's life, positions, history, errors")
