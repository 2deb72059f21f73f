"""A number that only grows. It is in every evidence, and the other co-signers remember the highest that they saw.

Production keeps it in a TPM's NV counter or in the HSM. A file can be brought back from a copy like everything
else on a disk; then it is the memory of the others that finds out.
"""

from pathlib import Path

from ringfence.files import replace


class CounterError(Exception):
    """The counter cannot be read or does not grow. Nothing is signed."""


class FileCounter:
    """For development: it survives its process. After a power cut the number before may stand once more."""

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
        try:
            replace(self._path, str(following).encode())
        except OSError as error:
            raise CounterError(f"the counter cannot be written: {error}") from error
        return following
