"""No run may touch the real world: a clock, a socket, a file or a thread in it would make it another run."""

import asyncio
import builtins
import contextlib
import logging
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any


class RealWorldError(AssertionError):
    """A simulated run reached for the real world. Remedy: give that code a port."""


_DOORS: tuple[tuple[Any, str], ...] = (
    (builtins, "open"), (os, "open"), (os, "fork"), (os, "write"), (os, "pwrite"), (os, "fsync"), (os, "fdatasync"),
    (os, "rename"), (os, "unlink"), (os, "mkdir"), (os, "urandom"), (time, "time"), (time, "time_ns"), (time, "sleep"),
    (socket, "socket"), (threading.Thread, "start"), (asyncio, "get_running_loop"), (random, "random"),
    (random, "randrange"), (random, "choice"),
)  # fmt: skip


def _closed(name: str) -> Callable[..., Any]:
    def refuse(*arguments: object, **words: object) -> Any:
        raise RealWorldError(f"a simulated run called {name}")

    return refuse


_CLOSED = [_closed(f"{getattr(owner, '__name__', owner)}.{name}") for owner, name in _DOORS]


@contextlib.contextmanager
def fence() -> Iterator[None]:
    """Close every door to the real world while a run lasts."""
    kept = [getattr(owner, name) for owner, name in _DOORS]
    # A log record looks at the clock.
    logging.disable()
    try:
        for (owner, name), closed in zip(_DOORS, _CLOSED, strict=True):
            setattr(owner, name, closed)
        yield
    finally:
        for (owner, name), door in zip(_DOORS, kept, strict=True):
            setattr(owner, name, door)
        logging.disable(logging.NOTSET)
