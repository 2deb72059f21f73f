"""/position: what you hold, its leverage, its margin."""

from typing import Any

from ringfence.exchange.gateway import commands
from ringfence.exchange.gateway import parameters as read
from ringfence.exchange.gateway.errors import invalid
from ringfence.exchange.gateway.rest.query import required_market, table_query
from ringfence.exchange.gateway.rest.route import Request, optional, required, route
from ringfence.exchange.projections import Market, Result
from ringfence.exchange.users.keys import Permission
from ringfence.messages.commands import Command
from ringfence.units.limits import INT64_MAX

_FILTERS = (optional("filter", "JSON"), optional("columns", "JSON"), optional("count", "number"))


@route("GET", "/position", "Position.get", *_FILTERS, returns="Position[]", key=True)
def get_positions(request: Request) -> object:
    """Get your positions; one that was closed stays listed with quantity 0."""
    views = request.gateway.desk.views
    query = table_query(request.parameters, "position", views, account=request.account)
    return query.of_rows(views.accounts[request.account].position_rows())


def _change(request: Request, market: Market, kind: Command, qty: int) -> object:
    """Send a change of a position's settings; the answer is the position's row."""
    if not market.instrument.is_contract:
        raise invalid("Invalid symbol: neither a spot pair nor an index has a position")
    desk = request.gateway.desk
    if kind == Command.TRANSFER_MARGIN and qty > 0:
        desk.check_open()
    else:
        desk.check_room(request.account)
    token = desk.token()
    command = commands.pack(
        kind, request=token, account=request.account, symbol=market.instrument.number, qty=qty
    )

    def row(result: Result) -> dict[str, Any]:
        account = desk.views.accounts[request.account]
        position = account.position(market.instrument, market)
        return position.row(account.margin(market.instrument.settle_asset))

    return request.carry_out(token, command, row)


@route(
    "POST", "/position/leverage", "Position.updateLeverage", required("symbol"),
    required("leverage", "number", "0 for cross margin, else 0.01 to the instrument's maximum."),
    returns="Position", permission=Permission.ORDER, moves_orders=True,
)  # fmt: skip
def set_leverage(request: Request) -> object:
    """Choose leverage for a position; choosing one switches to isolated margin, 0 to cross margin."""
    market = required_market(request.gateway.desk.views, request.parameters)
    leverage = read.number(request.parameters, "leverage")
    if leverage is None or not 0 <= leverage <= 1000 or leverage * 100 != int(leverage * 100):
        raise invalid("Invalid leverage")
    return _change(request, market, Command.SET_LEVERAGE, int(leverage * 100))


@route(
    "POST", "/position/isolate", "Position.isolateMargin", required("symbol"), optional("enabled", "boolean"),
    returns="Position", permission=Permission.ORDER, moves_orders=True,
)  # fmt: skip
def isolate(request: Request) -> object:
    """Switch a position to isolated margin at its maximum leverage, or back to cross margin."""
    market = required_market(request.gateway.desk.views, request.parameters)
    enabled = read.boolean(request.parameters, "enabled", default=True)
    held = request.gateway.desk.views.accounts[request.account].positions.get(market.instrument.number)
    leverage = 0
    if enabled:
        leverage = held.leverage if held is not None and held.leverage else 0
        leverage = leverage or market.instrument.leverage_hundredths_max
    return _change(request, market, Command.SET_LEVERAGE, leverage)


@route(
    "POST", "/position/riskLimit", "Position.updateRiskLimit", required("symbol"), required("riskLimit", "number"),
    returns="Position", permission=Permission.ORDER,
)  # fmt: skip
def set_risk_limit(request: Request) -> object:
    """Choose the risk limit of a position, in the settlement currency's smallest unit."""
    market = required_market(request.gateway.desk.views, request.parameters)
    limit = read.integer(request.parameters, "riskLimit", low=1)
    if limit is None:
        raise invalid("riskLimit is required")
    return _change(request, market, Command.SET_RISK_LIMIT, limit)


@route(
    "POST", "/position/transferMargin", "Position.transferIsolatedMargin", required("symbol"),
    required("amount", "number", "Smallest units; negative takes margin out."),
    returns="Position", permission=Permission.ORDER, moves_orders=True,
)  # fmt: skip
def transfer_margin(request: Request) -> object:
    """Move margin into or out of an isolated position."""
    market = required_market(request.gateway.desk.views, request.parameters)
    amount = read.integer(request.parameters, "amount", low=-INT64_MAX // 4, high=INT64_MAX // 4)
    if amount is None or amount == 0:
        raise invalid("Invalid amount for isolated margin transfer")
    return _change(request, market, Command.TRANSFER_MARGIN, amount)
