"""A chain of accounts as a co-signer sees it: transactions that keys sign which nobody has."""

from collections.abc import Callable
from typing import TypeVar

from ringfence.custody.annex import Annex, AnnexAsset
from ringfence.custody.chains.accounts import (
    AccountFollower,
    AccountRoom,
    AccountTransaction,
    BytesError,
    NodeBehindError,
    NodeError,
    TooDeepError,
    TransactionRefusedError,
    WrongChainError,
)
from ringfence.custody.cosigner.checks import Decoded, Evident, OfShare, RefusalError
from ringfence.custody.cosigner.rail import ChainFacts
from ringfence.custody.explained import explain
from ringfence.custody.intents import Intent, Kind
from ringfence.custody.ledger import Ledger
from ringfence.custody.nomination import HEIGHTS_AHEAD
from ringfence.custody.policy import DecodedTransaction, Output, Signed
from ringfence.custody.quorum.messages import Consider, subject_of
from ringfence.custody.wallets.owners import Owner
from ringfence.units.rounding import ceil_div

Value = TypeVar("Value")


class AccountRail:
    heights_ahead = HEIGHTS_AHEAD

    def __init__(
        self, annex: Annex, room: AccountRoom, follower: AccountFollower, *, trouble: Callable[[], str]
    ) -> None:
        """`trouble`: why the chain cannot be followed now, empty if it can."""
        self._annex, self._room, self._follower, self._trouble = annex, room, follower, trouble
        self.seats = annex.threshold

    def height(self) -> int:
        return self._follower.height

    def subject(self, unsigned: str) -> str:
        return subject_of(_bytes_of(unsigned))

    def decode(self, before: Evident) -> Decoded:
        trouble = self._trouble()
        if trouble:
            raise RefusalError("sources", trouble, is_for_now=True)
        self._check_is_there()
        question = before.before.before.question
        intent, asset = self._movement(question)
        raw = _bytes_of(question.unsigned)
        source = self._source(intent)
        transaction = self._read(raw, source)
        self._check_now(transaction)
        factor = asset.factor
        if transaction.asset != intent.asset or transaction.raw % factor:
            raise RefusalError(
                "decoded", f"it moves {transaction.raw} of {transaction.asset}, not whole {intent.asset}"
            )
        is_ours = self._room.number_of(transaction.to) is not None
        self._check_not_left(transaction, asset)
        output = Output(transaction.to, transaction.raw // factor, Owner.CLIENTS.text if is_ours else "")
        decoded = DecodedTransaction(
            inputs=(transaction.place,), input_owners=(Owner.CLIENTS.text,), outputs=(output,),
            fee=ceil_div(transaction.fee_raw_max, self._annex.native.factor), fee_asset=self._room.native,
            calls=(transaction.call,) if transaction.call else (),
        )  # fmt: skip
        path, message = self._room.to_sign(raw, source=source)
        key = self._annex.keys[self._room.key_of(source) - 1].key
        return Decoded(before, subject_of(raw), decoded, OfShare(path, (message,), key))

    def _check_not_left(self, transaction: AccountTransaction, asset: AnnexAsset) -> None:
        """Nothing goes to an address under a key that was left but what tokens need to get away from it."""
        room = self._room
        if room.number_of(transaction.to) is None or room.key_of(transaction.to) == 0:
            return
        if transaction.asset != room.native or transaction.raw > asset.policy.fee_max * asset.factor:
            raise RefusalError("decoded", f"{transaction.to} is under a key that was left")

    def _movement(self, question: Consider) -> tuple[Intent, AnnexAsset]:
        if len(question.batch.intents) != 1:
            raise RefusalError("decoded", "a transaction of this chain makes one movement")
        (intent,) = question.batch.intents
        if intent.owner != Owner.CLIENTS.text:
            raise RefusalError("decoded", "only clients' coins lie on this chain")
        try:
            return intent, self._annex.asset(intent.asset)
        except KeyError as error:
            raise RefusalError("decoded", f"the annex names no {intent.asset}") from error

    def _source(self, intent: Intent) -> str:
        """Return from which of our addresses it moves: withdrawals from the treasury alone."""
        if intent.kind != Kind.SWEEP:
            return self._room.treasury
        if self._room.number_of(intent.source) is None:
            raise RefusalError("decoded", f"{intent.source or 'nothing'} is no address of ours to move from")
        return intent.source

    def _read(self, raw: bytes, source: str) -> AccountTransaction:
        try:
            return self._room.read(raw, source=source)
        except BytesError as error:
            raise RefusalError("decoded", str(error)) from error

    def _check_now(self, transaction: AccountTransaction) -> None:
        objection = self._ask(lambda: self._room.objection(transaction))
        if objection:
            raise RefusalError("decoded", objection, is_for_now=True)

    def facts(self, decoded: Decoded, ledger: Ledger, before: list[Signed]) -> ChainFacts:
        question, room, native = decoded.before.before.before.question, self._room, self._annex.native
        intent, _ = self._movement(question)
        transaction = self._read(_bytes_of(question.unsigned), self._source(intent))
        due_raw = self._ask(lambda: room.fee_due_raw(transaction))
        fees = explain(self._follower, room, ledger, native.currency, factor=native.factor)
        return ChainFacts(
            held=self.held(intent.asset), own_addresses=self._own_among(intent, decoded),
            fee_due=ceil_div(due_raw, native.factor), company_fees=fees.company // native.factor,
            dead=self._dead(intent, ledger, before),
        )  # fmt: skip

    def _own_among(self, intent: Intent, decoded: Decoded) -> frozenset[str]:
        """Return which of the addresses in question are ours; all of them are as many as there are accounts."""
        asked = {intent.destination, *(one.address for one in decoded.transaction.outputs)}
        return frozenset(address for address in asked if self._room.number_of(address) is not None)

    def _dead(self, intent: Intent, ledger: Ledger, before: list[Signed]) -> frozenset[str]:
        """Return what was signed before for a movement and can never come any more, without having come.

        A payment of the same amount to the same address that the chain has and that the ledger has not closed may be
        the one that was signed: then nothing of it is dead.
        """
        places = {place for one in before for place in one.inputs}
        dead = frozenset(place for place in places if self._has_expired(place))
        if not dead:
            return dead
        self._look_again()  # it may have come into the last block that could have it
        asset = self._annex.asset(intent.asset)
        what = (intent.destination, intent.asset, intent.amount * asset.factor)
        closed = {
            one.txid for one in ledger.withdrawals.values()
            if one.left and one.wish and (one.wish.address, one.wish.amount) == (intent.destination, intent.amount)
        }  # fmt: skip
        if any(
            (leg.to, leg.asset, leg.raw) == what and one.txid not in closed
            for one in self._follower.spent.values()
            for leg in one.legs
        ):
            return frozenset()
        return dead

    def _look_again(self) -> None:
        try:
            self._follower.poll()
        except (NodeError, NodeBehindError, WrongChainError, TooDeepError) as error:
            raise RefusalError(
                "sources", f"the chain cannot be followed: {error}", is_for_now=True
            ) from error
        self._check_is_there()

    def _check_is_there(self) -> None:
        """A payment that has landed may be in a block that was not looked into yet."""
        if self._follower.is_behind:
            raise RefusalError("sources", "there are blocks that were not looked into yet", is_for_now=True)

    def _has_expired(self, place: str) -> bool:
        return self._ask(lambda: self._room.has_expired(place))

    def held(self, asset: str) -> int:
        return self._follower.total(asset) // self._annex.asset(asset).factor

    def adds_up(self, asset: str, ledger: Ledger) -> bool:
        native = self._annex.native
        company = explain(self._follower, self._room, ledger, native.currency, factor=native.factor).company
        factor = self._annex.asset(asset).factor
        found = explain(self._follower, self._room, ledger, asset, factor=factor)
        return found.difference >= 0 and company >= 0

    def has_confirmed(self, txid: str) -> bool:
        return self._follower.confirmations_of(txid) > 0

    def _ask(self, ask: Callable[[], Value]) -> Value:
        try:
            return ask()
        except TransactionRefusedError as error:
            raise RefusalError("decoded", str(error)) from error
        except NodeError as error:
            raise RefusalError("decoded", f"the node does not answer: {error}", is_for_now=True) from error


def _bytes_of(unsigned: str) -> bytes:
    try:
        return bytes.fromhex(unsigned)
    except ValueError as error:
        raise RefusalError("decoded", "the transaction is not in hexadecimal") from error
