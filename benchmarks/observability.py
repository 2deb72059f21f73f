"""What watching costs: per batch in the core, per request in a gateway, per line of a log, per scrape.

    python -m benchmarks.observability

Loops over the very code that runs; each line is the least of five rounds, so that the machine's other work is left out.
"""

import contextlib
import io
import logging
import os
import time
from collections.abc import Callable

import numpy as np

from ringfence.daemons.measures.core import CoreFigures
from ringfence.exchange.gateway.figures import GatewayFigures
from ringfence.exchange.gateway.http import HttpRequest
from ringfence.messages.batch import Batch
from ringfence.messages.records import COMMAND, EVENT
from ringfence.monitoring import Histogram, Page, metrics, set_up_logs
from ringfence.monitoring.samples import sample
from ringfence.monitoring.traces import ENDPOINT, Traces

_ROUNDS, _TIMES = 5, 20_000


def best_of(work: Callable[[], object], times: int = _TIMES) -> float:
    """Return microseconds of one call, in the best round."""
    rounds = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        for _ in range(times):
            work()
        rounds.append((time.perf_counter() - began) / times * 1e6)
    return min(rounds)


def batch() -> float:
    figures, step = CoreFigures(), Histogram(metrics.STEP)
    said = Batch(0, 0, 0, np.zeros(8, COMMAND), np.zeros(8, EVENT))

    def one() -> None:
        figures.arrived()
        began = figures.begin(is_queue_empty=True)
        step.timed(abs, 1)  # the engine
        step.timed(abs, 1)  # the journal
        figures.applied(said, began)

    return best_of(one)


def request(traces: Traces | None, times: int = _TIMES) -> float:
    figures = GatewayFigures(traces)

    def one() -> None:
        http = HttpRequest()
        http.began = time.perf_counter()
        if figures.traces is not None:
            http.trace = figures.traces.begin("POST")
        http.route = "order"
        figures.follow(((1, b""),), lambda outcome: None)([])
        figures.answered(http, 200)

    return best_of(one, times)


def bare_request() -> float:
    def one() -> None:
        http = HttpRequest()
        http.route = "order"

    return best_of(one)


def line() -> float:
    with contextlib.redirect_stderr(io.StringIO()):
        set_up_logs("benchmark")
        log = logging.getLogger("ringfence.benchmark")
        return best_of(lambda: log.info("connected to the core at sequence %d", 12_345), 2_000)


def scrape() -> float:
    histograms = [
        Histogram(metric) for metric in (metrics.APPLY, metrics.STEP, metrics.SYNC, metrics.QUEUE_WAIT)
    ]
    page = Page("core", lambda: (sample(metrics.SYNC, one) for one in histograms))
    return best_of(lambda: page.answer("/metrics"), 500)


def main() -> None:
    os.environ[ENDPOINT] = "http://127.0.0.1:1"  # nobody listens: what is dropped costs as much
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    rarely, always = Traces("benchmark", 0.01), Traces("benchmark", 1.0)
    bare = bare_request()
    rows = [
        ("figures of a batch in the core", batch()),
        ("figures of a request with a command, traces off", request(None) - bare),
        ("the same, one in a hundred traced", request(rarely) - bare),
        ("the same, every one traced", request(always, 2_000) - bare),
        ("a line of a log", line()),
        ("a page like the core's, made when it is asked for", scrape()),
    ]
    for name, microseconds in rows:
        print(f"{name:<52} {microseconds:10.2f} us")
    os._exit(0)  # what nobody takes is not waited for


if __name__ == "__main__":
    main()
