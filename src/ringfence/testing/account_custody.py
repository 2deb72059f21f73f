"""A custody of Ethereum and Solana in one process: five co-signers with shares of real keys, and real chains.

As in `testing/custody.py` everything that travels goes through `ask`, and what co-signers say to each other in a run
through `line`: there a test may change it, hold it back, lose it, or stop the coordinator in the middle. Tokens are
SoftHSM's, keys are made and used by the real engine, Ethereum is anvil, Solana its own virtual machine.

This house may not know the daemons', so a test brings what it wants to try of them: `Daemons`.
"""

import asyncio
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec

from ringfence.chained_log import Entry, Log
from ringfence.custody.annex import Annex, AnnexAsset
from ringfence.custody.chains.accounts import AccountFollower, AccountRoom
from ringfence.custody.chains.ethereum import faucet as ethereum_faucet
from ringfence.custody.chains.ethereum.addresses import spelt
from ringfence.custody.chains.ethereum.blocks import WEI_PER_GWEI, EthereumBlocks
from ringfence.custody.chains.ethereum.devnet import CHAIN_ID, USDT_ADDRESS
from ringfence.custody.chains.ethereum.rpc import EthereumRpc
from ringfence.custody.chains.solana import faucet as solana_faucet
from ringfence.custody.chains.solana.blocks import SolanaBlocks
from ringfence.custody.chains.solana.rpc import SolanaRpc
from ringfence.custody.coordinator.account_rail import AccountRail
from ringfence.custody.coordinator.batches import Batches, Flow, batch_of, gather, intent_of
from ringfence.custody.coordinator.driver import Driver
from ringfence.custody.coordinator.instructions import Instruction, Settled, next_instruction
from ringfence.custody.coordinator.reconcile import Report
from ringfence.custody.cosigner.config import PolicyDocument
from ringfence.custody.cosigner.cosigner import Cosigner, Sources
from ringfence.custody.cosigner.memory import Memory
from ringfence.custody.cosigner.mpc import MpcMemory, MpcParty
from ringfence.custody.cosigner.rail import Rail
from ringfence.custody.demonstration import FIRST_POLICY, PEOPLE, PLACES, first_policy
from ringfence.custody.explained import Explained, explain
from ringfence.custody.hsm import FileCounter, Witness
from ringfence.custody.hsm.token import IDENTITY, verifies
from ringfence.custody.intents import Intent
from ringfence.custody.ledger import Ledger, Moved, Withdrawal
from ringfence.custody.policy import Policy
from ringfence.custody.quorum.messages import (
    Attach,
    Batch,
    Challenge,
    Consider,
    Join,
    JointSignature,
    Nonce,
    Part,
    Question,
    Recall,
    Refusal,
    Standing,
    statement,
)
from ringfence.custody.quorum.mpc.engine import Scheme
from ringfence.custody.quorum.mpc.keys import KeyRecord
from ringfence.custody.quorum.mpc.sessions import Sent
from ringfence.custody.quorum.mpc.shares import ShareVault
from ringfence.custody.quorum.wire import Asked, Told
from ringfence.custody.wallets.owners import Owner
from ringfence.messages.funds import Closed, Credit, Wish
from ringfence.testing.bitcoin import NOBODY, RunningNode, Signers, wallets_of
from ringfence.testing.custody import CUSTODY_ACCOUNT, Exchange
from ringfence.testing.mpc import Circle, MpcHardware, make_tokens
from ringfence.units.assets import ASSETS, BY_CURRENCY, ETH, SOL, USDT, Asset
from ringfence.units.time import NS_PER_SECOND

ETHEREUM = f"eip155:{CHAIN_ID}"
SOLANA = f"solana:{solana_faucet.GENESIS_HASH[:32]}"
FEES_RAW = {ETHEREUM: 10**18, SOLANA: 10**9}
"""What the company pays in for fees, unless a test says otherwise."""
STEP_NS = 15 * NS_PER_SECOND
SIGNING_SECONDS = 5.0
TURNS_MAX = 60


class Door(Protocol):
    """What answers at a co-signer."""

    async def answer(self, line: bytes, *, is_coordinator: bool) -> Told: ...


class Chain(Protocol):
    """An annex's chain, from one node."""

    @property
    def annex(self) -> Annex: ...

    @property
    def room(self) -> AccountRoom: ...

    @property
    def follower(self) -> AccountFollower: ...


class Daemons(NamedTuple):
    """What of the daemons is tried."""

    connect: Callable[[Annex, dict[str, str]], Chain]
    door: Callable[["CosignerProcess"], Door]


class Hardware(MpcHardware):
    """Ten tokens that are enrolled, and a key of each chain in shares. Made once: it takes ten seconds."""

    def __init__(self, folder: Path) -> None:
        make_tokens(folder, "")
        super().__init__(folder)
        self.witnesses = {
            name: Witness(name, token, FileCounter(folder / f"{name}.counter"), files=None)
            for name, token in self.identities.items()
        }
        members = []
        for member in self.charter.members:
            found = self.witnesses[member.name].enrol()
            members.append(
                msgspec.structs.replace(
                    member, serial=found.serial, model=found.model, keys_digest=found.keys_digest
                )
            )
        digest = statement(b"policy", FIRST_POLICY.digest, 0)
        self.charter = msgspec.structs.replace(
            self.charter, members=tuple(members), timeout_s=0,
            policies=(PolicyDocument(FIRST_POLICY, 0, self.signatures(digest)),),
        )  # fmt: skip
        self.wallets = wallets_of({Owner.CLIENTS: Signers(keys=1)}, lookahead=1)
        """There is no Bitcoin in this custody, and no co-signer without a wallet of it."""
        self.shares = folder / "begun"
        self.keys = asyncio.run(self._create())

    def signatures(
        self, digest: bytes, *, by: tuple[str, ...] = tuple(PEOPLE)
    ) -> tuple[tuple[str, str], ...]:
        return tuple((name, self.people[name].sign(digest).hex()) for name in by)

    async def _create(self) -> dict[str, KeyRecord]:
        circle = Circle(self.shares, self)
        records = {
            ETHEREUM: await circle.create("eip155", Scheme.ECDSA),
            SOLANA: await circle.create("solana", Scheme.ED25519),
        }
        circle.close()
        return records


class Books(Exchange):
    """What the exchange says, of any asset."""

    def __init__(self) -> None:
        super().__init__()
        self.free: dict[tuple[int, int], int] = {}
        """By account and asset."""

    def withdraw(self, account: int, asset: Asset, wish: Wish, *, now_ns: int) -> int:
        """Put coins aside for a wish; return its number."""
        number, locked = self._next(), wish.amount + wish.fee_max
        self.free[account, asset.number] -= locked
        assert self.free[account, asset.number] >= 0
        self.locked[number] = locked
        self._say(Moved(number, now_ns, "wish", account, asset.number, locked, wish=wish))
        return number

    def take(self, instruction: Instruction, *, now_ns: int) -> bool:
        if instruction.number != self.instruction_next:
            return False
        _, kind, account, asset, amount, text = instruction
        said = Moved(self._next(), now_ns, kind, account, asset, amount)
        if isinstance(text, Credit):
            self.free[account, asset] = self.free.get((account, asset), 0) + amount
            self._say(said._replace(kind="credit", outpoint=text.outpoint))
        else:
            assert isinstance(text, Closed)
            assert self.locked[text.withdrawal] >= amount, "more is closed than was put aside"
            self.locked[text.withdrawal] -= amount
            if kind == "returned":
                self.free[account, asset] += amount
            self._say(said._replace(withdrawal=text.withdrawal, txid=text.txid))
        self.instruction_next += 1
        return True


class Feed:
    """One process's replica of the ledger."""

    def __init__(self, exchange: Books) -> None:
        self._exchange = exchange
        self.ledger = Ledger()
        self.ledger.custody_account, self.ledger.instruction_next = CUSTODY_ACCOUNT, 1

    def catch_up(self) -> None:
        while self.ledger.next_sequence < len(self._exchange.said):
            self.ledger.fold(self._exchange.said[self.ledger.next_sequence])
            self.ledger.next_sequence += 1


class CosignerProcess:
    """One co-signer; `restart` forgets everything but its log, its shares and its tokens."""

    def __init__(self, custody: "AccountCustody", name: str) -> None:
        self.custody, self.name, self.home = custody, name, custody.folder / name
        self.log: Log | None = None
        self.restart()

    def restart(self) -> None:
        self.close()
        custody, hardware = self.custody, self.custody.hardware
        token, identity = hardware.identities[self.name], hardware.charter.member(self.name).baseline.identity
        self.memory, of_keys = Memory(), MpcMemory()

        def take(entry: Entry) -> None:
            self.memory.take(entry)
            of_keys.take(entry)

        def sign(digest: bytes) -> bytes:
            return token.sign(IDENTITY, digest)

        self.log = Log(
            self.home / "log.jsonl", on_entry=take, sign=sign,
            verify=lambda digest, signature: verifies(identity, digest, signature),
            counter=FileCounter(self.home / "log-counter"),
        )  # fmt: skip
        self.vault = ShareVault(
            self.home / "shares", hardware.share_tokens[self.name], FileCounter(self.home / "generation"),
            party=self.name,
        )  # fmt: skip
        self.party = MpcParty(
            self.name, hardware.charter, vault=self.vault, log=self.log, memory=of_keys, sign=sign,
            send=lambda to, one: custody.carry(self.name, to, one), now_ns=lambda: custody.now_ns,
            signing_seconds=custody.signing_seconds,
        )  # fmt: skip
        self.feed = Feed(custody.exchange)
        self.feed.catch_up()
        self.rails: dict[str, Rail] = {}
        self.sources: Sources
        self.cosigner: Cosigner
        self.door = custody.daemons.door(self)

    def found(self, rail_of: Callable[[Annex], Rail]) -> Cosigner:
        """Return the co-signer, once somebody is there who connects chains."""
        custody, hardware = self.custody, self.custody.hardware
        assert self.log is not None
        self.sources = Sources(
            custody.node.rpc, self.feed.ledger, self.rails, rail_of, standing_of=custody.standing_of
        )
        self.cosigner = Cosigner(
            self.name, hardware.charter, wallets=hardware.wallets, token=hardware.identities[self.name],
            witness=hardware.witnesses[self.name], log=self.log, memory=self.memory, sources=self.sources,
            now_ns=lambda: custody.now_ns,
        )  # fmt: skip
        return self.cosigner

    async def hear(self, asked: Asked, *, is_coordinator: bool = True) -> Told:
        """Answer a question as it comes over the wire."""
        return await self.door.answer(msgspec.json.encode(asked), is_coordinator=is_coordinator)

    def answer(self, asked: Asked, *, is_coordinator: bool = True) -> Told:
        return asyncio.run(self.hear(asked, is_coordinator=is_coordinator))

    def close(self) -> None:
        if self.log is not None:
            self.log.close()


class AccountCustody:
    """Exchange, coordinator and five co-signers over one chain of accounts or both."""

    def __init__(
        self, folder: Path, hardware: Hardware, node: RunningNode, nodes: Mapping[str, str], daemons: Daemons, *,
        fees_raw: int | None = None, signing_seconds: float = SIGNING_SECONDS,
    ) -> None:  # fmt: skip
        """`node` is Bitcoin's, for the draw; `nodes` are the URLs of the others by chain."""
        shutil.copytree(hardware.shares, folder)
        self.folder, self.hardware, self.node, self.daemons = folder, hardware, node, daemons
        self.nodes, self.signing_seconds = dict(nodes), signing_seconds
        (folder / "custody").mkdir()
        (folder / "custody" / "nodes.json").write_bytes(msgspec.json.encode(self.nodes))
        self.ethereum, self.solana = (
            EthereumRpc(nodes.get(ETHEREUM, "http://localhost/")),
            SolanaRpc(nodes.get(SOLANA, "http://localhost/")),
        )
        self.now_ns = time.time_ns()
        self.exchange = Books()
        self.down: set[str] = set()
        self.change: Callable[[str, Asked], Asked] = lambda name, question: question
        """What a dishonest coordinator, or somebody on the line, makes of a question."""
        self.lie: Callable[[str, Asked, Told], Told] = lambda name, question, told: told
        """What a dishonest co-signer says instead of its answer."""
        self.line: Callable[[str, str, Sent], Sent | None] = lambda sender, to, one: one
        """What becomes of a message between co-signers; None loses it."""
        self.heard: list[tuple[str, Asked, Told]] = []
        self.before_effect: Callable[[str], None] = lambda what: None
        """Called before and after everything that leaves the coordinator; may raise Stopped."""
        self.annexes = {chain: self.annex(chain) for chain in nodes}
        self.cosigners: dict[str, CosignerProcess] = {}
        for name in PLACES:
            self.cosigners[name] = CosignerProcess(self, name)
        for annex in self.annexes.values():
            question = Attach(msgspec.json.encode(annex).decode())
            for one in self.cosigners.values():
                told = one.answer(question)
                assert isinstance(told, Standing), told
        self._log: Log | None = None
        self.start_coordinator()
        for chain in nodes:
            raw = FEES_RAW[chain] if fees_raw is None else fees_raw
            if raw:
                self.pay_in(chain, self.rails[chain].room.treasury, raw)

    # ---- annexes

    def annex(self, chain: str, **changes: Any) -> Annex:
        """Return what connects a chain from its newest block on, signed by everybody."""
        record = self.hardware.keys[chain]
        if chain == ETHEREUM:
            blocks = EthereumBlocks(self.ethereum, chain_id=CHAIN_ID, tokens={}, native=ETH.currency)
            tip = blocks.tip()
        else:
            tip = SolanaBlocks(self.solana, genesis=chain.partition(":")[2]).tip()
        bare = Annex(
            chain, record.name, record.public_key, record.chain_code, record.threshold, assets_of(chain), tip.height,
            tip.digest,
        )  # fmt: skip
        return self.signed(msgspec.structs.replace(bare, **changes))

    def signed(self, annex: Annex, *, by: tuple[str, ...] = tuple(PEOPLE)) -> Annex:
        return msgspec.structs.replace(annex, signatures=self.hardware.signatures(annex.digest, by=by))

    # ---- lines

    async def ask(self, name: str, question: Question | Join | Recall) -> Told | None:
        self.before_effect(f"ask {type(question).__name__}")
        if name in self.down:
            return None
        changed = self.change(name, question)
        told = self.lie(name, changed, await self.cosigners[name].hear(changed))
        self.heard.append((name, changed, told))
        self.before_effect(f"heard {type(question).__name__}")
        return told

    async def carry(self, sender: str, to: str, one: Sent) -> None:
        changed = self.line(sender, to, one)
        if changed is not None and not {sender, to} & self.down:
            self.cosigners[to].party.switchboard.take(changed)

    def standing_of(self, name: str) -> Standing | None:
        """Return what one co-signer hears when it asks another."""
        return None if name in self.down else self.cosigners[name].cosigner.standing()

    # ---- the coordinator

    def start_coordinator(self) -> None:
        """Start it, or start it again with nothing but its log."""
        if self._log is not None:
            self._log.close()
        self.feed = Feed(self.exchange)
        self.feed.catch_up()
        self.batches = Batches()
        self._log = Log(self.folder / "coordinator.log", on_entry=self.batches.take)
        self.rails: dict[str, AccountRail] = {}
        self.followers: dict[str, AccountFollower] = {}
        for annex in self.annexes.values():
            chain = self.daemons.connect(annex, self.nodes)
            self.followers[annex.chain] = chain.follower
            self.rails[annex.chain] = AccountRail(annex, _Sending(chain.room, self), chain.follower)
        self.driver = Driver(
            roster=self.hardware.charter.roster(), rails=self.rails, log=_Noticed(self._log, self),
            batches=self.batches, node=self.node.rpc, ask=self.ask, now_ns=lambda: self.now_ns,
        )  # fmt: skip

    @property
    def ledger(self) -> Ledger:
        return self.feed.ledger

    def write(self, kind: str, body: dict[str, Any]) -> None:
        self.driver._write(kind, body)

    def turn(self) -> None:
        """One turn of the coordinator."""
        self.feed.catch_up()
        for rail in self.rails.values():
            rail.poll(self.ledger)
        while (instruction := self.next_instruction()) is not None:
            self.before_effect(f"instruct {instruction.kind}")
            self.exchange.take(instruction, now_ns=self.now_ns)
            self.before_effect(f"instructed {instruction.kind}")
            self.feed.catch_up()
        for rail in self.rails.values():
            if rail.is_free(self.batches):
                self._gather(rail)
        asyncio.run(self.driver.turn())

    def _gather(self, rail: AccountRail) -> None:
        waiting = [
            one for number, one in self.ledger.open().items()
            if not {str(number)} & {*self.batches.batch_of, *self.batches.refused}
            and ASSETS[one.asset].currency in rail.assets and rail.affords(intent_of(one, chain=rail.chain))
        ]  # fmt: skip
        batch = gather(waiting, chain=rail.chain, intents_max=rail.intents_max)
        if batch is None:
            movement = next(iter(rail.sweeps(self.ledger, self.batches, self.now_ns)), None)
            if movement is None:
                return
            batch = batch_of([movement])
        self.write("gathered", {"batch": msgspec.to_builtins(batch)})

    def next_instruction(self) -> Instruction | None:
        deposits = ((rail.chain, one) for rail in self.rails.values() for one in rail.deposits(self.ledger))
        return next_instruction(self.ledger, deposits, self.batches, self._settled())

    def _settled(self) -> dict[str, Settled]:
        found = {}
        for number in self.ledger.open():
            flow = self.batches.flow_of(number)
            if flow is not None:
                (intent,) = flow.batch.intents
                settled = self.rails[flow.chain].settled(flow, intent)
                if settled is not None:
                    found[intent.id] = settled
        return found

    # ---- whether it adds up

    def reports(self) -> Iterator[Report]:
        for rail in self.rails.values():
            rail.poll(self.ledger)
            yield from rail.reconcile(self.ledger, self.batches, self.now_ns)

    def explained(self, asset: Asset) -> Explained:
        rail = self.rail_of(asset)
        factor = rail.annex.asset(asset.currency).factor
        return explain(self.followers[rail.chain], rail.room, self.ledger, asset.currency, factor=factor)

    def check(self) -> None:
        """Chain and ledger are equal, to the chain's smallest unit."""
        reports = list(self.reports())
        assert len(reports) == sum(len(rail.assets) for rail in self.rails.values())
        for report in reports:
            assert report.agrees, report
            assert not self.explained(BY_CURRENCY[report.asset]).unexplained

    def rail_of(self, asset: Asset) -> AccountRail:
        return next(rail for rail in self.rails.values() if asset.currency in rail.assets)

    # ---- what happens around it

    def mine(self, blocks: int = 1) -> None:
        """Let every chain go on."""
        self.node.rpc.generate(blocks, NOBODY)
        if ETHEREUM in self.nodes:
            self.ethereum.mine(blocks)
        if SOLANA in self.nodes:
            self.solana.advance(blocks)
        self.now_ns += blocks * STEP_NS

    def until(self, done: Callable[[], bool], *, turns: int = TURNS_MAX) -> None:
        """Let the coordinator work until something is so; whatever it has done, chain and ledger are equal."""
        for _ in range(turns):
            self.turn()
            self.check()
            if done():
                return
            self.mine()
        raise AssertionError([(f.batch.id, f.state, f.given_up or f.waiting_for) for f in self.flows()])

    def flows(self) -> list[Flow]:
        return list(self.batches.flows.values())

    def pay_in(self, chain: str, address: str, raw: int, *, token: bool = False) -> str:
        """Send coins from a stranger; they are in the next block."""
        if chain == SOLANA:
            return solana_faucet.Faucet(self.solana).pay(address, raw)
        faucet = ethereum_faucet.Faucet(self.ethereum)
        return faucet.pay_token(address, raw) if token else faucet.pay_wei(address, raw)

    def deposit(self, account: int, asset: Asset, raw: int) -> str:
        """Pay to an account's address and have it credited; return the txid."""
        rail = self.rail_of(asset)
        address = rail.room.deposit_address(account)
        txid = self.pay_in(rail.chain, address, raw, token=asset == USDT)
        self.until(lambda: any(name.startswith(txid) for name in self.ledger.credited))
        return txid

    def ask_for(self, account: int, asset: Asset, amount: int, to: str, *, fee_max: int = 0) -> int:
        """Ask for a withdrawal; return its number."""
        wish = Wish(to, amount, fee_max, is_confirmed=True)
        number = self.exchange.withdraw(account, asset, wish, now_ns=self.now_ns)
        self.feed.catch_up()
        return number

    def withdrawal(self, number: int) -> Withdrawal:
        self.feed.catch_up()
        return self.ledger.withdrawals[number]

    def finish(self, number: int) -> Withdrawal:
        """Let the coordinator work until nothing of a withdrawal is put aside any more."""
        self.until(lambda: not self.exchange.locked[number])
        return self.withdrawal(number)

    def intent(self, number: int, **changes: Any) -> Intent:
        """Return what a withdrawal wants to move, perhaps with something else in it."""
        one = self.withdrawal(number)
        chain = self.rail_of(ASSETS[one.asset]).chain
        return msgspec.structs.replace(intent_of(one, chain=chain), **changes)

    def close(self) -> None:
        assert self._log is not None
        self._log.close()
        self.ethereum.close()
        self.solana.close()
        for one in self.cosigners.values():
            one.close()


class Proposal:
    """A batch of whoever holds the coordinator, sealed and drawn as it has to be; no transaction is of it yet."""

    def __init__(self, custody: AccountCustody, *intents: Intent) -> None:
        self.custody = custody
        chosen = tuple(sorted(intents, key=lambda one: one.id))
        batch = Batch(f"batch-{chosen[0].id}-proposed", Owner.CLIENTS.text, chosen)
        custody.write("gathered", {"batch": msgspec.to_builtins(batch)})
        self.flow = custody.batches.flows[batch.id]
        driver = custody.driver
        for step in (driver._seal, driver._witness):
            asyncio.run(step(self.flow))
        custody.node.rpc.generate(2, NOBODY)
        if self.flow.sealed is not None and driver.is_witnessed(self.flow):
            asyncio.run(driver._draw(self.flow))
            assert len(self.flow.quorum) == self.rail.seats

    @property
    def rail(self) -> AccountRail:
        return self.custody.rails[self.flow.chain]

    @property
    def source(self) -> str:
        return self.flow.batch.intents[0].source or self.rail.room.treasury

    def honest(self) -> bytes:
        """Return the transaction that the coordinator would build."""
        intent = self.flow.batch.intents[0]
        raw = intent.amount * self.rail.annex.asset(intent.asset).factor
        return self.rail.room.build(source=self.source, to=intent.destination, asset=intent.asset, raw=raw)

    def question(self, name: str, raw: bytes, **changes: Any) -> Consider:
        """Return the question with evidence of everybody else for it."""
        subject = self.rail.subject(raw.hex())
        nonce = self._ask(name, Challenge(subject))
        assert isinstance(nonce, Nonce)
        evidence = [  # what `Show` gives, without the way there
            witness.show(nonce=nonce.nonce, subject=subject, now_ns=self.custody.now_ns)
            for other, witness in self.custody.hardware.witnesses.items()
            if other != name and other in self.flow.quorum
        ]
        bare = msgspec.structs.replace(self.custody.driver._question(self.flow, evidence), unsigned=raw.hex())
        return msgspec.structs.replace(bare, **changes)

    def consider(self, raw: bytes, **changes: Any) -> dict[str, Told]:
        """Put a transaction before every nominee; return what each says."""
        return {name: self._ask(name, self.question(name, raw, **changes)) for name in self.flow.quorum}

    def refused(self, raw: bytes, step: str, words: str, **changes: Any) -> None:
        """Every nominee refuses at this step in these words, and signs with nobody."""
        for told in self.consider(raw, **changes).values():
            assert_refused(told, step, words)
        subject = self.rail.subject(raw.hex())
        for told in self.join(subject):
            assert_refused(told, "join", "has not said yes")

    def agreed(self, raw: bytes) -> str:
        """Have every nominee say yes; return the transaction's name."""
        for told in self.consider(raw).values():
            assert isinstance(told, Part), told
        return self.rail.subject(raw.hex())

    def join(self, subject: str, attempt: int = 1, *, who: tuple[str, ...] = ()) -> list[Told]:
        """Have nominees sign together."""

        async def all_of_them() -> list[Told]:
            names = who or self.flow.quorum
            told = (self.custody.cosigners[name].hear(Join(subject, attempt)) for name in names)
            return list(await asyncio.gather(*told))

        return asyncio.run(all_of_them())

    def signed(self, raw: bytes) -> bytes:
        """Return the transaction with the signature of all nominees, who have nothing against it."""
        told = self.join(self.agreed(raw))
        assert all(isinstance(one, JointSignature) for one in told), told
        return sendable(self.rail, raw, told[0], source=self.source)

    def _ask(self, name: str, question: Asked) -> Told:
        return self.custody.cosigners[name].answer(question)


def sendable(rail: AccountRail, raw: bytes, told: Told, *, source: str) -> bytes:
    """Return what the network takes of what nominees have signed."""
    assert isinstance(told, JointSignature), told
    ((signature, recovery_id),) = told.signatures
    _, whole = rail.room.signed(raw, bytes.fromhex(signature), recovery_id, source=source)
    return whole


def assert_refused(told: object, step: str, words: str = "") -> Refusal:
    """`words` are in the reason, or in what a rule says that has denied it."""
    assert isinstance(told, Refusal), told
    denied = [f"{one.rule}: {one.reason}" for one in told.verdicts if not one.allows]
    assert told.step == step, told
    assert words in "; ".join((told.reason, *denied)), told
    return told


def assets_of(chain: str) -> tuple[AnnexAsset, ...]:
    def policy(asset: Asset, coins: int, fee_max: int) -> Policy:
        return first_policy(asset, chain=chain, coins=coins, fee_max=fee_max)

    if chain == SOLANA:
        return (AnnexAsset(SOL.currency, "", 1, policy(SOL, 500, 100_000)),)
    return (
        AnnexAsset(ETH.currency, "", WEI_PER_GWEI, policy(ETH, 30, 10_000_000)),
        AnnexAsset(USDT.currency, spelt(USDT_ADDRESS), 1, policy(USDT, 100_000, 10_000_000)),
    )


class _Noticed:
    """The coordinator's log, with a chance to die before and after each line."""

    def __init__(self, log: Log, custody: AccountCustody) -> None:
        self._log, self._custody = log, custody

    def append(self, kind: str, body: dict[str, Any], *, now_ns: int) -> Entry:
        self._custody.before_effect(f"write {kind}")
        entry = self._log.append(kind, body, now_ns=now_ns)
        self._custody.before_effect(f"wrote {kind}")
        return entry


class _Sending:
    """A room, with a chance to die around what is sent."""

    def __init__(self, room: AccountRoom, custody: AccountCustody) -> None:
        self._room, self._custody = room, custody

    def send(self, raw: bytes) -> None:
        self._custody.before_effect("send")
        self._room.send(raw)
        self._custody.before_effect("sent")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._room, name)
