"""Migrations, by Alembic: the only way in which tables are made.

A database says in a table of its own which migration it has had last. One that lags is brought forward, all the way or
not at all; one that has had a migration that this code does not know, or tables that nobody has accounted for, is
left alone. Most processes read what others have made: Alembic is loaded by who makes tables.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import ProgrammingError

logging.getLogger("alembic").setLevel(logging.WARNING)
_VERSION_TABLE = "migration"
_LOCK = 0x52464D49  # "RFMI": who migrates waits for who migrates already


class MigrationError(Exception):
    """The database does not fit this code; nothing in it was changed. The text says what to do."""


class Standing(NamedTuple):
    """Where a database is on the way to `head`. `revision` is empty before the first migration."""

    revision: str
    head: str

    @property
    def is_current(self) -> bool:
        return self.revision == self.head


class Migrations:
    """The migrations of one set of tables: on PostgreSQL a schema, on SQLite a file."""

    def __init__(
        self,
        home: Path,
        *,
        schema: str,
        remedy: str,
        adopt: Callable[[Connection], str] | None = None,
    ) -> None:
        """`home` holds `versions/`. `remedy` says what to do with a database that does not fit.

        `adopt` is asked which migration a database is at that has tables and no word of migrations; "" = unknown.
        """
        from alembic.config import Config
        from alembic.script import ScriptDirectory

        config = Config()
        config.set_main_option("script_location", str(home))
        self.schema = schema
        self._config, self._remedy, self._adopt = config, remedy, adopt
        self._script = ScriptDirectory.from_config(config)
        head = self._script.get_current_head()
        assert head is not None
        self.head = head

    def standing(self, engine: Engine) -> Standing:
        """Return where a database is. Raises MigrationError, SQLAlchemy's errors."""
        with engine.connect() as connection:
            return Standing(self._revision(connection), self.head)

    def check(self, engine: Engine) -> None:
        """Raises MigrationError if the tables are not those of this code."""
        found = self.standing(engine)
        if not found.is_current:
            raise MigrationError(
                f"the tables in schema {self.schema} are at {found.revision or 'nothing'} and this code is at "
                f"{self.head}. Nothing was changed. Run `ringfence database upgrade` as their owner."
            )

    def upgrade(self, engine: Engine, *, to: str = "head") -> bool:
        """Bring a database forward, in one transaction; return whether there was something to do.

        Raises MigrationError, SQLAlchemy's errors: then nothing has changed.
        """
        if to == "head" and self.standing(engine).is_current:
            return False
        if engine.dialect.name == "postgresql":
            # Whatever its owner uses it for, this is one transaction.
            engine = engine.execution_options(isolation_level="READ COMMITTED")
        try:
            with engine.begin() as connection:
                self._lock(connection)
                before = self._revision(connection)
                self._run(connection, before, to)
                return before != self._revision(connection)
        except ProgrammingError as error:
            if "permission denied" in str(error.orig):
                raise MigrationError(
                    f"this role may not make the tables in schema {self.schema}. Nothing was changed. "
                    "Run `ringfence database upgrade` as their owner."
                ) from error
            raise

    def _lock(self, connection: Connection) -> None:
        if connection.dialect.name == "sqlite":
            # Python begins a transaction before rows are changed, and not before tables are.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            return
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        if not inspect(connection).has_schema(self.schema):
            connection.exec_driver_sql(f"CREATE SCHEMA {self.schema}")

    def _revision(self, connection: Connection) -> str:
        from alembic.migration import MigrationContext

        names = inspect(connection).get_table_names(schema=self._schema_in(connection))
        options = {"version_table": _VERSION_TABLE, "version_table_schema": self._schema_in(connection)}
        context = MigrationContext.configure(connection, opts=options)
        found = context.get_current_revision() or ""
        if not found and set(names) - {_VERSION_TABLE}:
            found = self._adopt(connection) if self._adopt else ""
            if not found:
                raise MigrationError(
                    f"the database holds tables that no migration of ours has made. Nothing was changed. "
                    f"{self._remedy}"
                )
        if found and found not in {one.revision for one in self._script.walk_revisions()}:
            raise MigrationError(
                f"the database is at {found}, which this code does not know: a newer version has made it. "
                f"Nothing was changed. Run that version, or: {self._remedy}"
            )
        return found

    def _run(self, connection: Connection, before: str, to: str) -> None:
        from alembic.runtime.environment import EnvironmentContext

        with EnvironmentContext(
            self._config, self._script, fn=lambda at, _: self._script._upgrade_revs(to, at)
        ) as environment:
            environment.configure(
                connection, version_table=_VERSION_TABLE, version_table_schema=self._schema_in(connection)
            )
            context = environment.get_context()
            if before and not context.get_current_revision():
                context.stamp(self._script, before)
            environment.run_migrations()

    def _schema_in(self, connection: Connection) -> str | None:
        return None if connection.dialect.name == "sqlite" else self.schema
