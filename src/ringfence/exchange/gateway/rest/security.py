"""/securityReport and /securityPolicy: holes that strangers report, sealed before they come here.

The gateway hands on what it cannot read, to a desk that cannot read it either. Receipts travel in bodies, never in
addresses: what is in an address is in every proxy's log.
"""

from typing import Any

from ringfence import lines
from ringfence.exchange.gateway.errors import Refused, unavailable
from ringfence.exchange.gateway.rest.route import Request, optional, required, route

_SECONDS = 5.0
_SEALED_CHARACTERS_MAX = 65_536
_RECEIPT_CHARACTERS_MAX = 100
_ID, _SECRET = (
    optional("id", description="Of the receipt."),
    optional("secret", description="Of the receipt."),
)


@route(
    "POST", "/securityReport", "SecurityReport.new", required("report", description="An age file in armour."),
    _ID, _SECRET, returns="SecurityReceipt",
)  # fmt: skip
async def post_report(request: Request) -> dict[str, Any]:
    """Report a hole, sealed for the recipient of /securityPolicy; with a receipt: add something to a report."""
    request.count_report()
    sealed = _text(request, "report", _SEALED_CHARACTERS_MAX)
    if request.parameters.get("id"):
        return await _ask(request, ask="follow", sealed=sealed, **_receipt(request))
    return await _ask(request, ask="report", sealed=sealed)


@route(
    "POST", "/securityReport/state", "SecurityReport.getState", required("id"), required("secret"),
    returns="SecurityReportState",
)  # fmt: skip
async def post_state(request: Request) -> dict[str, Any]:
    """Get how far a report is, and what was sealed for whoever reported it."""
    return await _ask(request, ask="look", **_receipt(request))


@route("GET", "/securityPolicy", "SecurityPolicy.get", returns="SecurityPolicy")
async def get_policy(request: Request) -> dict[str, Any]:
    """Get whom reports are sealed for, deadlines, rewards, thanks, and how many reports there are."""
    return await _ask(request, ask="public")


def _receipt(request: Request) -> dict[str, str]:
    return {name: _text(request, name, _RECEIPT_CHARACTERS_MAX) for name in ("id", "secret")}


def _text(request: Request, name: str, characters_max: int) -> str:
    """Return a parameter; what is wrong with it is said without repeating it. Raises Refused."""
    value = request.parameters.get(name)
    if not isinstance(value, str) or not value:
        raise Refused(400, f"{name} is required", "ValidationError")
    if len(value) > characters_max:
        raise Refused(413, f"{name} has more than {characters_max} characters", "ValidationError")
    # Armour and receipts are plain: anything else would only grow on its way.
    if not value.isascii() or not value.replace("\n", "").replace("\r", "").isprintable():
        raise Refused(400, f"{name} is invalid", "ValidationError")
    return value


async def _ask(request: Request, **question: str) -> dict[str, Any]:
    """Return the desk's answer. Raises Refused."""
    path = request.gateway.directory / "security" / "desk.sock"
    try:
        said = await lines.ask(path, question, seconds=_SECONDS)
    except lines.NoAnswerError as error:
        raise unavailable("the security desk does not answer") from error
    if said.get("unavailable"):
        raise unavailable("the security desk cannot write")
    if "error" in said:
        raise Refused(404 if said.get("unknown") else 400, said["error"], "ValidationError")
    return said
