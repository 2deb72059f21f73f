"""The hot wallet as a co-signer sees it: clients' coins at one address, a small part of all, paid without waiting."""

from collections.abc import Callable
from typing import TypeVar

from ringfence.custody.annex import Annex
from ringfence.custody.chains.bitcoin.follow import Follower
from ringfence.custody.chains.bitcoin.rpc import BitcoinError
from ringfence.custody.chains.bitcoin.transactions import EMBIT_NETWORKS, Transaction, address_of
from ringfence.custody.cosigner.checks import Decoded, Evident, OfShare, RefusalError
from ringfence.custody.cosigner.config import ASSET
from ringfence.custody.cosigner.facts import Node, fee_rate, held_sats
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
from ringfence.custody.wallets.building import REPLACEABLE
from ringfence.custody.wallets.coins import Coin, Outpoint
from ringfence.custody.wallets.owners import Owner, Wallets
from ringfence.units.rounding import ceil_div

Value = TypeVar("Value")


class HotRail:
    heights_ahead = 0
    """Waiting for blocks is what a hot wallet is there to avoid."""

    def __init__(self, annex: Annex, wallets: Wallets, node: Node, follower: Follower) -> None:
        """The wallets know the hot address from now on. Raises PathError, ValueError."""
        self._wallets, self._node, self._follower = wallets, node, follower
        self._name, self._key = annex.key, hot_key(annex.public_key, annex.chain_code)
        self._script = hot_script(self._key)
        self._network = EMBIT_NETWORKS[wallets.network_name]
        self.seats = annex.threshold
        wallets.add_hot(self._script)

    def height(self) -> int:
        return self._follower.height

    def subject(self, unsigned: str) -> str:
        return subject_of(_read(unsigned)[0])

    def decode(self, before: Evident) -> Decoded:
        question = before.before.before.question
        if any(intent.kind != Kind.WITHDRAWAL for intent in question.batch.intents):
            raise RefusalError("decoded", "the hot wallet pays withdrawals and nothing else")
        raw, transaction = _read(question.unsigned)
        if not 0 < len(transaction.inputs) <= INPUTS_MAX or not transaction.outputs:
            raise RefusalError(
                "decoded", f"{len(transaction.inputs)} inputs, {len(transaction.outputs)} outputs"
            )
        if any(item.sequence != REPLACEABLE for item in transaction.inputs):
            raise RefusalError("decoded", "an input has another sequence than a replaceable one")
        if raw[:4] != b"\2\0\0\0" or raw[-4:] != bytes(4):
            raise RefusalError("decoded", "another version or lock time than ours")
        coins = [self._coin(item.outpoint) for item in transaction.inputs]
        if len(set(coins)) < len(coins):
            raise RefusalError("decoded", "a coin is spent twice")
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

    def _coin(self, outpoint: Outpoint) -> Coin:
        found = self._ask(lambda: self._node.tx_out(outpoint, with_mempool=False))
        if found is None:
            raise RefusalError("decoded", f"{outpoint} is spent, or never was", is_for_now=True)
        if found.output.script != self._script:
            raise RefusalError("decoded", f"{outpoint} is no coin of the hot wallet")
        return Coin(outpoint, found.output.amount_sats, found.output.script)

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
        rate = self._ask(lambda: fee_rate(self._node))
        own = frozenset(
            address_of(script, self._network) or ""
            for each in self._wallets.vaults
            for script in self._wallets.scripts(each)
        )
        return ChainFacts(
            held=self.held(ASSET), own_addresses=own, fee_due=ceil_div(rate * vsize, 1_000), company_fees=0,
            dead=frozenset(),
        )  # fmt: skip

    def held(self, asset: str) -> int:
        return held_sats(self._follower, self._wallets, Owner.CLIENTS)

    def has_confirmed(self, txid: str) -> bool:
        return self._follower.confirmations_of(txid) > 0

    def _ask(self, ask: Callable[[], Value]) -> Value:
        try:
            return ask()
        except BitcoinError as error:
            raise RefusalError("decoded", f"the node does not answer: {error}", is_for_now=True) from error


def _read(unsigned: str) -> tuple[bytes, Transaction]:
    try:
        return read_unsigned(unsigned)
    except MultisigError as error:
        raise RefusalError("decoded", str(error)) from error
