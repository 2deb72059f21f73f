"""Venues fall silent, lie and disagree, and the price feed hangs: each is seen, and the index is held where it was.

The venues are a server of this script that speaks four venues' formats; the price feed asks it over HTTP.
"""

import json
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from staging import Runbook, Watch, found, main, ringfence, until

from ringfence.instruments.catalogue import start_instruments
from ringfence.monitoring import metrics
from ringfence.testing.client import Client
from ringfence.testing.play import START_NS
from ringfence.testing.venue import Venue

_VENUES = ("COINBASE", "KRAKEN", "BITSTAMP", "GEMINI")


class Venues(BaseHTTPRequestHandler):
    """Four venues, each at its own path: what they say, and how many seconds ago it was traded."""

    prices: dict[str, str] = dict.fromkeys(_VENUES, "10000")
    ages: dict[str, int] = dict.fromkeys(_VENUES, 0)

    def do_GET(self) -> None:
        name = self.path.strip("/")
        price, at = self.prices[name], time.time() - self.ages[name]
        said: dict[str, Any] = {
            "COINBASE": {"price": price, "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))},
            "KRAKEN": {"error": [], "result": {"XXBTZUSD": {"c": [price, "1"]}}},
            "BITSTAMP": {"last": price, "timestamp": str(int(at))},
            "GEMINI": [{"price": price, "timestampms": int(at * 1_000)}],
        }
        body = json.dumps(said[name]).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def run(book: Runbook, folder: Path) -> None:
    with _venues() as url, Venue(folder / "exchange", accounts=1) as venue:
        found(venue)
        _configure(venue.directory, url)
        client, anyone = Client(venue.port, 1), Client(venue.port, None)
        Venues.ages["BITSTAMP"] = 120
        venue.start("price_feed")
        until(lambda: _index(anyone), "the index has a price")
        watch = Watch(venue.directory)
        book.check(
            watch.fires("IndexSourceSilent"),
            "IndexSourceSilent fires: one venue has said nothing for two minutes",
        )
        page = watch.look()
        ages = {of["source"]: age for of, age in page.each(metrics.SOURCE_AGE, symbol=".BXBT")}
        book.check(ages["bitstamp"] > 60 > ages["kraken"], "`ringfence_index_source_age_seconds` names it")
        book.check(
            page.value(metrics.INDEX_FROZEN, symbol=".BXBT") == 0, "nothing needs to be done: three are left"
        )
        Venues.ages["BITSTAMP"] = 0
        watch.until(
            lambda page: (page.value(metrics.SOURCE_AGE, symbol=".BXBT", source="bitstamp") or 99) < 60,
            "it is back",
        )
        book.check(not watch.fires("IndexSourceSilent"), "the alert is over")

        book.step("the price feed hangs")
        venue.signal("price_feed", signal.SIGSTOP)
        watch.until(
            lambda page: (page.value(metrics.INDEX_AGE, symbol=".BXBT") or 0) > 10, "the index is old"
        )
        book.check(watch.fires("IndexOld"), "IndexOld fires")
        venue.kill("price_feed")
        venue.start("price_feed")
        watch.until(
            lambda page: (page.value(metrics.INDEX_AGE, symbol=".BXBT") or 99) < 5, "it is published again"
        )
        book.check(not watch.fires("IndexOld"), "started again it goes on")

        book.step("two venues say zero, and of the other two one says a fifth more")
        before = _index(anyone)
        Venues.prices |= {"COINBASE": "0", "KRAKEN": "0", "BITSTAMP": "12000"}
        watch.until(lambda page: page.value(metrics.INDEX_FROZEN, symbol=".BXBT") == 1, "the index is frozen")
        book.check(watch.fires("IndexFrozen"), "IndexFrozen fires")
        rows = {row["reference"]: row for row in anyone.get("/instrument/compositeIndex?symbol=.BXBT")}
        book.check(rows["BMI"]["dropReason"] == "TwoDisagree", "`compositeIndex` says why")
        book.check(rows["KRAKEN"]["dropReason"] == "NotAPrice", "and who was dropped")
        book.check(abs(_index(anyone) - before) < 2_000, "the index is held")
        done = ringfence(
            "halt", "now", "--scope", "contract", "--of", "XBTUSD", "--because", "a wrong index", "--operator", "anna",
            "--directory", str(venue.directory),
        )  # fmt: skip
        book.check(done.returncode == 0, "`ringfence halt now --scope contract` halts the contract")
        book.check(client.place(orderQty=100, price=9_000).status == 400, "no order is taken there")
        Venues.prices["BITSTAMP"] = "10000"
        watch.until(lambda page: page.value(metrics.INDEX_FROZEN, symbol=".BXBT") == 0, "two agree again")
        book.check(not watch.fires("IndexFrozen"), "two that agree are enough to go on")


@contextmanager
def _venues() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Venues)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def _configure(directory: Path, url: str) -> None:
    symbols = [
        of.symbol for of in start_instruments(START_NS) if of.is_index and not of.symbol.endswith("30M")
    ]
    weights = ", ".join(f"{name} = 2500" for name in _VENUES)
    lines = ['source = "http"', "http_seconds = 0.5", "[addresses]"]
    lines += [f'{name} = "{url}/{name}"' for name in _VENUES]
    lines += [f'[index."{symbol}"]\nweights = {{ {weights} }}' for symbol in symbols]
    (directory / "indices.toml").write_text("\n".join(lines) + "\n")


def _index(anyone: Client) -> float:
    rows = {row["symbol"]: row["lastPrice"] for row in anyone.get("/instrument/indices")}
    return float(rows.get(".BXBT") or 0)


if __name__ == "__main__":
    main(run)
