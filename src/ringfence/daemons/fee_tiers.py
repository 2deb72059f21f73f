"""The daily job that puts every account into the fee tier that its volume earns.

It runs inside the history daemon: that one process has the volumes (in its database), the tiers as they are (in
its views) and a reason to wake up with every minute. A day that is missed loses nothing, because the next run
looks at the same thirty days; a run that is repeated changes nothing.
"""

import asyncio
import logging
from pathlib import Path

import numpy as np

from ringfence.daemons.admin import Admin, AdminRefused, AdminTimeout, command
from ringfence.exchange.projections import Views
from ringfence.exchange.projections.history import HistoryReader, Volume
from ringfence.instruments.fee_tiers import VOLUME_DAYS, tier_of
from ringfence.messages.commands import AccountParameter, Command
from ringfence.units.time import NS_PER_DAY, NS_PER_MINUTE, floor_to, iso

log = logging.getLogger("ringfence.history")

OPERATOR = "ringfence fee tiers"
_ACCOUNTS_PER_REQUEST = 500
_ASKING_SECONDS = 30.0


def changed_tiers(volumes: dict[int, Volume], tiers: dict[int, int]) -> dict[int, int]:
    """Return the new tier of every account whose tier is another one than its volume earns."""
    earned = {account: tier_of(sum(volumes.get(account, (0, 0)))) for account in tiers}
    return {account: tier for account, tier in earned.items() if tier != tiers[account]}


class FeeTiers:
    """Runs once a day of the exchange's own time. `run_if_due` never blocks and never raises."""

    def __init__(self, directory: Path, url: str) -> None:
        self._directory, self._url = directory, url
        self._done_day = 0
        self._try_at_ns = 0
        self._task: asyncio.Task[None] | None = None

    def run_if_due(self, views: Views) -> None:
        """Begin a run if a day has ended since the last one. The views must have caught up."""
        now_ns = views.timestamp_ns
        day = floor_to(now_ns, NS_PER_DAY)
        if day <= self._done_day or now_ns < self._try_at_ns or (self._task and not self._task.done()):
            return
        self._try_at_ns = now_ns + NS_PER_MINUTE
        tiers = {n: a.fee_tier for n, a in views.accounts.items() if n != views.fund_account}
        self._task = asyncio.get_running_loop().create_task(self._run(day, tiers))

    async def _run(self, day: int, tiers: dict[int, int]) -> None:
        try:
            volumes = await asyncio.to_thread(self._volumes, day)
            changed = changed_tiers(volumes, tiers)
            if changed:
                await self._send(changed)
        except (AdminRefused, AdminTimeout, OSError) as error:
            log.warning("fee tiers were not set, another try in a minute: %s", error)
            return
        except Exception:
            log.exception("fee tiers were not set, another try in a minute")
            return
        self._done_day = day
        if changed:
            log.info("fee tiers of %d accounts changed", len(changed))

    def _volumes(self, day: int) -> dict[int, Volume]:
        """Runs in a thread: the question may take a second."""
        reader = HistoryReader(self._url, seconds_max=60)
        try:
            return reader.volumes(since=iso(day - VOLUME_DAYS * NS_PER_DAY), before=iso(day))
        finally:
            reader.close()

    async def _send(self, changed: dict[int, int]) -> None:
        admin = Admin(self._directory)
        await admin.connect()
        try:
            rows = [
                command(Command.CONFIGURE_ACCOUNT, account=account, type=AccountParameter.FEE_TIER, qty=tier)
                for account, tier in sorted(changed.items())
            ]
            for begin in range(0, len(rows), _ACCOUNTS_PER_REQUEST):
                part = np.concatenate(rows[begin : begin + _ACCOUNTS_PER_REQUEST])
                await admin.ask(part, operator=OPERATOR, seconds=_ASKING_SECONDS)
        finally:
            admin.close()

    async def close(self) -> None:
        """Give up a run that is under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
