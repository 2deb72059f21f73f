"""Parties of keys in one process: real tokens, the real engine, lines that a test may cut or change."""

import asyncio
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ringfence.chained_log import Log
from ringfence.custody.cosigner.config import Charter, Member, Person, PolicyDocument
from ringfence.custody.cosigner.mpc import MpcMemory, MpcParty, Task
from ringfence.custody.demonstration import FIRST_POLICY, PEOPLE, PLACES
from ringfence.custody.hsm import FileCounter, Lockout, Token
from ringfence.custody.hsm.token import IDENTITY, verifies
from ringfence.custody.quorum.mpc.engine import Outcome, Scheme
from ringfence.custody.quorum.mpc.keys import (
    Adopt,
    Conduct,
    KeyRecord,
    Order,
    SignedOrder,
    Transcript,
    What,
    check_transcript,
)
from ringfence.custody.quorum.mpc.sessions import Sent
from ringfence.custody.quorum.mpc.shares import ShareVault
from ringfence.testing.tokens import PIN, make_token, module

THRESHOLD = 4


def make_tokens(folder: Path, *prefixes: str) -> None:
    """Make ten tokens for each prefix, before any is opened: SoftHSM does not see those that come later."""
    for prefix in prefixes:
        for name in PLACES:
            make_token(folder, f"{prefix}{name}")
            make_token(folder, f"{prefix}{name}-shares")


class MpcHardware:
    """Ten tokens: for each place one for its identity and one for its shares. Made once: it takes seconds."""

    def __init__(self, folder: Path, *, prefix: str = "") -> None:
        """The tokens are in `folder` already: `make_tokens`, with this prefix."""
        self.folder = folder
        self.identities, self.share_tokens = {}, {}
        for name in PLACES:
            label = f"{prefix}{name}"
            self.identities[name] = Token(module(), label, PIN, Lockout(folder / f"{label}.lockout"))
            self.identities[name].generate(IDENTITY)
            label = f"{label}-shares"
            self.share_tokens[name] = Token(module(), label, PIN, Lockout(folder / f"{label}.lockout"))
        self.people = {name: Ed25519PrivateKey.generate() for name in PEOPLE}
        members = tuple(
            Member(
                name,
                role.value,
                self.identities[name].public_key(IDENTITY).hex(),
                organisation,
                site,
                "",
                "",
                "",
                "",
            )
            for name, (role, organisation, site) in PLACES.items()
        )
        people = tuple(
            Person(name, group, self.people[name].public_key().public_bytes_raw().hex())
            for name, group in PEOPLE.items()
        )
        self.charter = Charter("regtest", members, people, (), (PolicyDocument(FIRST_POLICY, 0, ()),), 0, "")
        self.verify = self.charter.is_signed


class PartyProcess:
    """One party; `restart` forgets everything but its disk and its tokens."""

    def __init__(self, circle: "Circle", name: str) -> None:
        self._circle, self.name = circle, name
        self.folder = circle.folder / name
        self.folder.mkdir(parents=True, exist_ok=True)
        self._log: Log | None = None
        self.restart()

    def restart(self) -> None:
        self.close()
        hardware = self._circle.hardware
        token, identity = hardware.identities[self.name], hardware.charter.member(self.name).identity
        self.memory = MpcMemory()
        self._log = Log(
            self.folder / "log.jsonl", on_entry=self.memory.take, sign=lambda digest: token.sign(IDENTITY, digest),
            verify=lambda digest, signature: verifies(bytes.fromhex(identity), digest, signature),
        )  # fmt: skip
        self.vault = ShareVault(
            self.folder / "shares", hardware.share_tokens[self.name], FileCounter(self.folder / "generation"),
            party=self.name,
        )  # fmt: skip
        self.party = MpcParty(
            self.name, hardware.charter, vault=self.vault, log=self._log, memory=self.memory,
            sign=lambda digest: token.sign(IDENTITY, digest),
            send=lambda to, one: self._circle.carry(self.name, to, one), now_ns=lambda: self._circle.now_ns,
            signing_seconds=self._circle.signing_seconds,
        )  # fmt: skip

    def lose_everything(self) -> None:
        """A new machine in the place of one that has burnt: log, shares and the token of the shares are gone."""
        self.close()
        shutil.rmtree(self.folder)
        self.folder.mkdir()
        token = self._circle.hardware.share_tokens[self.name]
        for label in token.secret_labels():
            token.destroy_secret(label)
        self._log = None
        self.restart()

    def close(self) -> None:
        if self._log is not None:
            self._log.close()


class Circle:
    """All parties, and the lines between them."""

    def __init__(
        self, folder: Path, hardware: MpcHardware, *, signing_seconds: float = 20.0, begun: Path | None = None
    ) -> None:
        """`begun`: the folder of a circle on the same tokens, which is gone on with."""
        self.folder, self.hardware, self.signing_seconds = folder, hardware, signing_seconds
        if begun is not None:
            shutil.copytree(begun, folder)
        for token in hardware.share_tokens.values() if begun is None else ():
            for label in token.secret_labels():
                token.destroy_secret(label)
        self.now_ns = time.time_ns()
        self.change: Callable[[str, str, Sent], Sent | None] = lambda sender, to, one: one
        """What somebody on the line, or a dishonest sender, makes of a message; None loses it."""
        self.carried: list[Sent] = []
        self.parties = {name: PartyProcess(self, name) for name in PLACES}

    async def carry(self, sender: str, to: str, one: Sent) -> None:
        changed = self.change(sender, to, one)
        if changed is not None:
            self.carried.append(changed)
            self.parties[to].party.switchboard.take(changed)

    # ---- what people do

    def order(
        self, what: What, key: str, scheme: Scheme, *, epoch: int = 1, target: str = "", threshold: int = THRESHOLD,
        by: Sequence[str] = tuple(PEOPLE),
    ) -> SignedOrder:  # fmt: skip
        self.now_ns += 1
        order = Order(
            what, key, scheme, epoch, threshold, tuple(PLACES), target, str(self.now_ns), self.now_ns
        )
        signatures = tuple((name, self.hardware.people[name].sign(order.digest).hex()) for name in by)
        return SignedOrder(order, signatures)

    async def hold(self, signed: SignedOrder, *, record: KeyRecord | None = None) -> Transcript:
        """Carry an order out to its end; return what everybody has signed."""
        question = Conduct(signed, record)
        ready = await asyncio.gather(*(one.party.conduct(question) for one in self.parties.values()))
        adopted = [one.party.adopt(Adopt(signed, tuple(ready))) for one in self.parties.values()]
        transcript = Transcript(signed, tuple(ready), tuple(adopted))
        check_transcript(transcript, self.hardware.verify)
        return transcript

    async def create(self, key: str, scheme: Scheme) -> KeyRecord:
        return (await self.hold(self.order(What.CREATE, key, scheme))).record

    async def refresh(self, record: KeyRecord) -> KeyRecord:
        order = self.order(What.REFRESH, record.name, record.scheme, epoch=record.epoch + 1)
        return (await self.hold(order)).record

    async def sign(
        self, record: KeyRecord, message: bytes, parties: Sequence[str], *, attempt: int = 0
    ) -> list[Outcome]:
        task = self.task(record, message, parties, attempt=attempt)
        return list(await asyncio.gather(*(self.parties[name].party.sign(task) for name in parties)))

    def task(self, record: KeyRecord, message: bytes, parties: Sequence[str], *, attempt: int = 0) -> Task:
        return Task(record.name, record.epoch, "subject", message, tuple(parties), attempt)

    def hasten(self, seconds: float) -> None:
        """Give ceremonies less time, for stories in which somebody is silent."""
        for one in self.parties.values():
            one.party._ceremony_seconds = seconds

    def close(self) -> None:
        for one in self.parties.values():
            one.close()
