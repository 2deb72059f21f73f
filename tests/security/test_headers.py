"""Every answer of the gateway, whatever it is and whoever asked: the headers that a browser has to see."""

import asyncio
import logging
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ringfence.exchange.gateway import http, policies
from ringfence.exchange.gateway.gateway import Config, Gateway
from ringfence.exchange.gateway.http import HttpConnection, HttpRequest
from ringfence.exchange.gateway.pages import ROOTS
from ringfence.exchange.gateway.rest import ROUTES
from ringfence.testing.client import Answer
from ringfence.testing.venue import Venue
from ringfence.testing.wire import Wire, answers_in, signature_headers, written

from .conftest import ALICE, KEYS
from .examples import API, example

_YEAR_SECONDS = 31_536_000
_TRACES = (b"Traceback", b'File "', b".py", b"Error(", b"0x7f", b"site-packages", b"ringfence.exchange")


def check(answer: Answer, what: str, *, is_https: bool = False) -> None:
    """Hold an answer against the list."""
    headers = answer.headers
    assert headers.get("x-content-type-options") == "nosniff", what
    policy = headers.get("content-security-policy", "")
    assert "default-src 'none'" in policy, what
    assert "frame-ancestors 'none'" in policy, what
    assert headers.get("x-frame-options") == "DENY", what
    assert headers.get("referrer-policy") == "no-referrer", what
    assert headers.get("cache-control"), what
    assert "server" not in headers, what
    assert "x-powered-by" not in headers, what
    if is_https:
        age, _, rest = headers["strict-transport-security"].partition(";")
        assert int(age.removeprefix("max-age=")) >= _YEAR_SECONDS, what
        assert rest.strip() == "includeSubDomains", what
    else:
        assert "strict-transport-security" not in headers, what
    if headers.get("content-type", "").startswith("application/json") and answer.status >= 400:
        assert not [trace for trace in _TRACES if trace in answer.body], (what, answer.body)


def check_page(answer: Answer, what: str) -> None:
    """A page's own scripts and nothing else's, and no way around it."""
    policy = answer.headers["content-security-policy"]
    for rule in (
        "script-src 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        f"report-uri {policies.REPORTS}",
    ):
        assert rule in policy, (what, rule)
    assert "unsafe" not in policy, what
    assert "*" not in policy, what
    assert answer.headers["cross-origin-opener-policy"] == "same-origin", what


def raw_requests() -> Iterator[tuple[str, bytes]]:
    """Yield what a crawler finds and what it should not ask, by a name."""
    for path in (
        "/", "/trade", "/trade/", "/public/", "/public/style.css", "/public/nothing.html", "/public/../keys.json",
        "/.well-known/security.txt", "/.well-known/nothing", "/proofs/index.json", "/proofs/nothing", "/proofs/..",
        "/api/explorer/swagger.json", "/api/v1", "/api/v1/", "/api/v1/nothing", "/api", "/nothing", "/favicon.ico",
        "/keys.json", "/.git/config", "/%00", "//", "/realtime", "/csp-report",
    ):  # fmt: skip
        for method in ("GET", "HEAD", "OPTIONS", "PATCH", "DELETE"):
            yield f"{method} {path}", written(method, path, [])
    for page in (Path(http.__file__).parent / "pages" / "public").rglob("*.*"):
        path = "/public/" + page.relative_to(Path(http.__file__).parent / "pages" / "public").as_posix()
        yield f"page {path}", written("GET", path, [("accept-encoding", "gzip")])
    for route in ROUTES.values():
        asked = example(route)
        for name in ("nobody", "all", "disabled", "read-only"):
            headers = [] if name == "nobody" else signature_headers(KEYS[name], *asked)
            kind = [("content-type", "application/json")] if asked.body else []
            yield (
                f"{name}: {asked.method} {asked.target}",
                written(asked.method, asked.target, [*headers, *kind], asked.body),
            )
    yield "another verb", written("PATCH", API + "/order", [])
    yield "browser at home", written("GET", "/", [("accept", "text/html")])
    yield "too long an address", written("GET", "/" + "a" * 20_000, [])
    yield "too many headers", written("GET", "/", [(f"x-{n}", "1") for n in range(80)])
    yield "too long a header", written("GET", "/", [("x-long", "1" * 20_000)])
    yield (
        "too long a body",
        written("POST", API + "/order", [("content-length", str(2 << 20))], b"1" * ((1 << 20) + 1)),
    )
    yield "no HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"
    yield "two hosts", b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n"
    yield "too far ahead", written("GET", API + "/trade", []) * 80
    yield "a bad range", written("GET", "/proofs/nothing", [("range", "bytes=9-1")])
    yield "a bad upgrade", written("GET", "/realtime", [("connection", "upgrade"), ("upgrade", "websocket")])
    for path, headers in (
        ("/realtime", [("origin", "https://evil.example")]), ("/nothing", []), ("/realtime?api-key=no", []),
        ("/realtime", [("api-key", ALICE.id), ("api-expires", "1"), ("api-signature", "00")]),
    ):  # fmt: skip
        upgrade = [("connection", "upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "13"),
                   ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")]  # fmt: skip
        yield f"upgrade {path} {headers}", written("GET", path, [*upgrade, *headers])


def test_every_answer_carries_what_a_browser_has_to_see(venue: Venue) -> None:
    seen: dict[int, int] = {}
    for what, raw in raw_requests():
        with Wire(venue.port) as wire:
            answer = wire.ask(raw)
        check(answer, what)
        is_page = answer.headers.get("content-type", "").startswith("text/html")
        if is_page and answer.status == 200:
            check_page(answer, what)
        seen[answer.status] = seen.get(answer.status, 0) + 1
    print(f"\n{sum(seen.values())} answers, by status: {dict(sorted(seen.items()))}")
    assert {200, 302, 400, 401, 403, 404, 405, 413, 414, 431} <= set(seen)


async def everything_from(always: bytes) -> list[Answer]:
    """Return one answer of every status that there is, as a connection writes it."""
    statuses = iter(status.value for status in HTTPStatus if status.value >= 200)
    loop = asyncio.get_running_loop()

    def handle(connection: HttpConnection, request: HttpRequest) -> None:
        connection.reply(next(statuses), b"")

    server = await loop.create_server(
        lambda: HttpConnection(handle, lambda *_: None, set(), always=always), "127.0.0.1", 0
    )
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    found = []
    for _ in [status for status in HTTPStatus if status.value >= 200]:
        writer.write(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n")
        found += answers_in(await reader.readuntil(b"\r\n\r\n"))
    writer.close()
    server.close()
    return found


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_no_status_is_an_exception_and_https_stays_https(scheme: str) -> None:
    answers = await everything_from(policies.always(scheme))
    assert len(answers) > 50
    for answer in answers:
        check(answer, str(answer.status), is_https=scheme == "https")


def test_a_fault_of_ours_is_answered_without_a_word_about_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = Gateway(tmp_path, Config())
    told: list[tuple[int, bytes]] = []
    connection: Any = SimpleNamespace(
        address="10.1.2.3", reply=lambda status, body, *_: told.append((status, body))
    )

    def broken(request: object) -> object:
        raise RuntimeError("the password is swordfish")

    route = ROUTES["GET", "/announcement"]
    monkeypatch.setitem(ROUTES, ("GET", "/announcement"), route._replace(handler=broken))
    asked = HttpRequest()
    asked.method, asked.target = "GET", b"/api/v1/announcement?secret=hunter2"
    with caplog.at_level(logging.ERROR):
        gateway._handle(connection, asked)
    assert [status for status, _ in told] == [500]
    assert b"swordfish" not in told[0][1]
    assert not [trace for trace in _TRACES if trace in told[0][1]]
    assert "swordfish" in caplog.text, "we want to know ourselves"
    assert "hunter2" not in caplog.text, "what is behind the path may be private"


def test_a_browsers_report_is_counted_and_logged_without_what_is_private(
    venue: Venue, caplog: pytest.LogCaptureFixture
) -> None:
    def report(body: bytes) -> int:
        with Wire(venue.port) as wire:
            return wire.ask(
                written("POST", policies.REPORTS, [("content-type", "application/csp-report")], body)
            ).status

    private = b'{"csp-report":{"document-uri":"https://x/#reset=TOKEN","effective-directive":"script-src"}}'
    assert report(private) == 200
    assert report(b"x" * 9_000) == 413
    assert [report(b"[]") for _ in range(25)][-1] == 429
    log = (venue.directory / "gateway.log").read_text()
    assert "policy was broken: script-src" in log
    assert "TOKEN" not in log
    for body in (
        b"",
        b"[",
        b"[]",
        b"7",
        b'{"csp-report":7}',
        b'{"csp-report":{"violated-directive":"a\\nb"}}',
    ):
        with caplog.at_level(logging.WARNING):
            policies.log_report(body)
    assert "unreadable" in caplog.text
    assert "a\nb" not in caplog.text


def test_every_folder_of_pages_is_crawled() -> None:
    assert ROOTS == ("trade", "public"), "another folder of pages: crawl it above"
