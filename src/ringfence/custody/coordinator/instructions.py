"""What the exchange has to be told next: a pure function of ledger, chain and batches.

One instruction is under way at a time, with the number that the ledger expects. If it is not known what has become of
it, the ledger is read again: either it was taken, and is not needed any more, or its number is still free.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ringfence.custody.coordinator.batches import Batches
from ringfence.custody.coordinator.deposits import Deposit
from ringfence.custody.ledger import Ledger, Withdrawal
from ringfence.messages.funds import Closed, Credit


class Instruction(NamedTuple):
    """Exactly one of these is next."""

    number: int
    kind: str
    """`deposit`, `left`, `returned`."""
    account: int
    asset: int
    amount: int
    text: Credit | Closed


class Settled(NamedTuple):
    """What has become of a movement's transaction, deep enough in the chain."""

    txid: str
    left: int
    """What its owner is charged, the network's fee included; 0 if nothing of it has left."""
    because: str = ""
    """Why nothing but the fee has left."""


def next_instruction(
    ledger: Ledger, deposits: Iterable[tuple[str, Deposit]], batches: Batches, settled: Mapping[str, Settled]
) -> Instruction | None:
    """Return what has to be told next, None if nothing.

    `deposits` with the chain of each; `settled` by the withdrawal's number, as text.
    """
    number = ledger.instruction_next
    for chain, deposit in deposits:
        if deposit.state == "confirmed":
            text = Credit(chain, deposit.txid, deposit.output)
            return Instruction(number, "deposit", deposit.account, deposit.asset, deposit.amount, text)
    for one in sorted(ledger.open().values(), key=lambda each: each.number):
        found = _of(one, number, batches, settled.get(str(one.number)))
        if found is not None:
            return found
    return None


def _of(one: Withdrawal, number: int, batches: Batches, settled: Settled | None) -> Instruction | None:
    flow = batches.flow_of(one.number)
    refused = batches.refused.get(str(one.number)) or (flow.given_up if flow is not None else "")
    if refused and not (flow and flow.may_be_signed):
        return _back(one, number, Closed(one.number, because=refused))
    if settled is None:
        return None
    if one.left or not settled.left:
        return _back(one, number, Closed(one.number, txid=settled.txid, because=settled.because))
    assert settled.left <= one.locked, (
        f"withdrawal {one.number}: {settled.left} left, {one.locked} were put aside"
    )
    text = Closed(one.number, txid=settled.txid)
    return Instruction(number, "left", one.account, one.asset, settled.left, text)


def _back(one: Withdrawal, number: int, text: Closed) -> Instruction:
    return Instruction(number, "returned", one.account, one.asset, one.locked, text)
