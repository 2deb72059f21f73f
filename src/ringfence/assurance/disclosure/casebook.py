"""All reports of an exchange: a chained log of what happened to each, and beside it what was sealed.

| in DIRECTORY/security | |
|-|-|
| `log.jsonl` | who did what to which report, and when: hash-chained, synced before anybody is told |
| `reports/ID.age`, `reports/ID.N.age` | a report and its follow-ups, as they came |

Of a receipt's secret the SHA-256 is kept alone: 256 random bits need nothing slower.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from ringfence.assurance.disclosure.cases import Case, Message, State, Step
from ringfence.assurance.disclosure.changes import (
    Change,
    ChangeError,
    RoleKey,
    SignedChange,
    What,
    check_change,
    check_signed,
)
from ringfence.assurance.disclosure.sealed import check_sealed
from ringfence.chained_log import GENESIS, Entry, Lines, Log, LogError, entries_of
from ringfence.files import replace, sync_directory

LOG = "log.jsonl"
REPORTER = "reporter"
REPORTS_MAX, FOLLOW_UPS_MAX, HOURLY_MAX = 10_000, 20, 60
_UNREAD_MAX = 500
_NS_PER_HOUR = 3_600 * 10**9
_ID_BYTES, _SECRET_BYTES = 5, 32


class CasebookError(ValueError):
    """It is not done; the text says why and repeats nothing of what was sent."""


class UnknownReceiptError(CasebookError):
    """No report has this id and this secret; which of the two is wrong is not said."""


class Receipt(NamedTuple):
    id: str
    secret: str


class Fold:
    """What the log says."""

    def __init__(self) -> None:
        self.role: RoleKey | None = None
        self.role_changes = 0
        self.cases: dict[str, Case] = {}
        self.head, self.count = GENESIS, 0
        self.came: list[int] = []
        """When reports and follow-ups came, for the hourly bound."""

    def take(self, entry: Entry) -> None:
        """Raises LogError if a line cannot be what was written."""
        try:
            self._take(entry)
        except (msgspec.MsgspecError, KeyError, ChangeError) as error:
            raise LogError(f"line {entry.number + 1} of the log says what was never done: {error}") from error
        self.head, self.count = entry.digest.hex(), entry.number + 1

    def _take(self, entry: Entry) -> None:
        body = entry.body
        if entry.kind == "role":
            self.role = msgspec.convert(body["role"], RoleKey)
        elif entry.kind == "received":
            steps = [Step(State.RECEIVED, entry.at_ns, REPORTER)]
            self.cases[body["id"]] = Case(
                body["id"], entry.at_ns, body["blob"], body["sha256"], body["secret"], steps
            )
            self.came.append(entry.at_ns)
        elif entry.kind == "followed":
            self.cases[body["id"]].follow_ups.append(
                Message(entry.at_ns, REPORTER, body["blob"], body["sha256"])
            )
            self.came.append(entry.at_ns)
        elif entry.kind == "changed":
            signed = msgspec.convert(body["signed"], SignedChange)
            self.check(signed)
            self._apply(signed, entry.at_ns)

    def check(self, signed: SignedChange) -> None:
        """Raises ChangeError unless the role says this, and may."""
        if self.role is None:
            raise ChangeError("no role was named yet")
        check_signed(signed, self.role)
        change = signed.change
        if change.what == What.ROLE:
            if change.number != self.role_changes or change.role is None:
                raise ChangeError("it names no other role, or was sent before")
            change.role.check()
            return
        case = self.cases.get(change.report)
        if case is None:
            raise ChangeError("there is no such report")
        check_change(change, case, set(self.cases))

    def _apply(self, signed: SignedChange, at_ns: int) -> None:
        change = signed.change
        if change.what == What.ROLE:
            self.role, self.role_changes = change.role, self.role_changes + 1
            return
        case = self.cases[change.report]
        case.changes += 1
        if change.state is not None:
            case.steps.append(Step(change.state, at_ns, signed.by))
        case.band = change.band or case.band
        case.vector = change.vector or case.vector
        case.duplicate_of = change.duplicate_of or case.duplicate_of
        case.reward_usd = change.reward_usd or case.reward_usd
        case.name = change.name or case.name
        if change.message:
            case.messages.append(Message(at_ns, signed.by, change.message))
        if change.what == What.PUBLISH:
            case.title, case.advisory = change.title, change.advisory
            if case.state == State.FIXED:
                case.steps.append(Step(State.DISCLOSED, at_ns, signed.by))


class Casebook:
    """The one writer."""

    def __init__(self, home: Path, lines: Lines | None = None) -> None:
        """`lines` are where the log is, if not in `home`. Raises LogError, OSError."""
        self._home = home
        (home / "reports").mkdir(mode=0o700, parents=True, exist_ok=True)
        self.fold = Fold()
        self._log = Log(lines or home / LOG, on_entry=self.fold.take)

    def name_first_role(self, role: RoleKey, *, now_ns: int) -> None:
        """Name who reads reports, once. Raises OSError."""
        role.check()
        assert self.fold.role is None
        self._log.append("role", {"role": msgspec.to_builtins(role)}, now_ns=now_ns)

    def receive(self, sealed: str, *, now_ns: int) -> Receipt:
        """Keep a report and give its receipt, whose secret is told once. Raises SealedError, CasebookError, OSError."""
        raw = check_sealed(sealed)
        unread = sum(case.state == State.RECEIVED for case in self.fold.cases.values())
        if len(self.fold.cases) >= REPORTS_MAX or unread >= _UNREAD_MAX:
            raise CasebookError("too many reports wait to be read: use the other contact of security.txt")
        self._count(now_ns)
        receipt = Receipt(f"R{secrets.token_hex(_ID_BYTES)}", secrets.token_urlsafe(_SECRET_BYTES))
        body = {
            "id": receipt.id, "blob": f"{receipt.id}.age", "sha256": hashlib.sha256(raw).hexdigest(),
            "secret": _hash_of(receipt.secret),
        }  # fmt: skip
        self._keep(body["blob"], raw)
        self._log.append("received", body, now_ns=now_ns)
        return receipt

    def follow_up(self, report: str, secret: str, sealed: str, *, now_ns: int) -> None:
        """Keep what a reporter adds. Raises SealedError, CasebookError, OSError."""
        case = self.find(report, secret)
        raw = check_sealed(sealed)
        if len(case.follow_ups) >= FOLLOW_UPS_MAX:
            raise CasebookError(f"a report has at most {FOLLOW_UPS_MAX} follow-ups")
        self._count(now_ns)
        name = f"{case.id}.{len(case.follow_ups) + 1}.age"
        self._keep(name, raw)
        body = {"id": case.id, "blob": name, "sha256": hashlib.sha256(raw).hexdigest()}
        self._log.append("followed", body, now_ns=now_ns)

    def find(self, report: str, secret: str) -> Case:
        """Return the case of a receipt. Raises UnknownReceiptError, the same for a wrong id and a wrong secret."""
        case = self.fold.cases.get(report)
        wanted = case.secret_sha256 if case is not None else "0" * 64
        if not hmac.compare_digest(_hash_of(secret), wanted) or case is None:
            raise UnknownReceiptError("there is no report with this receipt")
        return case

    def change(self, signed: SignedChange, *, now_ns: int) -> Change:
        """Do what the role says. Raises ChangeError, OSError."""
        self.fold.check(signed)
        self._log.append("changed", {"signed": msgspec.to_builtins(signed)}, now_ns=now_ns)
        return signed.change

    @property
    def is_broken(self) -> bool:
        return self._log.is_broken

    def close(self) -> None:
        self._log.close()

    def _count(self, now_ns: int) -> None:
        """Raises CasebookError if more came within the hour than anybody could read."""
        came = self.fold.came
        if len(came) >= HOURLY_MAX and came[-HOURLY_MAX] > now_ns - _NS_PER_HOUR:
            raise CasebookError("too many reports came within the hour: try again later")

    def _keep(self, name: str, raw: bytes) -> None:
        replace(self._home / "reports" / name, raw)
        sync_directory(self._home / "reports")


def read_casebook(home: Path, content: bytes | None = None) -> Fold:
    """Return what the log of a casebook says, without opening it for writing. Raises LogError, OSError.

    `content` is the log's, if it is not in `home`.
    """
    fold = Fold()
    for entry in entries_of((home / LOG).read_bytes() if content is None else content):
        fold.take(entry)
    return fold


def read_blob(home: Path, name: str, sha256: str | None) -> bytes:
    """Return what was sealed. Raises CasebookError if it is not what came, OSError."""
    raw = (home / "reports" / name).read_bytes()
    if sha256 is not None and hashlib.sha256(raw).hexdigest() != sha256:
        raise CasebookError(f"{name} was changed on the disk since it came")
    return raw


def in_order(fold: Fold) -> Iterator[Case]:
    """Yield cases, oldest first."""
    yield from sorted(fold.cases.values(), key=lambda case: case.received_ns)


def _hash_of(secret: str) -> str:
    return hashlib.sha256(b"ringfence receipt\0" + secret.encode(errors="replace")).hexdigest()
