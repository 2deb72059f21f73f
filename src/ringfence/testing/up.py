"""`ringfence up` as a stranger starts it: one command, bots and all."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from ringfence.exchange.users.keys import KeyRecord, keys_of
from ringfence.ports import free_ports

Found = TypeVar("Found")
RINGFENCE = str(Path(sys.executable).with_name("ringfence"))
_START_SECONDS = 120
"""The engine may have to be compiled first."""
_STOP_SECONDS = 120
"""A busy machine takes its time; each process has ten seconds, and the core sixty."""
READY = "Ctrl-C stops everything"


def ringfence(
    *arguments: str | Path, seconds: float = 60, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command of the command line to its end, with more in its environment. Raises subprocess.TimeoutExpired."""
    return subprocess.run(
        [RINGFENCE, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=seconds,
        env=os.environ | (environment or {}),
    )  # fmt: skip


def wait_for(look: Callable[[], Found | None], seconds: float, what: str) -> Found:
    """Return what `look` finds. Raises AssertionError if it finds nothing in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"no {what} within {seconds} s")


class Up:
    """A running `ringfence up`, in a session of its own as in a terminal."""

    def __init__(
        self, directory: Path, *options: str, port: int | None = None, custody: bool = False, chains: bool = False
    ) -> None:  # fmt: skip
        """Custody takes ten seconds to found, other chains as many: stories that move no coins go without."""
        self.directory = directory
        self.port = port or free_ports(1)[0]
        self._output = directory.with_suffix(".txt")
        arguments = [RINGFENCE, "up", str(directory), "--port", str(self.port), *options]
        arguments += [] if custody else ["--no-custody"]
        arguments += [] if chains else ["--no-chains"]
        with self._output.open("wb") as file:
            self.process = subprocess.Popen(
                arguments, stdout=file, stderr=subprocess.STDOUT, env=os.environ | {"COLUMNS": "80"}
            )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def text(self) -> str:
        """What it has printed."""
        return self._output.read_text()

    def wait_until_it_trades(self) -> str:
        """Return what it printed when the exchange is there."""

        def look() -> str | None:
            assert self.process.poll() is None, self.text
            return self.text if READY in self.text else None

        return wait_for(look, _START_SECONDS, "start")

    def key(self, name: str) -> KeyRecord:
        return next(record for record in keys_of(self.directory).read() if record.name == name)

    def stop(self) -> int:
        """Ask it to stop as Ctrl-C does; return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(_STOP_SECONDS)

    def __enter__(self) -> Self:
        try:
            self.wait_until_it_trades()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
