"""A co-signer's part in signing together: what it has said yes to, with a share of a key that nobody has."""

from ringfence.custody.cosigner.checks import RefusalError
from ringfence.custody.cosigner.cosigner import Cosigner
from ringfence.custody.cosigner.mpc import MpcParty, Task
from ringfence.custody.quorum.messages import Join, JointSignature, Recall

FAILURES_OF_ATTESTING_MAX = 2
"""After so many runs that have failed in a row, only payments may make it more: with five the key rests."""


async def join(cosigner: Cosigner, party: MpcParty, asked: Join | Recall) -> JointSignature:
    """Sign with the other nominees, or tell what came of it before.

    A transaction may want several signatures: each is a run of its own, and what is signed already is not signed again.

    Raises RefusalError, ProtocolAbort, EngineMissingError, ShareError, HsmError, CounterError, OSError.
    """
    signed = party.signatures_of(asked.subject)
    if isinstance(asked, Recall):
        if not signed:
            raise RefusalError("join", "nothing was signed for this transaction")
        return JointSignature(cosigner.name, asked.subject, signed)
    annex, consent = cosigner.consent(asked.subject)
    key = consent.key or annex.key
    if not consent.intents and party.failures_of(key) >= FAILURES_OF_ATTESTING_MAX:
        raise RefusalError("join", f"runs of {key} have failed: what is left of them is for payments")
    messages = [bytes.fromhex(one) for one in consent.messages]
    if len(signed) < len(asked.signed):
        party.take_signatures(key, consent.path, asked.subject, messages, asked.signed)
        signed = asked.signed
    for message in messages[len(signed) :]:
        epoch = party.record_of(key).epoch
        task = Task(key, epoch, asked.subject, message, consent.parties, asked.attempt, consent.path)
        await party.sign(task)
    return JointSignature(cosigner.name, asked.subject, party.signatures_of(asked.subject))
