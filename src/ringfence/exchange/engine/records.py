"""The engine's state: tables of fixed records, integers only, index 0 = none.

A record is one cache line unless said. Records hold indices, never addresses, so a table can be saved
and mapped anywhere; the exceptions are the `p_*` (base address) and `cap_*` (capacity) fields, which
are rewritten on load and left out of the digest.

Signed fields carry everything that is calculated with. Unsigned ones carry links, bit maps and
hashes: Numba turns uint64 mixed with int64 into a float, and a test forbids floats in the kernel.
"""

from ringfence.messages.records import record

HEADER = record(
    ("sequence", "i8"),  # of the next command
    ("event_count", "i8"),  # since the journal began
    ("timestamp_ns", "i8"),  # of the batch being applied
    ("epoch", "i8"),  # moves with every mark price; cached unrealised profit carries it
    ("next_timer_ns", "i8"),  # earliest armed cancel-all-after, 0 = none
    ("day_ends_ns", "i8"),  # when day orders expire, 0 = there are none
    ("free_order", "u4"),
    ("n_orders", "u4"),  # slots ever used, slot 0 included
    ("n_live", "u4"),
    ("n_positions", "u4"),
    ("n_accounts", "u4"),
    ("n_instruments", "u4"),
    ("n_clids", "u4"),
    ("n_timers", "u4"),
    ("n_reduce_only", "u4"),
    ("n_day", "u4"),
    ("risk_tiers_max", "u4"),
    ("spare", "u4"),
    # From here on: addresses and capacities of this process, not part of the state.
    ("p_orders", "i8"),
    ("p_margins", "i8"),
    ("p_positions", "i8"),
    ("p_instruments", "i8"),
    ("p_clids", "i8"),
    ("p_timers", "i8"),
    ("cap_orders", "i8"),
    ("cap_margins", "i8"),
    ("cap_positions", "i8"),
    ("cap_instruments", "i8"),
    ("cap_clids", "i8"),
    ("cap_timers", "i8"),
    ("cap_accounts", "i8"),  # margins are laid out as [asset][account]
    ("cursor", "i8"),  # where the next event is written
    ("events_end", "i8"),
    ("command", "i8"),  # address of the command being applied
    size=256,
)
HEADER_STATE_BYTES = 96
"""The bytes of the header that are state: everything before the addresses."""

ORDER = record(
    ("lot_value", "i8"),  # settlement units of one lot at px
    ("clid", "u8"),
    ("leaves", "i4"),
    ("filled", "i4"),
    ("display", "i4"),  # -1 = all, 0 = hidden, n = iceberg
    ("shown", "i4"),  # iceberg: what is left of the displayed slice
    ("px", "i4"),
    ("sequence", "u4"),  # low half of the sequence of the command that placed it
    ("next", "u4"),  # in its price level's queue
    ("prev", "u4"),
    ("sibling_next", "u4"),  # among the orders of its position
    ("sibling_prev", "u4"),
    ("position", "u4"),
    ("symbol", "u2"),
    ("flags", "u1"),
    ("spare", "u1"),
)
ORDER_SELL, ORDER_POST_ONLY, ORDER_REDUCE_ONLY, ORDER_DAY = 1, 2, 4, 8

LEVEL = record(
    ("qty", "i8"),  # everything at this price
    ("hidden", "i8"),  # the part of it that is not displayed
    ("head", "u4"),  # displayed orders and icebergs, in time priority
    ("tail", "u4"),
    ("hidden_head", "u4"),  # hidden orders: they rank behind everything displayed
    ("hidden_tail", "u4"),
    size=32,
)

MARGIN = record(
    ("wallet", "i8"),
    ("locked", "i8"),  # margin of positions and orders; for spot the coins that orders may spend
    ("unrealised", "i8"),  # of cross positions, valid while epoch == header.epoch
    ("epoch", "i8"),
    ("held", "u8"),  # bit k: the k-th position of the block has a quantity
    ("symbols", "u8"),  # small block: four 16-bit instrument numbers, one per position
    ("base", "u4"),  # first position of the block
    ("slots", "u2"),  # positions in use of a small block, or the size of one indexed by instrument
    ("flags", "u2"),
    ("timer", "u4"),  # asset 0 only: the account's cancel-all-after
    ("spare", "u4"),
)
BLOCK_SMALL, BLOCK_MEDIUM, BLOCK_LARGE = 4, 16, 64
MARGIN_DISABLED, MARGIN_SELF_TRADE_SHIFT = 1, 1

POSITION = record(
    ("qty", "i8"),
    ("cost", "i8"),  # exposure at entry with the sign of qty
    ("open_buys", "i8"),  # exposure of open orders; spot sells: base units
    ("open_sells", "i8"),
    ("locked", "i8"),  # this position's part of margin.locked
    ("transferred", "i8"),  # isolated: margin put in beyond the initial margin
    ("account", "u4"),
    ("orders", "u4"),  # newest open order
    ("leverage", "u2"),  # hundredths, 0 = cross
    ("symbol", "u2"),
    ("n_orders", "u2"),
    ("tier", "u1"),  # steps above the base risk limit
    ("n_reduce_only", "u1"),
)

INSTRUMENT = record(
    ("lot_size", "i8"),
    ("factor", "i8"),  # of the lot value: divided by the price if inverse, else multiplied
    ("mark", "i8"),  # subticks, 0 = none yet
    ("mark_lot_value", "i8"),
    ("bid", "i4"),  # best prices in ticks; no bid = 0, no ask = ticks
    ("ask", "i4"),
    ("collar_up", "i4"),  # how far buys and sells may reach from the mark
    ("collar_down", "i4"),
    ("taker_ppm", "i4"),
    ("maker_ppm", "i4"),
    ("number", "u2"),
    ("kind", "u1"),
    ("state", "u1"),
    ("settle", "u1"),
    ("base", "u1"),
    ("spare", "u2"),
    # second line
    ("risk_base", "i8"),
    ("risk_step", "i8"),
    ("qty_max", "i8"),
    ("ticks", "i8"),  # size of the ladder: a multiple of 64**3 above px_max
    ("initial_ppm", "i4"),
    ("maintenance_ppm", "i4"),
    ("px_max", "i4"),
    ("collar_ppm", "i4"),
    ("n_bids", "u4"),
    ("n_asks", "u4"),
    ("orders_max", "u4"),
    ("last", "i4"),
    # third line: totals, then this process's addresses
    ("fee_pool", "i8"),
    ("volume", "i8"),
    ("per_lot", "i8"),  # 2**62 / lot_size, rounded up: dividing by the lot size is a multiplication
    ("p_levels", "i8"),
    ("p_words", "i8"),
    ("cap_levels", "i8"),
    ("cap_words", "i8"),
    size=192,
)
INSTRUMENT_STATE_BYTES = 152

TIMER = record(("fires_ns", "i8"), ("account", "u4"), ("spare", "u4"), size=16)
CELL = record(("tag", "u4"), ("slot", "u4"), size=8)
WORD = record(("bits", "u8"), size=8)
CONTROL = record(
    ("header", "i8"),
    ("commands", "i8"),
    ("begin", "i8"),
    ("end", "i8"),
    ("events", "i8"),
    ("events_end", "i8"),
    ("timestamp_ns", "i8"),
    ("stop", "i8"),  # why it stopped before the end: Stop
)
