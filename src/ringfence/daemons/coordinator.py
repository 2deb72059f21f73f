"""The coordinator daemon: deposits and withdrawals of one venue. It holds no key; what it asks others check.

    python -m ringfence.daemons.coordinator DIRECTORY [--block-seconds S]

It follows the feed and the Bitcoin node, gives out deposit addresses that the verifier has signed, tells the core what
has come and gone, collects signatures for withdrawals, and holds chain against ledger at every block and every ten
minutes. `--block-seconds` mines a block so often: for the embedded regtest chain alone.

Exit status: 0 asked to stop, 65 its log is damaged, 66 custody was not founded, 70 chain and ledger make no sense, 74
the disk fails (the next start reads the log anew).
"""

import argparse
import asyncio
import logging
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from embit.script import address_to_scriptpubkey

from ringfence.custody.chained_log import Entry, Log, LogError
from ringfence.custody.chains.bitcoin.follow import Follower, TooDeepError
from ringfence.custody.chains.bitcoin.regtest.faucet import ADDRESS
from ringfence.custody.chains.bitcoin.rpc import BitcoinError, BitcoinRpc, Endpoint
from ringfence.custody.chains.bitcoin.transactions import EMBIT_NETWORKS, address_of
from ringfence.custody.chains.bitcoin.watch import NodeBehindError, Watch, WrongChainError
from ringfence.custody.client_facts import client_facts
from ringfence.custody.clients import OBJECTION_NS
from ringfence.custody.coordinator.batches import VALID_NS, Batches, gather, intent_of
from ringfence.custody.coordinator.deposits import Deposits
from ringfence.custody.coordinator.driver import Driver
from ringfence.custody.coordinator.instructions import Instruction, next_instruction
from ringfence.custody.coordinator.reconcile import Report, reconcile
from ringfence.custody.coordinator.shown import papers_of, row_of
from ringfence.custody.cosigner.config import Charter, ConfigurationError, PolicyDocument
from ringfence.custody.cosigner.policies import (
    Announced,
    Versions,
    announced_body,
    is_news,
    read_announced,
    versions,
)
from ringfence.custody.ledger import LedgerGapError, Withdrawal
from ringfence.custody.policy import Policy, is_fresh, waits_for
from ringfence.custody.quorum.messages import SignedApproval, SignedVeto
from ringfence.custody.wallets.addresses import AddressBook, GapError
from ringfence.custody.wallets.descriptors import DerivationError, Keychain, PoolEndError
from ringfence.custody.wallets.owners import Owner
from ringfence.daemons.admin import Admin, AdminRefused, AdminTimeout, command
from ringfence.daemons.beacon_rounds import read_source, signature_of
from ringfence.daemons.cosigner_client import CosignerClient
from ringfence.daemons.custody_founding import FoundingError, read_charter
from ringfence.daemons.custody_ports import HOST, read_ports
from ringfence.daemons.funds_feed import FundsFeed
from ringfence.files import replace
from ringfence.messages.batch import FUNDS, HALT_REASON, Records, encode_data
from ringfence.messages.commands import Command, HaltScope, TradingState
from ringfence.messages.funds import FundsError, Wish, decode, decode_of_account, encode
from ringfence.messages.halts import Reason, encode_reason
from ringfence.messages.records import COMMAND
from ringfence.units.assets import XBT
from ringfence.units.time import NS_PER_HOUR, NS_PER_SECOND

log = logging.getLogger("ringfence.coordinator")

OPERATOR = "ringfence custody"
PAYMENT_CONFIRMATIONS = 1
WITHDRAWAL_SATS_MIN = 1_000
RECONCILE_EVERY_NS, SECOND_LOOK_NS = 600 * NS_PER_SECOND, 2 * NS_PER_SECOND
REPORTS_KEPT = 200
_TURN_SECONDS = 0.25
_ASKING_SECONDS = 10.0
_LINE_BYTES_MAX = 64 << 10
_BECAUSE_CHARACTERS_MAX = 200
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
        self.follower = Follower(
            lambda script: self.wallets.classify(script) is not None,
            height=charter.follow_from_height, digest=charter.follow_from_block,
        )  # fmt: skip
        self._watch = Watch(self.rpc, self.follower, chain=charter.chain)
        self.book = AddressBook(self.home / "coordinator" / "addresses.jsonl", self.wallets)
        self.deposits = Deposits(self.wallets, self.book)
        self.batches = Batches()
        self._announced: list[Announced] = []
        self._log = Log(self.home / "coordinator" / "log.jsonl", on_entry=self._take)
        self._client = CosignerClient(self.home, {name: (HOST, port) for name, port in ports.items()})
        self._network = EMBIT_NETWORKS[self.wallets.network_name]
        self.driver = Driver(
            roster=charter.roster(), wallets=self.wallets, log=self._log, batches=self.batches,
            follower=self.follower, node=self.rpc, ask=self._client.ask, script_of=self.script_of, now_ns=time.time_ns,
            beacon=charter.beacon, round_of=self._round_of,
        )  # fmt: skip
        self.reports: list[Report] = []
        self._unexplained = 0
        self._reconciled: tuple[str, int] = ("", 0)
        self._halted_for: set[str] = set()
        self._told = ""
        self.waits: dict[int, str] = {}
        """By withdrawal that is in no batch yet: the people or the time that it waits for."""

    def script_of(self, address: str) -> bytes | None:
        """Return the script of an address of this network, None if it is none."""
        try:
            script = bytes(address_to_scriptpubkey(address).data)
        except Exception:  # embit's errors are bare ones: whatever it is, it is no address
            return None
        return script if address_of(script, self._network) == address else None

    def _take(self, entry: Entry) -> None:
        if entry.kind == "announced":
            self._announced.append(read_announced(entry))
        else:
            self.batches.take(entry)

    @property
    def policy(self) -> Policy:
        return self._versions().in_force

    def _versions(self) -> Versions:
        return versions(self.charter, self._announced, now_ns=time.time_ns())

    async def _round_of(self, number: int) -> str:
        source = read_source(self._directory)
        return await signature_of(source, number) if source is not None else ""

    # ---- a turn

    async def turn(self) -> None:
        """Look at feed and chain, and do what follows. Trouble is said once and tried again."""
        try:
            self.feed.catch_up()
            events = self._watch.poll()
            alarms = self.deposits.chain(events, self.ledger)
            for outpoint in alarms:
                await self._halt(
                    HaltScope.WITHDRAWALS, f"deposit {outpoint} was credited and has left the chain"
                )
            if self.ledger.custody_account:
                await self._instruct()
                self._refuse_what_cannot_be()
                self._gather()
                await self.driver.turn()
                await self._reconcile()
            self._tell("")
        except (
            BitcoinError, NodeBehindError, WrongChainError, TooDeepError, AdminRefused, AdminTimeout, OSError,
        ) as error:  # fmt: skip
            self._tell(f"{type(error).__name__}: {error}")

    def _tell(self, trouble: str) -> None:
        if trouble and trouble != self._told:
            log.warning("%s", trouble)
        self._told = trouble

    def confirmed(self) -> dict[str, int]:
        """Return how deep our transactions lie, by txid."""
        return {
            attempt.transaction.txid: self.follower.confirmations_of(attempt.transaction.txid)
            for flow in self.batches.flows.values()
            for attempt in flow.attempts
        }

    @property
    def waits_for_a_block(self) -> bool:
        flows = self.batches.flows.values()
        deposits = self.deposits.all(self.follower, self.ledger)
        is_next_to_be_drawn = any(
            not flow.given_up and not flow.quorum and self.driver.is_witnessed(flow) for flow in flows
        )
        return is_next_to_be_drawn or any(one.state == "seen" for one in deposits)

    @property
    def is_broken(self) -> bool:
        """Whether its log may not be on the disk: nothing goes on before it was read anew."""
        return self._log.is_broken

    # ---- telling the exchange

    async def _instruct(self) -> None:
        """Tell the core everything that it has to be told, one instruction at a time."""
        while (instruction := self._next()) is not None:
            await self._send(_as_command(instruction, self.ledger.custody_account))
            self.feed.catch_up()

    def _next(self) -> Instruction | None:
        return next_instruction(
            self.ledger, self.deposits.all(self.follower, self.ledger), self.batches, chain=self.charter.chain,
            confirmed=self.confirmed(), needed=PAYMENT_CONFIRMATIONS,
        )  # fmt: skip

    async def _send(self, records: Records) -> None:
        admin = Admin(self._directory)
        await admin.connect()
        try:
            await admin.ask(records, operator=OPERATOR, seconds=_ASKING_SECONDS)
        finally:
            admin.close()

    async def _halt(self, scope: HaltScope, why: str) -> None:
        if why in self._halted_for:
            return
        log.critical("%s is halted: %s", scope.name, why)
        symbol = XBT.number if scope == HaltScope.WITHDRAWALS else 0
        row = command(Command.HALT, type=scope, symbol=symbol, qty=TradingState.HALTED)
        reason = Reason(by=OPERATOR, what=why, law="I02", cut=self.ledger.next_sequence)
        raw = row.tobytes() + encode_data([(HALT_REASON, encode_reason(reason))])
        await self._send(np.frombuffer(raw, COMMAND))
        self._halted_for.add(why)

    # ---- withdrawals

    def _waiting(self) -> list[Withdrawal]:
        return [
            one for number, one in self.ledger.open().items()
            if one.asset == XBT.number and str(number) not in self.batches.batch_of
            and str(number) not in self.batches.refused
        ]  # fmt: skip

    def _refuse_what_cannot_be(self) -> None:
        """Give back at once what no co-signer could ever sign."""
        cap = self.policy.cap_sats
        for one in self._waiting():
            why = ""
            if one.wish is None:
                why = "this is no request for a withdrawal"
            elif str(one.number) in self.batches.cancelled:
                why = "canceled by its owner"
            elif one.wish.amount + one.wish.fee_max != one.asked:
                why = "amount and fee are not what was put aside"
            elif not WITHDRAWAL_SATS_MIN <= one.wish.amount <= cap:
                why = f"at least {WITHDRAWAL_SATS_MIN} and at most {cap} sats go at once"
            elif (script := self.script_of(one.wish.address)) is None:
                why = "the address is none of this network"
            elif self.wallets.classify(script) is not None and not self._is_housekeeping(one.account, script):
                why = "the address is the venue's own: transfer inside instead"
            elif one.standing is not None and one.standing.is_signed is False:
                why = "the account has a withdrawal key, and it has not signed this"
            elif one.standing is not None and one.standing.listed_since_ns is None:
                why = "the address is not in the account's address book"
            elif time.time_ns() >= one.asked_ns + VALID_NS:
                why = "it was not approved in time"
            if why:
                self._log.append(
                    "refused", {"withdrawal": str(one.number), "because": why}, now_ns=time.time_ns()
                )

    def _is_housekeeping(self, account: int, script: bytes) -> bool:
        """Return whether the company's account pays its own deposit address, so that few coins come of many."""
        address = self.book.account_of(script)
        return address is not None and address.account == account == self.policy.housekeeper

    def _gather(self) -> None:
        """Make the next batch, if none is on its way, of what waits for nobody any more.

        A movement that people have yet to approve is in no batch: the others would wait for it.
        """
        self.waits, waiting = {}, self._waiting()
        if not waiting:
            return  # as on most turns: then nothing is worked out from every withdrawal that there ever was
        policy, now_ns = self.policy, time.time_ns()
        clients = client_facts(self.ledger, XBT.number)
        for one in waiting:
            intent = intent_of(one, chain=self.charter.chain)
            signed = self.batches.approvals.get(intent.digest, {})
            for person, each in list(signed.items()):
                if not is_fresh(each.approval, policy, now_ns=now_ns):
                    del signed[person]
            approvals = [each.approval for each in signed.values()]
            self.waits[one.number] = waits_for(intent, approvals, policy, clients, now_ns=now_ns)
        if any(not flow.given_up and not flow.attempts for flow in self.batches.flows.values()):
            return
        ready = [one for one in waiting if not self.waits[one.number]]
        batch = gather(ready, chain=self.charter.chain, housekeeper=policy.housekeeper)
        if batch is not None:
            body = {"batch": msgspec.to_builtins(batch)}
            self._log.append("gathered", body, now_ns=time.time_ns())

    # ---- reconciliation

    async def _reconcile(self) -> None:
        """Hold chain against ledger at every block, after every instruction and every ten minutes.

        What does not agree halts withdrawals; what a second look does not explain halts the venue.
        """
        now = time.time_ns()
        last = self.reports[-1] if self.reports else None
        seen = (self.follower.tip, self.ledger.instruction_next)
        wait_ns = RECONCILE_EVERY_NS if last is None or last.agrees else SECOND_LOOK_NS
        if last is not None and seen == self._reconciled and now - last.timestamp_ns < wait_ns:
            return
        self._reconciled = seen
        report = reconcile(
            self.follower, self.wallets, self.ledger, self.deposits, self.batches, confirmed=self.confirmed(),
            now_ns=now,
        )  # fmt: skip
        self.reports = [*self.reports[-REPORTS_KEPT:], report]
        replace(
            self.home / "reconciliation.json", msgspec.json.format(msgspec.json.encode(self.reports[::-1]))
        )
        if report.agrees:
            self._unexplained = 0
            return
        self._unexplained += 1
        why = f"chain and ledger differ by {report.difference} sats at block {report.height}"
        await self._halt(HaltScope.WITHDRAWALS, why)
        if self._unexplained > 1:
            await self._halt(HaltScope.VENUE, f"unexplained on a second look: {why}")

    # ---- the desk

    async def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Answer one question of the desk; the gateway has authenticated who asks."""
        ask = asked.get("ask")
        if ask == "depositAddress":
            return await self._address(int(asked["account"]), str(asked["asset"]))
        if ask == "deposits":
            return {"deposits": self._deposits_of(int(asked["account"]))}
        if ask == "withdrawals":
            return {"withdrawals": self.shown()}
        if ask in ("client", "doubt"):
            self.feed.catch_up()  # what was durable before the question is in the answer
        if ask == "client":
            return self._client_of(int(asked["account"]))
        if ask == "doubt":
            return self._doubt(int(asked["account"]), str(asked["said"]).encode())
        if ask == "withdrawal":
            return self._withdrawal(int(asked["withdrawal"]))
        if ask == "cancel":
            return self._cancel(int(asked["account"]), int(asked["withdrawal"]))
        if ask == "approve":
            return self._approve(msgspec.convert(asked["approval"], SignedApproval))
        if ask == "veto":
            return self._veto(msgspec.convert(asked["veto"], SignedVeto))
        if ask == "announce":
            return self._announce(msgspec.convert(asked["document"], PolicyDocument))
        if ask == "policy":
            now = self._versions()
            waits = now.pending
            return {
                "inForce": msgspec.to_builtins(now.in_force), "digest": now.in_force.digest,
                "pending": msgspec.to_builtins(waits.document) if waits else None,
                "heardNs": waits.heard_ns if waits else None,
            }  # fmt: skip
        if ask == "status":
            last = self.reports[-1] if self.reports else None
            return {
                "height": self.follower.height, "ledger": self.ledger.next_sequence, "trouble": self._told,
                "reconciled": msgspec.to_builtins(last) if last else None, "charter": self.charter.digest,
                "pools": self._pools(),
            }  # fmt: skip
        return {"error": f"{ask!r} is not asked here"}

    def _pools(self) -> dict[str, list[int]]:
        """Return how many scripts of the clients' wallet are taken, and for how many there are keys."""
        vault, taken = self.wallets.vaults[Owner.CLIENTS], (len(self.book), self.batches.change_next)
        return {
            keychain.name.lower(): [used, vault.size(keychain)]
            for keychain, used in zip(Keychain, taken, strict=True)
        }

    async def _address(self, account: int, asset: str) -> dict[str, Any]:
        if asset != XBT.currency:
            return {"error": f"no chain of {asset} is connected"}
        try:
            address = self.book.address_of(account)
        except (GapError, PoolEndError, DerivationError) as error:
            return {"error": str(error)}
        question = {"account": account, "asset": asset, "number": address.number, "address": address.text}
        try:
            async with asyncio.timeout(_ASKING_SECONDS):
                reader, writer = await asyncio.open_unix_connection(self.home / "verifier.sock")
                writer.write(msgspec.json.encode(question) + b"\n")
                said = msgspec.json.decode(await reader.readline(), type=dict[str, str])
                writer.close()
        except (OSError, TimeoutError, msgspec.MsgspecError) as error:
            return {"error": f"the address verifier does not answer: {error}"}
        if "signature" not in said:
            return {"error": said.get("error", "the verifier refuses")}
        return {"address": address.text, "signature": said["signature"]}

    def _deposits_of(self, account: int) -> list[dict[str, Any]]:
        return [
            {"outpoint": str(one.coin.outpoint), "amountSats": one.coin.amount_sats, "state": one.state,
             "confirmations": one.confirmations, "needed": one.needed}
            for one in self.deposits.all(self.follower, self.ledger) if one.account == account
        ]  # fmt: skip

    def _client_of(self, account: int) -> dict[str, Any]:
        """Return what an account has said of its withdrawals, and from when on it counts."""
        policy, client = self.policy, self.ledger.clients.of(account)
        delay_ns = policy.allow_list_delay_hours * NS_PER_HOUR
        return {
            "key": client.key_at(self.ledger.timestamp_ns), "keySince": client.changed_ns, "nonce": client.nonce,
            "pendingKey": client.pending_key,
            "pendingUntil": client.pending_since_ns + OBJECTION_NS if client.pending_key else None,
            "addresses": [
                {"id": line.number, "address": address, "name": line.name, "since": line.since_ns,
                 "usableFrom": line.since_ns + delay_ns}
                for address, line in client.listed.items()
            ],
        }  # fmt: skip

    def _doubt(self, account: int, raw: bytes) -> dict[str, Any]:
        """Say early why custody would not count what an account wants to say, or would not pay."""
        clients, now_ns = self.ledger.clients, self.ledger.timestamp_ns
        try:
            wish = decode(raw, Wish)
        except FundsError:
            why = clients.objection(account, decode_of_account(raw), now_ns)
        else:
            why = clients.doubt(account, wish, now_ns, currency=XBT.currency)
        return {"error": why} if why else {}

    def _cancel(self, account: int, number: int) -> dict[str, Any]:
        entry = self.ledger.entry(number)
        if entry is None or entry.account != account or not entry.locked:
            return {"error": "no such withdrawal"}
        if str(number) in self.batches.batch_of:
            return {"error": "it is in a batch that is sealed, and cannot be called back"}
        self._log.append("cancelled", {"withdrawal": str(number)}, now_ns=time.time_ns())
        return {"canceled": number}

    def _approve(self, signed: SignedApproval) -> dict[str, Any]:
        if not self.charter.approvals((signed,)):
            return {"error": "the approval is not signed by somebody who may"}
        self._log.append("approved", {"approval": msgspec.to_builtins(signed)}, now_ns=time.time_ns())
        return {"approved": signed.approval.digest}

    def _announce(self, document: PolicyDocument) -> dict[str, Any]:
        """Write down a version of the policy; co-signers hear of it for themselves."""
        try:
            if is_news(self.charter, self._versions(), document):
                self._log.append("announced", announced_body(document), now_ns=time.time_ns())
        except ConfigurationError as error:
            return {"error": str(error)}
        return {"digest": document.policy.digest}

    def _veto(self, veto: SignedVeto) -> dict[str, Any]:
        """Send a withdrawal back that is in no batch yet: one person is enough to stop it."""
        if not self.charter.is_veto(veto):
            return {"error": "the veto is not signed by somebody who may"}
        for one in self._waiting():
            if one.wish is not None and intent_of(one, chain=self.charter.chain).digest == veto.digest:
                why = f"stopped by {veto.person}: {veto.because}"[:_BECAUSE_CHARACTERS_MAX]
                body = {"withdrawal": str(one.number), "because": why, "veto": msgspec.to_builtins(veto)}
                self._log.append("refused", body, now_ns=time.time_ns())
                return {"stopped": one.number}
        return {
            "error": "no such withdrawal waits: it is in a batch already (freeze the co-signers), or is over"
        }

    def shown(self) -> list[dict[str, Any]]:
        """Return every withdrawal and how far it is, newest first: what a page or a terminal shows."""
        confirmed = self.confirmed()
        return [
            self._row(one, confirmed)
            for _, one in sorted(self.ledger.withdrawals.items(), reverse=True) if one.asset == XBT.number
        ]  # fmt: skip

    def _row(self, one: Withdrawal, confirmed: dict[str, int]) -> dict[str, Any]:
        refused, waits = self.batches.refused.get(str(one.number), ""), self.waits.get(one.number, "")
        return row_of(one, self.batches.flow_of(one.number), refused, waits, confirmed, self.charter.chain)

    def _withdrawal(self, number: int) -> dict[str, Any]:
        one = self.ledger.entry(number)
        if one is None or one.asset != XBT.number:
            return {"error": f"there is no withdrawal {number}"}
        row = self._row(one, self.confirmed())
        people = self.batches.approvals.get(row["digest"], {})
        flow = self.batches.flow_of(number)
        return {
            **row,
            "approvals": sorted(people),
            **(papers_of(flow, self.wallets) if flow is not None else {}),
        }

    def close(self) -> None:
        self.feed.close()
        self.book.close()
        self._log.close()
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


async def _hear(coordinator: Coordinator, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while line := await reader.readline():
            asked: Any = None
            try:
                asked = msgspec.json.decode(line)
                said = await coordinator.answer(asked)
            except (msgspec.MsgspecError, KeyError, TypeError, ValueError, AttributeError) as error:
                said = {"error": f"this is no question: {error}"}
            number = asked.get("id") if isinstance(asked, dict) else None
            writer.write(msgspec.json.encode({"id": number, **said}) + b"\n")
            await writer.drain()
    except (OSError, ValueError):
        pass  # it hung up, or sent no lines
    finally:
        writer.close()


async def run(coordinator: Coordinator, *, block_seconds: float) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    path = coordinator.home / "desk.sock"
    path.unlink(missing_ok=True)
    server = await asyncio.start_unix_server(
        lambda reader, writer: _hear(coordinator, reader, writer), path, limit=_LINE_BYTES_MAX
    )
    os.chmod(path, 0o600)
    log.info("coordinator of charter %s", coordinator.charter.digest[:16])
    mined_at = time.monotonic()
    async with server:
        while not stop.is_set() and not coordinator.is_broken:
            await coordinator.turn()
            if block_seconds and time.monotonic() - mined_at >= block_seconds:
                mined_at = time.monotonic()
                _mine(coordinator)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _TURN_SECONDS)


def _mine(coordinator: Coordinator) -> None:
    """Make a block if something waits for one; regtest has no other miners."""
    with suppress(BitcoinError):
        if coordinator.waits_for_a_block or coordinator.rpc.mempool():
            coordinator.rpc.generate(1, ADDRESS)


def main() -> None:
    parser = argparse.ArgumentParser(prog="ringfence-coordinator", description="deposits and withdrawals")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--block-seconds", type=float, default=0.0)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s coordinator %(levelname)s %(message)s")
    directory: Path = given.directory.absolute()
    try:
        charter, ports = read_charter(directory), read_ports(directory)
        endpoint = Endpoint(HOST, ports.node, directory / "bitcoin" / ".cookie")
        coordinator = Coordinator(directory, charter, node=endpoint, ports=ports.cosigners)
    except LogError as error:
        log.critical("%s", error)
        sys.exit(EXIT_REFUSED)
    except (FoundingError, OSError, ValueError) as error:
        log.critical("%s", error)
        sys.exit(EXIT_INPUT)
    try:
        asyncio.run(run(coordinator, block_seconds=given.block_seconds))
        if coordinator.is_broken:
            log.critical("a line of the log may not be on the disk; it is read anew before anything goes on")
            sys.exit(EXIT_DISK)
    except (LedgerGapError, AssertionError) as error:
        log.critical("chain and ledger make no sense: %s", error)
        sys.exit(EXIT_BUG)
    finally:
        coordinator.close()


if __name__ == "__main__":
    main()
