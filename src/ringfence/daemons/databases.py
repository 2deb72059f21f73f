"""What an exchange's database needs before anything starts: its address, its tables, and nothing left in files."""

from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from ringfence.database import accounts, addresses, stores
from ringfence.database.addresses import Addresses, Purpose
from ringfence.database.engines import open_engine
from ringfence.database.migrating import MigrationError, Migrations
from ringfence.exchange.projections.history.migrations import migrations as history_migrations


class PrepareError(Exception):
    """Nothing was started; the text says why and what to do."""


def all_migrations() -> dict[Purpose, Migrations]:
    """Return the migrations of every schema, by whose role looks whether they are current."""
    return {Purpose.HISTORY: history_migrations(), Purpose.ACCOUNTS: accounts.migrations()}


def prepare(directory: Path, given: Path | None) -> None:
    """Keep the address that was given, and bring the tables of the exchange's database forward.

    Without an owner's address they are only looked at. Raises PrepareError.
    """
    try:
        if given is not None:
            addresses.write(directory / addresses.NAME, addresses.read(given))
        found = addresses.of_exchange(directory)
        if found is None:
            return
        upgrade(found)
    except (OSError, ValueError, MigrationError) as error:
        raise PrepareError(f"the database cannot be used: {error}") from error
    except SQLAlchemyError as error:
        raise PrepareError(f"the database does not answer as it must: {_reason(error)}") from error
    left = stores.in_files(directory) + [name for name in ("keys.json",) if (directory / name).exists()]
    if left:
        raise PrepareError(
            f"{', '.join(left)}: these are in files, and {addresses.NAME} says that they are in the database. Nothing "
            "was started. Run `ringfence database import`, or take the file away."
        )


def upgrade(found: Addresses) -> None:
    """Bring all tables forward, or see that they are current where nobody owns them here.

    Raises MigrationError, SQLAlchemy's errors, ValueError, OSError.
    """
    for purpose, migrations in all_migrations().items():
        is_owner = found.has(Purpose.OWNER)
        engine = open_engine(found.of(Purpose.OWNER if is_owner else purpose), schema=migrations.schema)
        try:
            if is_owner:
                migrations.upgrade(engine)
            else:
                migrations.check(engine)
        finally:
            engine.dispose()


def _reason(error: SQLAlchemyError) -> str:
    said = str(getattr(error, "orig", None) or error).strip().splitlines()
    return said[0] if said else type(error).__name__
