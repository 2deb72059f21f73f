"""Writes what batches changed. The rows and how far they reach move in one transaction."""

from collections import defaultdict
from collections.abc import Callable
from hashlib import blake2b
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import insert, inspect, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Dialect

from ringfence.exchange.projections.coins import wire_number
from ringfence.exchange.projections.history.schema import (
    BALANCE,
    HISTORY_TABLES,
    LEDGER,
    METADATA,
    PROGRESS,
    REFUSAL,
    HistoryError,
    layout,
    open_engine,
)
from ringfence.exchange.projections.ledger import Transaction
from ringfence.exchange.projections.orders import Execution, Order, Row
from ringfence.exchange.projections.tables import TABLES
from ringfence.exchange.projections.views import Changes
from ringfence.messages.batch import Batch
from ringfence.messages.identifiers import TRANSACTION, wire_id
from ringfence.units.assets import ASSETS, USDT, XBT
from ringfence.units.limits import ACCOUNT_MAX
from ringfence.units.time import NS_PER_DAY, NS_PER_MINUTE, floor_to, iso

_INSTRUMENTS_MAX = 64
# What an amend cannot change. Left out of updates, their indexes need not be touched.
_FIXED = frozenset(("orderID", "account", "symbol", "side", "currency", "settlCurrency", "ordType"))
_UPSERTS: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


class Progress(NamedTuple):
    """How far the rows reach. `last_batch` is the digest of the last batch that is in them."""

    next_sequence: int
    next_event: int
    last_batch: str
    transactions: int
    lines: int


class HistoryWriter:
    """The only writer of a history database.

    `apply` takes each batch with its changes, right after the views were folded; those that are
    written already are passed over. `commit` writes what was taken, whole or not at all. After an
    error the object is of no use: open another and fold again from its `next_sequence`.
    """

    def __init__(self, url: str, *, receipt_secret: bytes = b"") -> None:
        """Open a database, or make an empty one. Raises HistoryError if its layout is another one.

        `receipt_secret` names the accounts on receipts of deleveraging; without one anybody can tell them.
        """
        self._receipt_secret = receipt_secret
        self._engine = open_engine(url)
        dialect = self._engine.dialect
        if dialect.name not in _UPSERTS:
            raise HistoryError(f"history can be kept in SQLite or PostgreSQL, not in {dialect.name}")
        self._takes_nul = dialect.name != "postgresql"
        self._statements = _statements(dialect)
        with self._engine.begin() as connection:
            self._written = _load_progress(connection) or _make_tables(connection)
        self._start_buffers(self._written)

    def _start_buffers(self, progress: Progress) -> None:
        self._taken = progress
        self._orders: dict[int, Order] = {}
        self._rows: dict[str, list[Row]] = defaultdict(list)
        self._balances: dict[tuple[str, int], int] = defaultdict(int)
        self._volumes: dict[tuple[int, int, bool], int] = defaultdict(int)
        """US cents by day, account and whether it is spot."""

    @property
    def progress(self) -> Progress:
        """What is committed."""
        return self._written

    @property
    def next_sequence(self) -> int:
        """The sequence that `apply` wants next: everything below it is committed or taken."""
        return self._taken.next_sequence

    def check_last(self, batch: Batch) -> None:
        """See that the history ends with this batch. Raises HistoryError if it is of another journal."""
        assert not self._rows
        if batch.next_sequence == self.next_sequence and _digest(batch) == self._written.last_batch:
            return
        raise HistoryError(
            f"the history reaches sequence {self.next_sequence} of another journal. Nothing was written. "
            "Point it to its own database, or delete this one: it is made again from the journal."
        )

    def apply(self, batch: Batch, changes: Changes) -> None:
        """Take what one batch changed. Orders are read at `commit`, as the views have them then."""
        taken = self._taken
        if batch.next_sequence <= taken.next_sequence:
            return
        assert batch.first_sequence == taken.next_sequence, f"{batch.first_sequence} != {taken.next_sequence}"
        assert batch.first_event == taken.next_event
        rows = self._rows
        for order, _ in changes.orders.values():
            self._orders[order.number] = order
        rows["execution"] += [
            {"key": 2 * execution.number + execution.side_index, **execution.row()}
            for execution in changes.executions
        ]
        rows["trade"] += [{"key": trade.number, **trade.row()} for trade in changes.trades]
        for market, size, closed in changes.bins:
            of = market.instrument
            assert of.number < _INSTRUMENTS_MAX
            key = _minute_key(closed.end_ns, of.number)
            rows[f"tradeBin{size}"].append({"key": key, **closed.row(of)})
            if not of.is_index:
                rows[f"quoteBin{size}"].append({"key": key, **closed.quote_row(of)})
        self._take_outcomes(changes)
        self._take_volumes(changes)
        for key, transaction in enumerate(changes.transactions, taken.transactions):
            rows["transact"].append({"key": key, **transaction_row(transaction)})
        stamp = iso(changes.timestamp_ns)
        rows["refusal"] += [
            {"key": refused.number, "account": refused.account, "clOrdID": refused.clordid,
             "sequence": refused.sequence, "reject": int(refused.reject), "figure": refused.figure,
             "symbol": refused.symbol, "timestamp": stamp}
            for refused in changes.refused
        ]  # fmt: skip
        for key, line in enumerate(changes.lines, taken.lines):
            rows["ledger"].append({"key": key, "timestamp": stamp, **line._asdict()})
            self._balances[line.account, line.asset] += line.amount
        self._taken = Progress(
            batch.next_sequence, batch.first_event + len(batch.events), _digest(batch),
            taken.transactions + len(changes.transactions), taken.lines + len(changes.lines),
        )  # fmt: skip

    def _take_outcomes(self, changes: Changes) -> None:
        """Take what the rules did: funding, settlement, insurance, deleveraging, and who was told of it."""
        rows, secret = self._rows, self._receipt_secret
        for paid in changes.fundings:
            rows["funding"].append({"key": _minute_key(paid.paid_ns, paid.instrument.number), **paid.row()})
        for fund in changes.funds:
            rows["insurance"].append({"key": _minute_key(fund.timestamp_ns, fund.asset), **fund.row()})
        rows["settlement"] += [{"key": found.number, **found.row()} for found in changes.settlements]
        rows["userEvent"] += [{"key": notice.number, **notice.row()} for notice in changes.notices]
        for receipt in changes.receipts:
            rows["deleverage"].append({"key": receipt.number, **receipt.row(secret)})
            rows["userDeleverage"] += [
                {"key": row["id"] * ACCOUNT_MAX + row["place"], **row} for row in receipt.user_rows(secret)
            ]

    def _take_volumes(self, changes: Changes) -> None:
        day = floor_to(changes.timestamp_ns, NS_PER_DAY)
        for execution in changes.executions:
            if isinstance(execution, Execution) and execution.kind == "Trade":
                cents = usd_cents(execution, changes.xbt_cents)
                self._volumes[day, execution.account, execution.instrument.is_spot] += cents

    def commit(self) -> None:
        """Write what was taken since the last commit. Raises HistoryError, and SQLAlchemy's errors."""
        if self._taken == self._written:
            return
        rows = self._rows
        rows["order"] = [{"key": key, **order.row()} for key, order in self._orders.items()]
        rows["balance"] = [
            {"account": account, "asset": asset, "amount": amount}
            for (account, asset), amount in self._balances.items()
        ]
        rows["tradingVolume"] = [
            {
                "key": day // NS_PER_DAY * ACCOUNT_MAX + account, "timestamp": iso(day), "account": account,
                "contractCents": 0 if is_spot else cents, "spotCents": cents if is_spot else 0,
            }
            for (day, account, is_spot), cents in self._volumes.items()
        ]  # fmt: skip
        if not self._takes_nul:
            _replace_nul(rows["order"] + rows["execution"] + rows["refusal"])
        with self._engine.begin() as connection:
            for name, found in rows.items():
                if found:
                    text, values_of = self._statements[name]
                    connection.exec_driver_sql(text, [values_of(row) for row in found])
            self._move_progress(connection)
        self._written = self._taken
        self._start_buffers(self._taken)

    def _move_progress(self, connection: Connection) -> None:
        moved = connection.execute(
            update(PROGRESS)
            .where(PROGRESS.c.next_sequence == self._written.next_sequence)
            .values(**self._taken._asdict())
        )
        if moved.rowcount != 1:
            raise HistoryError(
                "another process writes to this history database too. Nothing of this batch was written. "
                "Run one history daemon for each database."
            )

    def close(self) -> None:
        """Let go of the database. What was not committed is forgotten."""
        self._engine.dispose()


def usd_cents(execution: Execution, xbt_cents: int) -> int:
    """Return what a fill is worth in US cents, by which fee tiers go; a coin is taken at its mark.

    A tether counts as a dollar. `xbt_cents` is what a bitcoin is worth, 0 = unknown.
    """
    of, value = execution.instrument, abs(execution.cost)
    if of.is_inverse and of.quote_currency == "USD":
        return execution.qty * 100
    if of.settle_asset == USDT.number:
        return value * 100 // int(10**USDT.scale)
    if of.settle_asset == XBT.number:
        return value * xbt_cents // int(10**XBT.scale)
    return 0


def _minute_key(timestamp_ns: int, number: int) -> int:
    return timestamp_ns // NS_PER_MINUTE * _INSTRUMENTS_MAX + number


def transaction_row(transaction: Transaction) -> Row:
    """Return one line of wallet history as a row of the wire table `transact`."""
    asset = ASSETS[transaction.asset]
    stamp = iso(transaction.timestamp_ns)
    return {
        "transactID": (
            wire_number(transaction.withdrawal)
            if transaction.withdrawal
            else wire_id(TRANSACTION, transaction.number, transaction.line)
        ),
        "account": transaction.account,
        "currency": asset.currency,
        "network": asset.network if transaction.kind in ("Deposit", "Withdrawal") else None,
        "transactType": transaction.kind,
        "amount": transaction.amount,
        "fee": 0,
        "transactStatus": transaction.status,
        "address": transaction.address,
        "tx": transaction.tx,
        "text": transaction.text or None,
        "transactTime": stamp,
        "walletBalance": transaction.wallet,
        "memo": None,
        "timestamp": stamp,
    }


def _digest(batch: Batch) -> str:
    """Return a digest of what a journal frame said; two journals never agree in it."""
    digest = blake2b(batch.timestamp_ns.to_bytes(8, "little"), digest_size=16)
    digest.update(batch.commands.tobytes())
    return digest.hexdigest()


def _load_progress(connection: Connection) -> Progress | None:
    """Return how far the rows reach, None if there are no tables yet, or not all of them."""
    if not inspect(connection).has_table(PROGRESS.name):
        return None
    found = connection.execute(select(PROGRESS)).mappings().one_or_none()
    if found is not None and found["layout"] != layout():
        raise HistoryError(
            "the history database has the tables of another version. Nothing was written. Delete it: it is "
            "made again from the journal."
        )
    return Progress(**{name: found[name] for name in Progress._fields}) if found else None


def _make_tables(connection: Connection) -> Progress:
    METADATA.create_all(connection)
    nothing = Progress(0, 0, "", 0, 0)
    # The row comes last: a database that has it has all tables.
    connection.execute(insert(PROGRESS).values(id=1, layout=layout(), **nothing._asdict()))
    return nothing


class _Statement(NamedTuple):
    text: str
    values_of: Callable[[Row], tuple[Any, ...]]
    """Returns the parameters of a row in the order of the text."""


def _statements(dialect: Dialect) -> dict[str, _Statement]:
    """Return one statement a table, as text with positions for parameters.

    It goes to the driver as it is: SQLAlchemy's own way through each value of each row costs more than
    SQLite's work on it, and SQLite's own way through named parameters costs as much again.
    """
    upsert = _UPSERTS[dialect.name]
    order = upsert(HISTORY_TABLES["order"])
    order = order.on_conflict_do_update(
        index_elements=["key"],
        set_={name: order.excluded[name] for name in TABLES["order"].names if name not in _FIXED},
    )
    balance = upsert(BALANCE)
    balance = balance.on_conflict_do_update(
        index_elements=["account", "asset"], set_={"amount": BALANCE.c.amount + balance.excluded.amount}
    )
    statements: dict[str, Any] = {name: insert(table) for name, table in HISTORY_TABLES.items()}
    volume = upsert(HISTORY_TABLES["tradingVolume"])
    volume = volume.on_conflict_do_update(
        index_elements=["key"],
        set_={
            name: HISTORY_TABLES["tradingVolume"].c[name] + volume.excluded[name]
            for name in ("contractCents", "spotCents")
        },
    )
    statements |= {
        "ledger": insert(LEDGER), "refusal": insert(REFUSAL), "order": order, "balance": balance,
        "tradingVolume": volume,
    }  # fmt: skip
    compiled = {name: statement.compile(dialect=dialect) for name, statement in statements.items()}
    return {name: _Statement(str(found), itemgetter(*found.positiontup)) for name, found in compiled.items()}


def _replace_nul(rows: list[Row]) -> None:
    """PostgreSQL stores no NUL in text. A client can send one; it must not stop the history."""
    for row in rows:
        for name in ("clOrdID", "clOrdLinkID", "text"):
            if row.get(name) and "\0" in row[name]:
                row[name] = row[name].replace("\0", "\N{REPLACEMENT CHARACTER}")
