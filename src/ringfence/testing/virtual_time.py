"""An event loop whose time passes only when nobody has anything to do, and in which no thread is another one."""

import asyncio
import selectors
from collections.abc import Callable
from typing import Any

_ROUND_SECONDS = 1e-6
"""What a round of the loop takes. A timer that is due exactly now is left for the next round by asyncio, which knows a
clock's resolution only as a billionth of a second: after half a year that is less than a step of the number, and a
loop whose rounds take nothing would wait for that moment for ever."""


class _Selector(selectors.SelectSelector):
    """Waits for nothing real: the time that it would have waited has passed at once, and a little more."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "everybody waits, and nothing is planned"
        self.now += max(0.0, timeout) + _ROUND_SECONDS
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs what it is given in one order, decided by what was planned when."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> "asyncio.Future[Any]":
        """Do it here and now."""
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:
            done.set_exception(error)
        return done


def run(work: Any) -> Any:
    """Return what a coroutine gives, in virtual time."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(work)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left))
        asyncio.set_event_loop(None)
        loop.close()
