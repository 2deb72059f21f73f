"""A custody in one process: five co-signers with real tokens, a real node, and an exchange that says what it is told.

Each co-signer has its own log, memory and replica; what travels between coordinator and co-signers goes through `ask`,
where a test may change it, hold it back, or stop a process in the middle. Nothing is faked that could run here: tokens
are SoftHSM's, the chain is judged by Bitcoin Core's own library.
"""

import asyncio
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import ringfence.custody.coordinator.bitcoin_rail as coordinator
from ringfence.chained_log import Entry, Log
from ringfence.custody.annex import Annex
from ringfence.custody.beacon import Beacon
from ringfence.custody.chains.bitcoin.follow import ChainEvent, Follower
from ringfence.custody.chains.bitcoin.regtest.faucet import Faucet
from ringfence.custody.chains.bitcoin.transactions import Output, Transaction
from ringfence.custody.chains.bitcoin.watch import Watch
from ringfence.custody.coordinator.batches import Batches, gather
from ringfence.custody.coordinator.driver import Driver
from ringfence.custody.coordinator.instructions import Instruction, Settled, next_instruction
from ringfence.custody.coordinator.reconcile import Report
from ringfence.custody.cosigner.bitcoin_rail import BitcoinRail
from ringfence.custody.cosigner.config import (
    Charter,
    ConfigurationError,
    Member,
    Person,
    PolicyDocument,
    approval_digest,
)
from ringfence.custody.cosigner.cosigner import Cosigner, Sources
from ringfence.custody.cosigner.memory import Memory
from ringfence.custody.cosigner.rail import Rail
from ringfence.custody.demonstration import FIRST_POLICY, PEOPLE, PLACES
from ringfence.custody.hsm import FileCounter, Lockout, Token, Witness, softhsm_module
from ringfence.custody.hsm.token import IDENTITY, verifies
from ringfence.custody.intents import Approval, Intent
from ringfence.custody.ledger import Ledger, Moved
from ringfence.custody.policy import Policy
from ringfence.custody.quorum.messages import (
    Answer,
    Join,
    Question,
    Recall,
    Refusal,
    SignedApproval,
    Standing,
    statement,
)
from ringfence.custody.wallets.addresses import AddressBook
from ringfence.custody.wallets.descriptors import RECOVERY, Keychain, Pool, Vault, key_label
from ringfence.custody.wallets.owners import Owner
from ringfence.messages.funds import AccountText, Closed, Credit, Wish
from ringfence.testing.beacon import signature_of
from ringfence.testing.bitcoin import NOBODY, RunningNode, Signers
from ringfence.testing.tokens import OFFICER_PIN, PIN, configure
from ringfence.units.assets import XBT
from ringfence.units.time import NS_PER_SECOND

CUSTODY_ACCOUNT = 99
SIZES = {Owner.CLIENTS: (6, 10), Owner.INSURANCE: (1, 1), Owner.COMPANY: (1, 1)}
TO = str(NOBODY)


class Stopped(BaseException):
    """A process dies here. Not an Exception: nothing of ours may catch it."""


class Place(NamedTuple):
    """One token and who it is."""

    name: str
    token: Token
    witness: Witness


class Hardware:
    """Five tokens with their pools, and the charter that knows them. Made once: it takes seconds."""

    def __init__(self, folder: Path, *, policy: Policy = FIRST_POLICY, timeout_s: int = 0) -> None:
        module = softhsm_module()
        assert module is not None
        self.folder = folder
        self.tokens = folder / "tokens"
        self.tokens.mkdir(parents=True)
        configuration = folder / "softhsm2.conf"
        configuration.write_text(
            f"directories.tokendir = {self.tokens}\nobjectstore.backend = file\nlog.level = ERROR\n"
        )
        configure(configuration)
        for name in PLACES:
            subprocess.run(
                ["softhsm2-util", "--init-token", "--free", "--label", name, "--pin", PIN, "--so-pin", OFFICER_PIN],
                check=True, capture_output=True,
            )  # fmt: skip
        self.places: dict[str, Place] = {}
        pools: dict[str, dict[Owner, Pool]] = {}
        for name in PLACES:
            token = Token(module, name, PIN, Lockout(folder / f"{name}.lockout"))
            token.generate(IDENTITY)
            pools[name] = {owner: _pool(token, name, owner) for owner in Owner}
            witness = Witness(name, token, FileCounter(folder / f"{name}.counter"), files=self.tokens)
            self.places[name] = Place(name, token, witness)
        self.people = {name: Ed25519PrivateKey.generate() for name in PEOPLE}
        self.charter = self._charter(pools, policy, timeout_s)
        self.wallets = self.charter.wallets()

    def _charter(self, pools: dict[str, dict[Owner, Pool]], policy: Policy, timeout_s: int) -> Charter:
        members = []
        for name, (role, organisation, site) in PLACES.items():
            found = self.places[name].witness.enrol()
            members.append(
                Member(name, role.value, found.identity.hex(), organisation, site, found.serial, found.model,
                       found.token_digest, found.keys_digest)
            )  # fmt: skip
        vaults = tuple(
            Vault(
                owner.text, "regtest", tuple(pools[name][owner] for name in PLACES if name.startswith("ops")),
                tuple(pools[name][owner] for name in PLACES if name.startswith("policy")),
                Signers(owner, 100 + owner).vault.recovery,
            )
            for owner in Owner
        )  # fmt: skip
        assert len(vaults[0].recovery) == RECOVERY
        people = tuple(
            Person(name, group, self.people[name].public_key().public_bytes_raw().hex())
            for name, group in PEOPLE.items()
        )
        return Charter(
            "regtest", tuple(members), people, vaults, (self.signed(policy),), 0, "", timeout_s=timeout_s
        )

    def signed(
        self, policy: Policy, *, by: tuple[str, ...] = tuple(PEOPLE), announced_ns: int = 0
    ) -> PolicyDocument:
        digest = statement(b"policy", policy.digest, announced_ns)
        signatures = tuple((name, self.people[name].sign(digest).hex()) for name in by)
        return PolicyDocument(policy, announced_ns, signatures)

    def approval(self, intent: Intent, person: str, *, at_ns: int) -> SignedApproval:
        bare = SignedApproval(Approval(person, PEOPLE[person], intent.digest, at_ns), "")
        return msgspec.structs.replace(bare, signature=self.people[person].sign(approval_digest(bare)).hex())


def _pool(token: Token, name: str, owner: Owner) -> Pool:
    keys = [
        tuple(token.generate(key_label(owner.text, keychain, index)).hex() for index in range(count))
        for keychain, count in zip(Keychain, SIZES[owner], strict=True)
    ]
    return Pool(name, keys[0], keys[1])


class Exchange:
    """What the exchange's feed would say, in order; balances add up, and instructions are taken in order."""

    def __init__(self) -> None:
        self.said: list[Moved] = []
        self.instruction_next = 1
        self._sequence = 1_000
        self.wallets: dict[int, int] = {}
        """By account."""
        self.locked: dict[int, int] = {}
        """By withdrawal."""

    def _say(self, moved: Moved) -> Moved:
        self.said.append(moved)
        return moved

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence

    def ask(self, account: int, amount: int, fee_max: int, address: str, *, now_ns: int) -> int:
        """Ask for a withdrawal; return its number."""
        return self.wish(account, Wish(address, amount, fee_max, is_confirmed=True), now_ns=now_ns)

    def wish(self, account: int, wish: Wish, *, now_ns: int) -> int:
        """Put coins aside for a wish; return its number."""
        number, locked = self._next(), wish.amount + wish.fee_max
        assert self.wallets.get(account, 0) >= locked
        self.wallets[account] -= locked
        self.locked[number] = locked
        self._say(Moved(number, now_ns, "wish", account, XBT.number, locked, wish=wish))
        return number

    def says(self, account: int, said: AccountText, *, now_ns: int) -> None:
        """Say something of an account's withdrawals in its name."""
        self._say(Moved(self._next(), now_ns, "says", account, XBT.number, 0, says=said))

    def take(self, instruction: Instruction, *, now_ns: int) -> bool:
        """Carry out an instruction if its number is the next one."""
        if instruction.number != self.instruction_next:
            return False
        first = Moved(
            self._next(), now_ns, instruction.kind, instruction.account, XBT.number, instruction.amount
        )
        text = instruction.text
        if isinstance(text, Credit):
            self.wallets[instruction.account] = self.wallets.get(instruction.account, 0) + instruction.amount
            self._say(first._replace(kind="credit", outpoint=text.outpoint))
        else:
            assert isinstance(text, Closed)
            assert self.locked[text.withdrawal] >= instruction.amount, "more is closed than was put aside"
            self.locked[text.withdrawal] -= instruction.amount
            if instruction.kind == "returned":
                self.wallets[instruction.account] += instruction.amount
            self._say(first._replace(withdrawal=text.withdrawal, txid=text.txid))
        self.instruction_next += 1
        return True

    @property
    def owed_sats(self) -> int:
        return sum(self.wallets.values()) + sum(self.locked.values())


class Replica:
    """One process's view: its ledger and its follower."""

    def __init__(
        self, exchange: Exchange, node: RunningNode, hardware: Hardware, *, height: int, block: str
    ) -> None:
        self._exchange, self._read = exchange, 0
        self.ledger = Ledger()
        self.ledger.custody_account, self.ledger.instruction_next = CUSTODY_ACCOUNT, 1
        wallets = hardware.wallets
        self.follower = Follower(
            lambda script: wallets.classify(script) is not None, height=height, digest=block
        )
        self.watch = Watch(node.rpc, self.follower, chain="regtest")

    def look(self) -> list[ChainEvent]:
        while self._read < len(self._exchange.said):
            self.ledger.fold(self._exchange.said[self._read])
            self._read += 1
        self.ledger.next_sequence = self._read
        return list(self.watch.poll())


class CosignerProcess:
    """One co-signer; `restart` forgets everything but its log and its token."""

    def __init__(self, custody: "Custody", name: str) -> None:
        self._custody, self.name = custody, name
        self.path = custody.folder / f"{name}.log"
        self.log: Log | None = None
        self.restart()

    def restart(self) -> None:
        if self.log is not None:
            self.log.close()
        custody, place = self._custody, self._custody.hardware.places[self.name]
        memory = Memory()
        identity = custody.hardware.charter.member(self.name).baseline.identity
        self.log = Log(
            self.path, on_entry=memory.take, sign=lambda digest: place.token.sign(IDENTITY, digest),
            verify=lambda digest, signature: verifies(identity, digest, signature),
            counter=FileCounter(custody.folder / f"{self.name}.log-counter"),
        )  # fmt: skip
        self.memory = memory
        self.replica = custody.replica()
        self.rail = BitcoinRail(custody.hardware.wallets, custody.node.rpc, self.replica.follower)
        self.sources = Sources(
            custody.node.rpc, self.replica.ledger, {custody.charter.chain: self.rail}, _no_other_chain,
            standing_of=custody.standing_of,
        )  # fmt: skip
        self.cosigner = Cosigner(
            self.name, custody.charter, wallets=custody.hardware.wallets, token=place.token, witness=place.witness,
            log=self.log, memory=memory, sources=self.sources, now_ns=lambda: custody.now_ns,
        )  # fmt: skip

    def answer(self, question: Question, *, is_coordinator: bool = True) -> Answer:
        # As over the wire: what cannot be encoded cannot be asked.
        try:
            asked = msgspec.json.decode(msgspec.json.encode(question), type=Question)
        except msgspec.MsgspecError as error:
            return Refusal(self.name, "question", f"this is no question: {error}")
        self.replica.look()
        return self.cosigner.answer(asked, is_coordinator=is_coordinator)


class Custody:
    """Exchange, coordinator and five co-signers over one node."""

    def __init__(
        self,
        folder: Path,
        hardware: Hardware,
        node: RunningNode,
        *,
        beacon: Beacon | None = None,
        policy: Policy | None = None,
    ) -> None:
        folder.mkdir(parents=True)
        self.folder, self.hardware, self.node = folder, hardware, node
        self.charter = msgspec.structs.replace(hardware.charter, beacon=beacon)
        if policy is not None:
            self.charter = msgspec.structs.replace(self.charter, policies=(hardware.signed(policy),))
        self.round_of: Callable[[int], str] = signature_of
        """What a server says is the signature of a round of the beacon."""
        self.now_ns = time.time_ns()
        if node.rpc.block_count() == 0:
            node.rpc.generate(1, NOBODY)
        self._height = node.rpc.block_count()
        self._block = node.rpc.block_hash(self._height)
        self.exchange = Exchange()
        self.down: set[str] = set()
        self.change: Callable[[str, Question], Question] = lambda name, question: question
        """What a dishonest coordinator, or somebody on the line, makes of a question."""
        self.heard: list[tuple[str, Question, Answer]] = []
        self.before_effect: Callable[[str], None] = lambda what: None
        """Called before everything that leaves the coordinator; may raise Stopped."""
        self.cosigners = {name: CosignerProcess(self, name) for name in PLACES}
        self._log: Log | None = None
        self.book: AddressBook
        self.start_coordinator()

    @property
    def charter_from_here(self) -> Charter:
        """The charter, with the block at which this custody began."""
        return msgspec.structs.replace(
            self.charter, follow_from_height=self._height, follow_from_block=self._block
        )

    def standing_of(self, name: str) -> Standing | None:
        """Return what one co-signer hears when it asks another."""
        return None if name in self.down else self.cosigners[name].cosigner.standing()

    def replica(self) -> Replica:
        return Replica(self.exchange, self.node, self.hardware, height=self._height, block=self._block)

    # ---- the coordinator

    def start_coordinator(self) -> None:
        """Start it, or start it again with nothing but its log."""
        if self._log is not None:
            self._log.close()
            self.book.close()
        wallets = self.hardware.wallets
        self.view = self.replica()
        self.batches = Batches()
        self._log = Log(self.folder / "coordinator.log", on_entry=self.batches.take)
        self.book = AddressBook(self.folder / "addresses", wallets)
        sending = _Sending(self.node, self)
        self.rail = coordinator.BitcoinRail(
            self.charter.chain, wallets=wallets, node=sending, follower=self.view.follower, book=self.book,
            events=self.view.look, policy=lambda: self.charter.policy(now_ns=self.now_ns),
        )  # fmt: skip
        self.driver = Driver(
            roster=self.charter.roster(), rails={self.charter.chain: self.rail}, log=_Noticed(self._log, self),
            batches=self.batches, node=sending, ask=self.ask, now_ns=lambda: self.now_ns,
            beacon=self.charter.beacon, round_of=self._fetch,
        )  # fmt: skip

    async def _fetch(self, number: int) -> str:
        return self.round_of(number)

    async def ask(self, name: str, question: Question | Join | Recall) -> Answer | None:
        assert not isinstance(question, Join | Recall), "nothing is signed together on Bitcoin"
        self.before_effect(f"ask {type(question).__name__}")
        if name in self.down:
            return None
        changed = self.change(name, question)
        answer = self.cosigners[name].answer(changed)
        self.heard.append((name, changed, answer))
        self.before_effect(f"heard {type(question).__name__}")
        return answer

    def turn(self) -> None:
        """One turn of the coordinator."""
        self.rail.poll(self.view.ledger)
        while (instruction := self.next_instruction()) is not None:
            self.before_effect(f"instruct {instruction.kind}")
            self.exchange.take(instruction, now_ns=self.now_ns)
            self.before_effect(f"instructed {instruction.kind}")
            self.view.look()
        if self.rail.is_free(self.batches):
            waiting = [
                one for n, one in self.view.ledger.open().items() if str(n) not in self.batches.batch_of
            ]
            housekeeper = self.charter.policies[-1].policy.housekeeper
            batch = gather(waiting, chain="regtest", housekeeper=housekeeper)
            if batch is not None:
                self.driver._write("gathered", {"batch": msgspec.to_builtins(batch)})
        asyncio.run(self.driver.turn())

    def next_instruction(self) -> Instruction | None:
        ledger = self.view.ledger
        deposits = ((self.charter.chain, one) for one in self.rail.deposits(ledger))
        return next_instruction(ledger, deposits, self.batches, self._settled())

    def _settled(self) -> dict[str, Settled]:
        found = {
            intent.id: self.rail.settled(flow, intent)
            for flow in self.batches.of(self.charter.chain)
            for intent in flow.batch.intents
        }
        return {number: settled for number, settled in found.items() if settled is not None}

    def report(self) -> Report:
        self.rail.poll(self.view.ledger)
        (report,) = self.rail.reconcile(self.view.ledger, self.batches, self.now_ns)
        return report

    # ---- what happens around it

    def mine(self, blocks: int = 1) -> None:
        self.node.rpc.generate(blocks, NOBODY)
        self.now_ns += blocks * NS_PER_SECOND

    def deposit(self, account: int, sats: int) -> Transaction:
        """Pay to an account's address and have it credited."""
        address = self.book.address_of(account)
        paid = Faucet(self.node.rpc).pay([Output(sats, address.script)])
        while not any(one.outpoint.startswith(paid.txid) for one in self.exchange.said):
            self.mine()
            self.turn()
        return paid

    def go_on(self, *, turns: int = 12) -> None:
        """Let the coordinator work, with a block after each turn that waits for one."""
        for _ in range(turns):
            self.turn()
            if not self.view.ledger.open() and self.next_instruction() is None:
                return
            self.mine()

    def close(self) -> None:
        assert self._log is not None
        self._log.close()
        self.book.close()
        for one in self.cosigners.values():
            assert one.log is not None
            one.log.close()


class _Noticed:
    """The coordinator's log, with a chance to die before and after each line."""

    def __init__(self, log: Log, custody: Custody) -> None:
        self._log, self._custody = log, custody

    def append(self, kind: str, body: dict[str, Any], *, now_ns: int) -> Entry:
        self._custody.before_effect(f"write {kind}")
        entry = self._log.append(kind, body, now_ns=now_ns)
        self._custody.before_effect(f"wrote {kind}")
        return entry


class _Sending:
    """The node, with a chance to die around what is sent."""

    def __init__(self, node: RunningNode, custody: Custody) -> None:
        self._rpc, self._custody = node.rpc, custody
        self.block_count, self.block_hash = node.rpc.block_count, node.rpc.block_hash
        self.fee_rate_sats_per_kvb, self.mempool = node.rpc.fee_rate_sats_per_kvb, node.rpc.mempool

    def send(self, raw: bytes) -> str:
        self._custody.before_effect("send")
        txid = self._rpc.send(raw)
        self._custody.before_effect("sent")
        return txid


def _no_other_chain(annex: Annex) -> Rail:
    raise ConfigurationError(f"{annex.chain} is not connected here")
