"""Which page's script sent a request: a browser says so, and only the exchange's own pages are heard.

Other people's pages can open a WebSocket to us or send us a form, and the browser adds our cookie to some of it. What
they cannot do is lie about where they are from: `Origin` and `Sec-Fetch-Site` are written by the browser. A program
that is no browser sends neither, and needs neither: it signs.
"""

from collections.abc import Collection

from ringfence.exchange.gateway.errors import Refused
from ringfence.exchange.gateway.http import HttpRequest

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def origins_of(*, public_scheme: str, public_host: str | None, others: Collection[str]) -> frozenset[str]:
    """Return the origins that an operator has named: the public address and others, as browsers write them.

    Raises ValueError for what is no origin.
    """
    named = [*others, *([f"{public_scheme}://{public_host}"] if public_host else [])]
    for origin in named:
        scheme, mark, host = origin.partition("://")
        if scheme not in _DEFAULT_PORTS or not mark or not host or "/" in host or "*" in host:
            raise ValueError(
                f"{origin!r} is no origin: scheme and host are expected, as in https://trade.example"
            )
    return frozenset(_plain(origin) for origin in named)


def check_origin(http: HttpRequest, named: Collection[str]) -> None:
    """Raise Refused (403) if a browser says that another site's page sends this.

    `named` are those of `origins_of`. The host that the request itself is sent to is ours too: a foreign page cannot
    choose it. (It can point a name of its own at us; then the browser has no cookie of ours for that name.)
    """
    origin = http.header(b"origin")
    if origin:
        if _plain(origin) in named:
            return
        if not _is_of_host(origin, http.header(b"host")):
            raise Refused(
                403, "This page is not the exchange's own: its Origin is not allowed here. Nothing was done."
            )
    site = http.header(b"sec-fetch-site")
    if site and site != "same-origin":
        raise Refused(
            403, "Another site's page has sent this: only the exchange's own may. Nothing was done."
        )


def _is_of_host(origin: str, host: str) -> bool:
    # Whoever ends TLS before us speaks http to us: either scheme of the same host is the same house.
    return bool(host) and _plain(origin) in {_plain(f"{scheme}://{host}") for scheme in _DEFAULT_PORTS}


def _plain(origin: str) -> str:
    """Return an origin in lower case, without the port that goes without saying."""
    plain = origin.lower()
    scheme = plain.partition("://")[0]
    return plain.removesuffix(_DEFAULT_PORTS.get(scheme, ""))
