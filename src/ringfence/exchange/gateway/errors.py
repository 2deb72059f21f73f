"""What a request can be refused with: an HTTP status and BitMEX's error body."""

import msgspec

from ringfence.messages.rejects import TEXTS, Reject

OVERLOADED = "The system is currently overloaded. Please try again later."
RETRY_AFTER_SECONDS = 1


class Refused(Exception):
    """The request is not carried out and nothing has changed. Becomes `{"error": {message, name}}`."""

    def __init__(
        self, status: int, message: str, name: str = "HTTPError", *, retry_after_seconds: int | None = None,
        reason: str | None = None,
    ) -> None:  # fmt: skip
        """`reason` is for programs: why the load of the exchange did not allow it, see `load.REASONS`."""
        super().__init__(message)
        self.status, self.message, self.name = status, message, name
        self.retry_after_seconds, self.reason = retry_after_seconds, reason

    def error(self) -> dict[str, str]:
        said = {"message": self.message, "name": self.name}
        return said if self.reason is None else {**said, "reason": self.reason}

    def body(self) -> bytes:
        return msgspec.json.encode({"error": self.error()})


def invalid(message: str) -> Refused:
    """Return the refusal of a parameter."""
    return Refused(400, message, "ValidationError")


def not_found(message: str = "Not Found") -> Refused:
    return Refused(404, message)


def overloaded(reason: str) -> Refused:
    """Return the refusal of what was shed: it is in no journal and never will be."""
    return Refused(503, OVERLOADED, retry_after_seconds=RETRY_AFTER_SECONDS, reason=reason)


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
