"""One chain as the coordinator uses it: deposits, transactions to be signed, and what has become of them."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from ringfence.custody.coordinator.batches import Attempt, Batches, Flow
from ringfence.custody.coordinator.deposits import Deposit
from ringfence.custody.coordinator.instructions import Settled
from ringfence.custody.coordinator.reconcile import Report
from ringfence.custody.intents import Intent
from ringfence.custody.ledger import Ledger
from ringfence.custody.quorum.messages import JointSignature, Part


class Built(NamedTuple):
    """A transaction to be put before the co-signers."""

    unsigned: str
    fee: int
    """In ledger units of what fees are taken in."""
    spends: tuple[str, ...]
    change_index: int = -1


class Signed(NamedTuple):
    """A transaction that the network takes."""

    txid: str
    raw: bytes


class Waits(Exception):
    """A step cannot be done now; the text says what it waits for. It is tried again."""


class Hopeless(Exception):
    """A step can never be done: the movement is given up, and its coins go back."""


class Rail(Protocol):
    """Raises the errors of its node: the rest is done in the next turn."""

    chain: str
    assets: tuple[str, ...]
    seats: int
    """How many co-signers it takes."""
    heights_ahead: int
    """How far ahead the block lies that decides a draw; 0 = none does."""
    is_joint: bool
    """The nominees sign together, once all have said yes; otherwise each signs for itself."""
    intents_max: int
    """How many movements one transaction makes."""
    deepest_reorg: int
    """The most blocks that have left the chain at once, since this process follows it."""

    # ---- what comes in

    def poll(self, ledger: Ledger) -> list[str]:
        """Follow the chain; return why withdrawals have to be halted now."""
        ...

    def deposits(self, ledger: Ledger) -> list[Deposit]: ...

    # ---- what goes out

    def is_address(self, text: str) -> bool: ...

    def is_ours(self, address: str) -> bool: ...

    def is_free(self, batches: Batches) -> bool:
        """Return whether the next batch may be gathered."""
        ...

    def affords(self, intent: Intent) -> bool:
        """Return whether a withdrawal can be paid from where withdrawals are paid from."""
        ...

    def sweeps(self, ledger: Ledger, batches: Batches, now_ns: int) -> list[Intent]:
        """Return what should move between our own addresses, the most urgent first."""
        ...

    def build(self, flow: Flow, batches: Batches) -> Built:
        """Raises Waits, Hopeless."""
        ...

    def subject(self, unsigned: str) -> str: ...

    def put_together(self, flow: Flow, parts: Sequence[Part], joint: JointSignature | None) -> Signed:
        """Raises Waits if what the co-signers gave makes nothing that the network takes."""
        ...

    def send(self, flow: Flow, batches: Batches) -> Built | None:
        """Send the newest transaction unless the chain has one; return what is to take its place if it is stuck.

        Raises Waits.
        """
        ...

    def confirmations(self, attempt: Attempt) -> int: ...

    def settled(self, flow: Flow, intent: Intent) -> Settled | None:
        """Return what has become of a movement, None as long as it is not final."""
        ...

    def shown(self, flow: Flow) -> dict[str, Any] | None:
        """Return the newest transaction of a batch taken apart, for people; None if there is none."""
        ...

    # ---- whether it adds up

    def position(self) -> str:
        """Return the block at which it is followed: a new one is a reason to reconcile."""
        ...

    def reconcile(self, ledger: Ledger, batches: Batches, now_ns: int) -> list[Report]: ...


def is_in_chain(rail: Rail, flow: Flow) -> bool:
    """Return whether a block has one of the transactions that were signed for a batch."""
    return any(rail.confirmations(one) for one in flow.attempts)
