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
    ("fund_account", "u4"),  # the insurance account, 0 = none: nothing is liquidated then
    ("fee_discounts", "u8"),  # byte k: per cent off the fees of tier k
    ("next_due_ns", "i8"),  # earliest funding or settlement, 0 = none
    ("sampled_ns", "i8"),  # minute of the last premium samples
    ("pending", "u4"),  # PENDING bits: what the next TICK goes on with
    ("scan_account", "u4"),  # where the liquidation scan stands
    ("n_triggers", "u4"),  # slots of the trigger table ever used
    ("n_linked", "u4"),
    ("work_symbol", "u4"),  # where the insurance account's work stands
    ("n_untriggered", "u4"),
    ("scan_assets", "u4"),  # bit k: accounts that hold something in asset k are looked at
    ("halted", "u4"),  # TradingState of the venue
    ("halt_sequence", "i8"),  # of the last HALT of any scope
    ("reopens_ns", "i8"),  # when the venue trades again, 0 = not before a RESUME
    ("next_reopen_ns", "i8"),  # earliest of it and the contracts'
    ("cancel_only_ns", "i8"),
    ("deposits_halted", "u4"),  # bit k: asset k
    ("withdrawals_halted", "u4"),
    ("signers_halted", "u4"),
    ("skip_funding", "u4"),  # MissedFunding of the RESUME that reopens the venue
    ("people", "i8"),
    ("instruction_next", "i8"),  # number of custody's next instruction
    ("custody_account", "u4"),  # 0 = there is no custody: coins come and go by command
    ("rules", "u4"),  # version in force, 0 = 1
    ("configuration", "i8"),  # number of the settings in force, 0 = none ever were
    # From here on: addresses and capacities of this process, not part of the state.
    ("p_orders", "i8"),
    ("p_margins", "i8"),
    ("p_positions", "i8"),
    ("p_instruments", "i8"),
    ("p_clids", "i8"),
    ("p_timers", "i8"),
    ("p_triggers", "i8"),
    ("p_ranks", "i8"),
    ("cap_orders", "i8"),
    ("cap_margins", "i8"),
    ("cap_positions", "i8"),
    ("cap_instruments", "i8"),
    ("cap_clids", "i8"),
    ("cap_timers", "i8"),
    ("cap_triggers", "i8"),
    ("cap_ranks", "i8"),
    ("cap_accounts", "i8"),  # margins are laid out as [asset][account]
    ("cursor", "i8"),  # where the next event is written
    ("events_end", "i8"),
    ("command", "i8"),  # address of the command being applied
    size=448,
)
assert HEADER.fields is not None
HEADER_STATE_BYTES = HEADER.fields["p_orders"][1]
PENDING_SCAN, PENDING_TRIGGERS, PENDING_WORK, PENDING_ADL = 1, 2, 4, 8
"""What a command left to be done: stops to look at, accounts to check, the insurance account's positions."""
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
ORDER_UNTRIGGERED, ORDER_LINKED, ORDER_WAITING = 16, 32, 64
"""Untriggered orders are in no book and lock nothing; waiting ones are untriggered OTO children."""

TRIGGER = record(
    ("group", "u8"),  # hash of the clOrdLinkID
    ("reference", "i8"),  # trailing: the price in subticks that stop_px was set from
    ("left", "u4"),  # heap of the untriggered orders of one instrument, source and direction
    ("right", "u4"),
    ("parent", "u4"),
    ("stop_px", "i4"),
    ("peg_offset", "i4"),
    ("link_next", "u4"),  # ring of the orders of one group
    ("link_prev", "u4"),
    ("flags", "u2"),  # OrderFlag bits of the command that placed it
    ("type", "u1"),
    ("source", "u1"),
    ("peg", "u1"),
    ("contingency", "u1"),
    ("within_mark", "u1"),
    ("is_primary", "u1"),
)
"""What an order that is triggered or linked has beside its ORDER: same slot, empty for all others."""

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
    ("parent", "u4"),  # asset 0 only: the account it is a sub-account of
)
BLOCK_SMALL, BLOCK_MEDIUM, BLOCK_LARGE = 2, 16, 64
MARGIN_DISABLED, MARGIN_SELF_TRADE_SHIFT, MARGIN_SELF_TRADE_MASK = 1, 1, 6
MARGIN_FEE_TIER_SHIFT, MARGIN_FEE_TIER_MASK, MARGIN_CLASSIC = 3, 56, 64
MARGIN_SELLS_SPOT = 128
"""The account has offered coins of this asset on a spot market at some time: only then are they looked for."""
FEE_EXEMPT = 7
"""The fee tier of the insurance account."""

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
    ("state", "u1"),  # InstrumentState, halts considered
    ("settle", "u1"),
    ("base", "u1"),
    ("listed", "u1"),  # InstrumentState without halts
    ("halted", "u1"),  # TradingState of this contract alone
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
    ("last_high", "i4"),  # extremes of the last price since stops were looked at
    ("last_low", "i4"),
    ("stop_above", "i4"),  # a last price from here on triggers something
    ("stop_below", "i4"),
    # fourth line: index, mark, funding
    ("index_px", "i8"),  # of the contract's index, in index units; 0 = none yet
    ("index_subticks", "i8"),
    ("units_per_subtick", "i8"),
    ("marked_ns", "i8"),  # when the mark was last fresh
    ("impact_value", "i8"),
    ("impact_bid", "i8"),  # subticks, 0 = none
    ("impact_ask", "i8"),
    ("funding_rate_e8", "i8"),  # paid at next_funding_ns
    ("next_funding_ns", "i8"),
    ("funding_interval_ns", "i8"),
    ("funding_offset_ns", "i8"),
    ("interest_e8", "i8"),
    ("premium_sum_e8", "i8"),  # samples of this period
    ("premium_count", "i8"),
    ("expiry_ns", "i8"),
    ("basis_e8", "i8"),  # a future's basis a year
    ("basis_due_ns", "i8"),
    ("settle_sum", "i8"),  # index units, of the last half hour
    ("settle_count", "i8"),
    # untriggered orders: heaps by [source][0 = reached by rising prices, 1 = by falling], and trailing ones
    ("heap0", "u4"),
    ("heap1", "u4"),
    ("heap2", "u4"),
    ("heap3", "u4"),
    ("heap4", "u4"),
    ("heap5", "u4"),
    ("heap6", "u4"),
    ("heap7", "u4"),
    ("trailing", "u4"),
    ("last_band_ppm", "i4"),
    ("settlement_fee_ppm", "i4"),
    ("index", "u2"),
    ("stops_max", "u2"),
    ("mark_method", "u1"),
    ("adl_method", "u1"),
    ("adl_due", "u1"),  # the insurance account's position has to go before it can do what comes next
    ("skip_funding", "u1"),
    ("n_untriggered", "u4"),
    ("reopens_ns", "i8"),
    ("narrow_until_ns", "i8"),  # collars are half as wide until then
    ("p_levels", "i8"),
    ("p_words", "i8"),
    ("cap_levels", "i8"),
    ("cap_words", "i8"),
    size=448,
)
assert INSTRUMENT.fields is not None
INSTRUMENT_STATE_BYTES = INSTRUMENT.fields["p_levels"][1]

RANK = record(("key", "i8"), ("lots", "i8"), ("position", "u4"), ("take", "u4"), ("spare", "i8"), size=32)
"""Scratch of deleveraging; not state."""
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
