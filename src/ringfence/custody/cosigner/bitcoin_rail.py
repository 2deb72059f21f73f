"""Bitcoin as a co-signer sees it: the coins of the vaults, which keys of its token sign for."""

from collections.abc import Callable
from typing import TypeVar

from ringfence.custody.chains.bitcoin.follow import Follower
from ringfence.custody.chains.bitcoin.rpc import BitcoinError
from ringfence.custody.chains.bitcoin.transactions import EMBIT_NETWORKS, Transaction, address_of
from ringfence.custody.cosigner.checks import Decoded, Evident, OfToken, RefusalError
from ringfence.custody.cosigner.config import ASSET
from ringfence.custody.cosigner.facts import Node, fee_rate, held_sats
from ringfence.custody.cosigner.rail import ChainFacts
from ringfence.custody.ledger import Ledger
from ringfence.custody.nomination import HEIGHTS_AHEAD, NOMINATED
from ringfence.custody.policy import DecodedTransaction, Output, Signed
from ringfence.custody.quorum.messages import subject_of
from ringfence.custody.quorum.multisig import MultisigError, Parts, digests, read_unsigned
from ringfence.custody.wallets.building import INPUTS_MAX, REPLACEABLE, vsize_max
from ringfence.custody.wallets.coins import Coin, Outpoint
from ringfence.custody.wallets.descriptors import Keychain
from ringfence.custody.wallets.owners import Mine, Owner, Wallets, owner_of
from ringfence.units.rounding import ceil_div

Value = TypeVar("Value")


class OnBitcoin:
    """What every wallet on Bitcoin is looked at with."""

    def __init__(
        self, wallets: Wallets, node: Node, follower: Follower, *, company_sats: Callable[[], int] = lambda: 0
    ) -> None:
        """`company_sats`: what the company has paid in for fees that no client pays."""
        self._wallets, self._node, self._follower = wallets, node, follower
        self._company_sats = company_sats
        self._network = EMBIT_NETWORKS[wallets.network_name]

    def height(self) -> int:
        return self._follower.height

    def held(self, asset: str) -> int:
        return held_sats(self._follower, self._wallets, Owner.CLIENTS)

    def adds_up(self, asset: str, ledger: Ledger) -> bool:
        """What is held against what is owed says it: nothing but the company's small money lies beside it."""
        return self._company_sats() >= 0

    def has_confirmed(self, txid: str) -> bool:
        return self._follower.confirmations_of(txid) > 0

    def check_shape(self, transaction: Transaction, raw: bytes, *, inputs_max: int) -> None:
        """Raises RefusalError for a transaction that is not written as ours are."""
        if not 0 < len(transaction.inputs) <= inputs_max or not transaction.outputs:
            raise RefusalError(
                "decoded", f"{len(transaction.inputs)} inputs, {len(transaction.outputs)} outputs"
            )
        if any(item.sequence != REPLACEABLE for item in transaction.inputs):
            raise RefusalError("decoded", "an input has another sequence than a replaceable one")
        if raw[:4] != b"\2\0\0\0" or raw[-4:] != bytes(4):
            raise RefusalError("decoded", "another version or lock time than ours")
        outpoints = [item.outpoint for item in transaction.inputs]
        if len(set(outpoints)) < len(outpoints):
            raise RefusalError("decoded", "a coin is spent twice")

    def coin(self, outpoint: Outpoint) -> Coin:
        """Return a coin as the own node has it. Raises RefusalError."""
        found = self.ask(lambda: self._node.tx_out(outpoint, with_mempool=False))
        if found is None:
            raise RefusalError("decoded", f"{outpoint} is spent, or never was", is_for_now=True)
        return Coin(outpoint, found.output.amount_sats, found.output.script)

    def fee_due(self, vsize: int) -> int:
        return ceil_div(self.ask(lambda: fee_rate(self._node)) * vsize, 1_000)

    def own_addresses(self) -> frozenset[str]:
        return frozenset(
            address_of(script, self._network) or ""
            for each in self._wallets.vaults
            for script in self._wallets.scripts(each)
        )

    def ask(self, ask: Callable[[], Value]) -> Value:
        try:
            return ask()
        except BitcoinError as error:
            raise RefusalError("decoded", f"the node does not answer: {error}", is_for_now=True) from error


class BitcoinRail(OnBitcoin):
    heights_ahead = HEIGHTS_AHEAD
    seats = sum(NOMINATED.values())

    def subject(self, unsigned: str) -> str:
        return subject_of(_read(unsigned).unsigned)

    def decode(self, before: Evident) -> Decoded:
        """What a PSBT says beside the transaction is not looked at: the own node is asked."""
        parts = _read(before.before.before.question.unsigned)
        transaction = parts.transaction
        self.check_shape(transaction, parts.unsigned, inputs_max=INPUTS_MAX)
        coins = [self.coin(item.outpoint) for item in transaction.inputs]
        mine = [self._whose(coin) for coin in coins]
        scripts = [self._wallets.derivers[one.owner].witness_script(one.keychain, one.number) for one in mine]
        try:
            to_sign = digests(parts, coins, scripts)
        except MultisigError as error:
            raise RefusalError("decoded", str(error)) from error
        outputs = tuple(
            Output(address_of(one.script, self._network) or "", one.amount_sats, self._change_of(one.script))
            for one in transaction.outputs
        )
        spent_sats = sum(coin.amount_sats for coin in coins)
        decoded = DecodedTransaction(
            inputs=tuple(str(coin.outpoint) for coin in coins),
            input_owners=tuple(one.owner.text for one in mine), outputs=outputs,
            fee=spent_sats - sum(one.amount for one in outputs), fee_asset=ASSET, calls=(), sighash_types=(1,),
        )  # fmt: skip
        signs = tuple(OfToken(*one) for one in zip(mine, to_sign, strict=True))
        return Decoded(before, subject_of(parts.unsigned), decoded, signs)

    def _whose(self, coin: Coin) -> Mine:
        whose = self._wallets.classify(coin.script)
        if whose is None:
            raise RefusalError("decoded", f"{coin.outpoint} is not ours")
        if whose.is_hot:
            raise RefusalError("decoded", f"{coin.outpoint} is of the hot wallet, which no script signs for")
        return whose

    def _change_of(self, script: bytes) -> str:
        """Return whose change a script is. A deposit address is nobody's: to pay one would credit its account."""
        mine = self._wallets.classify(script)
        return mine.owner.text if mine is not None and mine.keychain == Keychain.CHANGE else ""

    def facts(self, decoded: Decoded, ledger: Ledger, before: list[Signed]) -> ChainFacts:
        question = decoded.before.before.before.question
        transaction = _read(question.unsigned).transaction
        vsize = vsize_max(len(transaction.inputs), [one.script for one in transaction.outputs])
        return ChainFacts(
            held=held_sats(self._follower, self._wallets, owner_of(question.batch.owner)),
            own_addresses=self.own_addresses(), fee_due=self.fee_due(vsize), company_fees=self._company_sats(),
            dead=frozenset(), hot=self._hot_sats(),
        )  # fmt: skip

    def _hot_sats(self) -> int:
        coins, hot = self._follower.confirmed_coins(), self._wallets.hot
        return sum(coin.amount_sats for coin in coins if coin.script == hot)


def _read(unsigned: str) -> Parts:
    try:
        return read_unsigned(unsigned)
    except MultisigError as error:
        raise RefusalError("decoded", str(error)) from error
