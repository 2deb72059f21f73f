"""A process whose log may not be durable, or whose database is away, ends: the next start reads what is true."""

import asyncio
from collections.abc import Callable

EXIT_AWAY = 74
"""Not final: the supervisor starts the process again, later each time."""
_LOOK_SECONDS = 0.25


async def until_broken(is_broken: Callable[[], bool], stop: asyncio.Event) -> bool:
    """Wait until somebody asks to stop or a log is broken; return whether it is."""
    while not stop.is_set() and not is_broken():
        try:
            await asyncio.wait_for(stop.wait(), _LOOK_SECONDS)
        except TimeoutError:
            continue
    return is_broken()
