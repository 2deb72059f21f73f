"""A console in one process: the real server on a real port, hardware keys in software, and processes that write down
what they were told instead of doing it. The story in `tests/browser/test_console.py` has the real ones.
"""

import asyncio
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import cbor2
import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url

from ringfence.assurance.halting import People, ResumeStatement, Role, new_private_key, person_of
from ringfence.assurance.halting import sign as sign_as_lifter
from ringfence.commitments import Root
from ringfence.console import texts
from ringfence.console.origin import Origin, origin_of
from ringfence.console.outside import NotDoneError, Row
from ringfence.console.record import Record
from ringfence.console.server import Server, Surroundings
from ringfence.console.sight import Sight
from ringfence.custody.cosigner.config import Charter, Member, Person, PolicyDocument, approval_digest
from ringfence.custody.demonstration import FIRST_POLICY, PLACES
from ringfence.custody.intents import Approval, Intent
from ringfence.custody.ledger import Moved
from ringfence.custody.quorum.messages import Freeze, SignedApproval, Standing, Status, Thaw, statement
from ringfence.custody.quorum.mpc.keys import KeyRecord, SignedOrder
from ringfence.custody.quorum.wire import Asked, Told
from ringfence.custody.wallets.owners import Owner
from ringfence.exchange.projections.halts import HaltView
from ringfence.messages.commands import HaltScope, TradingState
from ringfence.messages.funds import Wish
from ringfence.messages.halts import Reason, Scheme, Signature
from ringfence.ports import free_ports
from ringfence.testing.bitcoin import NOBODY, Signers

VENUE = "ab" * 32
XBT = 10**8
KEYS = {
    name: Ed25519PrivateKey.from_private_bytes(name.encode().ljust(32))
    for name in ("anna", "bert", "carl", "eve")
}
GROUPS = {"anna": "operations", "bert": "risk", "carl": "operations"}
LIFTERS = {
    "olga": (Role.OPERATIONS, new_private_key(Scheme.ED25519)), "rosa": (Role.RISK, new_private_key(Scheme.ECDSA_P256)),
    "otto": (Role.OPERATIONS, new_private_key(Scheme.ED25519)), "shadow": (Role.JUDGE, new_private_key(Scheme.ED25519)),
}  # fmt: skip
SEATS = {
    **{name: f"custody/{name}/{group}" for name, group in GROUPS.items()},
    **{name: f"halts/{name}/{role}" for name, (role, _) in LIFTERS.items()}, "eve": "custody/eve/operations",
}  # fmt: skip


def sign(name: str, said: bytes) -> str:
    """What a person's own key file makes of something, in their browser."""
    return (KEYS[name].sign(said) if name in KEYS else sign_as_lifter(LIFTERS[name][1], said)).hex()


@cache
def charter() -> Charter:
    people = tuple(
        Person(name, group, KEYS[name].public_key().public_bytes_raw().hex())
        for name, group in GROUPS.items()
    )
    digest = statement(b"policy", FIRST_POLICY.digest, 1)
    first = PolicyDocument(FIRST_POLICY, 1, tuple((name, sign(name, digest)) for name in ("anna", "bert")))
    members = tuple(
        Member(name, role.value, name, organisation, site, "", "", "", "")
        for name, (role, organisation, site) in PLACES.items()
    )
    vaults = tuple(Signers(owner, int(owner)).vault for owner in Owner)
    return Charter("regtest", members, people, vaults, (first,), 0, "")


PEOPLE = People(tuple(person_of(name, role, key) for name, (role, key) in LIFTERS.items()))


# ---- a hardware key


class HardwareKey:
    """An authenticator as WebAuthn wants one: ES256, discoverable, counts."""

    def __init__(self, *, verifies_person: bool = True) -> None:
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.id = secrets.token_bytes(32)
        self.handle, self.count = b"", 0
        self._flags = 0x01 | (0x04 if verifies_person else 0)

    @property
    def credential(self) -> str:
        return bytes_to_base64url(self.id)

    @property
    def digest(self) -> str:
        raw = self.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return hashlib.sha256(raw).hexdigest()

    def create(self, options: Row, origin: str) -> Row:
        """Answer a creation."""
        numbers = self.private.public_key().public_numbers()
        cose = {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        self.handle = base64url_to_bytes(options["user"]["id"])
        data = self._data(options["rp"]["id"], self._flags | 0x40)
        data += bytes(16) + len(self.id).to_bytes(2, "big") + self.id + cbor2.dumps(cose)
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        client = _client("webauthn.create", options["challenge"], origin)
        return self._answer({"clientDataJSON": client, "attestationObject": attestation})

    def get(self, options: Row, origin: str) -> Row:
        """Answer a login."""
        self.count += 1
        data, client = (
            self._data(options["rpId"], self._flags),
            _client("webauthn.get", options["challenge"], origin),
        )
        signature = self.private.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        parts = {
            "clientDataJSON": client,
            "authenticatorData": data,
            "signature": signature,
            "userHandle": self.handle,
        }
        return self._answer(parts)

    def _data(self, party: str, flags: int) -> bytes:
        return hashlib.sha256(party.encode()).digest() + bytes((flags,)) + self.count.to_bytes(4, "big")

    def _answer(self, response: dict[str, bytes]) -> Row:
        encoded = {name: bytes_to_base64url(raw) for name, raw in response.items()}
        return {"id": self.credential, "rawId": self.credential, "type": "public-key", "response": encoded}


def _client(kind: str, challenge: str, origin: str) -> bytes:
    return json.dumps({"type": kind, "challenge": challenge, "origin": origin, "crossOrigin": False}).encode()


# ---- the other processes


@dataclass
class ToldOthers:
    """Who was told what."""

    desk: list[Row] = field(default_factory=list)
    signers: list[tuple[Asked, str]] = field(default_factory=list)
    core: list[tuple[str, Any]] = field(default_factory=list)
    held: list[SignedOrder] = field(default_factory=list)


class OtherProcesses:
    """Takes what it is told, or says why not if `refuses`."""

    venue = VENUE

    def __init__(self) -> None:
        self.told, self.refuses, self.frozen = ToldOthers(), "", ""
        self.root: Root | None = Root(2_000, 0, 0, 0, b"", b"", b"\xcc" * 32, b"", b"")

    async def desk(self, **question: Any) -> Row:
        if self.refuses:
            raise NotDoneError(self.refuses)
        if question["ask"] != "withdrawal":
            self.told.desk.append(question)
        return {}

    async def signers(self, question: Asked, *, only: str = "") -> dict[str, Told | None]:
        if not isinstance(question, Status):
            self.told.signers.append((question, only))
        if isinstance(question, Freeze):
            self.frozen = "ef" * 32
        if isinstance(question, Thaw):
            self.frozen = ""
        names = [one for one in PLACES if only in ("", one)]
        return {name: self._standing(name) for name in names}

    def _standing(self, name: str) -> Standing:
        return Standing(
            signer=name, role=PLACES[name][0].value, policies=(), chains=(), is_frozen=bool(self.frozen),
            frozen=self.frozen, height=1, trouble="", ledger_sequence=1, log_head="", log_entries=1, token="",
            protects="",
        )  # fmt: skip

    async def halt(
        self, scope: HaltScope, target: int, reason: Reason, *, state: TradingState, operator: str
    ) -> int:
        self.told.core.append(("halt", (scope, target, reason, state, operator)))
        return 1_000

    async def resume(self, statement: ResumeStatement, signatures: list[Signature], *, operator: str) -> int:
        if self.refuses:
            raise NotDoneError(self.refuses)
        self.told.core.append(("resume", (statement, signatures, operator)))
        return 3_000

    def newest_root(self) -> Root | None:
        return self.root

    def record_of(self, key: str) -> KeyRecord | None:
        return None

    async def hold(self, order: SignedOrder, record: KeyRecord | None) -> KeyRecord:
        raise NotDoneError("no co-signers here")

    def number_of(self, scope: HaltScope, of: str) -> int:
        return 0


# ---- the house


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def row(self) -> Any:
        return json.loads(self.raw)


class House:
    """The server on a port, and everything behind it."""

    def __init__(self, folder: Path) -> None:
        self.port = free_ports(1)[0]
        self.origin = origin_of(self.port)
        self.clock, self.now_ns = 1_000.0, 1_796_068_506_738_858_553
        self.outside = OtherProcesses()
        self.sight = Sight(charter(), lookahead=5)
        self.sight.halts.people, self.sight.is_caught_up = (PEOPLE.number, PEOPLE.encode()), True
        (folder / "page" / "assets").mkdir(parents=True, exist_ok=True)
        (folder / "page" / "index.html").write_text("<!doctype html><title>Custody console</title>")
        (folder / "page" / "assets" / "index-1.js").write_text("1;")
        (folder / "secret.html").write_text("not a page")
        self.path = folder / "log.jsonl"
        self.record = Record(self.path, lambda: self.now_ns)
        self.server = Server(
            Origin(self.origin), self.record, self.sight, self.outside, Surroundings(), pages=folder / "page",
            clock=lambda: self.clock, now_ns=lambda: self.now_ns,
        )  # fmt: skip
        self._listening: asyncio.Server | None = None

    async def begin(self) -> "House":
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(self.server.connection, "127.0.0.1", self.port)
        return self

    async def end(self) -> None:
        assert self._listening is not None
        self.server.close()
        self._listening.close()
        self.record.close()

    async def ask(
        self, method: str, path: str, said: Any = None, *, cookie: str = "", **changed: str | None
    ) -> Reply:
        """Ask as the page does; `changed` headers (with _ for -) are replaced, or left out where they are None."""
        body = b"" if method in ("GET", "HEAD") else msgspec.json.encode({} if said is None else said)
        headers: dict[str, str | None] = {
            "host": f"custody.localhost:{self.port}", "x-ringfence-console": "page", "sec-fetch-site": "same-origin",
            "origin": self.origin if method not in ("GET", "HEAD") else None, "cookie": cookie or None,
            "content-length": str(len(body)), "connection": "close",
        }  # fmt: skip
        headers |= {name.replace("_", "-"): value for name, value in changed.items()}
        lines = [
            f"{method} {path} HTTP/1.1",
            *(f"{name}: {one}" for name, one in headers.items() if one is not None),
        ]
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        head, _, raw = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        first, *rest = head.decode().split("\r\n")
        found = {name.lower(): one for name, _, one in (line.partition(": ") for line in rest)}
        return Reply(int(first.split()[1]), found, raw)

    async def post(self, path: str, said: Any = None, cookie: str = "") -> Reply:
        return await self.ask("POST", f"/api/{path}", said, cookie=cookie)

    async def get(self, path: str, cookie: str = "") -> Reply:
        return await self.ask("GET", f"/api/{path}", cookie=cookie)

    # ---- people

    async def enrolment(self, name: str, key: HardwareKey, by: str = "") -> Row:
        """What the browser of somebody sends who enrols a key; `by`: who signs it."""
        begun = (await self.post("key/begin", {"seat": SEATS[name]})).row
        answer = key.create(begun["publicKey"], self.origin)
        text = texts.enrolment(
            venue=VENUE, seat=SEATS[name], credential=key.credential, key=key.digest,
            challenge=begun["publicKey"]["challenge"],
        )  # fmt: skip
        return {
            "ticket": begun["ticket"],
            "seat": SEATS[name],
            "answer": answer,
            "signature": sign(by or name, text),
        }

    async def login(self, key: HardwareKey) -> Row:
        """What a browser sends to sign in."""
        begun = (await self.post("login/begin")).row
        return {"ticket": begun["ticket"], "answer": key.get(begun["publicKey"], self.origin)}

    async def signed_in(self, name: str) -> str:
        """Enrol a key for somebody and sign in with it; return the cookie."""
        key = HardwareKey()
        assert (await self.post("key", await self.enrolment(name, key))).status == 200
        reply = await self.post("login", await self.login(key))
        assert reply.status == 200
        return reply.headers["set-cookie"].partition(";")[0]

    # ---- what happens at the exchange

    def wish(self, number: int, amount: int, *, to: str = NOBODY) -> Intent:
        """Somebody asks for a withdrawal."""
        wish = Wish(to, amount, 300_000, is_confirmed=True)
        self.sight.ledger.fold(Moved(number, self.now_ns, "wish", 2, 0, amount + 300_000, wish=wish))
        intent = self.sight.intent(self.sight.ledger.withdrawals[number])
        assert intent is not None
        return intent

    def halted(self, sequence: int = 1_000) -> None:
        self.sight.halts.take(HaltView(
            number=1, timestamp_ns=self.now_ns, halt=sequence, scope=HaltScope.VENUE, target=0, symbol=None,
            state=TradingState.HALTED, before=TradingState.RUNNING, reopens_ns=0, reason=Reason(by="x", what="y"),
        ))  # fmt: skip

    def approval(self, name: str, intent: Intent, by: str = "") -> Row:
        """What the browser of somebody sends who approves a movement."""
        bare = SignedApproval(Approval(name, GROUPS.get(name, "risk"), intent.digest, self.now_ns), "")
        return {
            "withdrawal": intent.id, "digest": intent.digest, "at": str(self.now_ns),
            "signature": sign(by or name, approval_digest(bare)),
        }  # fmt: skip
