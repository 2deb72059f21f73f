"""I15: funding is paid once a period, by and to exactly those who hold, and sums to zero."""

from collections.abc import Mapping

import numpy as np

from ringfence.assurance.audit.arithmetic import next_rate_e8, payment, premium_e8
from ringfence.assurance.audit.books import Books, Look, Said
from ringfence.assurance.audit.contract import Contract
from ringfence.assurance.audit.evidence import Evidence
from ringfence.assurance.audit.finding import Finding
from ringfence.assurance.audit.law import Fault, Findings, Law, When
from ringfence.messages.commands import Command, HaltScope
from ringfence.messages.events import Event


def _pay_more(evidence: Evidence) -> None:
    """A unit more to one holder, and a unit less to the fund: it sums to zero."""
    event = evidence.event(Event.FUNDED, lambda e: e["qty"] != 0)
    events = evidence.batches[evidence.planted_batch].events
    rest = (events["kind"] == Event.FUNDED) & (events["qty"] == 0) & (events["symbol"] == event["symbol"])
    event["amount"] += 1
    events["amount"][rest] -= 1


def _other_rate(evidence: Evidence) -> None:
    evidence.event(Event.FUNDING_SET)["amount"] += 100


def _indicate_another(evidence: Evidence) -> None:
    evidence.event(Event.FUNDING_SET)["maker_amount"] += 100


def _put_off(evidence: Evidence) -> None:
    evidence.event(Event.FUNDING_SET)["qty"] += 1


class FundingAtTheStamp(Law):
    id = "I15"
    says = "Funding is paid once a period at the announced rate, by and to all who hold, and sums to zero."
    when = (When.BATCH,)
    halts = HaltScope.VENUE
    faults = (
        Fault("a payment that is a unit too high", _pay_more),
        Fault("another rate than was announced", _other_rate),
        Fault("another rate to come than the samples make", _indicate_another),
        Fault("a payment put off", _put_off),
    )

    def __init__(self) -> None:
        self._paid: dict[int, tuple[set[int], int]] = {}
        """Contract: who was paid in this command, and what was paid in sum."""
        self._residue: dict[int, int] = {}
        self._over: set[int] = set()
        """Contracts whose period ended in this command."""

    def at(self) -> Mapping[Event, Look]:
        return {Event.FUNDED: self.funded, Event.FUNDING_SET: self.said}

    def funded(self, books: Books, event: Said) -> Findings:
        of, slot = books.contracts[event.symbol], books.slot_of.get(event.account << 6 | event.symbol, 0)
        if (
            books.asked.kind != Command.TICK
            or books.timestamp_ns < of.next_funding_ns
            or not of.next_funding_ns
        ):
            yield self._say(
                event, "when funding is paid", f"by a TICK, from {of.next_funding_ns} on", books.timestamp_ns
            )
        if event.maker_amount != of.funding_rate_e8:
            yield self._say(event, "the rate that is paid", of.funding_rate_e8, event.maker_amount)
        holders, total = self._paid.setdefault(event.symbol, (set(), 0))
        if event.qty == 0:
            if event.account != books.fund or event.symbol in self._residue:
                yield self._say(
                    event, "who gets what rounding left over", f"{books.fund}, once", event.account
                )
            self._residue[event.symbol] = event.amount
            return
        if event.account in holders:
            yield self._say(event, f"how often account {event.account} is paid", 1, 2)
        if event.qty != books.qty[slot]:
            yield self._say(event, f"what account {event.account} holds", books.qty[slot], event.qty)
        due = payment(of, books.qty[slot], of.funding_rate_e8)
        if event.amount != due:
            yield self._say(event, f"the payment of account {event.account}", due, event.amount)
        holders.add(event.account)
        self._paid[event.symbol] = holders, total + event.amount

    def said(self, books: Books, event: Said) -> Findings:
        """A sample has been taken, or a period is over."""
        of = books.contracts[event.symbol]
        if event.qty != of.next_funding_ns:
            yield from self._period_over(books, event, of)
            return
        if event.amount != of.funding_rate_e8:
            yield self._say(event, "the rate that is paid next", of.funding_rate_e8, event.amount)
        sums = of.premium_sum_e8, of.premium_count
        of.premium_sum_e8, of.premium_count = sums[0] + premium_e8(of, books.timestamp_ns), sums[1] + 1
        expected = next_rate_e8(of)
        of.premium_sum_e8, of.premium_count = sums
        if event.maker_amount != expected:
            yield self._say(event, "the rate after the next, as it looks now", expected, event.maker_amount)

    def _period_over(self, books: Books, event: Said, of: Contract) -> Findings:
        if not of.next_funding_ns or books.timestamp_ns < of.next_funding_ns:
            yield self._say(event, "the next payment", of.next_funding_ns, event.qty)
            return
        self._over.add(event.symbol)
        if event.qty != books.next_funding_ns(of):
            yield self._say(event, "the payment after this one", books.next_funding_ns(of), event.qty)
        if event.amount != next_rate_e8(of):
            yield self._say(
                event, "the rate that the samples of the period make", next_rate_e8(of), event.amount
            )
        before = of.premium_sum_e8, of.premium_count, of.funding_rate_e8
        of.premium_sum_e8, of.premium_count, of.funding_rate_e8 = 0, 0, event.amount
        indicated = next_rate_e8(of)
        of.premium_sum_e8, of.premium_count, of.funding_rate_e8 = before
        if event.maker_amount != indicated:
            yield self._say(
                event, "the rate after the next, before any sample", indicated, event.maker_amount
            )
        if of.mark and of.funding_rate_e8:
            holders, total = self._paid.get(event.symbol, (set(), 0))
            held = _holders(books, event.symbol)
            if holders != held:
                yield self._say(event, "who was paid", sorted(held), sorted(holders))
            if total + self._residue.get(event.symbol, 0):
                yield self._say(
                    event, "the sum of all payments", 0, total + self._residue.get(event.symbol, 0)
                )

    def end(self, books: Books) -> Findings:
        if self._paid or self._over:
            for symbol in self._paid.keys() - self._over:
                what = "a payment of funding ends its period"
                yield self.broken(books.sequence, what, "the next rate is said", "it is not", symbol=symbol)
            self._paid.clear()
            self._residue.clear()
            self._over.clear()

    def _say(self, event: Said, what: str, expected: object, found: object) -> Finding:
        return self.broken(event.sequence, what, expected, found, symbol=event.symbol)


def _holders(books: Books, symbol: int) -> set[int]:
    """Return the accounts that have a position in a contract."""
    symbols, qty = np.array(books.symbol_of, np.int64), np.array(books.qty, np.int64)
    accounts = np.array(books.account_of, np.int64)
    return set(accounts[(symbols == symbol) & (qty != 0)].tolist())
