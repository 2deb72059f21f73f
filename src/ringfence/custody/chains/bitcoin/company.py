"""What the company has paid in for fees that no client pays: a fold over blocks.

Whatever a stranger sends to the hot address is the company's: nobody deposits there. Transactions of ours of which
nothing leaves (the hot wallet being filled) take their fee from it.
"""

from collections.abc import Callable, Iterable

from ringfence.custody.chains.bitcoin.follow import BlockCame, BlockLeft, ChainEvent
from ringfence.custody.wallets.coins import Outpoint
from ringfence.custody.wallets.descriptors import Keychain
from ringfence.custody.wallets.owners import Owner, Wallets


class CompanyMoney:
    def __init__(self, *, is_clients: Callable[[bytes], bool], stays: Callable[[bytes], bool]) -> None:
        """`is_clients`: whether a script is of the clients' wallets; `stays`: whether what is paid to it is credited to
        nobody, as change is."""
        self._is_clients, self._stays = is_clients, stays
        self.hot: bytes | None = None
        """The hot address's script."""
        self._coins: dict[Outpoint, int] = {}
        """Every coin of the clients' wallets that a block ever held."""
        self._changes: dict[str, int] = {}
        """By block: what it has changed, in satoshis."""

    @property
    def sats(self) -> int:
        return sum(self._changes.values())

    def take(self, events: Iterable[ChainEvent]) -> None:
        for event in events:
            if isinstance(event, BlockCame):
                self._changes[event.digest] = self._change(event)
            elif isinstance(event, BlockLeft):
                self._changes.pop(event.digest, None)

    def _change(self, block: BlockCame) -> int:
        total = 0
        for transaction in block.transactions:
            spent = sum(self._coins.get(item.outpoint, 0) for item in transaction.inputs)
            for number, output in enumerate(transaction.outputs):
                if self._is_clients(output.script):
                    self._coins[Outpoint(transaction.txid, number)] = output.amount_sats
                if output.script == self.hot and not spent:
                    total += output.amount_sats
            if spent and all(self._stays(output.script) for output in transaction.outputs):
                total -= spent - sum(output.amount_sats for output in transaction.outputs)
        return total


def company_money(wallets: Wallets) -> CompanyMoney:
    """Return what folds what the company has paid in, of these wallets."""

    def is_clients(script: bytes) -> bool:
        mine = wallets.classify(script)
        return mine is not None and mine.owner == Owner.CLIENTS

    def stays(script: bytes) -> bool:
        mine = wallets.classify(script)
        return mine is not None and mine.owner == Owner.CLIENTS and mine.keychain == Keychain.CHANGE

    return CompanyMoney(is_clients=is_clients, stays=stays)
