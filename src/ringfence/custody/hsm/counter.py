"""A number that only grows. It is in every evidence, and the other co-signers remember the highest that they saw.

Production keeps it in a TPM's NV counter or in the HSM. A file can be brought back from a copy like everything
else on a disk; then it is the memory of the others that finds out.
"""

import os
from pathlib import Path
from typing import Protocol


class CounterError(Exception):
    """The counter cannot be read or does not grow. Nothing is signed."""


class Counter(Protocol):
    def value(self) -> int:
        """Raises CounterError."""
        ...

    def increment(self) -> int:
        """Return the new value, which is durable. Raises CounterError."""
        ...


class FileCounter:
    """For development: durable, and no more than that."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def value(self) -> int:
        try:
            return int(self._path.read_text())
        except FileNotFoundError:
            return 0
        except (OSError, ValueError) as error:
            raise CounterError(f"the counter cannot be read: {error}") from error

    def increment(self) -> int:
        following = self.value() + 1
        aside = self._path.with_suffix(".new")
        try:
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(descriptor, "w") as file:
                file.write(str(following))
                file.flush()
                os.fsync(descriptor)
            aside.rename(self._path)
        except OSError as error:
            raise CounterError(f"the counter cannot be written: {error}") from error
        return following
