"""/shed: how much is taken, and what was not in the last minute. BitMEX has no such route."""

from ringfence.exchange.gateway.rest.route import Request, route


@route("GET", "/shed", "Shed.get", returns="Shed")
def get_shed(request: Request) -> object:
    """Get whether orders are being shed, for how long, and how many by reason in the last minute."""
    request.gateway.desk.look_around()
    return request.gateway.load.row()
