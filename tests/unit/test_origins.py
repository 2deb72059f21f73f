"""Whose page may speak to the gateway: its own and those that were named, and no name that only looks like one."""

import pytest

from ringfence.exchange.gateway.errors import Refused
from ringfence.exchange.gateway.http import HttpRequest
from ringfence.exchange.gateway.origins import check_origin, origins_of

NAMED = origins_of(public_scheme="https", public_host="trade.example", others=["https://charts.example:8443"])


def asked(**headers: str) -> HttpRequest:
    request = HttpRequest()
    request.headers = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return request


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"host": "trade.example"},
        {"host": "trade.example", "origin": "https://trade.example"},
        {"host": "trade.example", "origin": "https://Trade.Example:443", "sec_fetch_site": "same-origin"},
        {"host": "10.0.0.5:8040", "origin": "https://trade.example"},
        {"host": "10.0.0.5:8040", "origin": "https://charts.example:8443", "sec_fetch_site": "cross-site"},
        {"host": "127.0.0.1:8040", "origin": "http://127.0.0.1:8040"},
        {"host": "[::1]:8040", "origin": "http://[::1]:8040"},
        {"host": "localhost", "origin": "http://localhost:80"},
        {"host": "behind.tls", "origin": "https://behind.tls"},
    ],
)
def test_programs_and_our_own_pages_go_on(headers: dict[str, str]) -> None:
    check_origin(asked(**headers), NAMED)


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "trade.example", "origin": "https://evil.example"},
        {"host": "trade.example", "origin": "https://trade.example.evil"},
        {"host": "trade.example", "origin": "https://eviltrade.example"},
        {"host": "trade.example", "origin": "https://trade.example:444"},
        {"host": "trade.example", "origin": "https://trade.example/"},
        {"host": "trade.example", "origin": "https://evil@trade.example"},
        {"host": "trade.example", "origin": "null"},
        {"host": "trade.example", "origin": "file://"},
        {"host": "trade.example", "origin": "trade.example"},
        {"host": "trade.example", "origin": "ftp://trade.example"},
        {"host": "trade.example", "origin": "https://charts.example"},
        {"host": "trade.example", "origin": "http://charts.example:8443"},
        {"host": "trade.example", "origin": "https://a.trade.example", "sec_fetch_site": "same-origin"},
        {"host": "trade.example", "origin": "https://trade.example, https://evil.example"},
        {"origin": "http://"},
        {"host": "localhost:80", "origin": "http://localhost:80", "sec_fetch_site": "same-site"},
        {"host": "trade.example", "sec_fetch_site": "cross-site"},
        {"host": "trade.example", "sec_fetch_site": "none"},
        {"host": "trade.example", "sec_fetch_site": "nonsense"},
    ],
)
def test_a_foreign_page_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(Refused, match="Nothing was done") as caught:
        check_origin(asked(**headers), NAMED)
    assert caught.value.status == 403


@pytest.mark.parametrize(
    "origin", ["", "*", "https://", "charts.example", "https://*.example", "https://a.example/b"]
)
def test_an_operator_who_names_no_origin_is_told_at_the_start(origin: str) -> None:
    with pytest.raises(ValueError, match="is no origin"):
        origins_of(public_scheme="http", public_host=None, others=[origin])
