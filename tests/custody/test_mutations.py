"""Thousands of questions that differ from an honest one in one thing: not one is signed.

200 by default; RINGFENCE_MUTATIONS=5000 asks as many as are promised (`nox -s thefts`).
"""

import os
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
from embit.psbt import PSBT
from embit.script import Script
from embit.transaction import TransactionInput, TransactionOutput

from ringfence.custody.hsm.tpm import Quote
from ringfence.custody.quorum.messages import Consider, Part, Refusal
from ringfence.testing.thieves import THIEF, THIEF_SCRIPT, Heist

MUTATIONS = int(os.environ.get("RINGFENCE_MUTATIONS", "200"))
Mutation = Callable[[Consider, random.Random], Consider]
_BIG = 2**62


def _number(value: int, dice: random.Random) -> int:
    other = dice.choice((0, -1, 1, value + 1, value - 1, value * 2, -value, _BIG, dice.randrange(10**9)))
    return other if other != value else value + 7


def _text(value: str, dice: random.Random) -> str:
    if not value:
        return dice.choice(("x", THIEF, "00"))
    place = dice.randrange(len(value))
    other = dice.choice([c for c in "0123456789abcdefqz" if c != value[place]])
    return dice.choice((value[:place] + other + value[place + 1 :], value[:-1], value + other, "", THIEF))


def _struct(value: msgspec.Struct, dice: random.Random) -> Any:
    name = dice.choice(value.__struct_fields__)
    return msgspec.structs.replace(value, **{name: _any(getattr(value, name), dice)})


def _any(value: Any, dice: random.Random) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return _number(value, dice)
    if isinstance(value, str):
        return _text(value, dice)
    if isinstance(value, msgspec.Struct):
        return _struct(value, dice)
    if isinstance(value, tuple):
        if not value:
            return value
        place = dice.randrange(len(value))
        changed = (*value[:place], _any(value[place], dice), *value[place + 1 :])
        return dice.choice(
            (changed, value[:place] + value[place + 1 :], value[::-1] if value[::-1] != value else changed)
        )
    if value is None:
        return Quote("00", "00")
    raise AssertionError(type(value))


def of_batch(question: Consider, dice: random.Random) -> Consider:
    return msgspec.structs.replace(question, batch=_struct(question.batch, dice))


def of_intent(question: Consider, dice: random.Random) -> Consider:
    intent = _struct(question.batch.intents[0], dice)
    return msgspec.structs.replace(question, batch=msgspec.structs.replace(question.batch, intents=(intent,)))


def of_seal(question: Consider, dice: random.Random) -> Consider:
    return msgspec.structs.replace(question, sealed=_struct(question.sealed, dice))


def of_nomination(question: Consider, dice: random.Random) -> Consider:
    name = dice.choice(("contributions", "beacon"))
    return msgspec.structs.replace(question, **{name: _any(getattr(question, name), dice)})


def of_evidence(question: Consider, dice: random.Random) -> Consider:
    place = dice.randrange(len(question.evidence))
    changed = _struct(question.evidence[place], dice)
    return msgspec.structs.replace(
        question, evidence=(*question.evidence[:place], changed, *question.evidence[place + 1 :])
    )


def of_transaction(question: Consider, dice: random.Random) -> Consider:
    transaction = PSBT.from_string(question.unsigned).tx
    kind = dice.randrange(9)
    output = dice.choice(transaction.vout)
    if kind == 0:
        output.value = max(0, _number(output.value, dice) % 2**50)
    elif kind == 1:
        script = bytearray(output.script_pubkey.data)
        script[dice.randrange(len(script))] ^= 1 << dice.randrange(8)
        output.script_pubkey = Script(bytes(script))
    elif kind == 2:
        transaction.vout.append(TransactionOutput(dice.randrange(1, 10**7), Script(THIEF_SCRIPT)))
    elif kind == 3:
        transaction.vout.remove(output)
    elif kind == 4:
        transaction.vin[0].sequence = dice.choice((0, 1, 26_280, 0xFFFFFFFE, 0xFFFFFFFF))
    elif kind == 5:
        transaction.vin.append(TransactionInput(dice.randbytes(32), dice.randrange(4), sequence=0xFFFFFFFD))
    elif kind == 6:
        transaction.version = dice.choice((0, 1, 3, 2**31 - 1))
    elif kind == 7:
        transaction.locktime = dice.randrange(1, 2**31)
    else:
        transaction.vin[0].vout ^= 1 << dice.randrange(4)
    return msgspec.structs.replace(question, unsigned=PSBT(transaction).to_string())


def of_text(question: Consider, dice: random.Random) -> Consider:
    return msgspec.structs.replace(question, unsigned=_text(question.unsigned, dice))


REDONE = (of_batch, of_intent, of_seal, of_nomination, of_transaction, of_text)
"""After these a dishonest coordinator asks everybody for fresh evidence."""


def test_one_thing_is_changed_and_nothing_is_signed(custody: Any) -> None:
    heist = Heist(custody)
    dice = random.Random(5)
    steps: Counter[str] = Counter()
    asked = 0
    while asked < MUTATIONS:
        mutation = dice.choice((*REDONE, of_evidence))
        honest = heist.honest
        if mutation is of_evidence:
            honest = msgspec.structs.replace(honest, evidence=heist.evidence(heist.signer, honest))
        changed = mutation(honest, dice)
        if _says_the_same(changed, heist.honest) or (
            mutation is of_transaction and _differs_in_the_fee_alone(heist, changed)
        ):
            continue
        asked += 1
        answer = heist.consider(heist.signer, changed, with_evidence=mutation is not of_evidence)
        assert isinstance(answer, Refusal), (mutation.__name__, changed)
        steps[answer.step] += 1
    assert set(steps) >= {"batch", "nominated", "evidence", "decoded", "policy", "sealed"}, steps
    assert not heist.parts
    # After all of that it still does what it is there for.
    assert isinstance(heist.consider(heist.signer, heist.honest), Part)


def _says_the_same(changed: Consider, honest: Consider) -> bool:
    """Return whether a change changed nothing that counts: bytes beside the transaction are not looked at."""
    if changed.batch != honest.batch or _sorted(changed) != _sorted(honest):
        return False
    if changed.evidence != honest.evidence or set(changed.contributions) != set(honest.contributions):
        return False
    if changed.beacon != honest.beacon:
        return False
    try:
        return bool(
            PSBT.from_string(changed.unsigned).tx.serialize()
            == PSBT.from_string(honest.unsigned).tx.serialize()
        )
    except Exception:
        return False


def _sorted(question: Consider) -> object:
    """Return the seal with its commitments in their order: that of a list says nothing."""
    return msgspec.structs.replace(question.sealed, commitments=tuple(sorted(question.sealed.commitments)))


def _differs_in_the_fee_alone(heist: Heist, changed: Consider) -> bool:
    """Return whether the network gets another fee, within what the client has allowed, and all else is the same.

    How much a confirmation costs is the coordinator's to choose, below the cap that the client has set.
    """
    if changed.batch != heist.honest.batch or changed.sealed != heist.honest.sealed:
        return False
    try:
        mine, theirs = (PSBT.from_string(one.unsigned).tx for one in (changed, heist.honest))
    except Exception:
        return False
    held = sum(heist.coins[f"{item.txid.hex()}:{item.vout}"].amount_sats for item in theirs.vin)
    fee = held - sum(output.value for output in mine.vout)
    if len(mine.vout) != len(theirs.vout) or not 0 <= fee <= changed.batch.intents[0].fee_max:
        return False
    mine.vout[-1].value = theirs.vout[-1].value
    return bool(mine.serialize() == theirs.serialize())
