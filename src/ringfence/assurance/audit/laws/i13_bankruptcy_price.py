"""I13: who is taken over loses what the position had to lose, no more and no less."""

from collections.abc import Mapping

from ringfence.assurance.audit.arithmetic import own_margin, price_of_value, value_of_gain
from ringfence.assurance.audit.books import Books, Look, Said
from ringfence.assurance.audit.evidence import Evidence
from ringfence.assurance.audit.finding import Finding
from ringfence.assurance.audit.law import Fault, Findings, Law, When
from ringfence.messages.commands import HaltScope
from ringfence.messages.events import Event, LiquidationStep


def _other_price(evidence: Evidence) -> None:
    evidence.event(Event.LIQUIDATION, lambda e: e["px"] == LiquidationStep.TAKEN_OVER)["maker_amount"] += 1


def _other_value(evidence: Evidence) -> None:
    evidence.event(Event.LIQUIDATION, lambda e: e["px"] == LiquidationStep.TAKEN_OVER)["amount"] += 1_000


class BankruptcyPrice(Law):
    id = "I13"
    says = "A position is taken over at the price at which exactly its margin is gone."
    when = (When.BATCH,)
    halts = HaltScope.CONTRACT
    faults = (
        Fault("a bankruptcy price that is not that of the value", _other_price),
        Fault("a take-over at another value", _other_value),
    )

    def __init__(self) -> None:
        self._taken: dict[tuple[int, int], int] = {}
        """(account, asset) that was taken over in this command: the contract."""
        self._for_nothing: set[tuple[int, int]] = set()
        """Of those, who had a position taken over at the value 0: no value gains a long of an inverse more."""

    def at(self) -> Mapping[Event, Look]:
        return {Event.LIQUIDATION: self.liquidation}

    def liquidation(self, books: Books, event: Said) -> Findings:
        if event.px != LiquidationStep.TAKEN_OVER:
            return
        of, slot = books.contracts[event.symbol], books.slot(event.account, event.symbol)
        if event.qty != books.qty[slot]:
            yield self._say(event, "the position that is taken over", books.qty[slot], event.qty)
            return
        price = price_of_value(of, qty=event.qty, value=event.amount)
        if price != event.maker_amount:
            yield self._say(event, f"the bankruptcy price of value {event.amount}", price, event.maker_amount)
        if books.leverage[slot]:
            own = own_margin(
                of, cost=books.cost[slot], leverage=books.leverage[slot], transferred=books.transferred[slot]
            )
            value = value_of_gain(of, qty=event.qty, cost=books.cost[slot], gain=-own)
            if value != event.amount:
                yield self._say(event, "the value at which an isolated margin is gone", value, event.amount)
        elif not books.accounts[event.account].is_classic:
            self._taken[event.account, of.settle] = event.symbol
            if event.amount == 0:
                self._for_nothing.add((event.account, of.settle))

    def end(self, books: Books) -> Findings:
        """Cross positions go together: nothing is left but what isolated ones hold."""
        if not self._taken:
            return
        taken, self._taken = self._taken, {}
        for_nothing, self._for_nothing = self._for_nothing, set()
        for (account, asset), symbol in taken.items():
            kept, worthless = 0, False
            for slot in books.held(account, asset):
                if books.qty[slot] and books.leverage[slot]:
                    kept += own_margin(
                        books.contracts[books.symbol_of[slot]], cost=books.cost[slot],
                        leverage=books.leverage[slot], transferred=books.transferred[slot],
                    )  # fmt: skip
                worthless |= bool(books.qty[slot]) and not books.leverage[slot]
            left = books.wallets[asset][account]
            # More than nothing is left where no price would take it all: a value is never below zero.
            if worthless or (left < kept and (account, asset) not in for_nothing):
                what = f"what is left to account {account} after its cross positions were taken over"
                yield self.broken(
                    books.sequence, what, f"at least {kept} and no cross position", left, symbol=symbol
                )

    def _say(self, event: Said, what: str, expected: object, found: object) -> Finding:
        return self.broken(event.sequence, what, expected, found, symbol=event.symbol)
