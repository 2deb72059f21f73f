"""Index prices: from what venues say to one integer a second, with the reason for every drop.

| module        | what is in it                                                              |
|---------------|----------------------------------------------------------------------------|
| constituents  | what an index is made of: whose prices, with which weights and rules       |
| protection    | which of them count, and what the index is: a pure function                |
| average       | `.BXBT30M`: the time-weighted average of the last half hour                |
| sources       | where prices come from: simulated, recorded, HTTP, WebSocket               |
| publication   | one second of all indices as INDEX commands                                |
| configuration | `indices.toml`                                                             |
"""

from ringfence.exchange.index_prices.average import Average
from ringfence.exchange.index_prices.configuration import (
    FIRST,
    NAME,
    Configuration,
    indices_of,
    read_configuration,
    source_of,
)
from ringfence.exchange.index_prices.constituents import Constituent, Index, Override, Rules, index_of
from ringfence.exchange.index_prices.protection import (
    Decision,
    Standing,
    State,
    Tick,
    begin,
    decide,
    price_of,
    recall,
)
from ringfence.exchange.index_prices.publication import Publication, averages_of
from ringfence.exchange.index_prices.sources import Source

__all__ = [
    "FIRST", "NAME", "Average", "Configuration", "Constituent", "Decision", "Index", "Override", "Publication",
    "Rules", "Source", "Standing", "State", "Tick", "averages_of", "begin", "decide", "index_of", "indices_of",
    "price_of", "read_configuration", "recall", "source_of",
]  # fmt: skip
