"""What the auditor sees of all chains: its own nodes, its own replica of the ledger, public keys, no right to sign.

Bitcoin is read by `bitcoin_reader.py`. A chain of accounts is read here: what the node says that lies at our addresses,
held against what the ledger explains of everything that has come and gone (`custody/explained.py`). It asks nobody of
custody's.
"""

from pathlib import Path
from typing import NamedTuple

from ringfence.assurance.audit.chains import ChainError, Tip
from ringfence.custody.chains.accounts import AccountFollower, AccountRoom
from ringfence.custody.cosigner.config import ConfigurationError
from ringfence.custody.explained import explain
from ringfence.custody.ledger import Ledger
from ringfence.daemons.account_chains import TROUBLES, AccountChain, connect, read_annexes, read_nodes
from ringfence.daemons.bitcoin_reader import BitcoinReader
from ringfence.daemons.custody_founding import read_charter
from ringfence.units.assets import BY_CURRENCY, XBT

_ATTEMPTS, _ANSWERS_KEPT = 5, 16


class _Answer(NamedTuple):
    """What was found of every chain, under the name of one moment."""

    tip: Tip
    bitcoin: Tip
    owed: dict[int, int]
    """By asset of a chain of accounts: what the ledger ought to owe, by what the chain holds."""
    held: dict[int, int]
    """By asset of a chain of accounts: as `ChainsReader.held` has it."""


class ChainsReader:
    """A `ChainReader` over every chain of a venue."""

    @classmethod
    def of(cls, directory: Path) -> "ChainsReader":
        """Raises FoundingError, OSError, ValueError."""
        return cls(directory, BitcoinReader.of(directory))

    def __init__(self, directory: Path, bitcoin: BitcoinReader) -> None:
        self._directory, self._bitcoin = directory, bitcoin
        self._charter = read_charter(directory)
        self._chains: dict[str, AccountChain] = {}
        self._answers: dict[str, _Answer] = {}

    def follow(self, sequence: int) -> None:
        self._bitcoin.follow(sequence)

    def tip(self) -> Tip:
        """Return a name for this moment of all chains; its height goes up as theirs do."""
        owed: dict[int, int] = {}
        held: dict[int, int] = {}
        try:
            self._connect()
            bitcoin = self._bitcoin.tip()
            heights, digests = [bitcoin.height], [bitcoin.digest]
            for chain in self._chains.values():
                looked = _look(chain, self._bitcoin.ledger)
                owed |= {asset: one.owed for asset, one in looked.items()}
                held |= {asset: one.held for asset, one in looked.items()}
                heights.append(chain.follower.height)
                digests.append(chain.follower.tip)
        except (*TROUBLES, ConfigurationError, OSError, ValueError) as error:
            raise ChainError(str(error)) from error
        tip = Tip(sum(heights), " ".join(digests))
        self._answers[tip.digest] = _Answer(tip, bitcoin, owed, held)
        for old in list(self._answers)[:-_ANSWERS_KEPT]:
            del self._answers[old]
        return tip

    def _connect(self) -> None:
        """Look at the chains of annexes that are new."""
        for annex in read_annexes(self._directory, self._charter):
            if annex.is_hot and not self._bitcoin.has_hot:
                # Coins may have come to its address before it was known here: all is looked at again.
                self._bitcoin = BitcoinReader.of(self._directory)
                raise ChainError("there is a hot wallet now: the chain is looked at from the beginning")
            known = self._chains.get(annex.chain)
            if not annex.is_hot and (known is None or known.annex.digest != annex.digest):
                self._chains[annex.chain] = connect(annex, read_nodes(self._directory))

    def confirmed(self, asset: int, at: Tip) -> int:
        """On a chain of accounts, what explains itself is taken off already: in the ledger's unit it is not whole."""
        answer = self._answer(at)
        if asset == XBT.number:
            return self._bitcoin.confirmed(asset, answer.bitcoin)
        return answer.owed.get(asset, 0)

    def change_in_flight(self, asset: int, at: Tip) -> int:
        return self._bitcoin.change_in_flight(asset, self._answer(at).bitcoin)

    def uncredited(self, asset: int, at: Tip) -> int:
        return self._bitcoin.uncredited(asset, self._answer(at).bitcoin)

    def paid_ahead(self, asset: int, at: Tip) -> int:
        return self._bitcoin.paid_ahead(asset, self._answer(at).bitcoin)

    def bitcoin_tip(self, at: Tip) -> Tip:
        """Return Bitcoin's block of a moment. Raises ChainError."""
        return self._answer(at).bitcoin

    def held(self, asset: int, at: Tip) -> int:
        """Return what lies at our addresses of an asset, in ledger units, rounded down: without the company's money for
        fees, and with what payments have taken that the ledger has not debited yet. Raises ChainError."""
        answer = self._answer(at)
        if asset == XBT.number:
            return self._bitcoin.held(answer.bitcoin)
        return answer.held.get(asset, 0)

    def _answer(self, at: Tip) -> _Answer:
        found = self._answers.get(at.digest)
        if found is None:
            raise ChainError(f"nothing is known of the chains at {at.height} any more")
        return found


class _Looked(NamedTuple):
    """An asset of a chain, in ledger units."""

    owed: int
    held: int


def _look(chain: AccountChain, ledger: Ledger) -> dict[int, _Looked]:
    """Return by asset what is there, and what the ledger ought to owe. Raises what following a chain may raise."""
    room, follower = chain.room, chain.follower
    for _ in range(_ATTEMPTS):
        room.know(ledger.accounts_end)
        follower.poll()
        height = follower.height
        found = {
            BY_CURRENCY[one.currency].number: _of(room, follower, ledger, one.currency, one.factor)
            for one in chain.annex.assets
        }
        follower.poll()
        if follower.height == height:
            return found
    raise ChainError(f"{chain.annex.chain} goes on faster than it can be looked at")


def _of(room: AccountRoom, follower: AccountFollower, ledger: Ledger, asset: str, factor: int) -> _Looked:
    explained = explain(follower, room, ledger, asset, factor=factor)
    addresses = {room.treasury, *(address for address, _ in follower.balances(asset))}
    held = sum(room.balance_raw(address, asset, follower.height) for address in addresses)
    # What the company has not paid in, fees were taken from clients' coins for: that is not taken off.
    known = explained.uncredited + max(explained.company, 0) - explained.unclosed + explained.overcharged
    return _Looked(
        (held - known) // factor, (held - max(explained.company, 0) + explained.unclosed) // factor
    )
