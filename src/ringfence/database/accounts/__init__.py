"""The tables of accounts and operations: lines of chained logs, and API keys. In PostgreSQL alone.

They are no fold: what is lost here is lost. A migration that is not sure of every row takes none away.
"""

from pathlib import Path

from ringfence.database.migrating import Migrations

SCHEMA = "accounts"


def migrations() -> Migrations:
    return Migrations(
        Path(__file__).parent, schema=SCHEMA,
        remedy="Never delete this one: restore it from its backup, or point the exchange to a database of its own.",
    )  # fmt: skip
