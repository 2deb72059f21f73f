"""The gateway's figures: what `GatewayFigures` has counted, and how long its lines and queues are now."""

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from ringfence.exchange.gateway.gateway import Gateway
from ringfence.exchange.gateway.rest import ROUTES
from ringfence.monitoring import Page, Sample, metrics, serving
from ringfence.monitoring.samples import sample

_FAULT = 500
# Prometheus sees no increase in a series that begins with one: a fault's is there from the start, at nought.
_NO_FAULTS = {(route.kind, _FAULT): 0 for route in ROUTES.values()}


def serving_gateway(directory: Path, gateway: Gateway) -> AbstractAsyncContextManager[None]:
    return serving(directory, Page("gateway", lambda: _measure(gateway), gateway.trouble))


def _measure(gateway: Gateway) -> Iterator[Sample]:
    figures, desk = gateway.figures, gateway.desk
    for (route, status), count in (_NO_FAULTS | figures.answers).items():
        yield sample(metrics.REQUESTS, count, route, status)
    for route, seconds in list(figures.request_seconds.items()):
        yield sample(metrics.REQUEST_TIME, seconds, route)
    yield sample(metrics.ROUND_TRIP, figures.round_trip)
    for reason, count in figures.sheds.items():
        yield sample(metrics.SHEDS, count, reason)
    yield sample(metrics.PENDING, desk.pending)
    yield sample(metrics.CONNECTIONS, gateway.connections, "http")
    yield sample(metrics.CONNECTIONS, gateway.connected, "realtime")
    yield sample(metrics.SLOW_CUT, figures.slow_cut)
    yield sample(metrics.SOCKET_LAG, max((one.unsent_bytes for one in list(gateway.sessions)), default=0))
    yield sample(metrics.CORE_CONNECTED, int(desk.is_connected))
    yield sample(metrics.SEQUENCE, desk.views.next_sequence)
