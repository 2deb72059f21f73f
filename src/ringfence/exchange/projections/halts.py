"""What is halted now, and every halt and resumption that there ever was."""

from typing import NamedTuple

from ringfence.exchange.projections.orders import Row
from ringfence.messages.commands import ALL_ASSETS, HaltScope, TradingState
from ringfence.messages.halts import Reason, Signature
from ringfence.units.assets import ASSETS
from ringfence.units.time import iso

STATES = {
    TradingState.RUNNING: "Running", TradingState.CANCEL_ONLY: "CancelOnly", TradingState.HALTED: "Halted",
}  # fmt: skip
_SCOPES = {
    HaltScope.VENUE: "Venue", HaltScope.CONTRACT: "Contract", HaltScope.DEPOSITS: "Deposits",
    HaltScope.WITHDRAWALS: "Withdrawals", HaltScope.SIGNERS: "Signers",
}  # fmt: skip


class HaltView(NamedTuple):
    """One change of how far something is halted. `number` is that of its HALT_SET event, for ever."""

    number: int
    timestamp_ns: int
    halt: int
    """Sequence of the HALT that it is about."""
    scope: HaltScope
    target: int
    """Number of the contract or asset; 0 if the scope has none."""
    symbol: str | None
    state: TradingState
    before: TradingState
    reopens_ns: int
    reason: Reason | None
    """None if it was lifted."""
    signatures: tuple[Signature, ...] = ()

    @property
    def currency(self) -> str | None:
        if self.scope not in (HaltScope.DEPOSITS, HaltScope.WITHDRAWALS):
            return None
        return "all" if self.target == ALL_ASSETS else ASSETS[self.target].currency

    def row(self) -> Row:
        reason = self.reason or Reason(by="", what="")
        return {
            "id": self.number, "timestamp": iso(self.timestamp_ns), "halt": self.halt,
            "scope": _SCOPES[self.scope], "symbol": self.symbol, "currency": self.currency,
            "state": STATES[self.state], "previousState": STATES[self.before],
            "reopens": iso(self.reopens_ns) if self.reopens_ns else None,
            "by": reason.by or ", ".join(f"{one.name} ({one.role})" for one in self.signatures),
            "text": reason.what, "law": reason.law, "expected": reason.expected, "found": reason.found,
            "cut": reason.cut, "dump": reason.dump,
        }  # fmt: skip


class Halts:
    """The fold of HALT_SET events."""

    def __init__(self) -> None:
        self.history: list[HaltView] = []
        """Oldest first; halts are rare, so all are kept."""
        self.people: tuple[int, bytes] = (0, b"")
        """Number of the list of those who may lift a halt, and the list as JSON."""
        self._now: dict[tuple[HaltScope, int], HaltView] = {}

    def take(self, view: HaltView) -> None:
        self.history.append(view)
        key = (view.scope, view.target)
        if view.target == ALL_ASSETS:
            for other in [other for other in self._now if other[0] == view.scope]:
                del self._now[other]
        if view.state == TradingState.RUNNING:
            self._now.pop(key, None)
        else:
            self._now[key] = view

    @property
    def now(self) -> list[HaltView]:
        """What is not running, in the order of the scopes."""
        return [self._now[key] for key in sorted(self._now)]

    @property
    def venue(self) -> TradingState:
        view = self._now.get((HaltScope.VENUE, 0))
        return view.state if view else TradingState.RUNNING
