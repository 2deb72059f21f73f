"""I16: fees are those of the schedule, of the account's tier, on the value of the fill."""

from collections.abc import Mapping

from ringfence.assurance.audit.arithmetic import MILLION, discounted_ppm, fee, lot_value, up, value_at_mark
from ringfence.assurance.audit.books import FEE_EXEMPT, HIDDEN, Books, Look, Said
from ringfence.assurance.audit.evidence import Evidence
from ringfence.assurance.audit.law import Fault, Findings, Law, When
from ringfence.messages.commands import HaltScope
from ringfence.messages.events import Event


def _overcharge_taker(evidence: Evidence) -> None:
    evidence.event(Event.TRADE)["amount"] += 1


def _rebate_more(evidence: Evidence) -> None:
    evidence.event(Event.TRADE)["maker_amount"] -= 1


def _settle_dearly(evidence: Evidence) -> None:
    evidence.event(Event.SETTLED)["amount"] += 1


class FeesOfTheSchedule(Law):
    id = "I16"
    says = "Fees and rebates are the schedule's, less the tier's discount, on the value of the fill."
    when = (When.BATCH,)
    halts = HaltScope.VENUE
    faults = (
        Fault("a taker charged a unit more", _overcharge_taker),
        Fault("a maker given a unit more", _rebate_more),
        Fault("a settlement fee a unit too high", _settle_dearly),
    )

    def at(self) -> Mapping[Event, Look]:
        return {Event.TRADE: self.trade, Event.SETTLED: self.settled}

    def trade(self, books: Books, event: Said) -> Findings:
        of = books.contracts[event.symbol]
        value = event.qty // of.lot_size * lot_value(of, event.px)
        maker_ppm = of.taker_ppm if event.flags & HIDDEN else of.maker_ppm
        for whose, account, ppm, found in (
            ("taker", event.account, of.taker_ppm, event.amount),
            ("maker", event.maker_account, maker_ppm, event.maker_amount),
        ):
            expected = fee_of(books, account, value, ppm)
            if found != expected:
                yield self.broken(
                    event.sequence, f"the fee of the {whose}, account {account}", expected, found
                )

    def settled(self, books: Books, event: Said) -> Findings:
        of = books.contracts[event.symbol]
        expected = up(abs(value_at_mark(of, event.qty)) * of.settlement_fee_ppm, MILLION)
        if books.accounts[event.account].fee_tier == FEE_EXEMPT:
            expected = 0
        if event.amount != expected:
            yield self.broken(
                event.sequence, f"the settlement fee of account {event.account}", expected, event.amount
            )


def fee_of(books: Books, account: int, value: int, ppm: int) -> int:
    tier = books.accounts[account].fee_tier
    if tier == FEE_EXEMPT:
        return 0
    return fee(value, discounted_ppm(ppm, books.discounts[tier]) if tier else ppm)
