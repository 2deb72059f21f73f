"""ccxt: ether, dollars and SOL in and out, each on its own chain."""

import os
import time

import ccxt

origin = os.environ["URL"]
exchange = ccxt.bitmex(
    {"apiKey": os.environ["KEY"], "secret": os.environ["SECRET"],
     "urls": {"api": {"public": origin, "private": origin}}}
)  # fmt: skip
exchange.load_markets()

STORIES = (
    ("ETH", "ETH", 0.25, os.environ["TO_ETHEREUM"]),
    ("USDT", "ERC20", 40, os.environ["TO_ETHEREUM"]),
    ("SOL", "SOL", 0.5, os.environ["TO_SOLANA"]),
)

for code, network, _, to in STORIES:
    where = exchange.fetch_deposit_address(code, {"network": network})
    assert where["address"] not in ("", to), where
    # Whoever runs this story has deposited.
    deposits = [
        row for row in exchange.fetch_deposits_withdrawals(code) if row["type"] == "deposit" and row["txid"]
    ]
    assert deposits, f"no deposit of {code}"
    assert deposits[0]["status"] == "ok", deposits[0]

asked = {
    code: exchange.withdraw(code, amount, to, None, {"network": network})
    for code, network, amount, to in STORIES
}
until = time.monotonic() + 90
for code, _, _, to in STORIES:
    assert asked[code]["status"] == "pending", asked[code]
    while True:
        rows = {row["id"]: row for row in exchange.fetch_deposits_withdrawals(code)}
        row = rows[asked[code]["id"]]
        if row["status"] == "ok":
            break
        assert time.monotonic() < until, row
        time.sleep(0.5)
    assert row["addressTo"] == to, row
    print(f"{code} withdrawn in {row['txid']}")
