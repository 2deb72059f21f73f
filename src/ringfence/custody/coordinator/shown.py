"""What people are shown of a withdrawal, as values for JSON. Nothing here is believed by anybody who signs."""

from collections.abc import Iterator
from typing import Any

import msgspec

from ringfence.custody.coordinator.batches import Flow, intent_of
from ringfence.custody.ledger import Withdrawal
from ringfence.units.assets import ASSETS


def row_of(
    one: Withdrawal, flow: Flow | None, refused: str, waits: str, confirmations: int, chain: str
) -> dict[str, Any]:
    """Return one line of a table of withdrawals. Amounts in ledger units of the currency."""
    attempt = flow.newest if flow is not None else None
    return {
        "withdrawal": one.number, "account": one.account, "currency": ASSETS[one.asset].currency, "state": one.state,
        "address": one.wish.address if one.wish else "", "amount": one.wish.amount if one.wish else 0,
        "left": one.left, "returned": one.returned, "because": refused or (flow.given_up if flow else ""),
        "digest": intent_of(one, chain=chain).digest if one.wish else "",
        "batch": flow.batch.id if flow else "", "step": flow.state if flow else "waiting",
        "nominated": list(flow.quorum) if flow else [], "late": list(flow.late) if flow else [],
        "waitingFor": "" if attempt else flow.waiting_for if flow else waits,
        "txid": attempt.txid if attempt else one.txid, "fee": attempt.fee if attempt else 0,
        "signers": list(attempt.signers) if attempt else [], "confirmations": confirmations,
    }  # fmt: skip


def papers_of(flow: Flow, transaction: dict[str, Any] | None) -> dict[str, Any]:
    """Return everything that was decided for a batch: seal, draw, transaction, every verdict of every signer."""
    attempt = flow.newest
    return {
        "intents": msgspec.to_builtins(flow.batch.intents),
        "sealedAt": flow.sealed.sealed_height if flow.sealed else None,
        "decidedBy": flow.sealed.height if flow.sealed else None,
        "witnesses": [one.signer for one in flow.witnesses],
        "contributed": [one.signer for one in flow.contributions],
        "replaced": [one.txid for one in flow.attempts[:-1]],
        "transaction": transaction,
        "verdicts": msgspec.to_builtins(attempt.verdicts) if attempt else {},
    }


def outputs_of(flow: Flow, outputs: Iterator[tuple[str, int, str]]) -> list[dict[str, Any]]:
    """Return what a transaction pays: address, amount, and what an own address is, empty for a stranger's."""
    paid = {intent.destination: intent.id for intent in flow.batch.intents}
    return [
        {
            "amount": amount,
            "address": address,
            "what": f"withdrawal {paid[address]}" if address in paid else own or "PAYS NOBODY WHO HAS ASKED",
        }
        for address, amount, own in outputs
    ]
