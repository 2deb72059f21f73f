"""What a request can be refused with: an HTTP status and BitMEX's error body."""

import msgspec

from ringfence.messages.rejects import TEXTS, Reject

OVERLOADED = "The system is currently overloaded. Please try again later."


class Refused(Exception):
    """The request is not carried out and nothing has changed. Becomes `{"error": {message, name}}`."""

    def __init__(
        self, status: int, message: str, name: str = "HTTPError", *, retry_after_seconds: int | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.name = status, message, name
        self.retry_after_seconds = retry_after_seconds

    def body(self) -> bytes:
        return msgspec.json.encode({"error": {"message": self.message, "name": self.name}})


def invalid(message: str) -> Refused:
    """Return the refusal of a parameter."""
    return Refused(400, message, "ValidationError")


def not_found(message: str = "Not Found") -> Refused:
    return Refused(404, message)


def overloaded() -> Refused:
    return Refused(503, OVERLOADED)


def unavailable(why: str) -> Refused:
    """Return the refusal of a request whose service is down; says that nothing was done."""
    return Refused(503, f"Service unavailable: {why}. Nothing was done; please try again.")


def of_reject(reject: Reject, figure: int, currency: str) -> Refused:
    """Return the engine's refusal in the words of the wire."""
    text = TEXTS[reject].format(amount=figure, currency=currency)
    if reject == Reject.ACCOUNT_DISABLED:
        return Refused(403, text)
    if reject == Reject.UNKNOWN_ORDER:
        return Refused(400, text, "HTTPError")
    return Refused(400, text, "ValidationError")
