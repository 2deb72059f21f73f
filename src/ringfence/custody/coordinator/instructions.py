"""What the exchange has to be told next: a pure function of ledger, chain and batches.

One instruction is under way at a time, with the number that the ledger expects. If it is not known what has become of
it, the ledger is read again: either it was taken, and is not needed any more, or its number is still free.
"""

from typing import NamedTuple

from ringfence.custody.coordinator.batches import Attempt, Batches, Flow
from ringfence.custody.coordinator.deposits import Deposit
from ringfence.custody.ledger import Ledger, Withdrawal
from ringfence.messages.funds import Closed, Credit
from ringfence.units.assets import XBT


class Instruction(NamedTuple):
    """Exactly one of these is next."""

    number: int
    kind: str
    """`deposit`, `left`, `returned`."""
    account: int
    asset: int
    amount: int
    text: Credit | Closed


def next_instruction(
    ledger: Ledger,
    deposits: list[Deposit],
    batches: Batches,
    *,
    chain: str,
    confirmed: dict[str, int],
    needed: int,
) -> Instruction | None:
    """Return what has to be told next, None if nothing.

    `confirmed`: confirmations of our transactions by txid; `needed`: how many make a payment final.
    """
    number = ledger.instruction_next
    for deposit in deposits:
        if deposit.state == "confirmed":
            coin = deposit.coin
            text = Credit(chain, coin.outpoint.txid, coin.outpoint.vout)
            return Instruction(number, "deposit", deposit.account, XBT.number, coin.amount_sats, text)
    for one in sorted(ledger.open().values(), key=lambda each: each.number):
        if one.asset != XBT.number:
            continue
        found = _of(one, number, batches, confirmed, needed)
        if found is not None:
            return found
    return None


def _of(
    one: Withdrawal, number: int, batches: Batches, confirmed: dict[str, int], needed: int
) -> Instruction | None:
    flow = batches.flow_of(one.number)
    refused = batches.refused.get(str(one.number)) or (flow.given_up if flow is not None else "")
    if refused and not (flow and flow.attempts):
        return _back(one, number, Closed(one.number, because=refused))
    if flow is None:
        return None
    attempt = final_attempt(flow, confirmed, needed)
    if attempt is None:
        return None
    txid = attempt.transaction.txid
    if one.left:
        return _back(one, number, Closed(one.number, txid=txid))
    intent = next(intent for intent in flow.batch.intents if intent.id == str(one.number))
    left = intent.amount_sats + flow.share_sats(attempt, intent)
    assert left <= one.locked, f"withdrawal {one.number}: {left} left, {one.locked} were put aside"
    return Instruction(number, "left", one.account, one.asset, left, Closed(one.number, txid=txid))


def _back(one: Withdrawal, number: int, text: Closed) -> Instruction:
    return Instruction(number, "returned", one.account, one.asset, one.locked, text)


def final_attempt(flow: Flow, confirmed: dict[str, int], needed: int) -> Attempt | None:
    """Return the one transaction of a batch that the chain holds deep enough. Two can never be: they share a coin."""
    deep = [one for one in flow.attempts if confirmed.get(one.transaction.txid, 0) >= needed]
    assert len(deep) <= 1, "two payments of one batch are in the chain"
    return deep[0] if deep else None
