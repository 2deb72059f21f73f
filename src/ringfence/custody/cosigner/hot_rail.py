"""The hot wallet as a co-signer sees it: clients' coins at one address, a small part of all, paid without waiting."""

from ringfence.custody.annex import Annex
from ringfence.custody.chains.bitcoin.follow import Follower
from ringfence.custody.chains.bitcoin.transactions import Transaction, address_of
from ringfence.custody.cosigner.bitcoin_rail import OnBitcoin
from ringfence.custody.cosigner.checks import Decoded, Evident, OfShare, RefusalError
from ringfence.custody.cosigner.config import ASSET
from ringfence.custody.cosigner.facts import Node
from ringfence.custody.cosigner.rail import ChainFacts
from ringfence.custody.intents import Kind
from ringfence.custody.ledger import Ledger
from ringfence.custody.policy import DecodedTransaction, Output, Signed
from ringfence.custody.quorum.hot import (
    INPUTS_MAX,
    PATH,
    digests,
    hot_key,
    hot_script,
    read_unsigned,
    vsize_max,
)
from ringfence.custody.quorum.messages import subject_of
from ringfence.custody.quorum.multisig import MultisigError
from ringfence.custody.wallets.owners import Owner, Wallets


class HotRail(OnBitcoin):
    heights_ahead = 0
    """Waiting for blocks is what a hot wallet is there to avoid."""

    def __init__(self, annex: Annex, wallets: Wallets, node: Node, follower: Follower) -> None:
        """The wallets know the hot address from now on. Raises PathError, ValueError."""
        super().__init__(wallets, node, follower)
        self._name, self._key = annex.key, hot_key(annex.public_key, annex.chain_code)
        self._script = hot_script(self._key)
        self.seats = annex.threshold
        wallets.add_hot(self._script)

    def subject(self, unsigned: str) -> str:
        return subject_of(_read(unsigned)[0])

    def decode(self, before: Evident) -> Decoded:
        question = before.before.before.question
        if any(intent.kind != Kind.WITHDRAWAL for intent in question.batch.intents):
            raise RefusalError("decoded", "the hot wallet pays withdrawals and nothing else")
        raw, transaction = _read(question.unsigned)
        self.check_shape(transaction, raw, inputs_max=INPUTS_MAX)
        coins = [self.coin(item.outpoint) for item in transaction.inputs]
        for coin in coins:
            if coin.script != self._script:
                raise RefusalError("decoded", f"{coin.outpoint} is no coin of the hot wallet")
        try:
            messages = digests(raw, coins, self._key)
        except MultisigError as error:
            raise RefusalError("decoded", str(error)) from error
        outputs = tuple(self._output(transaction))
        decoded = DecodedTransaction(
            inputs=tuple(str(coin.outpoint) for coin in coins),
            input_owners=(Owner.CLIENTS.text,) * len(coins), outputs=outputs,
            fee=sum(coin.amount_sats for coin in coins) - sum(one.amount for one in outputs), fee_asset=ASSET,
            calls=(), sighash_types=(1,),
        )  # fmt: skip
        return Decoded(before, subject_of(raw), decoded, OfShare(PATH, messages, self._name))

    def _output(self, transaction: Transaction) -> list[Output]:
        return [
            Output(
                address_of(one.script, self._network) or "", one.amount_sats,
                Owner.CLIENTS.text if one.script == self._script else "",
            )
            for one in transaction.outputs
        ]  # fmt: skip

    def facts(self, decoded: Decoded, ledger: Ledger, before: list[Signed]) -> ChainFacts:
        transaction = _read(decoded.before.before.before.question.unsigned)[1]
        vsize = vsize_max(len(transaction.inputs), [one.script for one in transaction.outputs])
        return ChainFacts(
            held=self.held(ASSET), own_addresses=self.own_addresses(), fee_due=self.fee_due(vsize), company_fees=0,
            dead=frozenset(),
        )  # fmt: skip


def _read(unsigned: str) -> tuple[bytes, Transaction]:
    try:
        return read_unsigned(unsigned)
    except MultisigError as error:
        raise RefusalError("decoded", str(error)) from error
