"""Clients that others wrote, as they are, against the running exchange. Each tells a story."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ringfence.testing.client import Client
from ringfence.testing.up import Up
from tests.conformance.conftest import CLIENTS, python_of, tell

# What the client itself gets wrong, whatever the server says (bitmex-spec C.1).
_CURRENCIES = {"currencyIdAndCode": "baseId is XBT, the currency's id is XBt"}
_POSITIONS = {"collateral": "the client sets none", "initialMargin": "the client sets none"}
_BOOKS = {"timestamp": "the client sets none"}
CCXT_SKIPS = {
    "loadMarkets": _CURRENCIES, "fetchCurrencies": _CURRENCIES, "orderBook": _BOOKS,
    "fetchPositions": _POSITIONS, "watchPositions": _POSITIONS,
    # It counts the union of active instruments and indices against the active ones alone.
    "fetchTickers": {"checkActiveSymbols": "indices have tickers and are no markets"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("client", "story"),
    [
        ("ccxt", "ccxt_rest.py"),
        pytest.param("ccxt", "ccxt_realtime.py", marks=pytest.mark.slow),
        ("bitmex", "bitmex_rest.py"),
        ("bitmex", "bitmex_realtime.py"),
    ],
)
def test_a_story_with_an_unmodified_client(exchange: Up, client: str, story: str) -> None:
    assert tell(exchange, client, story)


@pytest.mark.slow
def test_the_sample_market_maker_quotes_and_leaves_nothing_behind(exchange: Up) -> None:
    tell(exchange, "market-maker", "market_maker.py", key="demo-2")
    client = Client(exchange.port, exchange.key("demo-2"))
    assert client.get("/order?filter=%7B%22open%22%3Atrue%7D") == []
    prefix = [row for row in client.get("/order?count=500") if str(row["clOrdID"]).startswith("mm_bitmex_")]
    assert len(prefix) >= 12
    assert all(row["ordStatus"] in ("Canceled", "Filled") for row in prefix)


@pytest.fixture(scope="module")
def ccxt_suite(exchange: Up, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's own live test-suite; it refuses to run where packages are installed."""
    python_of("ccxt")
    root = tmp_path_factory.mktemp("ccxt")
    (installed,) = (CLIENTS / "ccxt" / "lib").glob("python*/site-packages/ccxt")
    shutil.copytree(installed, root / "unpacked" / "ccxt")
    record = exchange.key("demo-3")
    urls = {
        "public": exchange.url,
        "private": exchange.url,
        "ws": exchange.url.replace("http", "ws") + "/realtime",
    }
    settings = {"bitmex": {"apiKey": record.id, "secret": record.secret, "urls": {"api": urls}}}
    skips = {"bitmex": {"skipMethods": CCXT_SKIPS}}
    for folder in (root, root / "unpacked"):
        (folder / "keys.local.json").write_text(json.dumps(settings))
        (folder / "skip-tests.json").write_text(json.dumps(skips))
    return root / "unpacked"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "tested"),
    [
        (
            ("--private",),
            ("fetchOrderBook", "fetchOHLCV", "fetchTrades", "fetchMyTrades", "fetchPositions", "fetchLedger"),
        ),
        (
            ("--private", "--sync"),
            ("fetchOrderBook", "fetchOHLCV", "fetchTrades", "fetchBalance", "fetchPositions"),
        ),
        (
            ("BTC/USDT:USDT", "--private", "--ws"),
            ("watchOrderBook", "watchTrades", "watchTicker", "watchOrders", "watchMyTrades"),
        ),
    ],
    ids=["rest", "rest-sync", "realtime"],
)
def test_ccxts_own_live_tests_pass(
    ccxt_suite: Path, trading: None, arguments: tuple[str, ...], tested: tuple[str, ...]
) -> None:
    done = subprocess.run(
        [python_of("ccxt"), "tests_init.py", "bitmex", *arguments, "--info"], cwd=ccxt_suite / "ccxt" / "test",
        env={**os.environ, "PYTHONPATH": str(ccxt_suite)}, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    output = done.stdout + done.stderr
    assert done.returncode == 0, output[-6000:]
    assert "TEST_FAILURE" not in output, output[-6000:]
    finished = {line.split()[-1] for line in output.splitlines() if "TESTING DONE" in line}
    assert set(tested) <= finished, output[-6000:]
