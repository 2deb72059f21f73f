"""What the tables and the realtime API say of themselves, to REST and WebSocket alike."""

from ringfence.exchange.projections import PRIVATE, REST_ONLY, TABLES, Table

VERSION = "1.2.0"
"""The BitMEX API version whose tables and routes these follow."""

PRIVATE_TOPICS = PRIVATE
PUBLIC_TOPICS = frozenset(TABLES) - PRIVATE - REST_ONLY
OPERATIONS = (
    "authKeyExpires", "cancelAllAfter", "help", "ping", "subscribe", "unsubscribe",
    "placeOrder", "amendOrder", "cancelOrder", "cancelAllOrders",
)  # fmt: skip
_FOREIGN_KEYS = {"symbol": "instrument", "side": "side", "ordStatus": "ordStatus"}


def foreign_keys(table: Table) -> dict[str, str]:
    return {name: _FOREIGN_KEYS[name] for name in table.names if name in _FOREIGN_KEYS}


def attributes(table: Table) -> dict[str, str]:
    """Return kdb's hints: how the columns are ordered."""
    if not table.keys and "timestamp" in table.names:
        return {"timestamp": "sorted"}
    return dict.fromkeys(table.keys, "grouped")


def websocket_help() -> dict[str, object]:
    """Return what `GET /schema/websocketHelp` and the WebSocket's `help` say."""
    return {
        "info": "Ringfence realtime API, compatible with BitMEX's.",
        "usage": 'Send {"op": "subscribe", "args": ["topic"]}; a topic may be narrowed, as in trade:XBTUSD.',
        "ops": list(OPERATIONS),
        "subscribe": 'Topics are listed below; "topic:SYMBOL" narrows one to a symbol.',
        "subscriptionSubjects": {
            "authenticationRequired": sorted(PRIVATE_TOPICS),
            "public": sorted(PUBLIC_TOPICS),
        },
    }
