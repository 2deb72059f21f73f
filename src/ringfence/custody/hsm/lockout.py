"""Wrong PINs, counted on disk before they are tried: a process that is killed has not forgotten one."""

from pathlib import Path

from ringfence.files import replace

ATTEMPTS_MAX = 3


class TokenLockedError(Exception):
    """Too many wrong PINs. Remedy: two officers look at what happened, then remove the count."""


class Lockout:
    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def failures(self) -> int:
        """Raises TokenLockedError if the count cannot be read: nobody knows then."""
        try:
            return int(self._path.read_text())
        except FileNotFoundError:
            return 0
        except (OSError, ValueError) as error:
            raise TokenLockedError(f"the count of wrong PINs cannot be read: {error}") from error

    def begin(self) -> None:
        """Count an attempt before it is made. Raises TokenLockedError if none is left."""
        failures = self.failures
        if failures >= ATTEMPTS_MAX:
            raise TokenLockedError(f"locked after {failures} wrong PINs; nothing was tried")
        self._write(failures + 1)

    def succeeded(self) -> None:
        self._write(0)

    def _write(self, failures: int) -> None:
        replace(self._path, str(failures).encode())
