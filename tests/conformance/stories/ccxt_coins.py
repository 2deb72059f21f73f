"""ccxt: where to deposit to, taking coins out, and what has become of both."""

import os
import time

import ccxt

origin = os.environ["URL"]
exchange = ccxt.bitmex(
    {"apiKey": os.environ["KEY"], "secret": os.environ["SECRET"],
     "urls": {"api": {"public": origin, "private": origin}}}
)  # fmt: skip
exchange.load_markets()

where = exchange.fetch_deposit_address("BTC", {"network": "BTC"})
assert where["address"].startswith("bcrt1q"), where
assert where["currency"] == "BTC", where

# The story before this one has deposited.
deposits = [
    row for row in exchange.fetch_deposits_withdrawals("BTC") if row["type"] == "deposit" and row["txid"]
]
assert deposits, "no deposit"
assert deposits[0]["status"] == "ok", deposits[0]
assert deposits[0]["amount"] == 1.5, deposits[0]

asked = exchange.withdraw("BTC", 0.25, os.environ["TO"], None, {"network": "BTC", "fee": 300_000})
assert asked["status"] == "pending", asked
assert asked["id"], asked
until = time.monotonic() + 60
while True:
    rows = {row["id"]: row for row in exchange.fetch_deposits_withdrawals("BTC")}
    row = rows[asked["id"]]
    if row["status"] == "ok":
        break
    assert time.monotonic() < until, row
    time.sleep(0.5)
assert row["type"] == "withdrawal", row
assert row["addressTo"] == os.environ["TO"], row
assert len(row["txid"]) == 64, row
print(f"withdrawn in {row['txid']}")
