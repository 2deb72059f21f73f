"""Where an exchange keeps the logs of its people: in files, or in the database of `database.url` if there is one.

Co-signers' logs and the coordinator's are not among them: each is beside the key or the node that it belongs to.

A log is in one place. Once it was moved into the database a mark stands where the file was, so that an exchange whose
`database.url` got lost does not begin again with nobody in it.
"""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ringfence.chained_log import Entry, FileLines, Lines, LogError, entries_of
from ringfence.database.addresses import Addresses, Purpose, of_exchange
from ringfence.files import replace, sync_directory

if TYPE_CHECKING:
    from ringfence.database.log_table import LogTable

USERS, CONSOLE, SECURITY = "users", "console", "security"
_FILES = {USERS: "accounts/log.jsonl", CONSOLE: "custody/console/log.jsonl", SECURITY: "security/log.jsonl"}
_MARK = b"These lines are in the database that database.url names.\n"


class Moved(NamedTuple):
    name: str
    lines: int


def log_lines(directory: Path, name: str) -> Lines:
    """Open the lines of a log. Raises LogError if they are somewhere else, OSError, ValueError."""
    path = directory / _FILES[name]
    table = _table(directory, name)
    if table is None:
        return FileLines(path)
    if not _mark_of(path).exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace(_mark_of(path), _MARK)
        sync_directory(path.parent)
    return table


def _table(directory: Path, name: str) -> "LogTable | None":
    """Return the table of a log, None if it is in a file. Raises LogError if it cannot be told, OSError, ValueError."""
    path = directory / _FILES[name]
    addresses = of_exchange(directory)
    if addresses is None:
        if _mark_of(path).exists():
            raise LogError(
                f"the log `{name}` was moved into the database, and database.url is gone: bring it back"
            )
        return None
    if path.exists() and path.stat().st_size:
        raise LogError(
            f"the log `{name}` is in {_FILES[name]}, and database.url says that it is in the database. Nothing was "
            "changed. Stop everything and run `ringfence database import`."
        )
    return _open(addresses, name)


def _open(addresses: Addresses, name: str) -> "LogTable":
    from ringfence.database.log_table import LogTable

    return LogTable(addresses.of(Purpose.ACCOUNTS), name)


def read_lines(directory: Path, name: str) -> bytes:
    """Return the lines of a log without opening it for writing. Raises FileNotFoundError if there is none."""
    table = _table(directory, name)
    if table is None:
        return (directory / _FILES[name]).read_bytes()
    try:
        return table.read()
    finally:
        table.close()


def has_lines(directory: Path, name: str) -> bool:
    """Return whether a log has begun. Raises as `log_lines` does."""
    try:
        return bool(read_lines(directory, name))
    except FileNotFoundError:
        return False


def in_files(directory: Path) -> list[str]:
    """Return the files of logs that have not been moved into a database."""
    return [
        file for file in _FILES.values() if (directory / file).exists() and (directory / file).stat().st_size
    ]


def move_into_database(directory: Path) -> list[Moved]:
    """Move the logs that are in files into the database: each is checked first, goes whole, and its file stays aside.

    Nothing of the exchange may run. Raises LogError, OSError, ValueError.
    """
    addresses = of_exchange(directory)
    if addresses is None:
        raise ValueError("there is no database.url in the directory: write it first")
    moved = []
    for name, file in _FILES.items():
        path = directory / file
        if not path.exists() or not path.stat().st_size:
            continue
        lines = FileLines(path)
        content = lines.read()
        lines.close()
        checked: list[Entry] = list(entries_of(content))
        table = _open(addresses, name)
        try:
            there = table.read()
            # A move that was killed between the table and the file is finished now.
            if there and there != content:
                raise LogError(
                    f"the database has a log `{name}` already, and another one; nothing of it was changed"
                )
            if not there and checked:
                raw = [line + b"\n" for line in content.splitlines()]
                table.append_all(list(zip(checked, raw, strict=True)))
        finally:
            table.close()
        replace(_mark_of(path), _MARK)
        path.rename(path.with_suffix(".moved"))
        sync_directory(path.parent)
        moved.append(Moved(name, len(checked)))
    return moved


def _mark_of(path: Path) -> Path:
    return path.with_suffix(".in-database")
