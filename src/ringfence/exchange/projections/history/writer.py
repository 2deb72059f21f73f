"""Writes what batches changed. The rows and how far they reach move in one transaction."""

from collections import defaultdict
from hashlib import blake2b
from typing import NamedTuple

from sqlalchemy import insert, select, update
from sqlalchemy.engine import Connection

from ringfence.database.migrating import MigrationError
from ringfence.exchange.projections.coins import wire_number
from ringfence.exchange.projections.history.loading import loader_of
from ringfence.exchange.projections.history.migrations import migrations
from ringfence.exchange.projections.history.schema import PROGRESS, HistoryError, open_engine
from ringfence.exchange.projections.ledger import Transaction
from ringfence.exchange.projections.orders import Execution, Order, Row
from ringfence.exchange.projections.views import Changes
from ringfence.messages.batch import Batch
from ringfence.messages.identifiers import TRANSACTION, wire_id
from ringfence.units.assets import ASSETS, USDT, XBT
from ringfence.units.limits import ACCOUNT_MAX
from ringfence.units.time import NS_PER_DAY, NS_PER_MINUTE, floor_to, iso

_INSTRUMENTS_MAX = 64


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
        """Open a database, or make an empty one; an older one is brought forward first.

        Raises HistoryError if it is of a newer version, of something else or another process's (WriterBusyError), and
        SQLAlchemy's errors. `receipt_secret` names the accounts on receipts of deleveraging; without one anybody can
        tell them.
        """
        self._receipt_secret = receipt_secret
        self._engine = open_engine(url)
        self._loader = loader_of(self._engine.dialect)
        self._connection: Connection | None = None
        try:
            migrations().upgrade(self._engine)
            # One connection for life: with it goes PostgreSQL's lock.
            self._connection = self._engine.connect()
            with self._connection.begin():
                self._loader.begin(self._connection)
            with self._connection.begin():
                self._written = _load_progress(self._connection)
        except MigrationError as error:
            self.close()
            raise HistoryError(str(error)) from error
        except BaseException:
            self.close()
            raise
        self._start_buffers(self._written)

    def _start_buffers(self, progress: Progress) -> None:
        self._taken = progress
        self._orders: dict[int, Order] = {}
        self._rows: dict[str, list[Row]] = defaultdict(list)
        self._balances: dict[tuple[str, int], int] = defaultdict(int)
        self._volumes: dict[tuple[int, int], list[int]] = defaultdict(lambda: [0, 0])
        """US cents of contracts and of spot, by day and account."""

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
                self._volumes[day, execution.account][execution.instrument.is_spot] += cents

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
                "contractCents": contract, "spotCents": spot,
            }
            for (day, account), (contract, spot) in self._volumes.items()
        ]  # fmt: skip
        if not self._loader.takes_nul:
            _replace_nul(rows["order"] + rows["execution"] + rows["refusal"])
        assert self._connection is not None
        with self._connection.begin():
            for name, found in rows.items():
                if found:
                    self._loader.load(self._connection, name, found)
            self._move_progress(self._connection)
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
        if self._connection is not None:
            self._connection.close()
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


def _load_progress(connection: Connection) -> Progress:
    found = connection.execute(select(PROGRESS)).mappings().one_or_none()
    if found is None:
        nothing = Progress(0, 0, "", 0, 0)
        connection.execute(insert(PROGRESS).values(id=1, **nothing._asdict()))
        return nothing
    return Progress(**{name: found[name] for name in Progress._fields})


def _replace_nul(rows: list[Row]) -> None:
    """PostgreSQL stores no NUL in text. A client can send one; it must not stop the history."""
    for row in rows:
        for name in ("clOrdID", "clOrdLinkID", "text"):
            if row.get(name) and "\0" in row[name]:
                row[name] = row[name].replace("\0", "\N{REPLACEMENT CHARACTER}")
