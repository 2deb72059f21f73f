"""/schema: what the tables look like, for clients that ask."""

from ringfence.exchange.gateway import parameters as read
from ringfence.exchange.gateway.rest.route import Request, optional, route
from ringfence.exchange.gateway.schema import attributes, foreign_keys, websocket_help
from ringfence.exchange.projections import TABLES


@route("GET", "/schema", "Schema.get", optional("model"))
def get_schema(request: Request) -> object:
    """Get the columns, types and keys of every table."""
    model = read.text(request.parameters, "model")
    return {
        table.model: {
            "keys": list(table.keys), "types": table.types, "foreignKeys": foreign_keys(table),
            "attributes": attributes(table),
        }
        for table in TABLES.values()
        if model is None or table.model.lower() == model.lower() or table.name == model
    }  # fmt: skip


@route("GET", "/schema/websocketHelp", "Schema.websocketHelp")
def get_websocket_help(request: Request) -> object:
    """Get what the WebSocket understands."""
    return websocket_help()
