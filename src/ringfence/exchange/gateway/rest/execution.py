"""/execution: every report of your orders, and those that moved your balance."""

from ringfence.exchange.gateway import parameters as read
from ringfence.exchange.gateway.errors import invalid
from ringfence.exchange.gateway.rest.query import table_query
from ringfence.exchange.gateway.rest.route import TABLE_PARAMETERS, Request, required, route

_MOVES_BALANCE = ("Trade", "Funding", "Settlement", "Liquidation", "Bankruptcy", "Insurance")


@route("GET", "/execution", "Execution.get", *TABLE_PARAMETERS, returns="Execution[]", key=True)
def get_executions(request: Request) -> object:
    """Get every execution report of your orders: new, filled, amended, cancelled."""
    query = table_query(request.parameters, "execution", request.gateway.desk.views, account=request.account)
    return request.gateway.history(query.for_history())


@route(
    "GET",
    "/execution/tradeHistory",
    "Execution.getTradeHistory",
    *TABLE_PARAMETERS,
    returns="Execution[]",
    key=True,
)
def get_trade_history(request: Request) -> object:
    """Get the executions that moved your balance: trades, funding, settlement."""
    query = table_query(request.parameters, "execution", request.gateway.desk.views, account=request.account)
    asked = query.equal.get("execType", _MOVES_BALANCE)
    query.equal["execType"] = tuple(kind for kind in asked if kind in _MOVES_BALANCE)
    return request.gateway.history(query.for_history())


@route(
    "GET", "/user/executionHistory", "User.getExecutionHistory", required("symbol"), required("timestamp"),
    returns="Execution[]", key=True,
)  # fmt: skip
def get_day(request: Request) -> object:
    """Get the executions of one symbol on one UTC day."""
    day = read.timestamp(request.parameters, "timestamp")
    if day is None:
        raise invalid("timestamp is required")
    parameters = {
        "symbol": read.required_text(request.parameters, "symbol"), "count": 500,
        "startTime": f"{day[:10]}T00:00:00.000Z", "endTime": f"{day[:10]}T23:59:59.999Z",
    }  # fmt: skip
    query = table_query(parameters, "execution", request.gateway.desk.views, account=request.account)
    return request.gateway.history(query.for_history())
