"""Last trades, asked for every few seconds over HTTP: slower than a WebSocket, and with less to go wrong."""

import asyncio
import logging
import urllib.request
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from time import time_ns
from typing import NamedTuple

from ringfence.exchange.index_prices.constituents import Index
from ringfence.exchange.index_prices.protection import Tick
from ringfence.exchange.index_prices.sources.formats import FORMATS, MESSAGE_BYTES_MAX, parse
from ringfence.exchange.index_prices.sources.quote import Board
from ringfence.messages.constituents import Reference

log = logging.getLogger(__name__)

_TIMEOUT_SECONDS = 5.0
_AT_ONCE_MAX = 16
_HEADERS = {"User-Agent": "ringfence-price-feed", "Accept": "application/json"}


class Market(NamedTuple):
    """One market of one venue that some index needs."""

    reference: Reference
    base: str
    quote: str


def markets_of(indices: Iterable[Index]) -> list[Market]:
    """Return every market once. Raises ValueError for a venue that nothing is known of."""
    found = {
        Market(one.reference, index.base, index.quote): None
        for index in indices
        for one in index.constituents
    }
    for market in found:
        if market.reference not in FORMATS:
            raise ValueError(f"{market.reference.name} is no venue that can be asked")
    return list(found)


class HttpSource:
    """Asks every market every `seconds`. `urls` replaces a venue's address, `{market}` in it, for tests."""

    def __init__(
        self, indices: Iterable[Index], *, seconds: float, urls: Mapping[Reference, str] | None = None
    ) -> None:
        self._markets = markets_of(indices)
        self._seconds = seconds
        self._urls = {reference: form.http_url for reference, form in FORMATS.items()} | dict(urls or {})
        self._board = Board()
        self.failures = 0

    def ticks(self, index: Index, *, now_ns: int) -> list[Tick]:
        return self._board.ticks(index)

    async def run(self) -> None:
        with ThreadPoolExecutor(_AT_ONCE_MAX, thread_name_prefix="index-http") as threads:
            await asyncio.gather(*(self._follow(market, threads) for market in self._markets))

    async def _follow(self, market: Market, threads: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        form = FORMATS[market.reference]
        name = form.spell_http(market.base, market.quote)
        url = self._urls[market.reference].format(market=name)
        was_well = True
        while True:
            try:
                message = parse(await loop.run_in_executor(threads, _get, url))
                for quote in form.read_http(message, name):
                    self._board.hear(market.reference, market.base, market.quote, quote, now_ns=time_ns())
            except (OSError, HTTPException, ValueError, LookupError, TypeError, AttributeError) as error:
                self.failures += 1
                if was_well:
                    log.warning("%s %s: no price: %s", market.reference.name, name, error)
                was_well = False
            else:
                if not was_well:
                    log.info("%s %s: prices again", market.reference.name, name)
                was_well = True
            await asyncio.sleep(self._seconds)


def _get(url: str) -> bytes:
    request = urllib.request.Request(url, headers=_HEADERS)  # noqa: S310 - from FORMATS or an operator
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as reply:  # noqa: S310
        body: bytes = reply.read(MESSAGE_BYTES_MAX + 1)
        return body
