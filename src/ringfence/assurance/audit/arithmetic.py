"""What things are worth and what must be locked, once more: the auditor's own formulas.

Written from docs/reference/contracts.md and docs/using/margin-and-liquidation.md, in Python integers that
cannot wrap. Neither the engine's nor the projections' formulas are used here: a mistake in those must not
be repeated by the one who looks for it. `margins.py` has the same for all accounts at once.
"""

from ringfence.assurance.audit.contract import Contract
from ringfence.messages.commands import MarkMethod

MILLION, HUNDRED_MILLION = 10**6, 10**8
SUBTICKS = 100
_YEAR_NS = 365 * 86_400 * 10**9
_CLAMP_E8, _WHOLE_PPM_E8 = 50_000, 100
_RANK_MAX = 2**60


def up(top: int, bottom: int) -> int:
    return -(-top // bottom)


def toward_zero(top: int, bottom: int) -> int:
    return -(-top // bottom) if top < 0 else top // bottom


def nearest(top: int, bottom: int) -> int:
    """Return the quotient rounded to nearest, halves away from zero."""
    size = (2 * abs(top) + bottom) // (2 * bottom)
    return -size if top < 0 else size


def lot_value(of: Contract, px_ticks: int) -> int:
    return nearest(of.factor, px_ticks) if of.is_inverse else of.factor * px_ticks


def lot_value_at_mark(of: Contract, subticks: int) -> int:
    if of.is_inverse:
        return nearest(of.factor * SUBTICKS, subticks)
    return nearest(of.factor * subticks, SUBTICKS)


def value_at_mark(of: Contract, qty: int) -> int:
    """Return the exposure of a signed quantity at the mark, with its sign."""
    size = abs(qty) // of.lot_size * of.mark_lot_value
    return size if qty > 0 else -size


def profit(of: Contract, *, cost: int, value: int) -> int:
    return cost - value if of.is_inverse else value - cost


def unrealised(of: Contract, *, qty: int, cost: int) -> int:
    return profit(of, cost=cost, value=value_at_mark(of, qty))


# ---- fills


def close(*, cost: int, held: int, closed: int) -> int:
    """Return the share of a position's cost that a part of it takes out, rounded towards zero."""
    return toward_zero(cost * closed, abs(held))


# ---- fees


def discounted_ppm(rate_ppm: int, per_cent: int) -> int:
    return rate_ppm * (100 - per_cent) // 100 if rate_ppm > 0 else rate_ppm


def fee(value: int, rate_ppm: int) -> int:
    return nearest(value * rate_ppm, MILLION)


# ---- margin


def maintenance_ppm(of: Contract, tier: int) -> int:
    return of.maintenance_ppm * (1 + tier)


def initial_ppm(of: Contract, *, tier: int, leverage: int) -> int:
    rate = of.initial_ppm + tier * of.maintenance_ppm
    return max(rate, up(100 * MILLION, leverage)) if leverage else rate


def isolated_margin(of: Contract, *, exposure: int, leverage: int) -> int:
    initial = up(exposure * 100, leverage)
    return initial + up((exposure + initial) * max(of.taker_ppm, 0), MILLION)


def locked(
    of: Contract, *, cost: int, buys: int, sells: int, leverage: int, tier: int, transferred: int
) -> int:
    """Return what a position and the open orders in its instrument lock, rounded up."""
    taker = max(of.taker_ppm, 0)
    if of.is_spot:
        return buys + up(buys * taker, MILLION)
    exposure = abs(cost)
    beyond = max(cost + buys, sells - cost, exposure) - exposure
    orders = up(beyond * (initial_ppm(of, tier=tier, leverage=leverage) + 2 * taker), MILLION)
    if not leverage:
        return orders + up(exposure * maintenance_ppm(of, tier), MILLION)
    if not exposure:
        return orders
    return orders + isolated_margin(of, exposure=exposure, leverage=leverage) + transferred


def own_margin(of: Contract, *, cost: int, leverage: int, transferred: int) -> int:
    """Return what an isolated position has to lose."""
    return isolated_margin(of, exposure=abs(cost), leverage=leverage) + transferred


def maintenance(of: Contract, *, qty: int, cost: int, leverage: int, tier: int) -> int:
    """Return the margin below which a position is liquidated: with the funding that it pays next."""
    exposure = abs(cost)
    rate_e8 = of.funding_rate_e8 if qty > 0 else -of.funding_rate_e8
    needed = up(exposure * (maintenance_ppm(of, tier) + max(rate_e8, 0) // 100), MILLION)
    if not leverage:
        return needed
    initial = up(exposure * 100, leverage)
    return needed + up((exposure + initial) * max(of.taker_ppm, 0), MILLION)


def value_of_gain(of: Contract, *, qty: int, cost: int, gain: int) -> int:
    """Return the exposure at which closing gains so much, never below zero."""
    rises = (qty > 0) != of.is_inverse
    return max(abs(cost) + gain if rises else abs(cost) - gain, 0)


def price_of_value(of: Contract, *, qty: int, value: int) -> int:
    """Return the price in subticks at which a quantity has this value, towards zero; at most the highest."""
    lots, highest = abs(qty) // of.lot_size, of.px_max * SUBTICKS
    if of.is_inverse:
        return min(of.factor * SUBTICKS * lots // value, highest) if value else highest
    return min(value * SUBTICKS // (of.factor * lots), highest)


# ---- funding and marks


def payment(of: Contract, qty: int, rate_e8: int) -> int:
    """Return what a position receives (negative: pays): payers round up, receivers down."""
    size = abs(value_at_mark(of, qty)) * abs(rate_e8)
    if (qty > 0) != (rate_e8 > 0):
        return size // HUNDRED_MILLION
    return -up(size, HUNDRED_MILLION)


def funding_to_come_e8(of: Contract, now_ns: int) -> int:
    """Return the part of the current funding rate that is still to come."""
    if not of.funding_interval_ns:
        return 0
    left = min(max(of.next_funding_ns - now_ns, 0), of.funding_interval_ns)
    return toward_zero(of.funding_rate_e8 * left, of.funding_interval_ns)


def premium_e8(of: Contract, now_ns: int) -> int:
    """Return how far the book stands from the index, as a rate; an empty side counts as fair."""
    above = max(of.impact_bid - of.mark, 0) if of.impact_bid > 0 else 0
    below = max(of.mark - of.impact_ask, 0) if of.impact_ask > 0 else 0
    return toward_zero((above - below) * HUNDRED_MILLION, of.index_subticks) + funding_to_come_e8(of, now_ns)


def next_rate_e8(of: Contract) -> int:
    """Return the funding rate that this period's samples make: clamped, capped, in whole ppm."""
    premium = toward_zero(of.premium_sum_e8, of.premium_count) if of.premium_count else 0
    rate = premium + min(max(of.interest_e8 - premium, -_CLAMP_E8), _CLAMP_E8)
    cap, step = (of.initial_ppm - of.maintenance_ppm) * 75, of.maintenance_ppm * 75
    rate = min(max(rate, of.funding_rate_e8 - step), of.funding_rate_e8 + step)
    rate = min(max(rate, -cap), cap)
    return nearest(rate, _WHOLE_PPM_E8) * _WHOLE_PPM_E8


def basis_e8(of: Contract, now_ns: int) -> int:
    """Return the yearly basis that a future's book shows."""
    middle = (of.impact_bid + of.impact_ask) // 2
    premium = toward_zero((middle - of.index_subticks) * HUNDRED_MILLION, of.index_subticks)
    return toward_zero(premium * _YEAR_NS, of.expiry_ns - now_ns)


def mark_of_index(of: Contract, now_ns: int) -> tuple[int, int]:
    """Return (mark, basis in it) in subticks, as they follow from the last index price at this time."""
    index = of.index_subticks
    if of.mark_method == MarkMethod.LAST_PROTECTED:
        span = toward_zero(index * of.last_band_ppm, MILLION)
        last = of.last * SUBTICKS if of.last else index
        basis = min(max(last, index - span), index + span) - index
    elif of.expiry_ns:
        left = max(of.expiry_ns - now_ns, 0)
        basis = toward_zero(index * toward_zero(of.basis_e8 * left, _YEAR_NS), HUNDRED_MILLION)
    else:
        basis = toward_zero(index * funding_to_come_e8(of, now_ns), HUNDRED_MILLION)
    return within_book(of, index + basis), basis


def within_book(of: Contract, subticks: int) -> int:
    return min(max(subticks, SUBTICKS), of.px_max * SUBTICKS)


# ---- deleveraging


def rank_key(of: Contract, *, qty: int, cost: int, leverage: int, tier: int, transferred: int) -> int:
    """Return where a position stands in the queue of deleveraging: profit per cost times leverage, in ppm."""
    gain = unrealised(of, qty=qty, cost=cost)
    ratio = toward_zero(gain * MILLION, max(abs(cost), 1))
    if leverage:
        margin = own_margin(of, cost=cost, leverage=leverage, transferred=transferred)
    else:
        margin = abs(cost) * maintenance_ppm(of, tier) // MILLION
    effective = min(max(abs(value_at_mark(of, qty)) * MILLION // max(margin + gain, 1), 1), _RANK_MAX)
    if gain > 0:
        return min(toward_zero(ratio * min(effective, _RANK_MAX // MILLION), MILLION), _RANK_MAX)
    return toward_zero(ratio * MILLION, effective)
