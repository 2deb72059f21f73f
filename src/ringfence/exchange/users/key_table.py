"""API keys in PostgreSQL, for an exchange with a `database.url`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from sqlalchemy import Connection

from ringfence.database.accounts import SCHEMA
from ringfence.database.addresses import Purpose, of_exchange
from ringfence.database.engines import open_engine
from ringfence.database.log_table import check_durable, reaching_database
from ringfence.exchange.users.keys import KeyRecord, read_records
from ringfence.files import sync_directory


class KeyTable:
    """Keys in PostgreSQL, one row each. The table's version is locked by who changes them and watched by who reads."""

    def __init__(self, url: str) -> None:
        """Raises ValueError, OSError."""
        self._engine = open_engine(url, schema=SCHEMA, is_pinged=True)

    def stamp(self) -> object:
        with reaching_database(), self._engine.connect() as connection:
            return connection.exec_driver_sql("SELECT version FROM api_key_version").scalar_one()

    def read(self) -> tuple[KeyRecord, ...]:
        with reaching_database(), self._engine.connect() as connection:
            return _records_in(connection)

    @contextmanager
    def changing(self) -> Iterator[list[KeyRecord]]:
        with reaching_database(), self._engine.begin() as connection:
            check_durable(connection)
            connection.exec_driver_sql("SELECT version FROM api_key_version FOR UPDATE")
            before = {record.id: record for record in _records_in(connection)}
            records = list(before.values())
            yield records
            after = {record.id: record for record in records}
            if after != before:
                _change(connection, before, after)
                connection.exec_driver_sql("UPDATE api_key_version SET version = version + 1")

    def close(self) -> None:
        self._engine.dispose()


def _records_in(connection: Connection) -> tuple[KeyRecord, ...]:
    found = connection.exec_driver_sql("SELECT record FROM api_key ORDER BY place")
    try:
        return tuple(msgspec.json.decode(record, type=KeyRecord) for (record,) in found)
    except msgspec.MsgspecError as error:
        raise ValueError(f"the table api_key holds something else than keys: {error}. Restore it.") from error


def _change(connection: Connection, before: dict[str, KeyRecord], after: dict[str, KeyRecord]) -> None:
    for id_ in before.keys() - after.keys():
        connection.exec_driver_sql("DELETE FROM api_key WHERE id = %s", (id_,))
    upsert = "INSERT INTO api_key (id, record) VALUES (%s, %s) ON CONFLICT (id) DO UPDATE SET record = excluded.record"
    for id_, record in after.items():
        if before.get(id_) != record:
            connection.exec_driver_sql(upsert, (id_, msgspec.json.encode(record).decode()))


def move_keys_into_database(directory: Path) -> int:
    """Move keys.json into the database; the file stays aside. Return how many keys. Raises ValueError, OSError."""
    addresses, path = of_exchange(directory), directory / "keys.json"
    if addresses is None or not path.exists():
        return 0
    held = read_records(path)
    table = KeyTable(addresses.of(Purpose.ACCOUNTS))
    with table.changing() as records:
        known = {record.id for record in records}
        records += [record for record in held if record.id not in known]
    table.close()
    path.rename(path.with_suffix(".moved"))
    sync_directory(directory)
    return len(held)
