"""What browsers are told with every answer: what it may do, who may frame it, how it is to be asked for.

An answer that is no page may do nothing at all. Pages say in their own modules what they may.
"""

import logging

import msgspec

log = logging.getLogger(__name__)

EVERYWHERE = b"x-content-type-options: nosniff\r\nreferrer-policy: no-referrer\r\nx-frame-options: DENY\r\n"
OF_API = b"cache-control: no-store\r\ncontent-security-policy: default-src 'none'; frame-ancestors 'none'\r\n"
_HTTPS_ALONE = b"strict-transport-security: max-age=63072000; includeSubDomains\r\n"
"""For two years, for hosts below it as well. Only where TLS ends before us: a browser does not heed it otherwise."""

REPORTS = "/csp-report"
"""Where browsers tell of what a page tried and its policy forbade."""
REPORT_BYTES_MAX = 8_192
_DIRECTIVES = frozenset((
    "default-src", "script-src", "script-src-elem", "script-src-attr", "style-src", "style-src-elem", "style-src-attr",
    "img-src", "font-src", "connect-src", "manifest-src", "frame-ancestors", "base-uri", "form-action", "object-src",
    "worker-src", "frame-src", "media-src",
))  # fmt: skip


def always(public_scheme: str) -> bytes:
    """Return the header lines of every answer."""
    return EVERYWHERE + (_HTTPS_ALONE if public_scheme == "https" else b"")


def log_report(body: bytes) -> None:
    """Log which rule was broken, and nothing of what the browser says else: addresses may hold what is private."""
    try:
        report = msgspec.json.decode(body)["csp-report"]
        broken = str(report.get("effective-directive") or report["violated-directive"]).split(" ")[0]
    except (msgspec.MsgspecError, LookupError, TypeError, AttributeError, RecursionError):
        broken = ""
    log.warning(
        "a browser reports that a page's policy was broken: %s",
        broken if broken in _DIRECTIVES else "unreadable",
    )
