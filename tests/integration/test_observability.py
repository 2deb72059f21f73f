"""A running venue says how it is: its figures move with what is done, its probes follow its core, its spans arrive."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from ringfence.monitoring import metrics
from ringfence.monitoring.gather import gather, read, troubles
from ringfence.monitoring.metrics import METRICS
from ringfence.monitoring.scrape import Between, Scrape
from ringfence.testing.client import Client
from ringfence.testing.venue import Venue, key_of
from ringfence.testing.wire import Wire, written

ORDER = {"symbol": "XBTUSD", "orderQty": 100, "price": 5_000}


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    with Venue(tmp_path_factory.mktemp("watched"), accounts=2) as venue:
        # Clients can connect a moment before the pages are there.
        _until(
            lambda: (
                not asyncio.run(troubles(venue.directory))
                and all(_look(venue).value(metrics.UP, name=name) for name in ("core", "gateway", "history"))
            )
        )
        yield venue


def _look(venue: Venue) -> Scrape:
    return Scrape(asyncio.run(gather(venue.directory)), at=time.time())


def _status(venue: Venue, path: str) -> int:
    with Wire(venue.port) as wire:
        return wire.ask(written("GET", path, [])).status


def _until(condition: object, seconds: float = 20.0) -> None:
    assert callable(condition)
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_figures_move_with_what_is_done(venue: Venue) -> None:
    client, before = Client(venue.port, key_of(1)), _look(venue)
    for _ in range(10):
        assert client.call("POST", "/order", ORDER).status == 200
    assert client.call("POST", "/order", {"symbol": "no"}).status == 400
    assert Client(venue.port, None).call("GET", "/order").status == 401
    between = Between(before, _look(venue))
    now = between.now

    def grown(metric: metrics.Metric, part: str = "", **labels: str) -> float:
        return now.total(metric, part, **labels) - before.total(metric, part, **labels)

    assert grown(metrics.REQUESTS, route="order", status="200") == 10
    assert grown(metrics.REQUESTS, route="order", status="400") == 1
    assert grown(metrics.REQUESTS, route="order", status="401") == 1
    assert before.value(metrics.REQUESTS, route="order", status="500") == 0, (
        "so that the first one is an increase"
    )
    assert grown(metrics.ROUND_TRIP, "_count") == 10
    assert grown(metrics.COMMANDS) >= 10
    assert grown(metrics.BATCHES) == grown(metrics.SYNC, "_count") == grown(metrics.STEP, "_count") >= 10
    assert between.quantile(metrics.ROUND_TRIP, 0.5) is not None
    assert now.value(metrics.SEQUENCE, process="core") == now.value(metrics.SEQUENCE, process="gateway")
    assert now.value(metrics.UP, name="core") == now.value(metrics.UP, name="history") == 1
    assert now.value(metrics.STATE) == 0
    assert now.value(metrics.ACCOUNTS) == 2
    _until(lambda: _look(venue).value(metrics.ORDERS) == 10)


def test_every_name_on_the_page_is_in_the_table(venue: Venue) -> None:
    text = asyncio.run(gather(venue.directory))
    names = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert len(names) > 50
    assert names <= set(METRICS)


def test_figures_name_no_customer_and_no_secret(venue: Venue) -> None:
    text = asyncio.run(gather(venue.directory))
    for key in (key_of(1), key_of(2)):
        assert key.id not in text
        assert key.secret not in text


def test_probes_follow_the_core(venue: Venue) -> None:
    assert (_status(venue, "/health"), _status(venue, "/ready")) == (200, 200)
    assert asyncio.run(troubles(venue.directory)) == {}
    venue.kill("core")
    try:
        _until(lambda: _status(venue, "/ready") == 503)
        assert _status(venue, "/health") == 200
        with Wire(venue.port) as wire:
            assert json.loads(wire.ask(written("GET", "/ready", [])).body) == {"ready": False}
        found = asyncio.run(troubles(venue.directory))
        assert found["core"] == "it does not answer"
        assert found["gateway"] == "the line to the core is lost"
        assert _look(venue).value(metrics.UP, name="core") == 0
        client = Client(venue.port, key_of(1))
        assert client.call("POST", "/order", ORDER).status == 503
        assert _look(venue).value(metrics.SHEDS, reason="core_away") == 1
    finally:
        venue.start("core")
    _until(lambda: _status(venue, "/ready") == 200)
    _until(lambda: asyncio.run(troubles(venue.directory)) == {})


def test_where_snapshots_are_no_folder_the_other_figures_are_there(venue: Venue) -> None:
    kept = venue.directory / "snapshots"
    aside = kept.rename(kept.with_name("aside"))
    try:
        kept.write_text("")
        found = _look(venue)
        assert found.value(metrics.UP, name="core") == 1
        assert found.value(metrics.SNAPSHOT_LAG, process="core") is not None
        assert found.value(metrics.SNAPSHOT_AGE, process="core") is None
    finally:
        kept.unlink()
        aside.rename(kept)


def test_probes_are_not_limited_and_change_nothing(tmp_path: Path) -> None:
    with Venue(tmp_path, accounts=1, limits={"page_files_per_minute": 3}) as venue:
        assert {_status(venue, "/health") for _ in range(10)} == {200}
        with Wire(venue.port) as wire:
            assert wire.ask(written("POST", "/ready", [])).status == 404


def test_logs_of_a_venue_are_lines_of_json(venue: Venue) -> None:
    for path in venue.directory.glob("*.log"):
        for line in path.read_text().splitlines():
            assert json.loads(line)["process"] in ("core", "gateway", "history"), line


# ---- traces


class Receiver(BaseHTTPRequestHandler):
    """What an OpenTelemetry collector is: it takes spans by HTTP and decodes them."""

    spans: list[Span]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            raise AssertionError("not asked for")
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                self.spans.extend(scope.spans)
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def receiving() -> Iterator[tuple[str, list[Span]]]:
    spans: list[Span] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OneReceiver", (Receiver,), {"spans": spans}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", spans
    finally:
        server.shutdown()
        server.server_close()


def _attributes(span: Span) -> dict[str, object]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value") or "") for one in span.attributes}


def test_a_request_is_followed_from_its_arrival_to_its_durable_event_and_its_reply(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiving() as (endpoint, spans):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "1")
        with Venue(tmp_path, accounts=1) as venue:
            client = Client(venue.port, key_of(1))
            assert client.call("POST", "/order", {**ORDER, "clOrdID": "private-word"}).status == 200
            assert client.call("POST", "/order", {**ORDER, "orderQty": 10**9}).status == 400
            assert client.call("GET", "/position").status == 200
        # The gateway sends what is left before it ends.
    traces: dict[bytes, dict[str, Span]] = {}
    for span in spans:
        traces.setdefault(span.trace_id, {})[span.name] = span
    orders = [trace for trace in traces.values() if "POST order" in trace]
    statuses = [_attributes(trace["POST order"])["http.response.status_code"] for trace in orders]
    assert sorted(statuses, key=str) == [200, 400]
    placed = orders[statuses.index(200)]
    root, command, reply = (placed[name] for name in ("POST order", "command", "reply"))
    assert command.parent_span_id == reply.parent_span_id == root.span_id
    assert root.start_time_unix_nano <= command.start_time_unix_nano < command.end_time_unix_nano
    assert command.end_time_unix_nano <= reply.start_time_unix_nano <= reply.end_time_unix_nano
    assert reply.end_time_unix_nano <= root.end_time_unix_nano
    assert [event.name for event in command.events] == ["durable event"]
    assert _attributes(command)["ringfence.token"]
    assert "GET position" in {name for trace in traces.values() for name in trace}
    assert b"private-word" not in b"".join(span.SerializeToString() for span in spans)


def test_a_collector_that_is_gone_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "1")
    with Venue(tmp_path, accounts=1) as venue:
        client = Client(venue.port, key_of(1))
        for _ in range(20):
            assert client.call("POST", "/order", ORDER).status == 200


def test_traces_of_a_share_that_is_none_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "7")
    venue = Venue(tmp_path)
    venue.start("gateway")
    assert venue.processes["gateway"].wait(20) == 66
    assert "a share above 0" in (tmp_path / "gateway.log").read_text()


def test_one_process_can_be_asked_alone(venue: Venue) -> None:
    said = asyncio.run(read(venue.directory, "gateway", "/ready"))
    assert json.loads(said or "") == {"ready": True, "because": ""}
