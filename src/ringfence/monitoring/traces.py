"""A request's way through the gateway as OpenTelemetry spans: off unless OTEL_EXPORTER_OTLP_ENDPOINT is set.

A trace has a root span for the request, one for the command from when it was sent to the core until its event was
durable, named with its token, and one from there until the reply was handed to the socket. Tokens, statuses and class
of route go along; what a client sent does not. One in so many requests is sampled: OTEL_TRACES_SAMPLER_ARG is the
share, 0.01 if it is not set. A request that is not sampled makes no object. Spans leave in batches, from a thread of
their own, and are dropped when nobody takes them: tracing never makes a request wait.
"""

import os
import random
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

ENDPOINT, SHARE = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_SAMPLER_ARG"
_SHARE_DEFAULT = 0.01
_TIMEOUT_SECONDS = 5
_at_work: ContextVar["Trace | None"] = ContextVar("trace", default=None)


class Traces:
    """The tracer of one process, switched on."""

    def __init__(self, process: str, share: float) -> None:
        """Raises ValueError if the share is none."""
        if not 0 < share <= 1:
            raise ValueError(f"{SHARE} is a share above 0 and up to 1, not {share}")
        # Loading it takes a quarter of a second, which nobody pays who does not trace.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ALWAYS_ON

        resource = Resource.create({"service.name": f"ringfence-{process}", "service.namespace": "ringfence"})
        # Whether to sample is decided before there is a span.
        self._provider: TracerProvider = TracerProvider(
            sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False
        )
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=_TIMEOUT_SECONDS)))
        self._tracer: Tracer = self._provider.get_tracer("ringfence")
        self._share = share
        self._draw = random.Random().random

    def begin(self, method: str) -> "Trace | None":
        """Begin with a trace of a request if it is drawn; it is the one at work until another one begins."""
        trace = Trace(self._tracer, method) if self._draw() < self._share else None
        _at_work.set(trace)
        return trace

    def at_work(self) -> "Trace | None":
        trace = _at_work.get()
        # A connection that was upgraded goes on in the context of its last request.
        return trace if trace is not None and not trace.is_answered else None

    def close(self) -> None:
        """Send what is left, for some seconds at most."""
        self._provider.shutdown()


class Trace:
    """One request that was drawn."""

    __slots__ = ("_method", "_reply", "_root", "_tracer", "is_answered")

    def __init__(self, tracer: "Tracer", method: str) -> None:
        from opentelemetry.trace import SpanKind

        self._tracer, self._method = tracer, method
        self._root: Span = tracer.start_span(method, kind=SpanKind.SERVER)
        self._reply: Span | None = None
        self.is_answered = False

    @property
    def id(self) -> str:
        return f"{self._root.get_span_context().trace_id:032x}"

    def sent(self, tokens: Sequence[int]) -> "Span":
        """Commands go to the core."""
        attributes = {"ringfence.token": tokens[0], "ringfence.commands": len(tokens)}
        return self._child("command", attributes)

    def durable(self, command: "Span | None", refusal: str) -> None:
        """Their outcome is durable, or is known never to be."""
        assert command is not None
        if refusal:
            command.set_attribute("ringfence.refusal", refusal)
        command.add_event("durable event")
        command.end()
        self._reply = self._child("reply", {})

    def answered(self, route: str, status: int) -> None:
        self.is_answered = True
        if self._reply is not None:
            self._reply.end()
        self._root.update_name(f"{self._method} {route}")
        self._root.set_attributes({"http.route": route, "http.response.status_code": status})
        self._root.end()

    def _child(self, name: str, attributes: Mapping[str, int]) -> "Span":
        from opentelemetry.trace import set_span_in_context

        return self._tracer.start_span(name, set_span_in_context(self._root), attributes=dict(attributes))


def traces_of(process: str) -> Traces | None:
    """Return what traces a process if the environment asks for it. Raises ValueError."""
    if not os.environ.get(ENDPOINT):
        return None
    return Traces(process, float(os.environ.get(SHARE) or _SHARE_DEFAULT))


def log_context() -> dict[str, str]:
    """Return the fields by which a line of the log is found from its trace."""
    trace = _at_work.get()
    return {"trace_id": trace.id} if trace is not None and not trace.is_answered else {}
