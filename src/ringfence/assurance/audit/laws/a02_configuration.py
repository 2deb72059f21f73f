"""A02: what the engine works with is what was configured, by commands that everybody can read."""

import numpy as np

from ringfence.assurance.audit.books import Books
from ringfence.assurance.audit.contract import PARAMETERS
from ringfence.assurance.audit.cuts import Cut
from ringfence.assurance.audit.evidence import Evidence
from ringfence.assurance.audit.law import Fault, Findings, Law, When
from ringfence.exchange.engine.records import (
    MARGIN_CLASSIC,
    MARGIN_DISABLED,
    MARGIN_FEE_TIER_MASK,
    MARGIN_FEE_TIER_SHIFT,
)
from ringfence.messages.commands import HaltScope
from ringfence.units.assets import ASSETS

_STATE = (
    "state", "listed", "halted", "last", "volume", "fee_pool", "impact_bid", "impact_ask", "basis_e8",
    "funding_rate_e8", "next_funding_ns", "premium_sum_e8", "premium_count", "settle_sum", "settle_count", "marked_ns",
)  # fmt: skip
_CONFIGURED = sorted(set(PARAMETERS.values()))


def _cheaper(evidence: Evidence) -> None:
    evidence.rows("instruments", lambda table: table["taker_ppm"] > 0)["taker_ppm"] -= 1


def _lighter_margin(evidence: Evidence) -> None:
    evidence.rows("instruments", lambda table: table["maintenance_ppm"] > 0)["maintenance_ppm"] -= 1


def _another_rate(evidence: Evidence) -> None:
    evidence.rows("instruments", lambda table: table["funding_interval_ns"] > 0)["funding_rate_e8"] += 100


def _free_of_fees(evidence: Evidence) -> None:
    cut = evidence.cut()
    count = int(cut.header["n_accounts"])
    cut.margins["flags"][1 + evidence.place % (count - 1)] ^= 7 << MARGIN_FEE_TIER_SHIFT


def _another_fund(evidence: Evidence) -> None:
    evidence.cut().header["fee_discounts"] += 1 << 8


def _wrong_epoch(evidence: Evidence) -> None:
    evidence.cut().header["epoch"] += 1


def _later_timer(evidence: Evidence) -> None:
    evidence.rows("instruments", lambda table: table["next_funding_ns"] > 0)["next_funding_ns"] += 1


class Configuration(Law):
    id = "A02"
    says = "Contracts, fees, tiers and switches in the engine are those that commands set, prices those of the feed."
    when = (When.CUT,)
    halts = HaltScope.VENUE
    faults = (
        Fault("a lower fee", _cheaper),
        Fault("a lighter margin", _lighter_margin),
        Fault("another funding rate", _another_rate),
        Fault("an account that pays no fees", _free_of_fees),
        Fault("another discount", _another_fund),
        Fault("a payment of funding put off", _later_timer),
        Fault("an epoch of marks that never was", _wrong_epoch),
    )

    def cut(self, cut: Cut, books: Books) -> Findings:
        header = cut.header
        if int(header["n_instruments"]) != len(books.contracts):
            yield self.broken(cut.sequence, "contracts", len(books.contracts), int(header["n_instruments"]))
        for number, of in books.contracts.items():
            row = cut.instruments[number]
            for name in (*_CONFIGURED, *_STATE):
                found = int(row[name])
                if found != getattr(of, name):
                    yield self.broken(cut.sequence, f"{name} of contract {number}", getattr(of, name), found)
            per_lot = -(-(1 << 62) // of.lot_size) if of.lot_size else 0
            if int(row["per_lot"]) != per_lot:
                yield self.broken(cut.sequence, f"per_lot of contract {number}", per_lot, int(row["per_lot"]))
        discounts = sum(discount << 8 * tier for tier, discount in enumerate(books.discounts))
        if int(header["fee_discounts"]) != discounts:
            yield self.broken(
                cut.sequence, "the discounts of the fee tiers", discounts, int(header["fee_discounts"])
            )
        if (int(header["event_count"]), cut.sequence) != (books.next_event, books.next_sequence):
            found_count = (int(header["event_count"]), cut.sequence)
            yield self.broken(
                cut.sequence, "events and sequences", (books.next_event, books.next_sequence), found_count
            )
        yield from self._venue(cut, books)
        yield from self._switches(cut, books)

    def _venue(self, cut: Cut, books: Books) -> Findings:
        header = cut.header
        deposits, withdrawals = (
            sum(1 << asset for asset in books.halted_assets[scope])
            for scope in (HaltScope.DEPOSITS, HaltScope.WITHDRAWALS)
        )
        for name, expected in (
            ("halted", books.halted), ("signers_halted", books.signers_halted), ("deposits_halted", deposits),
            ("withdrawals_halted", withdrawals), ("epoch", books.epoch), ("n_timers", len(books.timers)),
            ("custody_account", books.custody), ("instruction_next", books.instruction_next),
        ):  # fmt: skip
            if int(header[name]) != expected:
                yield self.broken(cut.sequence, f"{name} of the venue", expected, int(header[name]))
        rows = cut.state.timers[1 : int(header["n_timers"]) + 1]
        timers = dict(zip(rows["account"].tolist(), rows["fires_ns"].tolist(), strict=True))
        if timers != books.timers:
            yield self.broken(cut.sequence, "cancel-all-after timers", books.timers, timers)

    def _switches(self, cut: Cut, books: Books) -> Findings:
        """Fee tier, margin mode and whether it may trade are set for an account, for every asset alike."""
        accounts = books.accounts[: cut.accounts + 1]
        expected = np.array(
            [
                a.fee_tier << MARGIN_FEE_TIER_SHIFT
                | MARGIN_CLASSIC * a.is_classic
                | MARGIN_DISABLED * a.disabled
                for a in accounts
            ],
            np.int64,
        )
        mask = MARGIN_FEE_TIER_MASK | MARGIN_CLASSIC | MARGIN_DISABLED
        for asset in range(len(ASSETS)):
            found = cut.margins[asset, : len(accounts)]["flags"].astype(np.int64) & mask
            for account in np.flatnonzero(found != expected)[:4].tolist():
                what = f"the switches of account {account} in asset {asset}"
                yield self.broken(cut.sequence, what, expected[account], found[account])
