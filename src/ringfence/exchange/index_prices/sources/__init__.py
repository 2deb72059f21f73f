"""Where constituents' prices come from.

| module    | what is in it                                                              |
|-----------|----------------------------------------------------------------------------|
| quote     | text into index units or a named fault; the newest price of every market   |
| simulated | pretended venues around a seeded walk, with incidents: the default         |
| walk      | the walk                                                                   |
| recorded  | a file, once more                                                          |
| formats   | how venues say their last trade, over HTTP and WebSocket                   |
| http      | asks venues every few seconds                                              |
| websocket | listens to venues                                                          |
"""

from ringfence.exchange.index_prices.sources.http import HttpSource
from ringfence.exchange.index_prices.sources.quote import Board, Quote, Source, read_price
from ringfence.exchange.index_prices.sources.recorded import RecordedSource
from ringfence.exchange.index_prices.sources.simulated import SimulatedSource
from ringfence.exchange.index_prices.sources.websocket import WebSocketSource

__all__ = [
    "Board", "HttpSource", "Quote", "RecordedSource", "SimulatedSource", "Source", "WebSocketSource",
    "read_price",
]  # fmt: skip
