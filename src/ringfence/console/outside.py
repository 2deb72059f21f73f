"""Whom the console asks and tells, as `deeds` sees them; the process knows where they are."""

from typing import Any, Protocol

from ringfence.assurance.halting import ResumeStatement
from ringfence.commitments import Root
from ringfence.custody.quorum.mpc.keys import KeyRecord, SignedOrder
from ringfence.custody.quorum.wire import Asked, Told
from ringfence.messages.commands import HaltScope, TradingState
from ringfence.messages.halts import Reason, Signature

Row = dict[str, Any]


class NotDoneError(Exception):
    """What was passed on was not taken, or nobody knows; the text says what, and what to do."""


class Outside(Protocol):
    @property
    def venue(self) -> str:
        """Return the exchange's public key, hexadecimal: the one that signs its roots."""
        ...

    async def desk(self, **question: Any) -> Row:
        """Ask the coordinator. Raises NotDoneError."""
        ...

    async def signers(self, question: Asked, *, only: str = "") -> dict[str, Told | None]:
        """Ask every co-signer at once, or one of them; None is the answer of who gives none in time."""
        ...

    async def halt(
        self, scope: HaltScope, target: int, reason: Reason, *, state: TradingState, operator: str
    ) -> int:
        """Halt; return the sequence of the halt. Raises NotDoneError."""
        ...

    async def resume(self, statement: ResumeStatement, signatures: list[Signature], *, operator: str) -> int:
        """Bring a statement that people have signed to the core; return the sequence. Raises NotDoneError."""
        ...

    def newest_root(self) -> Root | None:
        """Return the last state that the exchange committed to. Raises NotDoneError if it has not signed it."""
        ...

    def record_of(self, key: str) -> KeyRecord | None:
        """Return the epoch of a key that is in force, None if there is no such key. Raises NotDoneError."""
        ...

    async def hold(self, order: SignedOrder, record: KeyRecord | None) -> KeyRecord:
        """Have the co-signers carry out an order for a key. Minutes. Raises NotDoneError."""
        ...

    def number_of(self, scope: HaltScope, of: str) -> int:
        """Return the number of a contract or asset. Raises NotDoneError if there is none."""
        ...
