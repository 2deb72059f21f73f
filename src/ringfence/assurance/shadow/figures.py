"""The state in plain figures: for comparing it with the engine's, and for publishing it.

`testing/twins.py` asks the engine for the same.
"""

from collections.abc import Iterator
from typing import NamedTuple

from ringfence.assurance.shadow.accounts import Account, Position
from ringfence.assurance.shadow.halting import next_reopen_ns
from ringfence.assurance.shadow.instrument import Instrument
from ringfence.assurance.shadow.margin import locked, locked_by, open_exposure, unrealised
from ringfence.assurance.shadow.orders import SHOW_ALL, Order
from ringfence.assurance.shadow.upkeep import next_due_ns
from ringfence.assurance.shadow.venue import Venue
from ringfence.units.assets import ASSETS


class Figures(NamedTuple):
    """One noun of the state and what it is: `account 3 in XBt`, {"wallet": 100, ...}."""

    subject: str
    values: dict[str, int]


def figures(venue: Venue) -> Iterator[Figures]:
    """Yield everything that is: the venue, instruments, accounts with wallets and positions, open orders.

    Amounts are settlement units, prices ticks, marks subticks, times nanoseconds.
    """
    yield Figures("venue", _of_venue(venue))
    for instrument in venue.instruments.values():
        yield Figures(f"instrument {instrument.number}", _of_instrument(instrument))
    for account in venue.accounts.values():
        yield Figures(f"account {account.number}", _of_account(account))
        for asset in ASSETS:
            yield Figures(f"account {account.number} in {asset.currency}", _of_wallet(account, asset.number))
        for asset in ASSETS:
            for position in account.in_asset(asset.number).positions.values():
                subject = f"account {account.number} in instrument {position.instrument.number}"
                yield Figures(subject, _of_position(position))
    for slot in sorted(venue.orders):
        order = venue.orders[slot]
        yield Figures(f"order {order.sequence}/{slot}", _of_order(order))


def _of_venue(venue: Venue) -> dict[str, int]:
    return {
        "sequence": venue.sequence,
        "event_count": venue.event_count,
        "timestamp_ns": venue.timestamp_ns,
        "insurance_account": venue.fund.number if venue.fund else 0,
        "risk_tiers_max": venue.risk_tiers_max,
        "custody_account": venue.custody.number if venue.custody else 0,
        "instruction_next": venue.instruction_next,
        **{f"fee_discount_{tier}": venue.fee_discounts.get(tier, 0) for tier in range(1, 7)},
        "halted": venue.halted,
        "halt_sequence": venue.halt_sequence,
        "cancel_only_ns": venue.cancel_only_ns,
        "deposits_halted": sum(1 << asset for asset in venue.deposits_halted),
        "withdrawals_halted": sum(1 << asset for asset in venue.withdrawals_halted),
        "signers_halted": venue.signers_halted,
        "people": venue.people,
        "configuration": venue.configuration,
        "rules": venue.rules,
        "next_reopen_ns": next_reopen_ns(venue),
        "next_timer_ns": venue.next_timer_ns,
        "day_ends_ns": venue.day_ends_ns,
        "next_due_ns": next_due_ns(venue),
        "sampled_ns": venue.sampled_ns,
        "stops_to_look_at": int(venue.stops_to_look_at),
        "accounts_to_check": int(venue.accounts_to_check),
        "fund_has_work": int(venue.fund_has_work),
        "must_deleverage": int(venue.must_deleverage),
        "assets_to_check": sum(1 << asset for asset in venue.assets_to_check),
        "next_account_to_check": venue.next_account_to_check,
        "instruments_worked": venue.instruments_worked,
        "slots_used": venue.slots_used,
        "next_position_number": venue.position_numbers.next,
        "open_orders": len(venue.orders),
        "reduce_only_orders": len(venue.reduce_only),
        "linked_orders": len(venue.linked),
        "timers": len(venue.timers),
    }


_OF_INSTRUMENT = (
    "kind", "state", "listed", "halted", "reopens_ns", "lot_size", "factor", "settle", "base", "px_max", "qty_max",
    "initial_ppm", "maintenance_ppm", "risk_base", "risk_step", "maker_ppm", "taker_ppm", "settlement_fee_ppm",
    "collar_ppm", "orders_max", "stops_max", "last_band_ppm", "index", "units_per_subtick", "funding_interval_ns",
    "funding_offset_ns", "interest_e8", "impact_value", "expiry_ns", "mark_method", "adl_method", "mark",
    "marked_ns", "index_px", "index_subticks", "last", "last_high", "last_low", "volume", "fee_pool", "impact_bid",
    "impact_ask", "funding_rate_e8", "next_funding_ns", "premium_sum_e8", "premium_count", "basis_e8",
    "basis_due_ns", "settle_sum", "settle_count",
)  # fmt: skip


def _of_instrument(instrument: Instrument) -> dict[str, int]:
    bid = instrument.book.bids.best()
    ask = instrument.book.asks.best()
    return {
        **{name: int(getattr(instrument, name)) for name in _OF_INSTRUMENT},
        "mark_lot_value": instrument.lot_value_at(instrument.mark) if instrument.mark else 0,
        "must_be_deleveraged": int(instrument.must_be_deleveraged),
        "bid": bid or 0,
        "ask": ask or 0,
        "bids": len(instrument.book.bids),
        "asks": len(instrument.book.asks),
    }


def _of_account(account: Account) -> dict[str, int]:
    return {
        "parent": account.parent,
        "self_trade": account.self_trade,
        "disabled": int(account.disabled),
        "fee_tier": account.fee_tier,
        "classic": int(account.classic),
    }


def _of_wallet(account: Account, asset: int) -> dict[str, int]:
    return {
        "wallet": account.in_asset(asset).wallet,
        "locked": locked(account, asset),
        "unrealised": unrealised(account, asset),
    }


def _of_position(position: Position) -> dict[str, int]:
    exposure = open_exposure(position)
    return {
        "number": position.holdings.number_of(position),
        "qty": position.qty,
        "cost": position.cost,
        "leverage": position.leverage,
        "tier": position.tier,
        "transferred": position.transferred,
        "open_buys": exposure.buys,
        "open_sells": exposure.sells,
        "locked": locked_by(position),
        "orders": len(position.orders),
    }


def _of_order(order: Order) -> dict[str, int]:
    condition = order.condition
    figures = {
        "account": order.position.account.number,
        "symbol": order.position.instrument.number,
        "sell": int(order.sell),
        "px": order.px,
        "leaves": order.leaves,
        "filled": order.filled,
        "display": order.display,
        "shown": 0 if order.display == SHOW_ALL else order.shown,
        "post_only": int(order.post_only),
        "reduce_only": int(order.reduce_only),
        "day": int(order.day),
        "untriggered": int(order.untriggered),
        "linked": int(order.linked),
        "waits_for_primary": int(order.waits_for_primary),
        "clid": order.clid,
    }
    if condition is not None and order.untriggered:
        figures |= {
            "type": condition.type,
            "trigger": condition.source,
            "peg": condition.peg,
            "peg_offset": condition.peg_offset,
            "stop_px": condition.stop_px if condition.is_stop else 0,
            "reference": condition.reference,
            "contingency": condition.contingency,
            "group": condition.group,
            "is_primary": int(condition.is_primary),
        }
    return figures
