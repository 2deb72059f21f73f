"""`indices.toml`: where index prices come from. A new exchange gets one that says SIMULATED."""

import tomllib
from pathlib import Path
from typing import Literal

import msgspec

from ringfence.exchange.index_prices.constituents import Index, Override, index_of
from ringfence.exchange.index_prices.sources import (
    HttpSource,
    RecordedSource,
    SimulatedSource,
    Source,
    WebSocketSource,
)
from ringfence.exchange.index_prices.sources.walk import SEED
from ringfence.instruments.specification import Instrument
from ringfence.messages.constituents import Reference

NAME = "indices.toml"
FIRST = f"""\
# Where the prices of the indices come from; marks, funding, liquidation and settlement follow them.
# Read when the price feed starts. docs/operating/index-prices.md explains every line.

# simulated: SIMULATED prices of five venues that do not exist. They mean nothing.
# websocket, http: public market data of real venues.
# recorded: a file, once more.
source = "simulated"
seed = {SEED}

# http_seconds = 5.0
# recording = "incident.jsonl"

# [index.".BXBT"]
# weights = {{ COINBASE = 3500, KRAKEN = 2500, BITSTAMP = 2500, GEMINI = 1500 }}
# rules = {{ step_ppm = 100000 }}
"""


class Configuration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the file says."""

    source: Literal["simulated", "recorded", "http", "websocket"] = "simulated"
    seed: int = SEED
    recording: str = ""
    http_seconds: float = 5.0
    index: dict[str, Override] = {}
    addresses: dict[str, str] = {}
    """By venue: another address than its own, such as a proxy's."""

    @property
    def is_simulated(self) -> bool:
        return self.source == "simulated"


def read_configuration(directory: Path) -> Configuration:
    """Return what an exchange's file says, the default if there is none. Raises ValueError."""
    try:
        return msgspec.convert(tomllib.loads((directory / NAME).read_text()), Configuration)
    except FileNotFoundError:
        return Configuration()
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ValueError(f"{NAME} cannot be read: {error}") from error


def indices_of(configuration: Configuration, instruments: list[Instrument]) -> list[Index]:
    """Return the indices that have constituents, of those that are listed. Raises ValueError."""
    unknown = set(configuration.index) - {of.symbol for of in instruments}
    if unknown:
        raise ValueError(f"{NAME}: no index is listed as {', '.join(sorted(unknown))}")
    return [
        index_of(of, is_simulated=configuration.is_simulated, override=configuration.index.get(of.symbol))
        for of in instruments
    ]


def source_of(configuration: Configuration, indices: list[Index], directory: Path, *, now_ns: int) -> Source:
    """Return the source that a file names. Raises ValueError, OSError."""
    unknown = set(configuration.addresses) - set(Reference.__members__)
    if unknown:
        raise ValueError(f"{NAME}: nobody is called {', '.join(sorted(unknown))}")
    urls = {Reference[name]: url for name, url in configuration.addresses.items()}
    if configuration.source == "simulated":
        return SimulatedSource(configuration.seed)
    if configuration.source == "recorded":
        return RecordedSource(directory / configuration.recording, started_ns=now_ns)
    if configuration.source == "http":
        return HttpSource(indices, seconds=configuration.http_seconds, urls=urls)
    return WebSocketSource(indices, urls=urls)
