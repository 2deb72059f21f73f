"""A chained log's lines in PostgreSQL, instead of in a file: `chained_log.Lines`, for logs that nobody signs.

The table checks by itself that a line follows the last one (`accounts/versions/0001`), under a lock that it takes
itself; here the errors are made those of files.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from ringfence.chained_log import Entry, another_writer
from ringfence.database.accounts import SCHEMA
from ringfence.database.addresses import DatabaseAwayError
from ringfence.database.engines import open_engine

_FOLLOWS_NOT = ("RF001", "23505")
_STATEMENT_MS = 10_000


class LogTable:
    def __init__(self, url: str, name: str) -> None:
        """Raises OSError: DatabaseAwayError if the database is away; ValueError if the URL is none."""
        self._name, self._engine = name, open_accounts(url)
        try:
            self._connection = self._connect()
        except BaseException:
            self._engine.dispose()
            raise

    def _connect(self) -> Connection:
        with reaching_database():
            connection = self._engine.connect()
            check_durable(connection)
            return connection

    def read(self) -> bytes:
        with reaching_database():
            found = self._connection.exec_driver_sql(
                "SELECT line FROM line WHERE log = %s ORDER BY number", (self._name,)
            )
            return "".join(f"{line}\n" for (line,) in found).encode()

    def settle(self) -> None:
        return

    def append(self, entry: Entry, line: bytes) -> None:
        """Return when the line is durable. Raises OSError.

        A connection that is lost leaves open whether the line is in the table. The table decides it: the line is sent
        once more, and either it goes in, or one is there already, which is this one or another writer's.
        """
        try:
            self.append_all([(entry, line)])
        except DatabaseAwayError:
            self._reconnect()
            try:
                self.append_all([(entry, line)])
            except OSError as error:
                if error.errno != errno.ESTALE or self._line_at(entry.number) != line:
                    raise

    def _reconnect(self) -> None:
        self._connection.invalidate()
        self._connection.close()
        self._engine.dispose()
        self._connection = self._connect()

    def _line_at(self, number: int) -> bytes:
        with reaching_database():
            found = self._connection.exec_driver_sql(
                "SELECT line FROM line WHERE log = %s AND number = %s", (self._name, number)
            ).scalar()
        return f"{found}\n".encode()

    def append_all(self, lines: list[tuple[Entry, bytes]]) -> None:
        """Append lines that follow one another: all of them, or none. Raises OSError as `append` does."""
        rows = [
            (self._name, entry.number, entry.previous, line.decode().rstrip("\n")) for entry, line in lines
        ]
        statement = "INSERT INTO line (log, number, previous, digest, line) VALUES (%s, %s, %s, '', %s)"
        with reaching_database():
            if len(rows) == 1:
                self._connection.exec_driver_sql(statement, rows[0])
                return
            with (
                self._engine.connect().execution_options(isolation_level="READ COMMITTED") as one,
                one.begin(),
            ):
                one.exec_driver_sql(statement, rows)

    def close(self) -> None:
        self._connection.close()
        self._engine.dispose()


def open_accounts(url: str) -> Engine:
    """Return the engine of the accounts' database; each statement is a transaction of its own.

    Raises ValueError, OSError.
    """
    return open_engine(url, schema=SCHEMA, isolation="AUTOCOMMIT")


def check_durable(connection: Connection) -> None:
    """See that a commit that is answered is on the disk. Raises OSError."""
    connection.exec_driver_sql(f"SET statement_timeout = {_STATEMENT_MS}")
    if connection.exec_driver_sql("SHOW synchronous_commit").scalar() in ("off", "local"):
        connection.exec_driver_sql("SET synchronous_commit = on")
    if connection.exec_driver_sql("SHOW fsync").scalar() != "on":
        raise OSError(
            errno.EIO, "PostgreSQL runs with fsync = off and would lose what it has promised; turn it on"
        )


@contextmanager
def reaching_database() -> Iterator[None]:
    """Turn SQLAlchemy's errors into OSError, which users of files know. Their texts repeat no parameters."""
    try:
        yield
    except SQLAlchemyError as error:
        original: Any = error.orig if isinstance(error, DBAPIError) else None
        state = getattr(original, "sqlstate", None)
        if state in _FOLLOWS_NOT:
            raise another_writer() from None
        said = getattr(getattr(original, "diag", None), "message_primary", None)
        said = str(said or original or type(error).__name__)
        if state == "42P01":
            said = "the tables of accounts are not there: run `ringfence database upgrade` as their owner"
        raise DatabaseAwayError(errno.EIO, f"PostgreSQL: {said.splitlines()[0]}") from None
