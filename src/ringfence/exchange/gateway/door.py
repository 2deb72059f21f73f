"""The gateway's door: what is let in of orders. Cancels, closes and whatever is reserved are never turned away here."""

from ringfence.exchange.feed import Load
from ringfence.exchange.gateway.pending import Pending
from ringfence.exchange.gateway.turns import Turns
from ringfence.messages.load import LoadState

AGE_MAX_SECONDS = 0.5
_FEW = 64
"""So many commands may wait for their outcome however long that takes: a disk that is slow once is no overload."""


class Door:
    """Says whether an account's next order is taken. It looks at figures only, so a refusal takes microseconds."""

    def __init__(self, pending: Pending, turns: Turns, *, pending_max: int) -> None:
        self._pending, self._turns, self._pending_max = pending, turns, pending_max
        self.core = Load()
        """How the core stands, as it said last."""

    def refusal(self, account: int, now: float, *, commands: int) -> str | None:
        """Return why orders of an account are not taken, None if they are."""
        pending = self._pending
        if self.core.state is LoadState.CANCEL_ONLY or len(pending) >= self._pending_max:
            return "queueFull"
        # As in the core: an account may have as much waiting as is still free.
        if pending.held(account) + commands > self._pending_max - len(pending):
            return "accountShare"
        if not self._turns.has_room(account, commands):
            return "gatewayBusy"
        if len(pending) > _FEW and pending.age(now) > AGE_MAX_SECONDS:
            return "queueAge"
        return None

    def state(self, now: float) -> LoadState:
        """Return how things stand: the worse of what the core says and what is seen here."""
        pending = self._pending
        if len(pending) >= self._pending_max:
            return LoadState.CANCEL_ONLY
        is_tight = len(pending) * 2 > self._pending_max
        is_old = len(pending) > _FEW and pending.age(now) > AGE_MAX_SECONDS
        is_worse = is_tight or is_old or self._turns.is_shedding
        return max(self.core.state, LoadState.SHEDDING if is_worse else LoadState.OPEN)
