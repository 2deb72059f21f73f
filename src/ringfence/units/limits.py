"""The largest value of every quantity, and the proof at import that what is multiplied fits.

NumPy and compiled code wrap silently, so each bound that the engine relies on is an assertion here
or a check in the engine when an instrument is listed. Products that do not fit go through the
128-bit `muldiv` of `exchange/engine/arithmetic.py`.
"""

from ringfence.units.rounding import PPM

INT64_MAX = 2**63 - 1
UINT32_MAX = 2**32 - 1
JSON_INTEGER_MAX = 2**53
"""JavaScript clients lose integers above this, so no single wire amount may exceed it."""

ACCOUNT_MAX = 2**24
SYMBOL_MAX = 63
"""Instruments are numbered 1..63: one bit each in an account's map of open positions."""
ASSETS_MAX = 8
PRICE_TICKS_MAX = 2**24 - 1
"""A price ladder is a 64-ary tree of four levels: 64**4 ticks."""
MARK_SUBTICKS = 100
"""Mark prices are finer than the book: one tick is this many subticks."""
INDEX_DECIMALS = 4
"""Index prices are counted in units of 1e-4."""
INDEX_UNITS_MAX = 2**43
RATE_E8 = 100_000_000
"""Funding rates are counted in 1e-8."""
QTY_MAX = 2_000_000_000
"""Contracts (or spot base units) in one order; order records keep quantities in 32 signed bits."""
ORDER_VALUE_MAX = JSON_INTEGER_MAX
"""Settlement units of one order; the engine proves at listing that no order can exceed it."""
ORDERS_PER_POSITION_MAX = 200
WALLET_MAX = 2**61
"""A deposit that would lift a wallet above this is refused."""
POSITION_COST_MAX = 2**56
"""Settlement units of one position's cost; orders beyond it are refused whatever their risk limit."""
LEVERAGE_HUNDREDTHS_MAX = 10_000
RATE_PPM_MAX = PPM

# A position's worst exposure: its cost plus every open order on one side.
assert POSITION_COST_MAX + ORDERS_PER_POSITION_MAX * ORDER_VALUE_MAX < 2**62
# A wallet plus the unrealised profit of every position of one settlement asset is checked in the
# engine with saturating sums; each term alone fits with room to spare.
assert WALLET_MAX + POSITION_COST_MAX < INT64_MAX
# A mark price in subticks is stored in 64 bits and in JSON.
assert PRICE_TICKS_MAX * MARK_SUBTICKS < JSON_INTEGER_MAX
assert QTY_MAX < 2**31
# Isolated margin multiplies a position's cost by a hundred before it divides by the leverage.
assert POSITION_COST_MAX * 100 < INT64_MAX
