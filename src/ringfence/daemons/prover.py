"""The prover's process: commits to what everybody is owed every minute, and publishes proofs twice a week.

    python -m ringfence.daemons.prover DIRECTORY

It reads states that the core has signed, the feed, chains and the journal; it holds one key, which signs what it
publishes, and a token that hides accounts. It asks the co-signers to show that they hold the coins. It moves nothing
and can halt nothing: what it finds wrong it says in its report, and then it publishes nothing.

    proofs/published/   everything that the public may have, see docs/reference/proofs.md
    proofs/private/     what an auditor may ask for: keys of shuffles, equities of each snapshot, states to replay from
    proofs/desk.sock    what opens an account's leaves, for the gateway

Exit status: 0 asked to stop, 66 a key or the configuration cannot be read.
"""

import argparse
import asyncio
import logging
import signal
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from ringfence.assurance.audit.chains import ChainError
from ringfence.assurance.proofs.errors import InconclusiveError, ProofError
from ringfence.assurance.proofs.publisher import Publisher
from ringfence.assurance.proofs.schedule import Schedule
from ringfence.commitments import RootError
from ringfence.custody.chains.bitcoin.regtest.faucet import ADDRESS
from ringfence.custody.chains.bitcoin.rpc import BitcoinError, BitcoinRpc
from ringfence.custody.hsm import HsmError
from ringfence.custody.ledger import LedgerGapError
from ringfence.daemons.control import ControlError
from ringfence.daemons.crashes import forbid_core_dumps
from ringfence.daemons.measures.prover import serving_prover
from ringfence.daemons.proof_chains import Chains, Seen, VenueChains, node_of
from ringfence.daemons.proof_desk import Desk
from ringfence.daemons.proof_minutes import MinuteKeeper
from ringfence.daemons.proof_openings import Opener
from ringfence.daemons.proof_secrets import EpochKeys, home_of, load_publisher, open_master
from ringfence.daemons.proof_snapshots import Snapshots, WithheldError
from ringfence.daemons.proof_stamps import Stamper
from ringfence.daemons.reserves import ReservesUnavailableError
from ringfence.exchange.journal import JournalError
from ringfence.files import replace
from ringfence.messages.rules import UnknownRulesError
from ringfence.monitoring.logs import set_up_logs
from ringfence.units.time import NS_PER_MINUTE, iso

log = logging.getLogger("ringfence.prover")
EXIT_INPUT = 66
REPORT = "report.json"
"""How it stands, in its folder."""
_LOOK_SECONDS = 0.5
_BLOCKS_SECONDS = 2.0
_REPORT_SECONDS = 1.0
_SOON_SECONDS = 2.0
_RETRY_SECONDS = 20.0
"""How soon what could not be done is tried again."""
_FIRST_LINES = 1
"""Minutes that are committed to before a new venue publishes its first snapshot."""
_MINUTE_IS_LATE_NS = 3 * NS_PER_MINUTE
TROUBLES = (
    ChainError, ControlError, ReservesUnavailableError, ProofError, RootError, BitcoinError, HsmError, LedgerGapError,
    JournalError, UnknownRulesError, OSError, ValueError,
)  # fmt: skip
"""What can go wrong with a piece of work; it is said, and tried again."""


class Prover:
    """One venue's prover."""

    def __init__(
        self, directory: Path, publisher: Publisher, keys: EpochKeys, schedule: Schedule, *, chains: Chains | None,
        rpc: BitcoinRpc | None,
    ) -> None:  # fmt: skip
        """Raises OSError, ProofError, ValueError."""
        home = home_of(directory)
        self.directory, self.schedule, self._chains, self._rpc = directory, schedule, chains, rpc
        self.desk = Desk()
        self.snapshots = Snapshots(directory, publisher, keys, schedule, desk=self.desk)
        self.minutes = MinuteKeeper(directory, publisher, keys)
        self.opener = Opener(directory, publisher, keys, self.snapshots.publication, opened=schedule.opened)
        self._stamper = Stamper(home / "private" / "stamps.json", calendars=schedule.calendars, rpc=rpc)
        self._seen: Seen | None = None
        self._next_minute = self._next_blocks = self._next_snapshot_try = self._next_opening_try = 0.0
        self._stamped_ns = self._started_ns = time.time_ns()
        self._long: asyncio.Task[None] | None = None
        """A snapshot or openings under way."""
        self.troubles: dict[str, str] = {}
        """By piece of work: why it could not be done the last time."""

    async def run(self, stop: asyncio.Event) -> None:
        telling = asyncio.create_task(self._tell())
        try:
            while not stop.is_set():
                await self.look()
                await asyncio.sleep(_LOOK_SECONDS)
        finally:
            telling.cancel()
            if self._long is not None:
                self._long.cancel()

    async def _tell(self) -> None:
        """Report beside the work: a snapshot takes a while."""
        while True:
            self._report()
            await asyncio.sleep(_REPORT_SECONDS)

    async def look(self) -> None:
        """Do what is due. A snapshot waits for a block, so it is made beside the minutes, which go on."""
        now = time.monotonic()
        if now >= self._next_minute:
            # On the minute of the clock, so that nobody chooses a moment.
            self._next_minute = now + 60 - time.time() % 60
            await self._do("minute", self._commit("minute"))
        elif self._chains is not None and now >= self._next_blocks:
            self._next_blocks = now + _BLOCKS_SECONDS
            await self._do("blocks", self._commit_if_block())
        await self._do("stamps", self._stamp())
        if self._long is None or self._long.done():
            self._long = self._begin_long(now)

    def _begin_long(self, now: float) -> "asyncio.Task[None] | None":
        """Begin with a snapshot or with openings if one is due; one at a time."""
        if now >= self._next_snapshot_try and self._is_due():
            self._next_snapshot_try = now + _RETRY_SECONDS
            return asyncio.create_task(self._do("snapshot", self._publish()))
        if self._rpc is not None and now >= self._next_opening_try:
            self._next_opening_try = now + _RETRY_SECONDS
            return asyncio.create_task(self._do("openings", self._open(self._rpc)))
        return None

    async def _do(self, what: str, work: Any) -> None:
        """Do a piece of work; what goes wrong is kept for the report and stops nothing else."""
        try:
            await work
        except TROUBLES as error:
            if self.troubles.get(what) != str(error):
                log.error("%s: %s", what, error)
            self.troubles[what] = str(error)
        else:
            self.troubles.pop(what, None)

    # ---- pieces of work

    async def _commit(self, because: str) -> None:
        # Beside the loop, as everything that asks a node or takes long: the desk answers meanwhile.
        seen = await asyncio.to_thread(self._look_at_chains)
        await asyncio.to_thread(self.minutes.commit, because, seen, newest=self.snapshots.publication.newest)
        self.minutes.keep_start(every_minutes=self.schedule.start_minutes)

    async def _commit_if_block(self) -> None:
        """Write a line for a block that has come, so that coins and debts can be compared at each."""
        before = self._seen
        seen = await asyncio.to_thread(self._look_at_chains)
        if before is not None and seen is not None and seen.height > before.height:
            await self._commit("block")

    def _look_at_chains(self) -> Seen | None:
        """Look at the chains; without an answer the line says that nobody could ask."""
        if self._chains is None:
            return None
        try:
            self._seen = self._chains.look(self.minutes.sequence)
        except ChainError as error:
            self.troubles["chains"] = str(error)
            return None
        self.troubles.pop("chains", None)
        return self._seen

    async def _stamp(self) -> None:
        last, now_ns = self.minutes.last, time.time_ns()
        if last is not None and now_ns - self._stamped_ns >= self.schedule.stamp_minutes * NS_PER_MINUTE:
            self._stamped_ns = now_ns
            name = f"{self.snapshots.current:06d}-{last.n:08d}.ots"
            stamps = await asyncio.to_thread(self._stamper.submit, name, last.digest)
        else:
            stamps = await asyncio.to_thread(self._stamper.collect)
        for stamp in stamps:
            path = self.minutes.folder / stamp.name
            replace(path, stamp.content)
            path.chmod(0o644)
            self.snapshots.publication.list_minutes(stamp.name)

    def _is_due(self) -> bool:
        if self.snapshots.is_asked:
            return True
        if self.snapshots.publication.index.newest() is None:
            return self.minutes.last is not None and self.minutes.last.n + 1 >= _FIRST_LINES
        return time.time_ns() >= self.due_ns

    @property
    def due_ns(self) -> int:
        """Return when the next snapshot is due."""
        newest = self.snapshots.publication.index.newest()
        return self.schedule.next_after(self.snapshots.taken_ns) if newest is not None else self._started_ns

    async def _publish(self) -> None:
        try:
            await self.snapshots.publish(self.minutes)
        except WithheldError as error:
            self.troubles["withheld"] = str(error)
            return
        except InconclusiveError:
            # Nothing was done yet: something is only not there.
            self._next_snapshot_try = time.monotonic() + _SOON_SECONDS
            raise
        self.troubles.pop("withheld", None)
        self._stamped_ns = 0  # the end of a period is stamped at once
        self.minutes.begin_period()

    async def _open(self, rpc: BitcoinRpc) -> None:
        period = self.opener.next_period(self.snapshots.current)
        block = self.opener.deciding_height(period) if period is not None else None
        if period is None or block is None:
            return
        if rpc.block_count() < block and rpc.chain_info().chain == "regtest":
            rpc.generate(1, ADDRESS)  # nobody mines a development chain where nothing waits; a draw waits
        if rpc.block_count() >= block:
            await asyncio.to_thread(self.opener.open, period, block, rpc.block_hash(block))
            self.minutes.forget_starts(before=self.opener.kept_from(period))

    # ---- what it says

    def _report(self) -> None:
        """Say how it stands, for `/porl/status` and operators: a snapshot that did not come is seen."""
        now_ns, last = time.time_ns(), self.minutes.last
        newest = self.snapshots.publication.newest()
        findings = list(self.troubles.items())
        if now_ns - max(self.minutes.committed_ns, self._started_ns) > _MINUTE_IS_LATE_NS:
            findings.append(("minutes", "no minute was committed to for three minutes"))
        if now_ns - self.due_ns > self.schedule.late_minutes * NS_PER_MINUTE:
            findings.append(("schedule", f"the snapshot that was due at {iso(self.due_ns)} did not come"))
        findings += [("openings", why) for why in self.opener.differences.values()]
        report = {
            "timestamp": iso(now_ns), "sequence": self.minutes.sequence, "minutes": last.n + 1 if last else 0,
            "snapshot": newest.snapshot if newest else None, "nextSnapshot": iso(self.due_ns),
            "opened": self.opener.opened, "red": len(findings),
            "findings": [{"what": what, "found": why} for what, why in findings],
        }  # fmt: skip
        replace(home_of(self.directory) / REPORT, msgspec.json.encode(report))


def read_schedule(directory: Path) -> Schedule:
    """Return what `proofs.json` says, or what holds without one. Raises ValueError."""
    path = directory / "proofs.json"
    try:
        schedule = msgspec.json.decode(path.read_bytes(), type=Schedule) if path.exists() else Schedule()
    except msgspec.MsgspecError as error:
        raise ValueError(f"proofs.json cannot be read: {error}") from error
    schedule.check()
    return schedule


async def _serve(prover: Prover) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = await prover.desk.serve(home_of(prover.directory))
    async with server, serving_prover(prover):
        await prover.run(stop)


def main() -> None:
    parser = argparse.ArgumentParser(prog="ringfence-prover", description="publishes proofs")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--no-custody", action="store_true", help="no coins lie on chains")
    given = parser.parse_args()
    forbid_core_dumps()
    directory: Path = given.directory.absolute()
    set_up_logs("prover")
    try:
        (home_of(directory) / "private").mkdir(mode=0o700, parents=True, exist_ok=True)
        keys = EpochKeys(open_master(directory))
        chains = None if given.no_custody else VenueChains(directory)
        rpc = None if given.no_custody else node_of(directory)
        prover = Prover(
            directory, load_publisher(directory), keys, read_schedule(directory), chains=chains, rpc=rpc
        )
    except TROUBLES as error:
        log.critical("%s; nothing will be proven", error)
        sys.exit(EXIT_INPUT)
    asyncio.run(_serve(prover))
    log.info("stopped at minute %s", prover.minutes.last.n if prover.minutes.last else "none")


if __name__ == "__main__":
    main()
