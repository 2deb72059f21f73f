"""`database.url`: where the database of an exchange is, and as which role each process asks it.

    postgresql+psycopg://ringfence:PASSWORD@db.internal/exchange
    reader postgresql+psycopg://ringfence_reader:PASSWORD@db.internal/exchange

A line that is a URL is for everybody; one that begins with a purpose is for that purpose. The file holds passwords: it
is read only if its owner alone may read it, and no error repeats a line of it.

Most exchanges and processes have no database: SQLAlchemy, a second of processor time, is loaded when there is one.
"""

import os
import stat
from enum import StrEnum
from pathlib import Path

from ringfence.files import replace

NAME = "database.url"


class DatabaseAwayError(ConnectionError):
    """The database does not answer, or not as it must; the same may go well later."""


class Purpose(StrEnum):
    OWNER = "owner"
    """Makes and migrates the tables."""
    HISTORY = "history"
    """Writes the history."""
    READER = "reader"
    """Reads the history, and nothing else."""
    ACCOUNTS = "accounts"
    """Appends to the logs, makes and revokes API keys."""
    GATEWAY = "gateway"
    """Reads the history and API keys."""


class Addresses:
    """The URLs of one file."""

    def __init__(self, urls: dict[str, str]) -> None:
        """`urls` by purpose; "" is everybody's. Raises ValueError if one is no URL of PostgreSQL."""
        from ringfence.database.engines import parse

        for name, url in urls.items():
            try:
                if parse(url).get_backend_name() != "postgresql":
                    raise ValueError("it names no PostgreSQL; without the file SQLite and files are used")
            except ValueError as error:
                raise ValueError(f"{NAME}, the line of {name or 'everybody'}: {error}") from None
        self._urls = urls

    def of(self, purpose: Purpose) -> str:
        """Raises ValueError if there is none."""
        found = self._urls.get(purpose) or self._urls.get("")
        if not found:
            raise ValueError(f"{NAME} has no line for {purpose.value}")
        return found

    def has(self, purpose: Purpose) -> bool:
        return bool(self._urls.get(purpose) or self._urls.get(""))

    def text(self) -> str:
        return "".join(f"{name} {url}\n".lstrip() for name, url in self._urls.items())


def read(path: Path) -> Addresses:
    """Raises OSError, ValueError."""
    with path.open() as file:
        if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
            raise ValueError(f"others may read {path}, which holds passwords; nothing was read: chmod 600 it")
        lines = [line.split() for line in file if line.strip() and not line.startswith("#")]
    urls: dict[str, str] = {}
    for number, words in enumerate(lines, 1):
        name = words[0] if len(words) == 2 else ""
        if len(words) > 2 or (name and name not in set(Purpose)) or name in urls:
            raise ValueError(f"line {number} of {path} is neither a URL nor a purpose of its own and a URL")
        urls[name] = words[-1]
    if not urls:
        raise ValueError(f"{path} is empty: write the URL of a database into it")
    return Addresses(urls)


def write(path: Path, addresses: Addresses) -> None:
    """Replace a file, readable by its owner alone. Raises OSError."""
    replace(path, addresses.text().encode())


def of_exchange(directory: Path) -> Addresses | None:
    """Return what the file of an exchange says, None if there is none. Raises OSError, ValueError."""
    path = directory / NAME
    return read(path) if path.exists() else None


def history_url(directory: Path, purpose: Purpose) -> str:
    """Return the URL of an exchange's history: of `database.url`, or its own SQLite. Raises OSError, ValueError."""
    addresses = of_exchange(directory)
    return addresses.of(purpose) if addresses else f"sqlite:///{directory / 'history.sqlite'}"
