"""What people are shown of a withdrawal, as values for JSON. Nothing here is believed by anybody who signs."""

from typing import Any

import msgspec

from ringfence.custody.chains.bitcoin.transactions import EMBIT_NETWORKS, Transaction, address_of
from ringfence.custody.coordinator.batches import Flow, intent_of
from ringfence.custody.ledger import Withdrawal
from ringfence.custody.quorum.multisig import read_unsigned
from ringfence.custody.wallets.owners import Wallets


def row_of(
    one: Withdrawal, flow: Flow | None, refused: str, waits: str, confirmed: dict[str, int], chain: str
) -> dict[str, Any]:
    """Return one line of a table of withdrawals. Amounts in satoshis."""
    attempt = flow.attempts[-1] if flow is not None and flow.attempts else None
    txid = attempt.transaction.txid if attempt else one.txid
    return {
        "withdrawal": one.number, "account": one.account, "state": one.state,
        "address": one.wish.address if one.wish else "", "amountSats": one.wish.amount if one.wish else 0,
        "leftSats": one.left, "returnedSats": one.returned, "because": refused or (flow.given_up if flow else ""),
        "digest": intent_of(one, chain=chain).digest if one.wish else "",
        "batch": flow.batch.id if flow else "", "step": flow.state if flow else "waiting",
        "nominated": list(flow.quorum) if flow else [], "late": list(flow.late) if flow else [],
        "waitingFor": "" if attempt else flow.waiting_for if flow else waits, "txid": txid,
        "feeSats": attempt.fee_sats if attempt else 0, "signers": list(attempt.signers) if attempt else [],
        "confirmations": confirmed.get(txid, 0),
    }  # fmt: skip


def papers_of(flow: Flow, wallets: Wallets) -> dict[str, Any]:
    """Return everything that was decided for a batch: seal, draw, transaction, every verdict of every signer."""
    attempt = flow.attempts[-1] if flow.attempts else None
    transaction = (
        attempt.transaction if attempt else read_unsigned(flow.psbt).transaction if flow.psbt else None
    )
    return {
        "intents": msgspec.to_builtins(flow.batch.intents),
        "sealedAt": flow.sealed.sealed_height if flow.sealed else None,
        "decidedBy": flow.sealed.height if flow.sealed else None,
        "witnesses": [one.signer for one in flow.witnesses],
        "contributed": [one.signer for one in flow.contributions],
        "replaced": [one.transaction.txid for one in flow.attempts[:-1]],
        "transaction": _decoded(transaction, flow, wallets) if transaction else None,
        "verdicts": msgspec.to_builtins(attempt.verdicts) if attempt else {},
    }


def _decoded(transaction: Transaction, flow: Flow, wallets: Wallets) -> dict[str, Any]:
    network = EMBIT_NETWORKS[wallets.network_name]
    paid = {intent.destination: intent.id for intent in flow.batch.intents}
    outputs = []
    for output in transaction.outputs:
        address, mine = address_of(output.script, network), wallets.classify(output.script)
        if address in paid:
            what = f"withdrawal {paid[address]}"
        elif mine is not None:
            what = f"comes back: {mine.keychain.name.lower()} {mine.number} of {mine.owner.text}"
        else:
            what = "PAYS NOBODY WHO HAS ASKED"
        outputs.append({"sats": output.amount_sats, "address": address or output.script.hex(), "what": what})
    return {
        "txid": transaction.txid, "vsize": transaction.vsize, "feeSats": flow.fee_sats,
        "inputs": [str(item.outpoint) for item in transaction.inputs], "outputs": outputs,
    }  # fmt: skip
