"""/instrument: what is listed."""

from ringfence.exchange.gateway.rest.query import table_query
from ringfence.exchange.gateway.rest.route import TABLE_PARAMETERS, Request, optional, route
from ringfence.exchange.projections import Market


def _is_active(market: Market) -> bool:
    return market.is_active


def _rows(request: Request) -> list[dict[str, object]]:
    return [market.row() for market in request.gateway.desk.views.markets.values() if _is_active(market)]


def _index_rows(request: Request) -> list[dict[str, object]]:
    markets = request.gateway.desk.views.markets.values()
    return [market.row() for market in markets if market.instrument.is_index]


@route("GET", "/instrument", "Instrument.get", *TABLE_PARAMETERS, returns="Instrument[]")
def get_instruments(request: Request) -> object:
    """Get instruments, settled and unlisted ones too."""
    views = request.gateway.desk.views
    query = table_query(request.parameters, "instrument", views)
    wanted = query.equal.get("symbol")
    markets = views.markets.values()
    return query.of_rows(m.row() for m in markets if wanted is None or m.instrument.symbol in wanted)


@route("GET", "/instrument/active", "Instrument.getActive", returns="Instrument[]")
def get_active(request: Request) -> object:
    """Get all instruments that can be traded or expired within a day."""
    return _rows(request)


@route("GET", "/instrument/indices", "Instrument.getIndices", returns="Instrument[]")
def get_indices(request: Request) -> object:
    """Get all price indices."""
    return _index_rows(request)


@route("GET", "/instrument/activeAndIndices", "Instrument.getActiveAndIndices", returns="Instrument[]")
def get_active_and_indices(request: Request) -> object:
    """Get all active instruments and all price indices."""
    return _rows(request) + _index_rows(request)


@route("GET", "/instrument/activeIntervals", "Instrument.getActiveIntervals")
def get_active_intervals(request: Request) -> object:
    """Get the contract series by which `symbol=ROOT:series` can ask, and what each stands for now."""
    intervals, symbols = [], []
    for market in request.gateway.desk.views.markets.values():
        of = market.instrument
        if _is_active(market) and of.is_contract:
            series = "perpetual" if of.expiry_ns is None else "quarterly"
            intervals.append(f"{of.root_symbol}:{series}")
            symbols.append(of.symbol)
    return {"intervals": intervals, "symbols": symbols}


@route(
    "GET",
    "/instrument/compositeIndex",
    "Instrument.getCompositeIndex",
    *TABLE_PARAMETERS,
    returns="IndexComposite[]",
)
def get_composite_index(request: Request) -> object:
    """Get what a price index was made of last, with the reason why a constituent does not count.

    The row of reference BMI is the index itself; its reason says why it keeps an old price. What it was
    made of before is in the journal.
    """
    views = request.gateway.desk.views
    query = table_query({"symbol": ".BXBT", **request.parameters}, "compositeIndex", views)
    markets = [market for market in views.markets.values() if market.instrument.is_index]
    return query.of_rows(row for market in markets for row in market.composite_rows())


@route(
    "GET", "/instrument/usdVolume", "Instrument.getUsdVolume", optional("symbol"), optional("columns"),
    returns="InstrumentUsdVolume[]",
)  # fmt: skip
def get_usd_volume(request: Request) -> object:
    """Get the traded volume of each contract in US dollars, all time and of the last day."""
    rows = []
    for market in request.gateway.desk.views.markets.values():
        if market.instrument.is_index:
            continue
        row = market.row()
        if row["quoteCurrency"] in ("USD", "USDT"):
            day = round(row["foreignNotional24h"] * 100)
            rows.append(
                {"symbol": row["symbol"], "currency": "USD", "turnover24h": day, "turnover30d": day,
                 "turnover365d": day, "turnover": day}
            )  # fmt: skip
    return rows
