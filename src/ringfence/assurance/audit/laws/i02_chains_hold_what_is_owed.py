"""I02: the chains hold what accounts are owed, to the unit."""

from typing import Any

from ringfence.assurance.audit.books import Books
from ringfence.assurance.audit.chains import ChainError, ChainReader, Tip
from ringfence.assurance.audit.evidence import Evidence
from ringfence.assurance.audit.law import Fault, Findings, Law, When
from ringfence.messages.commands import HaltScope
from ringfence.units.limits import ASSETS_MAX


def _lose_coins(evidence: Evidence) -> None:
    chain: Any = evidence.chain
    chain.move(evidence.place % 2, -1 - evidence.place)


class ChainsHoldWhatIsOwed(Law):
    id = "I02"
    says = "Confirmed coins, with change in flight and less what is not credited yet, are what the books owe."
    when = (When.CHAIN,)
    halts = HaltScope.WITHDRAWALS
    faults = (Fault("coins that are gone from a chain", _lose_coins),)

    def __init__(self) -> None:
        self._unexplained: dict[int, Tip] = {}
        """Asset: the block at which it did not add up."""

    def chain(self, reader: ChainReader, books: Books, now_ns: int) -> Findings:
        """Compare at one block; what a later block does not explain halts the venue.

        Demo coins are on no chain, so they are left out of both sides.
        """
        try:
            reader.follow(books.next_sequence)
            tip = reader.tip()
            held = {asset: self._held(reader, asset, tip) for asset in range(ASSETS_MAX)}
        except ChainError:
            return  # nothing is known: the law grows stale, and stale is red
        for asset, found in held.items():
            if found == books.backed[asset]:
                self._unexplained.pop(asset, None)
                continue
            before = self._unexplained.setdefault(asset, tip)
            scope = HaltScope.VENUE if before.height < tip.height else HaltScope.WITHDRAWALS
            what = f"asset {asset} at block {tip.height}"
            yield self.broken(
                books.next_sequence, what, books.backed[asset], found, scope=scope, symbol=asset
            )

    def _held(self, reader: ChainReader, asset: int, tip: Tip) -> int:
        return (
            reader.confirmed(asset, tip)
            + reader.change_in_flight(asset, tip)
            + reader.paid_ahead(asset, tip)
            - reader.uncredited(asset, tip)
        )
