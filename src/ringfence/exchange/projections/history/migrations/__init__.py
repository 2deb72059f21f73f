"""The history's tables, as they came to be. What they are now is in `schema`; a test holds the two together.

A change of the tables is a migration here. Rows are a fold: what a migration cannot make from the rows it takes away
(`DELETE` from the tables, `progress` back to zero), and the daemon folds it again.
"""

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from ringfence.database.migrating import Migrations

SCHEMA = "history"
_FIRST, _FIRST_LAYOUT = "0001", "6a46b58de7d6eadc"
"""Before there were migrations, a digest of the tables' columns stood in `progress`."""


def _adopt(connection: Connection) -> str:
    if "progress" not in inspect(connection).get_table_names():
        return ""
    columns = {column["name"] for column in inspect(connection).get_columns("progress")}
    if "layout" not in columns:
        return ""
    layout = connection.execute(text("SELECT layout FROM progress")).scalar()
    return _FIRST if layout == _FIRST_LAYOUT else ""


def migrations() -> Migrations:
    return Migrations(
        Path(__file__).parent, schema=SCHEMA, adopt=_adopt,
        remedy="Point the history to a database of its own, or delete this one (SQLite: the file; PostgreSQL: DROP "
        "SCHEMA history CASCADE): it is made again from the journal.",
    )  # fmt: skip
