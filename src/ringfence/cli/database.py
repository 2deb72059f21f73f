"""`ringfence database`: the tables of history and accounts, the roles that use them, and moving into PostgreSQL."""

import json as encoder
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from ringfence.cli.up import DIRECTORY

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from ringfence.database.migrating import Migrations

app = App(name="database", help="The database of history and accounts: migrate, check, roles, import.")
Url = Annotated[str, Parameter(help="A database URL without a password; SQLite has the history alone.")]
UrlFile = Annotated[
    Path | None, Parameter(help="A file with a URL, readable by its owner alone; default: database.url.")
]
EXIT_RED, EXIT_INPUT = 1, 66


@app.command
def upgrade(*, url: Url = "", url_file: UrlFile = None, directory: Path = DIRECTORY) -> None:
    """Make the tables, or bring those of an older version forward. It needs the owner's role."""
    with _saying_why():
        for engine, migrations in _databases(url, url_file, directory):
            what = "brought to" if migrations.upgrade(engine) else "is at"
            print(f"{migrations.schema:<8} {what} {migrations.head}")


@app.command
def current(
    *, url: Url = "", url_file: UrlFile = None, directory: Path = DIRECTORY,
    json: Annotated[bool, Parameter("--json")] = False,
) -> None:  # fmt: skip
    """Say which migration the tables have had last."""
    with _saying_why():
        found = {
            migrations.schema: migrations.standing(engine)
            for engine, migrations in _databases(url, url_file, directory)
        }
    if json:
        print(
            encoder.dumps(
                {name: {**one._asdict(), "is_current": one.is_current} for name, one in found.items()}
            )
        )
        return
    for name, one in found.items():
        print(f"{name:<8} at {one.revision or 'nothing'}, this version wants {one.head}")


@app.command
def check(*, url: Url = "", url_file: UrlFile = None, directory: Path = DIRECTORY) -> None:
    """See that the tables are those of this version; exit status 1 if not."""
    with _saying_why():
        for engine, migrations in _databases(url, url_file, directory):
            migrations.check(engine)
            print(f"{migrations.schema:<8} is at {migrations.head}")


@app.command
def roles(owner: Path, *, output: Path) -> None:
    """Make a role for each process, or give those that are there new passwords.

    Parameters
    ----------
    owner
        A file with the owner's URL, readable by its owner alone.
    output
        Where to write all addresses: the `database.url` of an exchange.
    """
    import psycopg

    from ringfence.daemons.databases import upgrade as upgrade_all
    from ringfence.database.addresses import Purpose, read, write
    from ringfence.database.roles import make_roles

    with _saying_why():
        found = read(owner)
        upgrade_all(found)
        try:
            made = make_roles(found.of(Purpose.OWNER))
        except psycopg.Error as error:
            sys.exit(f"no role was made: {error.diag.message_primary or error}")
        write(output, made)
    print(f"{output} holds the addresses of the owner and of the roles history, reader, accounts and gateway")


@app.command(name="import")
def import_(*, directory: Path = DIRECTORY) -> None:
    """Move logs and API keys of an exchange that is stopped from files into the database of its `database.url`."""
    from ringfence.chained_log import LogError
    from ringfence.daemons.databases import upgrade as upgrade_all
    from ringfence.daemons.supervisor import is_running
    from ringfence.database.addresses import of_exchange
    from ringfence.database.stores import move_into_database
    from ringfence.exchange.users.key_table import move_keys_into_database

    with _saying_why():
        if is_running(directory):
            sys.exit(f"the exchange in {directory} runs: stop it first; nothing was moved")
        found = of_exchange(directory)
        if found is None:
            sys.exit(f"there is no database.url in {directory}; nothing was moved")
        upgrade_all(found)
        try:
            for one in move_into_database(directory):
                print(f"{one.name}: {one.lines} lines")
        except LogError as error:
            sys.exit(f"{error}; it stays where it is")
        print(f"API keys: {move_keys_into_database(directory)}")


def _databases(url: str, url_file: Path | None, directory: Path) -> "Iterator[tuple[Engine, Migrations]]":
    """Raises ValueError, OSError."""
    from ringfence.daemons.databases import all_migrations
    from ringfence.database.addresses import NAME, Addresses, Purpose, read
    from ringfence.database.engines import open_engine, parse

    known = all_migrations()
    history = f"sqlite:///{(directory / 'history.sqlite').absolute()}"
    path = url_file or directory / NAME
    addresses: Addresses | None = None
    if url:
        parsed = parse(url)
        if parsed.password:
            raise ValueError(
                "everybody on this machine can read a password in --url: put the URL into a file"
            )
        if parsed.get_backend_name() == "sqlite":
            history = url
        else:
            addresses = Addresses({"": url})
    elif url_file or path.exists():
        addresses = read(path)
    elif not (directory / "history.sqlite").exists():
        raise ValueError(f"there is neither {NAME} nor history.sqlite in {directory}")
    for purpose, migrations in known.items():
        if addresses is None and purpose != Purpose.HISTORY:
            continue
        where = history
        if addresses is not None:
            where = addresses.of(Purpose.OWNER if addresses.has(Purpose.OWNER) else purpose)
        engine = open_engine(where, schema=migrations.schema)
        yield engine, migrations
        engine.dispose()


@contextmanager
def _saying_why() -> Iterator[None]:
    """Leave with the reason instead of a trace, which might show a password."""
    from sqlalchemy.exc import SQLAlchemyError

    from ringfence.database.migrating import MigrationError

    try:
        yield
    except MigrationError as error:
        print(error, file=sys.stderr)
        sys.exit(EXIT_RED)
    except (OSError, ValueError) as error:
        print(f"{error}; nothing was changed", file=sys.stderr)
        sys.exit(EXIT_INPUT)
    except SQLAlchemyError as error:
        said = str(getattr(error, "orig", None) or type(error).__name__).strip().splitlines()
        print(f"the database does not answer as it must: {said[0] if said else ''}", file=sys.stderr)
        sys.exit(EXIT_INPUT)
