"""/orderBook, /trade, /quote, /funding, /stats and the other public tables."""

from collections.abc import Awaitable
from typing import Any

import msgspec

from ringfence.exchange.gateway import parameters as read
from ringfence.exchange.gateway.errors import invalid
from ringfence.exchange.gateway.rest.query import TableQuery, required_market, table_query
from ringfence.exchange.gateway.rest.route import TABLE_PARAMETERS, Request, optional, required, route
from ringfence.exchange.projections import BIN_SIZES

_BIN_PARAMETERS = (
    optional("binSize", description="1m, 5m, 1h or 1d."), optional("partial", "boolean", "Include the running bin."),
    *TABLE_PARAMETERS,
)  # fmt: skip
_ROWS_MAX = 1000


@route(
    "GET", "/orderBook/L2", "OrderBook.getL2", required("symbol"), optional("depth", "number", "0 = everything."),
    returns="OrderBookL2[]",
)  # fmt: skip
def get_book(request: Request) -> object:
    """Get the order book of one symbol, price descending."""
    market = required_market(request.gateway.desk.views, request.parameters)
    depth = read.integer(request.parameters, "depth", low=0, high=1_000_000)
    return market.book_rows(25 if depth is None else depth)


@route("GET", "/trade", "Trade.get", *TABLE_PARAMETERS, returns="Trade[]")
def get_trades(request: Request) -> object:
    """Get trades."""
    query = table_query(request.parameters, "trade", request.gateway.desk.views, count_max=_ROWS_MAX)
    return request.gateway.history(query.for_history())


@route("GET", "/trade/bucketed", "Trade.getBucketed", *_BIN_PARAMETERS, returns="TradeBin[]")
def get_trade_bins(request: Request) -> object:
    """Get trades in time bins; a bin's timestamp is its end."""
    return _bins(request, "tradeBin")


@route("GET", "/quote", "Quote.get", *TABLE_PARAMETERS, returns="Quote[]")
def get_quotes(request: Request) -> object:
    """Get the current quotes; quotes of the past are kept by the minute in /quote/bucketed."""
    views = request.gateway.desk.views
    query = table_query(request.parameters, "quote", views)
    return query.of_rows(m.quote_row() for m in views.markets.values() if not m.instrument.is_index)


@route("GET", "/quote/bucketed", "Quote.getBucketed", *_BIN_PARAMETERS, returns="Quote[]")
def get_quote_bins(request: Request) -> object:
    """Get the quote at the end of each time bin."""
    return _bins(request, "quoteBin")


def _bins(request: Request, prefix: str) -> Awaitable[list[dict[str, Any]]]:
    size = read.text(request.parameters, "binSize") or "1m"
    if size not in BIN_SIZES:
        raise invalid(f"binSize is invalid: one of {', '.join(BIN_SIZES)}")
    partial = read.boolean(request.parameters, "partial", default=False)
    views = request.gateway.desk.views
    query = table_query(request.parameters, prefix + size, views, count_max=_ROWS_MAX)
    running: list[dict[str, Any]] = []
    if partial:
        wanted = query.equal.get("symbol")
        for market in views.markets.values():
            if wanted is not None and market.instrument.symbol not in wanted:
                continue
            if market.instrument.is_index and prefix == "quoteBin":
                continue
            bin_ = market.partial_bin(size)
            if bin_ is not None:
                running.append(bin_.row(market.instrument) if prefix == "tradeBin" else market.quote_row())
    return _with_running(request, query, running)


async def _with_running(
    request: Request, query: TableQuery, running: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Add the running bins to the closed ones where they fall into the page that was asked for."""
    if query.reverse:
        matching = query._replace(start=0, limit=len(running)).of_rows(running)
        skipped = max(0, query.start - len(matching))
        page = matching[query.start : query.start + query.limit]
        rest = query._replace(start=skipped, limit=query.limit - len(page))
        return page + (await request.gateway.history(rest.for_history()) if rest.limit else [])
    rows = await request.gateway.history(query.for_history())
    if len(rows) < query.limit:
        rows += query._replace(start=0, limit=query.limit - len(rows)).of_rows(running)
    return rows


@route("GET", "/funding", "Funding.get", *TABLE_PARAMETERS, returns="Funding[]")
def get_funding(request: Request) -> object:
    """Get the history of funding rates."""
    query = table_query(request.parameters, "funding", request.gateway.desk.views)
    return request.gateway.history(query.for_history())


@route("GET", "/insurance", "Insurance.get", *TABLE_PARAMETERS, returns="Insurance[]")
def get_insurance(request: Request) -> object:
    """Get the insurance fund of each currency at noon UTC of every day, and as it is now."""
    views = request.gateway.desk.views
    query = table_query(request.parameters, "insurance", views)
    return _with_running(request, query, [fund.row() for fund in views.funds()])


@route("GET", "/liquidation", "Liquidation.get", *TABLE_PARAMETERS, returns="Liquidation[]")
def get_liquidations(request: Request) -> object:
    """Get the liquidation orders that are in the book now."""
    # ccxt sends epoch milliseconds here and `columns` of its own; both are accepted. Rows have no time.
    views = request.gateway.desk.views
    query = table_query(request.parameters, "liquidation", views)._replace(start_time=None, end_time=None)
    return query.of_rows(order.liquidation_row() for order in views.liquidations())


@route("GET", "/settlement", "Settlement.get", *TABLE_PARAMETERS, returns="Settlement[]")
def get_settlements(request: Request) -> object:
    """Get the history of settlements."""
    query = table_query(request.parameters, "settlement", request.gateway.desk.views)
    return request.gateway.history(query.for_history())


@route("GET", "/deleverage", "Deleverage.get", *TABLE_PARAMETERS, returns="Deleverage[]")
def get_deleverages(request: Request) -> object:
    """Get receipts of deleveraging: who took over how much, under names that only their owners know."""
    query = table_query(request.parameters, "deleverage", request.gateway.desk.views)
    return _receipts(request, query)


async def _receipts(request: Request, query: TableQuery) -> list[dict[str, Any]]:
    rows = await request.gateway.history(query.for_history())
    return [
        {**row, "ranked": msgspec.json.decode(row["ranked"])} if row.get("ranked") else row for row in rows
    ]


@route("GET", "/stats", "Stats.get", returns="Stats[]")
def get_stats(request: Request) -> object:
    """Get turnover and open interest by root symbol, and in total by currency."""
    sums: dict[tuple[str, str], list[int]] = {}
    for market in request.gateway.desk.views.markets.values():
        of = market.instrument
        if of.is_index:
            continue
        row = market.row()
        for root in (of.root_symbol, "Total"):
            total = sums.setdefault((root, of.settle.currency), [0, 0, 0, 0])
            for index, name in enumerate(("volume24h", "turnover24h", "openInterest", "openValue")):
                total[index] += row[name]
    return [
        {"rootSymbol": root, "currency": currency, "volume24h": total[0] if root != "Total" else None,
         "turnover24h": total[1], "openInterest": total[2] if root != "Total" else None, "openValue": total[3]}
        for (root, currency), total in sorted(sums.items(), key=lambda item: item[0][0] == "Total")
    ]  # fmt: skip


@route("GET", "/stats/history", "Stats.history", returns="StatsHistory[]")
def get_stats_history(request: Request) -> object:
    """Get turnover by root symbol and day."""
    return _daily(request)


async def _daily(request: Request) -> list[dict[str, Any]]:
    views = request.gateway.desk.views
    query = table_query({"reverse": True, "count": 500}, "tradeBin1d", views)
    rows = []
    for row in await request.gateway.history(query.for_history()):
        of = views.symbols[row["symbol"]].instrument
        if of.is_index:
            continue
        rows.append(
            {"date": row["timestamp"], "rootSymbol": of.root_symbol, "currency": of.settle.currency,
             "volume": row["volume"], "turnover": row["turnover"]}
        )  # fmt: skip
    return rows


@route("GET", "/stats/historyUSD", "Stats.historyUSD", returns="StatsUSD[]")
def get_stats_usd(request: Request) -> object:
    """Get turnover in US dollars by root symbol."""
    sums: dict[str, int] = {}
    for market in request.gateway.desk.views.markets.values():
        if market.instrument.is_index:
            continue
        row = market.row()
        sums[row["rootSymbol"]] = sums.get(row["rootSymbol"], 0) + round(row["foreignNotional24h"] * 100)
    return [
        {"rootSymbol": root, "currency": "USD", "turnover24h": day, "turnover30d": day, "turnover365d": day,
         "turnover": day}
        for root, day in sums.items()
    ]  # fmt: skip


@route("GET", "/leaderboard", "Leaderboard.get", optional("method"), returns="Leaderboard[]")
def get_leaderboard(request: Request) -> object:
    """Get the leaderboard: empty, since accounts here are private."""
    return []


@route("GET", "/leaderboard/name", "Leaderboard.getName", key=True)
def get_leaderboard_name(request: Request) -> object:
    """Get your alias on the leaderboard."""
    return {"name": None}


@route("GET", "/announcement", "Announcement.get", optional("columns"), returns="Announcement[]")
def get_announcements(request: Request) -> object:
    """Get announcements."""
    return []


@route("GET", "/announcement/urgent", "Announcement.getUrgent", key=True, returns="Announcement[]")
def get_urgent_announcements(request: Request) -> object:
    """Get urgent announcements."""
    return []


@route(
    "GET", "/chat", "Chat.get", optional("count", "number"), optional("channelID", "number"), returns="Chat[]"
)
def get_chat(request: Request) -> object:
    """Get chat messages: this venue has no chat."""
    return []


@route("GET", "/chat/channels", "Chat.getChannels", returns="ChatChannel[]")
def get_channels(request: Request) -> object:
    """Get chat channels."""
    return []


@route("GET", "/chat/connected", "Chat.getConnected", returns="ConnectedCount")
def get_connected(request: Request) -> object:
    """Get how many clients are connected."""
    return {"users": request.gateway.connected, "bots": 0}
