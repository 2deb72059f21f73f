"""A running exchange with bots, and the outside clients in environments of their own."""

import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ringfence.testing.client import Client
from ringfence.testing.up import Up

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = ROOT / ".venvs"
STORIES = Path(__file__).parent / "stories"


@pytest.fixture(scope="package")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with Up(tmp_path_factory.mktemp("conformance") / "exchange", "--accounts", "3") as running:
        yield running


@pytest.fixture
def trading(exchange: Up) -> Iterator[None]:
    """Account 3 holds a position and trades on and on, so that its private streams have something to tell."""
    stop = threading.Event()
    client = Client(exchange.port, exchange.key("demo-3"))
    # Isolated, because a cross position this small has no liquidation price, and ccxt's tests want one.
    client.call("POST", "/position/leverage", {"symbol": "XBTUSDT", "leverage": 5})
    client.place(symbol="XBTUSDT", orderQty=10_000, ordType="Market")

    def trade() -> None:
        side = 1
        while not stop.wait(1.0):
            for symbol in ("XBTUSDT", "XBT_USDT"):
                client.call(
                    "POST", "/order", {"symbol": symbol, "orderQty": side * 1000, "ordType": "Market"}
                )
            side = -side

    thread = threading.Thread(target=trade, daemon=True)
    thread.start()
    yield
    stop.set()
    thread.join()


def python_of(client: str) -> str:
    path = CLIENTS / client / "bin" / "python"
    assert path.exists(), f"the outside client {client} is not installed; run `make clients`"
    return str(path)


def tell(exchange: Up, client: str, story: str, *, key: str = "demo-1", seconds: float = 90) -> str:
    """Run a story with an outside client and return what it printed; it must end well."""
    record = exchange.key(key)
    environment = {**os.environ, "URL": exchange.url, "KEY": record.id, "SECRET": record.secret}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [python_of(client), str(STORIES / story)], env=environment, capture_output=True, text=True,
        timeout=seconds, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{story}:\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
    return done.stdout
