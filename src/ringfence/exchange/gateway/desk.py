"""The desk: takes commands to the core, brings results back, and keeps the views up to date."""

import asyncio
import contextlib
import itertools
import logging
import time
from collections.abc import Callable, Container, Sequence
from pathlib import Path

from ringfence.exchange.feed import CoreClient, FeedReader, Load
from ringfence.exchange.gateway import commands
from ringfence.exchange.gateway.door import Door
from ringfence.exchange.gateway.errors import Refused, overloaded, unavailable
from ringfence.exchange.gateway.figures import CORE_AWAY, GatewayFigures
from ringfence.exchange.gateway.load import CORE_REASONS
from ringfence.exchange.gateway.pending import Done, DoneEach, Pending
from ringfence.exchange.gateway.turns import Turns
from ringfence.exchange.projections import Changes, Result, Views
from ringfence.exchange.projections.history import checkpoint
from ringfence.messages.commands import Command
from ringfence.messages.load import LoadState, ShedReason
from ringfence.messages.records import RECORD_BYTES
from ringfence.messages.rules import UnknownRulesError

log = logging.getLogger(__name__)

ACCOUNT, REQUEST = slice(48, 52), slice(32, 40)
"""Where a command has them; see `messages.layouts`."""
_MESSAGE_BYTES_MAX = 1024 * RECORD_BYTES
_RECONNECT_SECONDS = 0.05
HOLD_SECONDS = 1.0
"""So long what is asked is held when the line to the core is lost: twice what a planned hand-over takes. After a longer
pause prices may be others than those for which it was asked."""
_CATCH_UP_SECONDS = 0.05
_CORE_IS_AWAY = "the matching engine is restarting"


class Desk:
    """One gateway's view of the exchange and its way in."""

    def __init__(
        self, directory: Path, on_changes: Callable[[Changes], None],
        on_load: Callable[[LoadState, Load], None], *, pending_max: int, figures: GatewayFigures,
        checkpoints: Path | None = None,
    ) -> None:  # fmt: skip
        """`on_load` runs when the load may have changed, before anybody is turned away for it.

        `checkpoints` is where to begin from; None = from the newest that history has made.
        """
        self._directory = directory
        self._checkpoints = checkpoints or directory / "checkpoints"
        self._on_load, self._figures = on_load, figures
        self._on_changes = on_changes
        self.views = Views()
        self.on_shed: Callable[[str], None] = lambda reason: None
        """Hears why somebody was turned away."""
        self.unknown_rules: UnknownRulesError | None = None
        """Why nothing more is folded: what comes next is not known to this build."""
        self.on_unknown_rules: Callable[[], None] = lambda: None
        self.reports_for: Container[int] = ()
        """The accounts whose execution reports are wanted in the changes."""
        self._reader = FeedReader(directory / "feed")
        self._core = CoreClient(directory / "core.sock", self._wake, self._lost, self._hear_sheds)
        self._pending = Pending()
        self.turns = Turns()
        self._door = Door(self._pending, self.turns, pending_max=pending_max)
        self._outgoing: list[bytes] = []
        self._outgoing_bytes = 0
        # Tokens start at the clock, so that two gateways, or one before and after a restart, never share one.
        self._tokens = itertools.count(time.time_ns())
        self._awaits_greeting = True
        self._holding: asyncio.TimerHandle | None = None
        """Runs out when a lost line is not back in time: what is asked until then waits for it."""
        self._closing = False
        self._reconnecting: asyncio.Task[None] | None = None

    # ---- life

    async def start(self) -> None:
        """Load the views, catch up with the feed, connect to the core. Waits for the core."""
        started = time.monotonic()
        loaded = checkpoint.load(self._checkpoints)
        if loaded is not None:
            self.views = loaded
            self._reader = FeedReader(self._directory / "feed", next_sequence=loaded.next_sequence)
        begun = self.views.next_sequence
        while not self._catch_up(_CATCH_UP_SECONDS):
            await asyncio.sleep(0)
        await self._connect()
        with contextlib.suppress(Refused):
            await self.barrier()
        log.info(
            "views at sequence %d after %.2f s, %d commands folded",
            self.views.next_sequence, time.monotonic() - started, self.views.next_sequence - begun,
        )  # fmt: skip

    async def _connect(self) -> None:
        told = False
        while not self._closing:
            try:
                await self._core.connect()
                return
            except OSError as error:
                if not told:
                    log.warning("waiting for the exchange core: %s", error)
                    told = True
                await asyncio.sleep(_RECONNECT_SECONDS)

    async def barrier(self) -> None:
        """Wait until the views hold every command that is durable by now or waits in the core. Raises Refused.

        A client whose connection died, perhaps with the gateway before us, asks what became of its order; the
        core takes commands in order of arrival, so after this one the answer is final.
        """
        token = self.token()
        await self.carry_out(token, commands.pack(Command.TICK, request=token))

    async def carry_out(self, token: int, command: bytes) -> Result:
        """Send one command; return its result when it is durable. Raises Refused if that may never be known."""
        heard: asyncio.Future[Result] = asyncio.get_running_loop().create_future()

        def hear(outcome: Sequence[Result] | Refused) -> None:
            if heard.cancelled():
                return
            if isinstance(outcome, Refused):
                heard.set_exception(outcome)
            else:
                heard.set_result(outcome[0])

        self.submit(((token, command),), hear)
        return await heard

    def _catch_up(self, seconds: float) -> bool:
        """Fold what the feed holds for at most so long; True when it is all folded."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if not self._fold_next():
                return True
        return False

    def _fold_next(self) -> bool:
        """Fold the next batch of the feed and tell everyone; False if there is none yet, or none that may be folded."""
        batch = self._reader.read() if self.unknown_rules is None else None
        if batch is None:
            return False
        try:
            changes = self.views.apply(batch, reports_for=self.reports_for)
        except UnknownRulesError as error:
            self.unknown_rules = error
            self.on_unknown_rules()
            return False
        self._take(changes)
        return True

    def close(self) -> None:
        self._closing = True
        self._core.close()
        self._reader.close()

    # ---- how it stands

    @property
    def pending(self) -> int:
        """Return how many commands await their outcome."""
        return len(self._pending)

    @property
    def is_connected(self) -> bool:
        """Return whether the core has greeted on the line that stands: what is sent now gets there."""
        return self._core.is_connected and not self._awaits_greeting

    # ---- commands out

    def token(self) -> int:
        return next(self._tokens)

    def check_open(self) -> None:
        """Raise Refused if there is no core. Cancels and closes are taken while there is one, or soon will be."""
        if not self._core.is_connected and self._holding is None:
            self._figures.sheds[CORE_AWAY] += 1
            raise unavailable(_CORE_IS_AWAY)

    def check_room(self, account: int, *, commands: int = 1) -> None:
        """Raise Refused if so many orders of an account cannot be taken now."""
        self.check_open()
        reason = self._door.refusal(account, commands)
        if reason is not None:
            # Everybody is told how things stand before one learns it from a refusal.
            self._on_load(max(LoadState.SHEDDING, self._state()), self._core.load)
            self.on_shed(reason)
            raise overloaded(reason)

    def look_around(self) -> None:
        """Say how things stand now."""
        self._on_load(self._state(), self._core.load)

    def _state(self) -> LoadState:
        self._door.core = self._core.load
        return self._door.state()

    def submit(
        self, sent: Sequence[tuple[int, bytes]], done: Done | DoneEach, *, is_here: Callable[[], bool] = lambda: True
    ) -> None:  # fmt: skip
        """Send (token, command) pairs of one account; `done` hears their results when they are durable.

        is_here: whether who asks still waits for the answer. What a lost line did not bring to the core is sent again
        for those who do; the others may have asked elsewhere by then.
        """

        def send() -> None:
            for _, slots in sent:
                self._send(slots)

        def again() -> bool:
            is_wanted = is_here()
            if is_wanted:
                send()
            return is_wanted

        account = int.from_bytes(sent[0][1][ACCOUNT], "little")
        tokens, is_held = [token for token, _ in sent], self._holding is not None
        self._pending.add(
            tokens, self._figures.follow(sent, done), account=account, again=again, is_held=is_held
        )
        if not is_held:
            send()

    def _send(self, slots: bytes) -> None:
        if not self._outgoing:
            asyncio.get_running_loop().call_soon(self._flush)
            self._pending.note_time(int.from_bytes(slots[REQUEST], "little"), time.monotonic())
        elif self._outgoing_bytes + len(slots) > _MESSAGE_BYTES_MAX:
            self._flush()
        self._outgoing.append(slots)
        self._outgoing_bytes += len(slots)

    def _flush(self) -> None:
        """Send what the requests of this turn of the loop asked for, in as few messages as fit."""
        outgoing, self._outgoing, self._outgoing_bytes = self._outgoing, [], 0
        # If the line was just lost: what did not reach the journal is answered on reconnection.
        with contextlib.suppress(ConnectionError):
            self._core.submit(b"".join(outgoing))

    # ---- results in

    def _wake(self, next_sequence: int) -> None:
        self._door.core = self._core.load
        if self._awaits_greeting:
            self._awaits_greeting = False
            token = self.token()
            self._pending.barrier(token, self._settle)
            self._send(commands.pack(Command.TICK, request=token))
        while self.views.next_sequence < next_sequence and self._fold_next():
            pass

    def _hear_sheds(self, sheds: list[tuple[int, ShedReason]]) -> None:
        """Answer for what the core did not take; the state that led to it came before, with the same message."""
        self.look_around()
        for _, reason in sheds:
            self._figures.sheds[CORE_REASONS[reason]] += 1
        self._pending.shed(sheds)

    def _take(self, changes: Changes) -> None:
        """Tell everyone: the private streams first, then whoever waits for a reply."""
        self._on_changes(changes)
        self._pending.hear(changes.results)

    # ---- a lost core

    def _lost(self) -> None:
        if self._closing:
            return
        log.error(
            "the line to the exchange core is lost; %d commands await their outcome", len(self._pending)
        )
        self._pending.lost()
        self._awaits_greeting = True
        loop = asyncio.get_running_loop()
        if self._holding is None:
            self._holding = loop.call_later(HOLD_SECONDS, self._stop_holding)
        self._reconnecting = loop.create_task(self._reconnect())

    async def _reconnect(self) -> None:
        await self._connect()
        log.info("connected to the exchange core again")

    def _settle(self) -> None:
        """The new line has brought a command to the core and back: no other is under way that came before it."""
        is_again = self._holding is not None
        self._pending.settle(is_again=is_again)
        if self._holding is not None:
            self._holding.cancel()
            self._holding = None

    def _stop_holding(self) -> None:
        """Nobody waits any longer than this; what was sent before is settled when there is a line."""
        self._holding = None
        self._figures.sheds[CORE_AWAY] += self._pending.refuse_held(_CORE_IS_AWAY)
