"""What thieves do with a custody: everything that one dishonest role can ask, change, forge, replay or bring back."""

from collections.abc import Callable
from typing import Any

import msgspec
from embit.psbt import PSBT
from embit.script import Script
from embit.transaction import Transaction as EmbitTransaction
from embit.transaction import TransactionInput, TransactionOutput

from ringfence.custody.chains.bitcoin.transactions import address_of
from ringfence.custody.hsm.evidence import Evidence
from ringfence.custody.quorum.messages import (
    Answer,
    Challenge,
    Consider,
    Nonce,
    Part,
    Question,
    Show,
    Shown,
    subject_of,
)
from ringfence.custody.quorum.multisig import network_accepts, put_together, read_unsigned
from ringfence.custody.wallets.coins import Coin
from ringfence.testing.custody import TO, Custody, Stopped

XBT = 10**8
THIEF_SCRIPT = b"\x00\x14" + b"\x66" * 20
THIEF = str(address_of(THIEF_SCRIPT))


class Heist:
    """A custody at the moment before three honest co-signers sign an honest withdrawal of account 1."""

    def __init__(self, custody: Custody, *, sats: int = XBT // 4, fee_max: int = 200_000) -> None:
        self.custody = custody
        custody.deposit(1, XBT // 2)
        custody.deposit(2, XBT // 2)
        self.number = custody.exchange.ask(1, sats, fee_max, TO, now_ns=custody.now_ns)
        self.questions: dict[str, Consider] = {}
        custody.change = self._hold
        for _ in range(12):
            try:
                custody.turn()
            except Stopped:
                break
            custody.mine()
        assert self.questions, [flow.waiting_for for flow in custody.batches.flows.values()]
        custody.change = lambda name, question: question
        self.flow = next(flow for flow in custody.batches.flows.values() if flow.unsigned)
        self.signer, self.honest = next(iter(self.questions.items()))
        self.coins = self._coins()
        self.parts: list[Part] = []
        """Every signature that anybody has got by now."""

    def _hold(self, name: str, question: Question) -> Question:
        if isinstance(question, Consider):
            self.questions[name] = question
            raise Stopped
        return question

    def _coins(self) -> dict[str, Coin]:
        return {str(coin.outpoint): coin for coin in self.custody.view.follower.confirmed_coins()}

    # ---- what a thief can do

    def ask(self, name: str, question: Question, *, is_coordinator: bool = True) -> Answer:
        answer = self.custody.cosigners[name].answer(question, is_coordinator=is_coordinator)
        if isinstance(answer, Part):
            self.parts.append(answer)
        return answer

    def consider(self, name: str, question: Consider, *, with_evidence: bool = True) -> Answer:
        """Put a question that was changed, with evidence that was asked for afresh, as a coordinator can."""
        if with_evidence:
            question = msgspec.structs.replace(question, evidence=self.evidence(name, question))
        return self.ask(name, question)

    def evidence(self, name: str, question: Consider) -> tuple[Evidence, ...]:
        try:
            subject = subject_of(read_unsigned(question.unsigned).unsigned)
        except ValueError:
            return question.evidence
        nonce = self.ask(name, Challenge(subject))
        if not isinstance(nonce, Nonce):
            return question.evidence
        shown = [
            self.ask(other, Show(name, nonce.nonce, subject)) for other in self.flow.quorum if other != name
        ]
        return tuple(one.evidence for one in shown if isinstance(one, Shown))

    def changed(self, change: Callable[[EmbitTransaction], None]) -> Consider:
        """Return the honest question with another transaction."""
        transaction = PSBT.from_string(self.honest.unsigned).tx
        change(transaction)
        return msgspec.structs.replace(self.honest, unsigned=PSBT(transaction).to_string())

    def with_intent(self, **changes: Any) -> Consider:
        """Return the honest question with something else in its movement; the batch's digest follows."""
        intent = msgspec.structs.replace(self.honest.batch.intents[0], **changes)
        batch = msgspec.structs.replace(self.honest.batch, intents=(intent,))
        return msgspec.structs.replace(self.honest, batch=batch)

    def is_stolen(self) -> bool:
        """Return whether the signatures that were got make anything that the network takes and that pays a thief."""
        by_subject: dict[str, list[Part]] = {}
        for part in self.parts:
            by_subject.setdefault(part.subject, []).append(part)
        return any(self._pays_a_thief(parts) for parts in by_subject.values())

    def _pays_a_thief(self, parts: list[Part]) -> bool:
        for question in [*self.questions.values(), *self.asked]:
            try:
                unsigned = read_unsigned(question.unsigned)
            except ValueError:
                continue
            if subject_of(unsigned.unsigned) != parts[0].subject:
                continue
            if all(output.script != THIEF_SCRIPT for output in unsigned.transaction.outputs):
                continue
            coins = [self.coins[str(item.outpoint)] for item in unsigned.transaction.inputs]
            signatures: list[dict[bytes, bytes]] = [{} for _ in coins]
            for part in parts:
                for place, (public, signature) in enumerate(part.signatures):
                    signatures[place][bytes.fromhex(public)] = bytes.fromhex(signature)
            made = put_together(unsigned, self.custody.hardware.wallets, coins, signatures)
            return network_accepts(made, coins)
        return False

    @property
    def asked(self) -> list[Consider]:
        return [question for _, question, _ in self.custody.heard if isinstance(question, Consider)]


def pay_thief(transaction: EmbitTransaction) -> None:
    transaction.vout[0].script_pubkey = Script(THIEF_SCRIPT)


def add_thief(transaction: EmbitTransaction, *, sats: int = 10_000) -> None:
    """Take a little of the change for oneself."""
    transaction.vout[-1].value -= sats
    transaction.vout.append(TransactionOutput(sats, Script(THIEF_SCRIPT)))


def swap_change(transaction: EmbitTransaction) -> None:
    transaction.vout[-1].script_pubkey = Script(THIEF_SCRIPT)


def pay_more(transaction: EmbitTransaction) -> None:
    transaction.vout[0].value += 1_000
    transaction.vout[-1].value -= 1_000


def burn(transaction: EmbitTransaction, *, sats: int = 3_000_000) -> None:
    """Give the change to a miner."""
    transaction.vout[-1].value -= sats


def foreign_input(transaction: EmbitTransaction) -> None:
    transaction.vin.append(TransactionInput(b"\x21" * 32, 0, sequence=0xFFFFFFFD))
