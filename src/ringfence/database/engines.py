"""SQLite and PostgreSQL, opened as we need them."""

import os
import sqlite3
from pathlib import Path

from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

_LOCK_SECONDS = 10
"""How long SQLite waits for another process's lock."""
_CONNECT_SECONDS = 5
_SILENCE_MS = 10_000
"""A server that does not answer a packet for so long is gone."""


def parse(url: str) -> URL:
    """Return a database URL in parts. Raises ValueError, whose text does not repeat it: it may hold a password."""
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (ArgumentError, ValueError):
        raise ValueError(
            "that is no database URL like postgresql+psycopg://NAME:PASSWORD@HOST/DATABASE"
        ) from None
    if backend not in ("sqlite", "postgresql"):
        raise ValueError(f"a database can be SQLite or PostgreSQL, not {backend}")
    return parsed.set(drivername="postgresql+psycopg") if backend == "postgresql" else parsed


def open_engine(url: str, *, schema: str, is_pinged: bool = False, isolation: str | None = None) -> Engine:
    """Return the engine of a database URL; a file of SQLite is made, private to its owner.

    On PostgreSQL the tables are in `schema`. `is_pinged` sees before each use whether a connection still lives,
    for whom a server that was started again must not be an error.
    Raises ValueError, OSError.
    """
    parsed = parse(url)
    if parsed.get_backend_name() == "postgresql":
        given = parsed.query.get("options", ())
        options = [given] if isinstance(given, str) else list(given)
        settings = {
            "options": " ".join([*options, f"-csearch_path={schema}"]), "connect_timeout": _CONNECT_SECONDS,
            "tcp_user_timeout": _SILENCE_MS, "application_name": f"ringfence {schema}",
        }  # fmt: skip
        return create_engine(
            parsed, paramstyle="format", connect_args=settings, pool_pre_ping=is_pinged,
            **({"isolation_level": isolation} if isolation else {}),
        )  # fmt: skip
    if parsed.database and not parsed.database.startswith("file:"):
        os.close(os.open(Path(parsed.database), os.O_RDWR | os.O_CREAT, 0o600))
    engine = create_engine(parsed, paramstyle="qmark", connect_args={"timeout": _LOCK_SECONDS})
    if parsed.query.get("mode") != "ro":
        event.listen(engine, "connect", _set_pragmas)
    return engine


def _set_pragmas(connection: sqlite3.Connection, _record: object) -> None:
    """Readers do not wait for the writer, and commits do not wait for the disk.

    A power cut can take the newest commits with it, whole ones; they are folded again.
    """
    for pragma in (
        "journal_mode=WAL", "synchronous=NORMAL", "cache_size=-65536",
        "wal_autocheckpoint=4000", "journal_size_limit=67108864",
    ):  # fmt: skip
        connection.execute(f"PRAGMA {pragma}")
