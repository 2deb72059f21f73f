"""Order flow for benchmarks and for holding builds of the engine against each other.

| name   | books | live orders | accounts | commands | mix                                        |
|--------|-------|-------------|----------|----------|--------------------------------------------|
| s1k    | 1     | 1k          | 10k      | 1M       | ours                                       |
| m10k   | 10    | 100k        | 10k      | 1M       | ours                                       |
| m10kA  | 10    | 100k        | 1M       | 1M       | ours                                       |
| ec     | 1     | 1k          | 1k       | 3M       | the rules of exchange-core's test generator |

Ours: 45 % passive limit orders, 5 % aggressive, 40 % cancels, 10 % amends; a fair price walks, half
of the passive flow stays near it; one account in a hundred makes half of the flow; cancels and
amends name any live order, the worst case for caches. exchange-core: 9 % new, 3 % immediate, 6 %
cancel and reduce, 82 % move.

The generator drives an engine, so that every cancel and amend names an order that is open.
"""

import hashlib
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ringfence.exchange.engine import Engine, kernel
from ringfence.exchange.engine.compiler import njit
from ringfence.exchange.engine.records import CONTROL
from ringfence.exchange.engine.state import address_of, allocate
from ringfence.exchange.engine.tables import (
    command,
    control,
    event,
    header,
    instruments,
    names_order,
    orders,
    positions,
    slot_of_handle,
)
from ringfence.messages.batch import Records
from ringfence.messages.commands import (
    Command,
    ContractKind,
    InstrumentParameter,
    InstrumentState,
    OrderFlag,
    OrderType,
    VenueParameter,
)
from ringfence.messages.events import Event, EventFlag
from ringfence.messages.records import COMMAND, DISPLAY_ALL, EVENT, RECORD_BYTES
from ringfence.testing.play import START_NS, rows_of
from ringfence.units.limits import MARK_SUBTICKS

FAIR_TICKS = 130_000
_PX_MAX = 262_143
_FLOW, _EXCHANGE_CORE = 0, 1
_SEED = 7


class Workload(NamedTuple):
    """Commands that list the venue and fill the books, then those that are measured."""

    name: str
    setup: Records
    commands: Records


class Shape(NamedTuple):
    books: int
    depth: int
    accounts: int
    commands: int
    mix: int


SHAPES = {
    "s1k": Shape(1, 1_000, 10_000, 1_000_000, _FLOW),
    "m10k": Shape(10, 10_000, 10_000, 1_000_000, _FLOW),
    "m10kA": Shape(10, 10_000, 1_000_000, 1_000_000, _FLOW),
    "ec": Shape(1, 1_000, 1_000, 3_000_000, _EXCHANGE_CORE),
}
SMALL = {
    "s1k": Shape(1, 100, 200, 3_000, _FLOW),
    "m10k": Shape(10, 30, 200, 3_000, _FLOW),
    "m10kA": Shape(10, 30, 1_500, 3_000, _FLOW),
    "ec": Shape(1, 100, 100, 3_000, _EXCHANGE_CORE),
}
"""The same rules, small enough for the build that is not compiled."""


def workload(name: str, shapes: dict[str, Shape] = SHAPES) -> Workload:
    """Return a workload, from this machine's cache if it was made before."""
    shape = shapes[name]
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    source = hashlib.blake2b(Path(__file__).read_bytes(), digest_size=6).hexdigest()
    path = home / "ringfence" / f"workload-{name}-{shape.commands}-{source}.npy"
    venue = _venue(shape)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        made = path.with_suffix(f".{os.getpid()}.npy")
        np.save(made, _generate(shape, venue).view(np.uint8))
        made.rename(path)
    flow = np.load(path).view(COMMAND)
    filling = shape.books * shape.depth
    return Workload(name, np.concatenate([venue, flow[:filling]]), _aligned(flow[filling:]))


def _aligned(commands: Records) -> Records:
    copy = allocate(COMMAND, len(commands))
    copy[:] = commands
    return copy


def _venue(shape: Shape) -> Records:
    """List the books (the first inverse, the others linear), open and credit the accounts."""
    parts = [rows_of(1, Command.CONFIGURE_VENUE)]
    parts[0]["type"], parts[0]["qty"] = VenueParameter.RISK_TIERS_MAX, 0
    for symbol in range(1, shape.books + 1):
        inverse = symbol == 1
        settings = {
            InstrumentParameter.LOT_SIZE: 100 if shape.mix == _FLOW else 1,
            InstrumentParameter.LOT_VALUE_FACTOR: 10**12 if inverse else 100,
            InstrumentParameter.SETTLE_ASSET: 0,
            InstrumentParameter.PX_TICKS_MAX: _PX_MAX - 1,
            InstrumentParameter.QTY_MAX: 1_000_000,
            InstrumentParameter.INITIAL_MARGIN_PPM: 10_000,
            InstrumentParameter.MAINTENANCE_MARGIN_PPM: 5_000,
            InstrumentParameter.RISK_LIMIT_BASE: 2**50,
            InstrumentParameter.RISK_LIMIT_STEP: 2**50,
            InstrumentParameter.MAKER_FEE_PPM: -100,
            InstrumentParameter.TAKER_FEE_PPM: 750,
            InstrumentParameter.COLLAR_PPM: 50_000 if shape.mix == _FLOW else 900_000,
        }
        listing = rows_of(len(settings) + 3, Command.CONFIGURE)
        listing["symbol"] = symbol
        listing["kind"][0] = Command.LIST
        listing["type"][0] = ContractKind.INVERSE if inverse else ContractKind.LINEAR
        listing["type"][1:-2] = list(settings)
        listing["qty"][1:-2] = list(settings.values())
        listing["kind"][-2], listing["qty"][-2] = Command.SET_STATE, InstrumentState.OPEN
        listing["kind"][-1], listing["qty"][-1] = Command.MARK, FAIR_TICKS * MARK_SUBTICKS
        parts.append(listing)
    numbers = np.arange(1, shape.accounts + 1)
    opened, credited = rows_of(shape.accounts, Command.OPEN_ACCOUNT), rows_of(shape.accounts, Command.DEPOSIT)
    opened["account"] = credited["account"] = numbers
    credited["qty"] = 10**13
    return np.concatenate([*parts, opened, credited])


def _generate(shape: Shape, venue: Records) -> Records:
    engine = Engine(accounts=2 * shape.accounts, orders=1 << 21)
    engine.step(venue, timestamp_ns=START_NS)
    engine.state.set_positions(max(1 << 22, len(engine.state.positions)))
    filling = shape.books * shape.depth
    out = allocate(COMMAND, filling + shape.commands)
    events = allocate(EVENT, 1 << 16)
    control_row = allocate(CONTROL, 1)
    control_row["header"] = engine.state.header_address
    control_row["timestamp_ns"] = START_NS
    live = np.zeros((shape.books + 1, max(shape.depth * 8, 1 << 16)), np.uint64)
    made = _drive(
        address_of(control_row), address_of(out), address_of(events), address_of(events) + events.nbytes,
        len(out), filling, shape.books, shape.depth, shape.accounts, shape.mix, live, _SEED,
    )  # fmt: skip
    assert made == len(out), f"the engine stopped the generator at command {made}"
    return out


_PLACE, _AMEND, _CANCEL, _MARK = (
    int(Command.PLACE), int(Command.AMEND), int(Command.CANCEL), int(Command.MARK),
)  # fmt: skip
_MARKET = int(OrderType.MARKET)
_SELL, _IOC = int(OrderFlag.SELL), int(OrderFlag.IOC)
_AMEND_LEAVES, _AMEND_PX = int(OrderFlag.AMEND_LEAVES), int(OrderFlag.AMEND_PX)
_TRADE, _CANCELED, _MAKER_DONE = int(Event.TRADE), int(Event.CANCELED), int(EventFlag.MAKER_DONE)
_ACCEPTED = int(Event.ACCEPTED)
_MARK_EVERY = 100_000


@njit  # type: ignore[untyped-decorator]
def _below(n: int) -> Any:
    return np.random.randint(0, n)


@njit  # type: ignore[untyped-decorator]
def _account(accounts: int, mix: int) -> Any:
    if mix == 0 and np.random.random() < 0.5:
        return 1 + _below(max(1, accounts // 100))
    return 1 + _below(accounts)


@njit  # type: ignore[untyped-decorator]
def _drop(live: Any, n_live: Any, where: Any, s: int, slot: int) -> None:
    k = where[slot]
    n_live[s] -= 1
    last = live[s, n_live[s]]
    live[s, k] = last
    where[slot_of_handle(last)] = k


@njit  # type: ignore[untyped-decorator]
def _drive(
    control_address: int, out: int, events: int, events_end: int, count: int, filling: int, books: int,
    depth: int, accounts: int, mix: int, live: Any, seed: int,
) -> Any:  # fmt: skip
    """Write `count` commands, applying each; return how many were applied."""
    np.random.seed(seed)
    c = control(control_address)
    h = header(c.header)
    n_live = np.zeros(books + 1, np.int64)
    n_side = np.zeros(2, np.int64)
    seen_side = np.zeros(2, np.int64)
    where = np.zeros(1 << 21, np.int64)
    fair = np.full(books + 1, FAIR_TICKS, np.int64)
    lot = 100 if mix == 0 else 1
    deviation = FAIR_TICKS // 20
    for made in range(count):
        s = 1 + (made % books if made < filling else _below(books))
        if _below(50) == 0:
            fair[s] += 1 - 2 * _below(2)
        ins = instruments(h, s)
        bid, ask = np.int64(ins.bid), np.int64(ins.ask)
        has_bid, has_ask = bid > 0, ask <= ins.px_max
        centre = fair[s]
        if mix == 1 and ins.last > 0:
            centre = np.int64(ins.last)
        kind, sell, aggressive = _PLACE, _below(2), False
        if mix == 0:
            draw = np.random.random()
            tilt = min(0.02, max(-0.02, 0.05 * (depth - n_live[s]) / depth))
            if made < filling:
                draw = 0.0
            if made % _MARK_EVERY == _MARK_EVERY - 1:
                kind = _MARK
            elif draw < 0.45 + tilt or n_live[s] < 10:
                pass
            elif draw < 0.85:
                kind = _CANCEL
            elif draw < 0.95:
                kind = _AMEND
            else:
                aggressive = True
        else:
            if made % 512 == 0:
                seen_side[0], seen_side[1] = n_side[0], n_side[1]
            growing = seen_side[sell] < depth // 2
            draw_of = _below(10 if growing else 40)
            if made < filling or n_live[s] < 10:
                draw_of, growing = 0, True
            if draw_of < 2:
                aggressive = not growing
            elif draw_of == 2:
                kind = _CANCEL
            else:
                kind = _AMEND
        r = command(out + made * RECORD_BYTES)
        r.kind = kind
        r.symbol = s
        r.display = DISPLAY_ALL
        if kind == _MARK:
            r.qty = centre * MARK_SUBTICKS
        elif kind == _PLACE:
            r.account = _account(accounts, mix)
            flags = 0
            if mix == 0:
                qty = lot * (1 + np.int64(np.random.exponential(2.5 if aggressive else 3.0)))
                if aggressive:
                    middle = (bid + ask) // 2 if has_bid and has_ask else centre
                    sell = 0 if np.random.random() < 0.5 + 0.1 * (centre - middle) else 1
                    if _below(2) == 0:
                        flags = _IOC
                        px = centre - 2000 if sell else centre + 2000
                    else:
                        px = bid if sell else ask
                    if px < 1 or px > ins.px_max:
                        px = centre
                else:
                    spread = depth / 40.0 if np.random.random() < 0.5 else 4.0
                    away = 1 + np.int64(np.random.exponential(spread))
                    px = centre + away if sell else centre - away
                    if sell and has_bid and px <= bid:
                        px = bid + 1
                    elif not sell and has_ask and px >= ask:
                        px = ask - 1
            else:
                qty = 1 + _below(6) * _below(6) * _below(6)
                if aggressive:
                    flags = _IOC
                    px = FAIR_TICKS - 5 * deviation if sell else FAIR_TICKS + 5 * deviation
                else:
                    span = 1 + np.int64(np.random.random() ** 2 * deviation)
                    shift = (_below(span) + _below(span) + _below(span) + _below(span)) // 4 * 2 - span
                    shift = -abs(shift)
                    px = centre - shift if sell else centre + shift
            r.qty = qty
            r.px = px
            r.flags = flags | (_SELL if sell else 0)
        else:
            handle = live[s, _below(n_live[s] if mix == 0 else min(n_live[s], 512))]
            o = orders(h, slot_of_handle(handle))
            sell = np.int64(o.flags) & 1
            r.handle = handle
            r.account = positions(h, o.position).account
            if kind == _AMEND:
                px = np.int64(o.px)
                if mix == 0 and _below(2) == 0 and o.leaves > lot:
                    r.flags = _AMEND_LEAVES
                    r.qty = lot * (1 + _below(o.leaves // lot - 1))
                else:
                    if mix == 0:
                        px += _below(11) - 5
                        if sell and has_bid and px <= bid:
                            px = bid + 1
                        elif not sell and has_ask and px >= ask:
                            px = ask - 1
                    elif px > centre:
                        px -= (px - centre + 99) // 100
                    elif px < centre:
                        px += (centre - px + 99) // 100
                    else:
                        px += 2 * _below(2) - 1
                    r.flags = _AMEND_PX
                    r.px = px
        c.commands = out + made * RECORD_BYTES
        c.begin, c.end = 0, 1
        c.events, c.events_end = events, events_end
        written = kernel.run(control_address)
        if c.stop != kernel.DONE:
            return made
        for k in range(written):
            e = event(events + k * RECORD_BYTES)
            if e.kind == _TRADE and np.int64(e.flags) & _MAKER_DONE:
                _drop(live, n_live, where, s, slot_of_handle(e.maker_handle))
                n_side[1 - (np.int64(e.flags) & 1)] -= 1
            elif e.kind == _ACCEPTED and names_order(h, e.handle):
                live[s, n_live[s]] = e.handle
                where[slot_of_handle(e.handle)] = n_live[s]
                n_live[s] += 1
                n_side[sell] += 1
            elif e.kind == _CANCELED:
                slot = slot_of_handle(e.handle)
                if where[slot] < n_live[s] and live[s, where[slot]] == e.handle:
                    _drop(live, n_live, where, s, slot)
                    n_side[e.amount & 1] -= 1
        if kind == _AMEND and not names_order(h, r.handle):
            slot = slot_of_handle(r.handle)
            if where[slot] < n_live[s] and live[s, where[slot]] == r.handle:
                _drop(live, n_live, where, s, slot)
                n_side[sell] -= 1
    return count


def everything(seed: int, *, count: int, accounts: int, instruments: int = 7) -> Records:
    """Return random commands of every kind a client can send, sane and absurd, on the start venue.

    Orders have clOrdIDs from a small set, so that cancels and amends often find one and duplicates
    happen; prices stay near 10,000 ticks, so that they often cross.
    """
    rng = np.random.default_rng(seed)
    kinds = [
        Command.PLACE, Command.AMEND, Command.CANCEL, Command.CANCEL_ALL, Command.CANCEL_ALL_AFTER,
        Command.SET_LEVERAGE, Command.SET_RISK_LIMIT, Command.TRANSFER_MARGIN, Command.WITHDRAW,
        Command.MARK, Command.TICK, Command.CONFIGURE_ACCOUNT, Command.DATA,
    ]  # fmt: skip
    weights = np.array([60, 15, 10, 0.4, 0.3, 1, 0.5, 2, 0.5, 2, 0.5, 0.2, 0.5])
    rows = rows_of(count, Command.PLACE)
    kind = rng.choice(kinds, count, p=weights / weights.sum())
    rows["kind"] = kind
    rows["account"] = rng.integers(1, accounts + 1, count)
    rows["symbol"] = rng.integers(1, instruments + 1, count)
    is_order = np.isin(kind, [Command.PLACE, Command.AMEND])
    lots = np.where(rows["symbol"] % 5 == 3, 1000, 100)
    rows["qty"] = lots * rng.integers(1, 60, count) * np.where(rows["symbol"] == 7, 10, 1)
    rows["px"] = np.where(is_order, 10_000 + rng.integers(-60, 61, count), 0)
    rows["clid"] = np.where(is_order & (rng.random(count) < 0.9), rng.integers(1, 40, count), 0)
    rows["orig_clid"] = np.where(kind != Command.PLACE, rng.integers(1, 40, count), 0)
    rows["type"] = np.where((kind == Command.PLACE) & (rng.random(count) < 0.1), OrderType.MARKET, 0)
    bits = [
        (OrderFlag.SELL, 0.5), (OrderFlag.IOC, 0.05), (OrderFlag.FOK, 0.04), (OrderFlag.DAY, 0.05),
        (OrderFlag.POST_ONLY, 0.1), (OrderFlag.REDUCE_ONLY, 0.12), (OrderFlag.CLOSE, 0.04),
    ]  # fmt: skip
    flags = np.zeros(count, np.uint16)
    for bit, chance in bits:
        flags |= np.where(rng.random(count) < chance, int(bit), 0).astype(np.uint16)
    changes = rng.choice([0, 128, 256, 512, 640, 768], count).astype(np.uint16)
    rows["flags"] = np.where(kind == Command.PLACE, flags, np.where(kind == Command.AMEND, changes, 0))
    shown = rng.choice([0, 1, 3, 7], count) * lots
    rows["display"] = np.where((kind == Command.PLACE) & (rng.random(count) < 0.15), shown, DISPLAY_ALL)
    special = {
        Command.CANCEL_ALL_AFTER: rng.integers(0, 5_000, count),
        Command.SET_LEVERAGE: rng.choice([0, 100, 500, 1_000, 2_500, 10_000, 20_000], count),
        Command.SET_RISK_LIMIT: rng.integers(1, 10**12, count),
        Command.TRANSFER_MARGIN: rng.integers(-(10**6), 10**6, count),
        Command.WITHDRAW: rng.integers(-5, 10**7, count),
        Command.MARK: (10_000 + rng.integers(-200, 201, count)) * MARK_SUBTICKS,
        Command.CONFIGURE_ACCOUNT: rng.integers(0, 3, count),
    }
    for which, values in special.items():
        rows["qty"] = np.where(kind == which, values, rows["qty"])
    rows["symbol"] = np.where(kind == Command.WITHDRAW, rng.integers(0, 2, count), rows["symbol"])
    rows["type"] = np.where(kind == Command.CONFIGURE_ACCOUNT, 1, rows["type"])
    absurd = rng.random(count) < 0.03
    for name, wrong in (
        ("qty", [0, -1, 2**62, -(2**63), 2**63 - 1, 7]), ("px", [0, -5, 2**31 - 1, -(2**31), 1]),
        ("symbol", [0, 8, 63, 64, 65_535]), ("account", [0, accounts + 1, 2**32 - 1]),
        ("flags", [0xFFFF, 6, 14]), ("type", [9, 255]), ("display", [1, 2**31]), ("kind", [0, 77, 200]),
    ):  # fmt: skip
        hit = absurd & (rng.random(count) < 0.2)
        choices = np.array(wrong).astype(rows[name].dtype)
        rows[name] = np.where(hit, rng.choice(choices, count), rows[name])
    return _aligned(rows)


_INDEX_BASES = {8: 10_000_000, 9: 5_000_000, 10: 10_000_000, 11: 5_000_000, 12: 1_000_000}
"""Index units at which the contracts of the start venue stand at 10,000 ticks."""


def turmoil(seed: int, *, count: int, accounts: int) -> Records:
    """Return random commands of a leveraged market in motion, on the start venue with an insurance account.

    As `everything`, and a third of the orders is triggered, pegged or linked, indices jump, time passes and
    accounts are near the end of their margin: liquidations and deleveraging are everyday events.
    """
    rng = np.random.default_rng(seed)
    rows = everything(seed, count=count, accounts=accounts, instruments=5)
    place = rows["kind"] == Command.PLACE
    special = place & (rng.random(count) < 0.35)
    kinds = rng.choice([0, 1, 2, 3, 4, 5, 6], count, p=[0.15, 0.05, 0.25, 0.15, 0.15, 0.15, 0.1])
    rows["type"] = np.where(special, kinds, rows["type"])
    stop = special & (kinds >= 2) & (kinds <= 5)
    rows["stop_px"] = np.where(stop, 10_000 + rng.integers(-300, 301, count), 0)
    rows["display"] = np.where(special, DISPLAY_ALL, rows["display"])
    peg = np.where(
        stop & (rng.random(count) < 0.3), 3, np.where(special & (kinds == 6), rng.integers(1, 3, count), 0)
    )
    sell = (rows["flags"] & int(OrderFlag.SELL)) != 0
    falling = sell == (kinds <= 3)
    offset = np.where(
        peg == 3, rng.integers(1, 200, count) * np.where(falling, -1, 1), rng.integers(-3, 4, count)
    )
    linked = special & (rng.random(count) < 0.4)
    handle = (offset.astype(np.int64) & 0xFFFFFFFF) * (peg > 0)
    handle |= np.where(stop, rng.integers(0, 3, count), 0) << 32
    handle |= peg.astype(np.int64) << 40
    handle |= np.where(linked, rng.integers(1, 3, count), 0) << 48
    handle |= np.where(stop & (rng.random(count) < 0.1), 1, 0).astype(np.int64) << 56
    rows["handle"] = np.where(special, handle, rows["handle"])
    rows["orig_clid"] = np.where(linked, rng.integers(1, 8, count), np.where(place, 0, rows["orig_clid"]))
    # A sideways market with jumps; time moves with the batches.
    index = rng.random(count) < 0.06
    number = rng.choice(list(_INDEX_BASES), count)
    jumps = np.cumsum(
        rng.choice([0, 4_000, -4_000, 15_000, -15_000], count, p=[0.4, 0.25, 0.25, 0.05, 0.05]) * index
    )
    jumps = np.clip(jumps, -150_000, 150_000)
    bases = np.array([_INDEX_BASES.get(int(k), 0) for k in number])
    rows[index] = np.zeros(1, COMMAND)
    rows["kind"] = np.where(index, Command.INDEX, rows["kind"])
    rows["symbol"] = np.where(index, number, rows["symbol"])
    rows["qty"] = np.where(index, bases * (1_000_000 + jumps) // 1_000_000, rows["qty"])
    leverage = (rows["kind"] == Command.SET_LEVERAGE) | (place & ~special & (rng.random(count) < 0.02))
    rows["qty"] = np.where(leverage, rng.choice([0, 0, 2_500, 5_000, 10_000], count), rows["qty"])
    rows["kind"] = np.where(leverage, Command.SET_LEVERAGE, rows["kind"])
    return rows
