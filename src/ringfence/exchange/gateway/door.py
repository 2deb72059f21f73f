"""The gateway's door: what is let in of orders. Cancels, closes and whatever is reserved are never turned away here."""

import time
from collections.abc import Callable

from ringfence.exchange.feed import Load
from ringfence.exchange.gateway.pending import Pending
from ringfence.exchange.gateway.turns import Turns
from ringfence.messages.load import LoadState

AGE_MAX_SECONDS = 0.5
_FEW = 64
"""So many commands may wait for their outcome however long that takes: a disk that is slow once is no overload."""


class Door:
    """Says whether an account's next order is taken. It looks at figures only, so a refusal takes microseconds."""

    def __init__(
        self, pending: Pending, turns: Turns, *, pending_max: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._pending, self._turns, self._pending_max = pending, turns, pending_max
        self._clock = clock
        self.core = Load()
        """How the core stands, as it said last."""

    def refusal(self, account: int, commands: int) -> str | None:
        """Return why orders of an account are not taken, None if they are."""
        pending = self._pending
        waiting = len(pending)
        if self.core.state is LoadState.CANCEL_ONLY or waiting >= self._pending_max:
            return "queueFull"
        # As in the core: an account may have as much waiting as is still free.
        if pending.held(account) + commands > self._pending_max - waiting:
            return "accountShare"
        if not self._turns.has_room(account, commands):
            return "gatewayBusy"
        return "queueAge" if waiting > _FEW and self._is_old() else None

    def _is_old(self) -> bool:
        return self._pending.age(self._clock()) > AGE_MAX_SECONDS

    def state(self) -> LoadState:
        """Return how things stand: the worse of what the core says and what is seen here."""
        waiting = len(self._pending)
        if waiting >= self._pending_max:
            return LoadState.CANCEL_ONLY
        is_worse = waiting * 2 > self._pending_max or self._turns.is_shedding
        is_worse = is_worse or (waiting > _FEW and self._is_old())
        return max(self.core.state, LoadState.SHEDDING if is_worse else LoadState.OPEN)
