"""Every session of the exchange, and the desk behind them.

A session's file and a checkpoint of the views belong together: no checkpoint that is used here is newer than
what every session has been told. So a start folds again what may be missing, and each session passes over what
it has. Checkpoints are history's; we keep a second name of one, and history may forget it.
"""

import asyncio
import hashlib
import logging
import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ringfence.configuration import Limits
from ringfence.exchange.feed import Load
from ringfence.exchange.fix.store import Begun, Store
from ringfence.exchange.fix.trading import COPIES, ORDERS, Trading
from ringfence.exchange.gateway import commands
from ringfence.exchange.gateway.desk import Desk
from ringfence.exchange.gateway.errors import Refused, unavailable
from ringfence.exchange.gateway.figures import GatewayFigures
from ringfence.exchange.gateway.limits import Limiter, take
from ringfence.exchange.projections import Changes, Result
from ringfence.exchange.users.keys import ApiKey
from ringfence.files import sync_directory
from ringfence.messages.commands import Command
from ringfence.messages.load import LoadState

log = logging.getLogger(__name__)

Name = tuple[int, str, str]
"""Account, the client's CompID, ours."""
_RETRY_SECONDS = 1.0
_SUFFIX = ".session"


class House:
    """Holds the sessions, folds the feed for them, brings their orders to the core."""

    def __init__(
        self, directory: Path, core: Path, *, limits: Limits, pending_max: int, sync: bool, sessions_max: int,
        sessions_of_account: int,
    ) -> None:  # fmt: skip
        """Raises StoreError or OSError if a session's file cannot be read."""
        self._home, self._core, self._sync = directory / "fix", core, sync
        self._sessions_max, self._of_account = sessions_max, sessions_of_account
        self.clock_ns = time.time_ns
        self._limiter = Limiter(limits)
        for part in (self._home, self._home / "sessions", self._home / "checkpoints"):
            part.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.sessions: dict[Name, Trading] = {}
        self._by_account: dict[int, list[Trading]] = {}
        self._load = LoadState.OPEN
        self.is_broken = False
        """Something could not be noted. What comes after it must not be: a start folds both again."""
        self.on_broken: Callable[[], None] = lambda: None
        self._retries: set[asyncio.Task[None]] = set()
        for path in sorted((self._home / "sessions").glob(f"*{_SUFFIX}")):
            self._admit(Store(path, sync=sync))
        if not self.sessions:
            self.keep_checkpoint()
        self.figures = GatewayFigures()
        self.desk = Desk(
            core, self._changed, self._hear_load, pending_max=pending_max, figures=self.figures,
            checkpoints=self._home / "checkpoints",
        )  # fmt: skip
        self.desk.reports_for = self._by_account

    def _admit(self, store: Store) -> Trading:
        trading = Trading(self, store)
        store.on_failure = self._break
        self.sessions[store.account, store.sender, store.target] = trading
        self._by_account.setdefault(store.account, []).append(trading)
        return trading

    async def start(self) -> None:
        """Catch up with the feed, and tell every session what became of the orders that were on their way."""
        await self.desk.start()
        while True:
            try:
                await self.desk.barrier()
                break
            except Refused:
                await asyncio.sleep(_RETRY_SECONDS)
        for trading in self.sessions.values():
            for token in list(trading.store.waiting):
                trading.refuse(token, unavailable("the order did not reach the journal before a restart"))
            self.flush(trading)
            self.lost(trading)

    def close(self) -> None:
        for retry in self._retries:
            retry.cancel()
        self.desk.close()
        if not self.is_broken:
            for trading in self.sessions.values():
                trading.store.close()

    # ---- sessions

    def find(self, name: Name) -> Trading:
        """Return a session, a new one if there was none. Raises Refused."""
        found = self.sessions.get(name)
        if found is not None:
            return found
        account, sender, target = name
        if target not in (ORDERS, COPIES):
            raise Refused(400, f"TargetCompID is {ORDERS} or {COPIES}")
        if (
            len(self.sessions) >= self._sessions_max
            or len(self._by_account.get(account, ())) >= self._of_account
        ):
            raise Refused(403, "There are too many sessions; an operator can take old ones away")
        digest = hashlib.sha256(f"{account}\0{sender}\0{target}".encode()).hexdigest()[:32]
        path = self._home / "sessions" / f"{account}-{digest}{_SUFFIX}"
        begun = Begun(account, sender, target, self.position)
        store = Store.create(path, begun, sync=self._sync)
        sync_directory(path.parent)
        return self._admit(store)

    @property
    def position(self) -> int:
        """The key of the last execution that can have been."""
        return 2 * self.desk.views.next_event - 1

    def count_order(self, key: ApiKey) -> None:
        """Count one order message against the account's second limit. Raises Refused (429)."""
        now = time.time()
        take(self._limiter.orders(key, now), now)

    def flush(self, trading: Trading) -> None:
        """Make durable what a session noted; then send its orders to the core and its messages to the client."""
        if self.is_broken:
            return
        trading.session.flush()
        outbox, trading.outbox = trading.outbox, []
        for token, command in outbox:
            self._submit(trading, token, command)

    def _submit(self, trading: Trading, token: int, command: bytes) -> None:
        def done(outcome: Sequence[Result] | Refused) -> None:
            # What the engine did came by the feed already.
            if isinstance(outcome, Refused):
                trading.refuse(token, outcome)
                self.flush(trading)

        self.desk.submit(((token, command),), done, is_here=lambda: trading.key is not None)

    def lost(self, trading: Trading) -> None:
        """A session has no connection: cancel its open orders if it asked for that."""
        trading.session.lost()
        trading.key = None
        if not trading.store.cancels:
            return
        handles = sorted(trading.store.handles)
        log.info("session %s is cut off: %d orders are cancelled", trading.session.name, len(handles))
        retry = asyncio.get_running_loop().create_task(self._cancel_all_of(trading))
        self._retries.add(retry)
        retry.add_done_callback(self._retries.discard)

    async def _cancel_all_of(self, trading: Trading) -> None:
        """Cancel every open order of a session, however long the core is away; stop when it is back."""
        while trading.key is None and trading.store.cancels:
            try:
                # What is on its way is this session's as well: behind the barrier it has its outcome.
                await self.desk.barrier()
                for handle in sorted(trading.store.handles):
                    token = self.desk.token()
                    command = commands.pack(
                        Command.CANCEL, request=token, account=trading.account, handle=handle
                    )
                    await self.desk.carry_out(token, command)
            except Refused as refused:
                log.warning("orders of session %s: %s", trading.session.name, refused.message)
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            if trading.key is None and not trading.store.waiting:
                trading.store.cancelled()
                self.flush(trading)

    # ---- what happens

    def _hear_load(self, state: LoadState, core: Load) -> None:
        """Log when orders begin and cease to be turned away; each that is hears it as its answer."""
        if state is not self._load:
            log.warning("the exchange is %s", state.name)
            self._load = state

    def _break(self) -> None:
        self.is_broken = True
        self.on_broken()

    def _changed(self, changes: Changes) -> None:
        if self.is_broken:
            return
        try:
            self._tell(changes)
        except BaseException:
            # A report that is missing in the middle would be missing for ever.
            self._break()
            raise

    def _tell(self, changes: Changes) -> None:
        touched: dict[int, Trading] = {}
        for result in changes.results:
            for trading in self._by_account.get(result.account, ()):
                trading.hear(result)
                touched[id(trading)] = trading
        for execution in changes.executions:
            for trading in self._by_account.get(execution.account, ()):
                trading.report(execution)
                touched[id(trading)] = trading
        for trading in touched.values():
            trading.settle()
            self.flush(trading)

    # ---- checkpoints

    def keep_checkpoint(self) -> None:
        """Give the newest checkpoint that we have folded past a second name, and forget the one before."""
        kept = self._home / "checkpoints"
        reached = self.desk.views.next_sequence if self.sessions else None
        for path in sorted((self._core / "checkpoints").glob("*.views"), reverse=True):
            if reached is not None and int(path.stem) > reached:
                continue
            if (kept / path.name).exists():
                return
            try:
                os.link(path, kept / path.name)
            except FileNotFoundError:
                continue
            except OSError:
                shutil.copyfile(path, kept / path.name)
            for old in sorted(kept.glob("*.views"))[:-2]:
                old.unlink(missing_ok=True)
            return
