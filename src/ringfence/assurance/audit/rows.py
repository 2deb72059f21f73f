"""What the history database should hold, and what it does.

History is a fold of the same feed, so its rows of money can be told from the events: the ledger's lines, both
sides of every trade, what became of every order. `Ledger` keeps a sum of hashes for each 1,024 events, small
enough to keep for all time; `read_sweep` reads rows back; the laws hold the one against the other. Whoever edits
a row, adds one or takes one away changes the sum of its block.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

from sqlalchemy import Engine, Integer, Select, Table, func, literal, literal_column, select

from ringfence.assurance.audit.arithmetic import lot_value
from ringfence.assurance.audit.books import SELL, Books, Said
from ringfence.assurance.audit.contract import Contract
from ringfence.exchange.projections.history.schema import BALANCE, HISTORY_TABLES, LEDGER, PROGRESS
from ringfence.instruments.specification import Instrument, decode
from ringfence.messages.batch import SPECIFICATION, decode_slots
from ringfence.messages.events import Event, EventFlag

BLOCK = 1_024
_DETAILED = 16
"""Blocks of which whole rows are kept, to say which one it is."""
_ENDS = 64
"""The last blocks of all tables are among so many that were begun last."""
Row = tuple[Any, ...]


class Place(NamedTuple):
    """A block of rows of one table."""

    table: str
    block: int


class Block:
    """What should be in one block of one table."""

    __slots__ = ("changed", "count", "figures", "rows", "total")

    def __init__(self) -> None:
        self.total = self.count = self.changed = self.figures = 0
        """Sum of the hashes of its rows, how many they are, the number of the last event that touched it, and
        what its integers come to by the sum that a database can make as well."""
        self.rows: dict[int, Row] | None = {}
        """By key; None once it is too old."""


def hash_of(row: Row) -> int:
    return int.from_bytes(blake2b(repr(row).encode(), digest_size=8).digest(), "little")


_PRIME, _PLACES = 1_000_000_007, 997


def figures_of(table: str, row: Row) -> int:
    """Return what the integers of a row come to. Twin: `_figures_in_sql`; both take remainders towards zero."""
    key: int = row[0]
    sum_of: int = sum(_remainder(row[at] or 0) * weight for weight, at in enumerate(_INTEGERS[table], 2))
    return _remainder(sum_of) * (key % _PLACES + 1)


def _remainder(value: int) -> int:
    return value % _PRIME if value >= 0 else -(-value % _PRIME)


class Ledger:
    """The rows that the events make, as far as the books have gone. Entered with the books, event by event."""

    def __init__(self) -> None:
        self.blocks: dict[Place, Block] = {}
        self.balances: defaultdict[tuple[str, int], int] = defaultdict(int)
        self.balance_changed: dict[tuple[str, int], int] = {}
        self.lines = 0
        self._changed: dict[Place, None] = {}
        """Blocks that nobody has looked at since they changed, oldest change first."""
        self._specifications: dict[int, Instrument] = {}
        self._order_rows: dict[int, Row] = {}
        """By handle: the row of an open order."""

    def _makers(self) -> dict[Event, Callable[[Books, Said], None]]:
        return {
            Event.LISTED: self._listed, Event.TRADE: self._trade, Event.REALISED: self._realised,
            Event.DEPOSITED: self._flow, Event.WITHDRAWN: self._flow, Event.TRANSFERRED: self._transferred,
            Event.COVERED: self._covered, Event.FUNDED: self._funded, Event.SETTLED: self._settled,
            Event.VENUE_SET: self._venue_set, Event.ACCEPTED: self._accepted, Event.CANCELED: self._closed,
            Event.AMENDED: self._amended, Event.TRIGGERED: self._triggered,
        }  # fmt: skip

    def at(self) -> dict[Event, Callable[[Books, Said], Iterable[Any]]]:
        """Return who takes note of which event before it is entered."""

        def taking_note(make: Callable[[Books, Said], None]) -> Callable[[Books, Said], Iterable[Any]]:
            def look(books: Books, event: Said) -> Iterable[Any]:
                make(books, event)
                return ()

            return look

        return {kind: taking_note(make) for kind, make in self._makers().items()}

    # ---- rows

    def _put(self, number: int, table: str, key: int, row: Row, old: Row | None = None) -> None:
        place = Place(table, key // _size(table))
        block = self.blocks.get(place)
        if block is None:
            block = self.blocks[place] = Block()
            self._shorten(place)
        self._changed.pop(place, None)
        self._changed[place] = None
        block.total += hash_of(row) - (hash_of(old) if old else 0)
        block.figures += figures_of(table, row) - (figures_of(table, old) if old else 0)
        block.count += old is None
        block.changed = number
        if block.rows is not None:
            block.rows[key] = row

    def next_places(self, most: int, *, draw: Callable[[Sequence[Place], int], list[Place]]) -> list[Place]:
        """Return the blocks to read back next: what has changed, then others, and what is behind the ends.

        `draw` chooses so many of the others, e.g. random.SystemRandom().sample: which blocks are looked at is
        nobody's business beforehand. Behind the end of each table nothing should be.
        """
        chosen = list(self._changed)[:most]
        others = [place for place in self.blocks if place not in self._changed]
        chosen += draw(others, min(most - len(chosen), len(others)))
        ends = dict.fromkeys(TABLES, 0)
        for place in list(self.blocks)[-_ENDS:]:
            ends[place.table] = max(ends[place.table], place.block + 1)
        return [*chosen, *(Place(table, block) for table, block in ends.items())]

    def looked_at(self, places: Iterable[Place], *, next_event: int) -> None:
        """Take note of blocks that were compared as they were before an event."""
        for place in places:
            if place in self._changed and self.blocks[place].changed < next_event:
                del self._changed[place]

    def _shorten(self, place: Place) -> None:
        ancient = self.blocks.get(place._replace(block=place.block - _DETAILED))
        if ancient is not None:
            ancient.rows = None

    def _entry(self, books: Books, kind: str, asset: int, amount: int, *, to: str, source: str) -> None:
        if not amount:
            return
        for account, moved in ((to, amount), (source, -amount)):
            row = (self.lines, books.number, account, asset, moved, kind)
            self._put(books.number, "ledger", self.lines, row)
            self.lines += 1
            self.balances[account, asset] += moved
            self.balance_changed[account, asset] = books.number

    def _purse(self, books: Books, account: int) -> str:
        return "insurance" if account == books.fund else f"client:{account}"

    def _clearing(self, of: Contract) -> str:
        return f"clearing:{self._specifications[of.number].symbol}"

    # ---- what events make of them; the court looks on, so the books are as they were before

    def _listed(self, books: Books, event: Said) -> None:
        self._specifications[event.symbol] = decode(decode_slots(books.data, books.place)[SPECIFICATION])

    def _trade(self, books: Books, event: Said) -> None:
        of, fees = books.contracts[event.symbol], "fees"
        spec = self._specifications[event.symbol]
        value = event.qty // of.lot_size * lot_value(of, event.px)
        sells = bool(event.flags & SELL)
        for maker, account, paid, is_sell, handle in (
            (0, event.account, event.amount, sells, event.handle),
            (1, event.maker_account, event.maker_amount, not sells, event.maker_handle),
        ):
            purse = self._purse(books, account)
            signed = -value if is_sell else value
            key = 2 * books.number + maker
            side = "Sell" if is_sell else "Buy"
            cost = -signed if of.is_inverse else signed
            fill = (key, account, spec.symbol, side, event.qty, spec.price(event.px), cost, paid)
            self._put(books.number, "execution", key, fill)
            self._entry(books, "Fee", of.settle, paid, to=fees, source=purse)
            if of.is_spot:
                qty = -event.qty if is_sell else event.qty
                self._entry(books, "SpotTrade", of.base, qty, to=purse, source=self._clearing(of))
                self._entry(books, "SpotTrade", of.settle, -signed, to=purse, source=self._clearing(of))
            order = books.orders[handle]
            self._change(books, handle, order.leaves - event.qty, order.filled + event.qty, order.px)
            if order.leaves == event.qty:
                self._order_rows.pop(handle, None)
        row = (books.number, spec.symbol, "Sell" if sells else "Buy", event.qty, spec.price(event.px))
        self._put(books.number, "trade", books.number, row)

    def _realised(self, books: Books, event: Said) -> None:
        of = books.contracts[event.symbol]
        purse = self._purse(books, event.account)
        self._entry(books, "RealisedPNL", of.settle, event.amount, to=purse, source=self._clearing(of))

    def _flow(self, books: Books, event: Said) -> None:
        amount = event.amount if event.kind == Event.DEPOSITED else -event.amount
        kind = "Deposit" if amount > 0 else "Withdrawal"
        source = "demo" if event.flags & EventFlag.DEMO else "outside"
        self._entry(books, kind, event.symbol, amount, to=self._purse(books, event.account), source=source)

    def _transferred(self, books: Books, event: Said) -> None:
        to, source = self._purse(books, event.maker_account), self._purse(books, event.account)
        self._entry(books, "Transfer", event.symbol, event.amount, to=to, source=source)

    def _covered(self, books: Books, event: Said) -> None:
        purse = self._purse(books, event.account)
        self._entry(books, "Deficit", event.symbol, event.amount, to=purse, source="insurance")

    def _funded(self, books: Books, event: Said) -> None:
        of = books.contracts[event.symbol]
        kind = "Funding" if event.qty else "Funding rounding"
        purse = self._purse(books, event.account) if event.account else "fees"
        self._entry(books, kind, of.settle, event.amount, to=purse, source=self._clearing(of))

    def _settled(self, books: Books, event: Said) -> None:
        of = books.contracts[event.symbol]
        purse = self._purse(books, event.account)
        self._entry(books, "Settlement fee", of.settle, event.amount, to="fees", source=purse)

    def _venue_set(self, books: Books, event: Said) -> None:
        """What the insurance account has is not a client's from now on."""
        if event.px == 2:
            for asset, wallets in enumerate(books.wallets):
                source = f"client:{event.qty}"
                self._entry(books, "Insurance fund", asset, wallets[event.qty], to="insurance", source=source)

    # ---- orders

    def _accepted(self, books: Books, event: Said) -> None:
        spec = self._specifications[event.symbol]
        side = "Sell" if event.flags & SELL else "Buy"
        # A stop that closes whatever there is has no quantity before it is triggered: history says null.
        row = (books.number, event.account, spec.symbol, side, event.qty or None, event.qty, 0)
        self._order_rows[event.handle] = row
        self._put(books.number, "order", books.number, row)

    def _change(self, books: Books, handle: int, leaves: int, filled: int, px: int) -> None:
        old = self._order_rows[handle]
        row = (*old[:4], old[4], leaves, filled)
        self._store(books, handle, row)

    def _store(self, books: Books, handle: int, row: Row) -> None:
        old = self._order_rows[handle]
        self._order_rows[handle] = row
        self._put(books.number, "order", row[0], row, old)

    def _closed(self, books: Books, event: Said) -> None:
        old = self._order_rows[event.handle]
        self._store(books, event.handle, (*old[:5], 0, old[6]))
        del self._order_rows[event.handle]

    def _amended(self, books: Books, event: Said) -> None:
        old = self._order_rows[event.handle]
        self._store(books, event.handle, (*old[:4], old[6] + event.qty or None, event.qty, old[6]))

    def _triggered(self, books: Books, event: Said) -> None:
        old = self._order_rows[event.handle]
        if event.qty:
            self._store(books, event.handle, (*old[:4], event.qty, event.qty, old[6]))


class Sweep(NamedTuple):
    """Rows of the database, and how far it says that they reach."""

    next_sequence: int
    next_event: int
    rows: dict[Place, list[Row]]
    balances: dict[tuple[str, int], int]
    sums: list[tuple[int, int]]
    """(asset, sum of all lines) of the ledger."""
    figures: dict[Place, tuple[int, int]]
    """Of every block there is: how many rows, and what their integers come to."""


def read_sweep(engine: Engine, places: Sequence[Place]) -> Sweep:
    """Read blocks of rows, and sums over all others, all of one moment of the database."""
    with engine.connect() as connection, connection.begin():
        progress = connection.execute(select(PROGRESS)).mappings().one()
        rows = {place: _read(connection, place) for place in places}
        balances = {(row[0], row[1]): row[2] for row in connection.execute(select(BALANCE))}
        summed = select(LEDGER.c.asset, func.sum(LEDGER.c.amount)).group_by(LEDGER.c.asset)
        sums = [(int(asset), int(total)) for asset, total in connection.execute(summed)]
        figures = {
            Place(table, block): (count, int(total))
            for table in TABLES
            for block, count, total in connection.execute(_figures_in_sql(table))
        }
    return Sweep(progress["next_sequence"], progress["next_event"], rows, balances, sums, figures)


_COLUMNS = {
    "ledger": ("key", "number", "account", "asset", "amount", "kind"),
    "execution": ("key", "account", "symbol", "side", "lastQty", "lastPx", "execCost", "execComm"),
    "trade": ("key", "symbol", "side", "size", "price"),
    "order": ("key", "account", "symbol", "side", "orderQty", "leavesQty", "cumQty"),
}
TABLES = tuple(_COLUMNS)
_INTEGERS = {"ledger": (3, 4), "execution": (1, 4, 6, 7), "trade": (3,), "order": (1, 4, 5, 6)}
"""Columns that are summed up, by their place among the above."""


def _figures_in_sql(name: str) -> Select[Any]:
    """Return the query for (block, rows, what their integers come to), of all blocks of a table."""
    table = _table(name)
    sum_of = sum(
        (
            func.coalesce(table.c[_COLUMNS[name][at]], 0) % _PRIME * weight
            for weight, at in enumerate(_INTEGERS[name], 2)
        ),
        literal(0),
    )
    # Written out: PostgreSQL does not take two parameters for the same one, and it is grouped by this.
    block = table.c.key // literal_column(str(_size(name)), Integer)
    figures = func.sum(sum_of % _PRIME * (table.c.key % _PLACES + 1))
    return _counting(select(block, func.count(), figures), name).group_by(block)


def _table(name: str) -> Table:
    return LEDGER if name == "ledger" else HISTORY_TABLES[name]


def _size(name: str) -> int:
    """Return how many keys a block has: an execution's is twice the number of its event."""
    return 2 * BLOCK if name == "execution" else BLOCK


def _counting(wanted: Select[Any], name: str) -> Select[Any]:
    """Leave rows out that no order and no fill made: payments, and prices of indices."""
    if name == "execution":
        return wanted.where(_table(name).c.execType == "Trade")
    return wanted.where(_table(name).c.size > 0) if name == "trade" else wanted


def _read(connection: Any, place: Place) -> list[Row]:
    table, size = _table(place.table), _size(place.table)
    wanted = select(*(table.c[name] for name in _COLUMNS[place.table])).order_by(table.c.key)
    wanted = wanted.where(table.c.key >= place.block * size, table.c.key < (place.block + 1) * size)
    return [tuple(row) for row in connection.execute(_counting(wanted, place.table))]


def differences(expected: Ledger, sweep: Sweep) -> Iterable[tuple[Place, str, str]]:
    """Yield (where, what should be there, what is) for every block that is not as it should be.

    A block that was touched after the moment of the sweep is looked at the next time.
    """
    for place in expected.blocks.keys() | sweep.figures.keys():
        block = expected.blocks.get(place) or Block()
        counted = sweep.figures.get(place, (0, 0))
        settled = block.changed < sweep.next_event and place not in sweep.rows
        if settled and counted != (block.count, block.figures):
            yield place, f"{block.count} rows that come to {block.figures}", f"{counted[0]}, {counted[1]}"
    for place, found in sweep.rows.items():
        block = expected.blocks.get(place) or Block()
        if block.changed >= sweep.next_event:
            continue
        if block.count == len(found) and block.total == sum(map(hash_of, found)):
            continue
        if block.rows is None:
            yield place, f"{block.count} rows with hash {block.total}", f"{len(found)} others"
            continue
        by_key = {row[0]: row for row in found}
        for key in sorted(block.rows.keys() | by_key.keys()):
            if block.rows.get(key) != by_key.get(key):
                yield place, str(block.rows.get(key, "no row")), str(by_key.get(key, "no row"))
