"""The coordinator daemon: deposits and withdrawals of one venue. It holds no key; what it asks others check.

    python -m ringfence.daemons.coordinator DIRECTORY [--block-seconds S]

It follows the feed and a node of each chain, gives out deposit addresses that the verifier has signed, tells the core
what has come and gone, collects signatures for withdrawals, and holds every chain against the ledger at every block
and every ten minutes. `--block-seconds` makes a block so often where something waits: for development chains alone.

Exit status: 0 asked to stop, 65 its log is damaged, 66 custody was not founded, 70 chain and ledger make no sense, 74
the disk fails (the next start reads the log anew).
"""

import argparse
import asyncio
import logging
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ringfence.chained_log import Entry, Log, LogError
from ringfence.custody.chains.bitcoin.follow import Follower, TooDeepError
from ringfence.custody.chains.bitcoin.rpc import BitcoinError, BitcoinRpc, Endpoint
from ringfence.custody.chains.bitcoin.watch import NodeBehindError, Watch, WrongChainError
from ringfence.custody.client_facts import client_facts
from ringfence.custody.coordinator.account_rail import AccountRail
from ringfence.custody.coordinator.batches import VALID_NS, Batches, batch_of, gather, intent_of
from ringfence.custody.coordinator.bitcoin_rail import BitcoinRail
from ringfence.custody.coordinator.deposits import Deposit
from ringfence.custody.coordinator.driver import Driver
from ringfence.custody.coordinator.hot_rail import HotRail
from ringfence.custody.coordinator.instructions import Instruction, Settled, next_instruction
from ringfence.custody.coordinator.rail import Rail
from ringfence.custody.coordinator.reconcile import Report
from ringfence.custody.cosigner.config import ASSET, Charter, ConfigurationError
from ringfence.custody.cosigner.policies import Announced, Versions, read_announced, versions
from ringfence.custody.ledger import LedgerGapError, Withdrawal
from ringfence.custody.policy import Policy, is_fresh, waits_for
from ringfence.custody.quorum.messages import Batch
from ringfence.custody.wallets.addresses import AddressBook
from ringfence.daemons.account_chains import TROUBLES, connect, read_annexes, read_nodes
from ringfence.daemons.admin import Admin, AdminRefused, AdminTimeout, command
from ringfence.daemons.beacon_rounds import read_source, signature_of
from ringfence.daemons.coordinator_desk import Desk
from ringfence.daemons.coordinator_public import Draws
from ringfence.daemons.cosigner_client import CosignerClient
from ringfence.daemons.crashes import forbid_core_dumps
from ringfence.daemons.custody_founding import FoundingError, read_charter
from ringfence.daemons.custody_ports import read_ports
from ringfence.daemons.development_blocks import Miner
from ringfence.daemons.funds_feed import FundsFeed
from ringfence.daemons.measures.custody import serving_coordinator
from ringfence.files import replace
from ringfence.lines import listen
from ringfence.messages.batch import FUNDS, HALT_REASON, Records, encode_data
from ringfence.messages.commands import Command, HaltScope, TradingState
from ringfence.messages.funds import encode
from ringfence.messages.halts import Reason, encode_reason
from ringfence.messages.records import COMMAND
from ringfence.monitoring.logs import set_up_logs
from ringfence.ports import HOST
from ringfence.units.assets import ASSETS, BY_CURRENCY
from ringfence.units.time import NS_PER_SECOND

log = logging.getLogger("ringfence.coordinator")

OPERATOR = "ringfence custody"
RECONCILE_EVERY_NS, SECOND_LOOK_NS = 600 * NS_PER_SECOND, 2 * NS_PER_SECOND
REPORTS_KEPT = 200
_TURN_SECONDS = 0.25
_ASKING_SECONDS = 10.0
_LINE_BYTES_MAX = 64 << 10
EXIT_REFUSED, EXIT_INPUT, EXIT_BUG, EXIT_DISK = 65, 66, 70, 74


class Coordinator:
    """Everything that the coordinator knows and does. `turn` is called again and again."""

    def __init__(self, directory: Path, charter: Charter, *, node: Endpoint, ports: dict[str, int]) -> None:
        """Raises LogError, DescriptorError, OSError."""
        self._directory, self.home, self.charter = directory, directory / "custody", charter
        self.wallets = charter.wallets()
        self.feed = FundsFeed(directory)
        self.ledger = self.feed.ledger
        self.rpc = BitcoinRpc(node)
        follower = Follower(
            lambda script: self.wallets.classify(script) is not None,
            height=charter.follow_from_height, digest=charter.follow_from_block,
        )  # fmt: skip
        watch = Watch(self.rpc, follower, chain=charter.chain)
        self.bitcoin = BitcoinRail(
            charter.chain, wallets=self.wallets, node=self.rpc, follower=follower, events=watch.poll,
            policy=lambda: self.policy_of(ASSET),
            book=AddressBook(self.home / "coordinator" / "addresses.jsonl", self.wallets),
        )  # fmt: skip
        self.rails: dict[str, Rail] = {charter.chain: self.bitcoin}
        self.batches = Batches()
        self.draws = Draws()
        self._announced: list[Announced] = []
        self.log = Log(self.home / "coordinator" / "log.jsonl", on_entry=self._take)
        self._client = CosignerClient(self.home, {name: (HOST, port) for name, port in ports.items()})
        self.driver = Driver(
            roster=charter.roster(), rails=self.rails, log=self.log, batches=self.batches, node=self.rpc,
            ask=self._client.ask, now_ns=time.time_ns, beacon=charter.beacon, round_of=self._round_of,
        )  # fmt: skip
        self.reports: list[Report] = []
        self._unexplained: dict[str, int] = {}
        """By asset: in how many looks in a row it did not add up."""
        self._reconciled: dict[str, tuple[str, int, int]] = {}
        """By chain: at which block, after which instruction and when it was reconciled last."""
        self._halted_for: set[str] = set()
        self._has_followed = self.is_outdated = False
        self.troubles: dict[str, str] = {}
        """By chain, or by what else: why it cannot be gone on with now."""
        self.waits: dict[int, str] = {}
        """By withdrawal that is in no batch yet: the people or the time that it waits for."""

    def _take(self, entry: Entry) -> None:
        if entry.kind == "announced":
            self._announced.append(read_announced(entry))
        else:
            self.batches.take(entry)
            self.draws.take(entry)

    def write(self, kind: str, body: dict[str, Any]) -> None:
        """Write a decision down; it is taken as soon as it is on the disk."""
        self.log.append(kind, body, now_ns=time.time_ns())

    def rail_of(self, asset: str) -> Rail | None:
        """Return the chain that an asset is of, None if none is connected."""
        return next((rail for rail in self.rails.values() if asset in rail.assets), None)

    def policy_of(self, asset: str) -> Policy:
        return self.versions(asset).in_force

    def versions(self, asset: str, chain: str = "") -> Versions:
        """Return an asset's policy; `chain` tells the hot wallet's from the others. Raises ConfigurationError."""
        now_ns = time.time_ns()
        rail = self.rails.get(chain) or self.rail_of(asset)
        first = (
            rail.annex.asset(asset).policy
            if isinstance(rail, AccountRail | HotRail)
            else self.charter.policy(now_ns=now_ns)
        )
        return versions(self.charter, first, self._announced, now_ns=now_ns)

    async def _round_of(self, number: int) -> str:
        source = read_source(self._directory)
        return await signature_of(source, number) if source is not None else ""

    # ---- a turn

    async def turn(self) -> None:
        """Look at feed and chains, and do what follows. Trouble is said once and tried again."""
        try:
            self.feed.catch_up()
            self._attach()
            await self._follow()
            if self.ledger.custody_account and self.charter.chain not in self.troubles:
                await self._instruct()
                self._refuse_what_cannot_be()
                for rail in self._working():
                    self._gather(rail)
                await self.driver.turn()
                for rail in self._working():
                    await self._reconcile(rail)
            self._tell("custody", "")
        except (BitcoinError, AdminRefused, AdminTimeout, ConfigurationError, *TROUBLES, OSError) as error:
            self._tell("custody", f"{type(error).__name__}: {error}")

    def _working(self) -> list[Rail]:
        return [rail for chain, rail in self.rails.items() if chain not in self.troubles]

    def _attach(self) -> None:
        """Connect the chains of annexes that have come since the last turn."""
        for annex in read_annexes(self._directory, self.charter):
            known = self.rails.get(annex.chain)
            if isinstance(known, AccountRail | HotRail) and known.annex.digest == annex.digest:
                continue
            if annex.is_hot:
                self.rails[annex.chain] = HotRail(annex, self.bitcoin)
                # What has come to the address before it was known here is found by looking from the beginning.
                self.is_outdated = self._has_followed
            else:
                self.rails[annex.chain] = AccountRail(*connect(annex, read_nodes(self._directory)))
            log.info("%s is connected, key %s", annex.chain, annex.key)

    async def _follow(self) -> None:
        """Follow each chain; what is wrong with one stops no other."""
        self._has_followed = True
        for chain, rail in self.rails.items():
            try:
                alarms = rail.poll(self.ledger)
            except (
                BitcoinError, NodeBehindError, WrongChainError, TooDeepError, *TROUBLES, OSError,
            ) as error:  # fmt: skip
                self._tell(chain, f"{type(error).__name__}: {error}")
                continue
            self._tell(chain, "")
            for why in alarms:
                await self._halt(HaltScope.WITHDRAWALS, why, asset=rail.assets[0])

    def _tell(self, where: str, trouble: str) -> None:
        if trouble and trouble != self.troubles.get(where):
            log.warning("%s: %s", where, trouble)
        if trouble:
            self.troubles[where] = trouble
        else:
            self.troubles.pop(where, None)

    @property
    def is_broken(self) -> bool:
        """Whether its log may not be on the disk: nothing goes on before it was read anew."""
        return self.log.is_broken

    # ---- telling the exchange

    async def _instruct(self) -> None:
        """Tell the core everything that it has to be told, one instruction at a time."""
        while (instruction := self._next()) is not None:
            await self._send(_as_command(instruction, self.ledger.custody_account))
            self.feed.catch_up()

    def _next(self) -> Instruction | None:
        return next_instruction(self.ledger, self._deposits(), self.batches, self._settled())

    def _deposits(self) -> Iterator[tuple[str, Deposit]]:
        for rail in self._working():
            for deposit in rail.deposits(self.ledger):
                yield rail.chain, deposit

    def _settled(self) -> dict[str, Settled]:
        found = {}
        for number in self.ledger.open():
            flow = self.batches.flow_of(number)
            if flow is None or flow.chain in self.troubles or flow.chain not in self.rails:
                continue
            intent = next(intent for intent in flow.batch.intents if intent.id == str(number))
            settled = self.rails[flow.chain].settled(flow, intent)
            if settled is not None:
                found[intent.id] = settled
        return found

    async def _send(self, records: Records) -> None:
        admin = Admin(self._directory)
        await admin.connect()
        try:
            await admin.ask(records, operator=OPERATOR, seconds=_ASKING_SECONDS)
        finally:
            admin.close()

    async def _halt(self, scope: HaltScope, why: str, *, asset: str) -> None:
        if why in self._halted_for:
            return
        log.critical("%s is halted: %s", scope.name, why)
        symbol = BY_CURRENCY[asset].number if scope == HaltScope.WITHDRAWALS else 0
        row = command(Command.HALT, type=scope, symbol=symbol, qty=TradingState.HALTED)
        reason = Reason(by=OPERATOR, what=why, law="I02", cut=self.ledger.next_sequence)
        raw = row.tobytes() + encode_data([(HALT_REASON, encode_reason(reason))])
        await self._send(np.frombuffer(raw, COMMAND))
        self._halted_for.add(why)

    # ---- withdrawals

    def waiting(self) -> list[Withdrawal]:
        """Return the withdrawals that are in no batch yet and that nothing was said against."""
        return [
            one for number, one in self.ledger.open().items()
            if str(number) not in self.batches.batch_of and str(number) not in self.batches.refused
        ]  # fmt: skip

    def _refuse_what_cannot_be(self) -> None:
        """Give back at once what no co-signer could ever sign."""
        for one in self.waiting():
            why = self._refusal(one)
            if why:
                self.write("refused", {"withdrawal": str(one.number), "because": why})

    def _refusal(self, one: Withdrawal) -> str:
        """Return why a withdrawal can never be paid, empty if it may be."""
        asset = ASSETS[one.asset]
        rail = self.rail_of(asset.currency)
        if rail is None:
            # A chain that is not connected yet may come; until then nothing can be said about its addresses.
            is_late = time.time_ns() >= one.asked_ns + VALID_NS
            return "no chain of it was connected in time" if is_late else ""
        cap, wish, standing = self.policy_of(asset.currency).cap, one.wish, one.standing
        if wish is None:
            return "this is no request for a withdrawal"
        if str(one.number) in self.batches.cancelled:
            return "canceled by its owner"
        if wish.amount + wish.fee_max != one.asked:
            return "amount and fee are not what was put aside"
        if not asset.withdrawal_min <= wish.amount <= cap:
            return f"at least {asset.withdrawal_min} and at most {cap} {asset.currency} go at once"
        if not rail.is_address(wish.address):
            return "the address is none of this network"
        if rail.is_ours(wish.address) and not self._is_housekeeping(one.account, wish.address):
            return "the address is the venue's own: transfer inside instead"
        if standing is not None and standing.is_signed is False:
            return "the account has a withdrawal key, and it has not signed this"
        if standing is not None and standing.listed_since_ns is None:
            return "the address is not in the account's address book"
        if time.time_ns() >= one.asked_ns + VALID_NS:
            return "it was not approved in time"
        return ""

    def _is_housekeeping(self, account: int, text: str) -> bool:
        """Return whether the company's account pays its own deposit address, so that few coins come of many."""
        script = self.bitcoin.script_of(text)
        address = self.bitcoin.book.account_of(script) if script is not None else None
        return address is not None and address.account == account == self.policy_of(ASSET).housekeeper

    def _gather(self, rail: Rail) -> None:
        """Make the next batch of a chain, if none is on its way, of what waits for nobody any more.

        A movement that people have yet to approve is in no batch: the others would wait for it.
        """
        waiting = [one for one in self.waiting() if self.rail_for(one) is rail]
        for number in [one for one in self.waits if one not in self.ledger.open()]:
            del self.waits[number]
        now_ns = time.time_ns()
        for one in waiting:
            self.waits[one.number] = self._waits_for(one, rail, now_ns)
        if not rail.is_free(self.batches):
            return
        batch = self._next_batch(rail, [one for one in waiting if not self.waits[one.number]])
        if batch is None:
            movement = next(iter(rail.sweeps(self.ledger, self.batches, now_ns)), None)
            if movement is None:
                return
            batch = batch_of([movement])
        self.write("gathered", {"batch": msgspec.to_builtins(batch)})

    def rail_for(self, one: Withdrawal) -> Rail | None:
        """Return where a withdrawal is paid from: what is small from the hot wallet, as long as that has enough."""
        flow, cold = self.batches.flow_of(one.number), self.rail_of(ASSETS[one.asset].currency)
        if flow is not None:
            return self.rails.get(flow.chain)
        if cold is self.bitcoin and one.wish is not None:
            for rail in self.rails.values():
                if isinstance(rail, HotRail) and rail.takes(intent_of(one, chain=rail.chain)):
                    return rail
        return cold

    def _waits_for(self, one: Withdrawal, rail: Rail, now_ns: int) -> str:
        """Return which people, time or coins a withdrawal waits for, empty if for none."""
        asset = ASSETS[one.asset].currency
        policy, intent = self.versions(asset, rail.chain).in_force, intent_of(one, chain=rail.chain)
        signed = self.batches.approvals.get(intent.digest, {})
        for person, each in list(signed.items()):
            if not is_fresh(each.approval, policy, now_ns=now_ns):
                del signed[person]
        approvals = [each.approval for each in signed.values()]
        clients = client_facts(self.ledger, one.asset)
        people_or_time = waits_for(intent, approvals, policy, clients, now_ns=now_ns)
        if people_or_time or rail.affords(intent):
            return people_or_time
        return "coins that are on their way from deposit addresses"

    def _next_batch(self, rail: Rail, ready: list[Withdrawal]) -> Batch | None:
        """Return a batch of the oldest, with others of the same asset as far as one transaction pays them."""
        if not ready:
            return None
        oldest = min(ready, key=lambda one: one.number).asset
        return gather(
            [one for one in ready if one.asset == oldest], chain=rail.chain, intents_max=rail.intents_max,
            housekeeper=self.versions(ASSETS[oldest].currency, rail.chain).in_force.housekeeper,
        )  # fmt: skip

    # ---- reconciliation

    async def _reconcile(self, rail: Rail) -> None:
        """Hold a chain against the ledger at every block, after every instruction and every ten minutes.

        What does not agree halts withdrawals; what a second look does not explain halts the venue.
        """
        now_ns = time.time_ns()
        seen = (rail.position(), self.ledger.instruction_next)
        is_suspicious = any(self._unexplained.get(asset) for asset in rail.assets)
        wait_ns = SECOND_LOOK_NS if is_suspicious else RECONCILE_EVERY_NS
        last = self._reconciled.get(rail.chain)
        if last is not None and seen == last[:2] and now_ns - last[2] < wait_ns:
            return
        reports = rail.reconcile(self.ledger, self.batches, now_ns)
        if not reports:
            return  # the chain went on while it was looked at: again in the next turn
        self._reconciled[rail.chain] = (*seen, now_ns)
        self.reports = [*self.reports[-REPORTS_KEPT:], *reports]
        replace(
            self.home / "reconciliation.json", msgspec.json.format(msgspec.json.encode(self.reports[::-1]))
        )
        for report in reports:
            await self._judge(report)

    async def _judge(self, report: Report) -> None:
        if report.agrees:
            self._unexplained.pop(report.asset, None)
            return
        self._unexplained[report.asset] = self._unexplained.get(report.asset, 0) + 1
        why = f"chain and ledger differ by {report.difference} of {report.asset} at block {report.height}"
        await self._halt(HaltScope.WITHDRAWALS, why, asset=report.asset)
        if self._unexplained[report.asset] > 1:
            await self._halt(HaltScope.VENUE, f"unexplained on a second look: {why}", asset=report.asset)

    def close(self) -> None:
        self.feed.close()
        self.bitcoin.book.close()
        self.log.close()
        self.rpc.close()


def _as_command(instruction: Instruction, custody: int) -> Records:
    """Return the command that tells the core."""
    fields: dict[str, Any] = {
        "symbol": instruction.asset,
        "qty": instruction.amount,
        "px": instruction.number,
    }
    if instruction.kind == "deposit":
        row = command(Command.DEPOSIT, account=instruction.account, **fields)
    elif instruction.kind == "left":
        row = command(Command.WITHDRAW, account=custody, **fields)
    else:
        row = command(Command.TRANSFER, account=custody, handle=instruction.account, **fields)
    raw = row.tobytes() + encode_data([(FUNDS, encode(instruction.text))])
    return np.frombuffer(raw, COMMAND)


# ---- the process


async def run(directory: Path, coordinator: Coordinator, miner: Miner | None) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    desk = Desk(coordinator)
    server = await listen(coordinator.home / "desk.sock", desk.hear, line_bytes_max=_LINE_BYTES_MAX)
    log.info("coordinator of charter %s", coordinator.charter.digest[:16])
    async with server, serving_coordinator(directory, coordinator):
        while not stop.is_set() and not coordinator.is_broken and not coordinator.is_outdated:
            await coordinator.turn()
            if miner is not None:
                miner.look(coordinator)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _TURN_SECONDS)


def main() -> None:
    parser = argparse.ArgumentParser(prog="ringfence-coordinator", description="deposits and withdrawals")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--block-seconds", type=float, default=0.0)
    given = parser.parse_args()
    forbid_core_dumps()
    set_up_logs("coordinator")
    while _live(given.directory.absolute(), given.block_seconds):
        log.info("there is a wallet that was not known before: its chain is looked at from the beginning")


def _live(directory: Path, block_seconds: float) -> bool:
    """Run a coordinator until it is asked to stop; return True if there is a wallet that it did not know of."""
    try:
        charter, ports = read_charter(directory), read_ports(directory)
        endpoint = Endpoint(HOST, ports.node, directory / "bitcoin" / ".cookie")
        coordinator = Coordinator(directory, charter, node=endpoint, ports=ports.cosigners)
        miner = Miner(block_seconds, read_nodes(directory)) if block_seconds else None
    except LogError as error:
        log.critical("%s", error)
        sys.exit(EXIT_REFUSED)
    except (FoundingError, OSError, ValueError) as error:
        log.critical("%s", error)
        sys.exit(EXIT_INPUT)
    try:
        asyncio.run(run(directory, coordinator, miner))
        if coordinator.is_broken:
            log.critical("a line of the log may not be on the disk; it is read anew before anything goes on")
            sys.exit(EXIT_DISK)
    except (LedgerGapError, AssertionError) as error:
        log.critical("chain and ledger make no sense: %s", error)
        sys.exit(EXIT_BUG)
    finally:
        coordinator.close()
    return coordinator.is_outdated


if __name__ == "__main__":
    main()
