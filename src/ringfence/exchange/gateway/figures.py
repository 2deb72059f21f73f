"""What one gateway counts of its work. For each request: two look-ups in a table, and an integer or two."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from ringfence.exchange.gateway.errors import Refused
from ringfence.exchange.gateway.load import REASONS
from ringfence.exchange.gateway.pending import Done, DoneEach, Outcome
from ringfence.monitoring import Histogram, metrics
from ringfence.monitoring.traces import Traces

if TYPE_CHECKING:
    from ringfence.exchange.gateway.http import HttpRequest

CORE_AWAY, RATE_LIMIT = "core_away", "rate_limit"
_TOO_MANY = 429


class GatewayFigures:
    def __init__(self, traces: Traces | None = None) -> None:
        """`traces` are those that were switched on, None = none are."""
        self.traces = traces
        self.answers: dict[tuple[str, int], int] = {}
        """By class of route and HTTP status."""
        self.request_seconds: dict[str, Histogram] = {}
        self.round_trip = Histogram(metrics.ROUND_TRIP)
        self.sheds = dict.fromkeys((*REASONS, CORE_AWAY, RATE_LIMIT), 0)
        self.slow_cut = 0

    def answered(self, request: "HttpRequest", status: int) -> None:
        """Count an answer that has just been handed to the socket."""
        route = request.route
        key = (route, status)
        self.answers[key] = self.answers.get(key, 0) + 1
        if status == _TOO_MANY:
            self.sheds[RATE_LIMIT] += 1
        seconds = self.request_seconds.get(route)
        if seconds is None:
            seconds = self.request_seconds[route] = Histogram(metrics.REQUEST_TIME)
        seconds.observe(time.perf_counter() - request.began)
        if request.trace is not None:
            request.trace.answered(route, status)

    def follow(self, sent: Sequence[tuple[int, bytes]], done: Done | DoneEach) -> DoneEach:
        """Return what hears an outcome in place of `done`, takes the time, and tells the trace at work of it."""
        began = time.perf_counter()
        trace = self.traces.at_work() if self.traces is not None else None
        span = trace.sent([token for token, _ in sent]) if trace is not None else None

        def hear(outcome: Sequence[Outcome] | Refused) -> None:
            self.round_trip.observe(time.perf_counter() - began)
            if trace is not None:
                trace.durable(span, _refusal_of(outcome))
            cast(DoneEach, done)(outcome)

        return hear


def _refusal_of(outcome: Sequence[Outcome] | Refused) -> str:
    if isinstance(outcome, Refused):
        return outcome.message
    for one in outcome:
        if isinstance(one, Refused):
            return one.message
        if one.refusal is not None:
            return one.refusal.reject.name
    return ""
