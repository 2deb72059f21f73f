"""Which requests are of the console's own pages, and what every answer says to the browser.

The console has an origin of its own, `custody.localhost`, which browsers resolve to this machine: neither cookies nor
scripts of the exchange's pages reach it. A request with another Host or Origin is refused before anything is looked at.
"""

from urllib.parse import urlsplit

from ringfence.exchange.gateway.http import HttpRequest

HOST_NAME = "custody.localhost"
COOKIE = "__Host-ringfence-console"
OWN_HEADER, OWN_VALUES = b"x-ringfence-console", ("page", "poll")
"""No form and no image can send it. `poll`: the page asks by itself, which keeps no session alive."""
_SAFE = ("GET", "HEAD")

HEADERS = (
    b"cache-control: no-store\r\n"
    b"cross-origin-opener-policy: same-origin\r\ncross-origin-resource-policy: same-origin\r\n"
    b"permissions-policy: camera=(), microphone=(), geolocation=(), payment=(), publickey-credentials-get=(self), "
    b"publickey-credentials-create=(self)\r\n"
    b"content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    b"connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; "
    b"require-trusted-types-for 'script'; trusted-types svelte-trusted-html\r\n"
)
"""Beside those of every answer, which the connection adds."""


def origin_of(port: int) -> str:
    """Return the origin of the console's pages on one machine."""
    return f"http://{HOST_NAME}:{port}"


class Origin:
    """The one origin that is served."""

    def __init__(self, origin: str) -> None:
        self.text = origin
        self.host = urlsplit(origin).netloc
        self.relying_party = urlsplit(origin).hostname or ""

    def objection(self, request: HttpRequest) -> str:
        """Return why a request is none of our pages', empty if it is."""
        if request.header(b"host").lower() != self.host:
            return f"this is {self.host} and answers to no other name"
        origin, site = request.header(b"origin"), request.header(b"sec-fetch-site")
        is_navigation = request.method in _SAFE and request.header(b"sec-fetch-mode") == "navigate"
        if origin and origin != self.text:
            return "another origin may not ask here"
        if site and site not in ("same-origin", "none") and not is_navigation:
            return "another site may not ask here"
        if request.method not in _SAFE and (origin != self.text or not is_from_page(request)):
            return "what changes something is asked by the console's own page alone"
        return ""


def is_from_page(request: HttpRequest) -> bool:
    """Return whether the page's own header is there."""
    return request.header(OWN_HEADER) in OWN_VALUES


def cookie_of(request: HttpRequest) -> str:
    """Return the session's cookie, empty if there is none, or more than one: somebody has planted one of them."""
    found = [
        value for part in request.header(b"cookie").split(";")
        for name, _, value in [part.strip().partition("=")] if name == COOKIE
    ]  # fmt: skip
    return found[0] if len(found) == 1 else ""


def set_cookie(token: str) -> bytes:
    """Return the line that gives a browser its session."""
    return f"set-cookie: {COOKIE}={token}; Path=/; Secure; HttpOnly; SameSite=Strict\r\n".encode()


END_COOKIE = f"set-cookie: {COOKIE}=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0\r\n".encode()
