"""/halt: what is halted, and every halt that there ever was, with its evidence."""

import msgspec

from ringfence.exchange.gateway.rest.query import table_query
from ringfence.exchange.gateway.rest.route import TABLE_PARAMETERS, Request, route
from ringfence.exchange.projections.halts import STATES
from ringfence.units.time import iso


@route("GET", "/halt", "Halt.get", *TABLE_PARAMETERS, returns="Halt[]")
def get_halts(request: Request) -> object:
    """Get the history of halts and resumptions."""
    views = request.gateway.desk.views
    query = table_query(request.parameters, "halt", views)
    return query.of_rows(halt.row() for halt in views.halts.history)


@route("GET", "/halt/status", "Halt.getStatus", returns="HaltStatus")
def get_status(request: Request) -> object:
    """Get how the venue stands, and what is halted now."""
    views = request.gateway.desk.views
    return {
        "timestamp": iso(views.timestamp_ns),
        "sequence": views.next_sequence,
        "state": STATES[views.halts.venue],
        "halted": [halt.row() for halt in views.halts.now],
    }


@route("GET", "/halt/people", "Halt.getPeople", returns="HaltPeople")
def get_people(request: Request) -> object:
    """Get who may lift a halt, with their public keys."""
    number, listed = request.gateway.desk.views.halts.people
    return {"number": str(number), **(msgspec.json.decode(listed) if listed else {"people": []})}
