"""What signed-in people do. Each deed is checked, written down, passed on, and what came of it is written down too.

Whoever approves, stops, thaws, resumes or signs a policy has signed in the browser. The signature is checked here
against the list that is in force, and again by those who act on it: the console is believed by nobody.
"""

import asyncio
import secrets
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from ringfence.assurance.halting import ResumeStatement, StatementError, parse_resume
from ringfence.commitments import Root
from ringfence.console import texts
from ringfence.console.outside import NotDoneError, Outside
from ringfence.console.record import Draft, Record
from ringfence.console.seats import Seat
from ringfence.console.sight import Sight
from ringfence.custody.cosigner.config import ConfigurationError, PolicyDocument, approval_digest, veto_digest
from ringfence.custody.cosigner.policies import is_news
from ringfence.custody.intents import Approval, Intent
from ringfence.custody.policy import Policy
from ringfence.custody.policy.policy import compare
from ringfence.custody.quorum.messages import (
    Announce,
    Freeze,
    SignedApproval,
    SignedVeto,
    Standing,
    Status,
    Thaw,
    statement,
)
from ringfence.custody.quorum.mpc.keys import Order, SignedOrder, What
from ringfence.custody.quorum.wire import Told
from ringfence.messages.commands import HaltScope, MissedFunding, TradingState
from ringfence.messages.halts import Reason, Signature
from ringfence.units.time import NS_PER_MINUTE

BECAUSE_CHARACTERS_MAX, CAUSE_CHARACTERS_MAX = 200, 1_000
_SIGNED_AGO_NS = 2 * NS_PER_MINUTE
PEOPLE_NEEDED = 2
_ROOT_LOOKS, _ROOT_SECONDS = 30, 0.2
Row = dict[str, Any]


class RefusedError(Exception):
    """This may not be done, or not so. Nothing was done; the text says why."""


class Actor(NamedTuple):
    """Who does something."""

    seat: Seat
    session: str
    address: str

    @property
    def operator(self) -> str:
        """As the core's journal names who has sent a command."""
        return f"{self.seat.id} at the custody console"


class Deeds:
    def __init__(
        self, record: Record, sight: Sight, outside: Outside, now_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._record, self._sight, self._outside, self._now_ns = record, sight, outside, now_ns

    # ---- one movement

    async def approve(self, who: Actor, number: int, *, digest: str, at_ns: int, signature: str) -> str:
        """Pass on that a person wants a movement. Raises RefusedError, NotDoneError, OSError."""
        _need(who, "custody")
        self._check_time(at_ns)
        if not self._sight.is_caught_up:
            raise RefusedError("the exchange's feed is not followed to its end; nothing was done")
        intent = self._waiting(number, digest)
        signed = SignedApproval(Approval(who.seat.name, who.seat.role, intent.digest, at_ns), signature)
        self._check_signed(who, approval_digest(signed), signature)
        approval = msgspec.to_builtins(signed)
        line = self._write(who, "approval", withdrawal=number, approval=approval)
        return await self._pass_on(line, self._outside.desk(ask="approve", approval=approval), "approved")

    async def veto(self, who: Actor, number: int, *, digest: str, because: str, signature: str) -> str:
        """Pass on that a person stops a movement that is in no batch yet. Raises as `approve`."""
        _need(who, "custody")
        _check_line(because, BECAUSE_CHARACTERS_MAX)
        intent = self._waiting(number, digest)
        veto = SignedVeto(who.seat.name, intent.digest, because, signature)
        self._check_signed(who, veto_digest(veto), signature)
        line = self._write(who, "veto", withdrawal=number, veto=msgspec.to_builtins(veto))
        return await self._pass_on(
            line, self._outside.desk(ask="veto", veto=msgspec.to_builtins(veto)), "stopped; its coins go back"
        )

    def _waiting(self, number: int, digest: str) -> Intent:
        """Return the movement that a person has seen, by the feed. Raises RefusedError if it is another one now."""
        one = self._sight.ledger.open().get(number)
        intent = self._sight.intent(one, digest) if one is not None else None
        if intent is None:
            raise RefusedError(f"no withdrawal {number} waits; nothing was done")
        if intent.digest != digest:
            raise RefusedError("what was signed is another movement than the feed has; nothing was done")
        return intent

    # ---- co-signers

    async def freeze(self, who: Actor, *, because: str, at_ns: int, signature: str) -> str:
        """Have every co-signer sign nothing any more. Raises as `approve`."""
        _check_line(because, BECAUSE_CHARACTERS_MAX)
        self._check_time(at_ns)
        said = texts.freeze(venue=self.venue, seat=who.seat.id, because=because, at_ns=at_ns)
        self._check_signed(who, said, signature)
        line = self._write(who, "freeze", because=because, at=str(at_ns), signature=signature)
        return await self._pass_on(line, self._freeze(f"{who.seat.name}: {because}"), "")

    async def _freeze(self, because: str) -> Row:
        found = await self._outside.signers(Freeze(because))
        away = [name for name, one in found.items() if one is None]
        if away:
            raise NotDoneError(
                f"no answer from {', '.join(away)}: stop these by hand. The others are frozen."
            )
        return {"said": f"{len(found)} co-signers are frozen"}

    async def thaw(self, who: Actor, signatures: list[tuple[str, str, str]]) -> str:
        """Take a person's signatures under each freeze; with those of a second group the co-signers go on.

        `signatures`: (co-signer, line by which it froze, signature). Raises as `approve`.
        """
        _need(who, "custody")
        if not signatures:
            raise RefusedError("no co-signer is frozen by itself; nothing was done")
        for signer, frozen, signature in signatures:
            self._check_signed(who, statement(b"thaw", signer, frozen), signature)
        line = self._write(who, "thaw signed", signatures=[list(one) for one in signatures])
        return await self._pass_on(line, self._thaw(signatures), "")

    async def _thaw(self, signatures: list[tuple[str, str, str]]) -> Row:
        refused, thawed = [], 0
        for signer, frozen, _ in signatures:
            seats, by = self._sight.seats(), self._record.thaws[signer, frozen]
            signed = tuple((seats[seat].name, one) for seat, one in by.items() if seat in seats)
            if len({seats[seat].role for seat in by if seat in seats}) < PEOPLE_NEEDED:
                continue
            told = (await self._outside.signers(Thaw(frozen, signed), only=signer))[signer]
            if isinstance(told, Standing):
                thawed += 1
            else:
                refused.append(f"{signer}: {why(told)}")
        if refused:
            raise NotDoneError("; ".join(refused))
        if not thawed:
            return {"said": "signed; somebody of another group signs too"}
        return {"said": f"{thawed} co-signers go on"}

    # ---- halts

    async def halt(self, who: Actor, *, scope: str, of: str, cancel_only: bool, because: str) -> str:
        """Halt at once: one signed-in person is enough. Raises as `approve`."""
        _check_line(because, BECAUSE_CHARACTERS_MAX)
        named = _scope(scope)
        number = self._outside.number_of(named, of)
        state = TradingState.CANCEL_ONLY if cancel_only else TradingState.HALTED
        line = self._write(who, "halt", scope=named.name, of=of, state=state.name, because=because)
        reason = Reason(by=who.seat.name, what=because)
        return await self._pass_on(
            line, self._sequence(self._outside.halt(named, number, reason, state=state, operator=who.operator)),
            "halted at sequence {said}",
        )  # fmt: skip

    async def draft_resume(self, who: Actor, *, scope: str, of: str, funding: str, cause: str) -> Draft:
        """Write the statement that two people sign: of the newest root, after the last halt. Raises RefusedError."""
        _need(who, "halts")
        _check_line(cause, CAUSE_CHARACTERS_MAX)
        if not self._sight.halts.now:
            raise RefusedError("nothing is halted; nothing was written")
        if funding not in MissedFunding.__members__:
            raise RefusedError("what becomes of missed funding is PAY or SKIP; nothing was written")
        named, halt = _scope(scope), max(one.halt for one in self._sight.halts.now)
        root = await self._root_after(halt)
        said = ResumeStatement(
            venue=self.venue, scope=named, target=self._outside.number_of(named, of),
            halt=halt, sequence=root.sequence,
            accounts_root=root.accounts_root.hex(), funding=MissedFunding[funding], cause=cause,
        )  # fmt: skip
        return self._drafted(who, "resume drafted", {"text": said.text})

    async def _root_after(self, halt: int) -> Root:
        """Return the first state that was committed to after a halt: one from before it lifts nothing."""
        for _ in range(_ROOT_LOOKS):
            root = self._outside.newest_root()
            if root is not None and root.sequence > halt:
                return root
            await asyncio.sleep(_ROOT_SECONDS)
        raise RefusedError(
            "no state was committed to since the halt; nothing was written. Is the core alive?"
        )

    def sign_resume(self, who: Actor, number: int, signature: str) -> Draft:
        """Take one of two signatures: of people who are two, in roles that are two. Raises RefusedError."""
        _need(who, "halts")
        draft = self._draft(number, "resume")
        self._check_second(who, draft)
        self._check_signed(who, str(draft.body["text"]).encode(), signature)
        self._write(who, "resume signed", draft=number, signature=signature)
        return draft

    async def send_resume(self, who: Actor, number: int) -> str:
        """Bring a statement with two signatures to the core, which judges it for itself. Raises as `approve`."""
        draft = self._draft(number, "resume")
        seats = self._signed_seats(draft)
        if len(seats) < PEOPLE_NEEDED:
            raise RefusedError("two people of different roles have to sign first; nothing was sent")
        try:
            said = parse_resume(str(draft.body["text"]))
        except StatementError as error:
            raise RefusedError(str(error)) from error
        signatures = [Signature(one.name, one.role, draft.signatures[one.id]) for one in seats]
        line = self._write(who, "resume sent", draft=number)
        return await self._pass_on(
            line, self._sequence(self._outside.resume(said, signatures, operator=who.operator)),
            "lifted at sequence {said}",
        )  # fmt: skip

    # ---- policies

    def draft_policy(self, who: Actor, *, chain: str, asset: str, figures: dict[str, Any]) -> Draft:
        """Write the next version with some figures changed. Raises RefusedError."""
        _need(who, "custody")
        try:
            before = self._sight.versions(chain, asset, self._now_ns()).in_force
            if set(figures) - set(Policy.__struct_fields__) or {"version", "chain", "asset"} & set(figures):
                raise RefusedError("the policy has no such figure to set; nothing was written")
            fields = {**msgspec.to_builtins(before), **figures, "version": before.version + 1}
            policy = msgspec.convert(fields, Policy)
        except (KeyError, ConfigurationError, msgspec.ValidationError) as error:
            raise RefusedError(f"this is no policy: {error}; nothing was written") from error
        if policy == msgspec.structs.replace(before, version=policy.version):
            raise RefusedError("nothing would change; nothing was written")
        document = PolicyDocument(policy, self._now_ns(), ())
        change = compare(before, policy)
        body = {
            "document": msgspec.to_builtins(document), "loosens": list(change.loosens),
            "tightens": list(change.tightens), "digest": policy.digest,
        }  # fmt: skip
        return self._drafted(who, "policy drafted", body)

    def sign_policy(self, who: Actor, number: int, signature: str) -> Draft:
        """Raises RefusedError."""
        _need(who, "custody")
        draft = self._draft(number, "policy")
        document = document_of(draft)
        self._check_signed(
            who, statement(b"policy", document.policy.digest, document.announced_ns), signature
        )
        self._write(who, "policy signed", draft=number, signature=signature)
        return draft

    async def announce(self, who: Actor, number: int) -> str:
        """Bring a signed version to the coordinator and to every co-signer; each judges it. Raises as `approve`."""
        draft = self._draft(number, "policy")
        signatures = tuple((one.name, draft.signatures[one.id]) for one in self._signed_seats(draft))
        document = msgspec.structs.replace(document_of(draft), signatures=signatures)
        now = self._sight.versions(document.policy.chain, document.policy.asset, self._now_ns())
        try:
            is_news(self._sight.charter, now, document)
        except ConfigurationError as error:
            raise RefusedError(f"{error}; nothing was sent") from error
        line = self._write(who, "policy announced", draft=number)
        return await self._pass_on(line, self._announce(document), "")

    async def _announce(self, document: PolicyDocument) -> Row:
        await self._outside.desk(ask="announce", document=msgspec.to_builtins(document))
        answers = await self._outside.signers(Announce(msgspec.json.encode(document).decode()))
        refused = [f"{name}: {why(one)}" for name, one in answers.items() if not isinstance(one, Standing)]
        if refused:
            raise NotDoneError(
                f"announced, but not to all: {'; '.join(refused)}. Announce it again when they answer."
            )
        in_force = [
            name for name, one in answers.items()
            if isinstance(one, Standing) and document.policy.digest in [of[2] for of in one.policies]
        ]  # fmt: skip
        how = "in force" if len(in_force) == len(answers) else "waiting"
        return {"said": f"version {document.policy.version} is {how} at {len(answers)} co-signers"}

    # ---- keys that nobody has

    def draft_order(self, who: Actor, *, key: str) -> Draft:
        """Write an order that gives every co-signer a new share of the same key. Raises RefusedError, NotDoneError."""
        _need(who, "custody")
        record = self._outside.record_of(key)
        if record is None:
            raise RefusedError(f"there is no key {key}; nothing was written")
        parties = tuple(one.name for one in self._sight.charter.members)
        order = Order(
            What.REFRESH, record.name, record.scheme, record.epoch + 1, record.threshold, parties, "",
            secrets.token_hex(16), self._now_ns(),
        )  # fmt: skip
        return self._drafted(who, "order drafted", {"order": msgspec.to_builtins(order)})

    def sign_order(self, who: Actor, number: int, signature: str) -> Draft:
        """Raises RefusedError."""
        _need(who, "custody")
        draft = self._draft(number, "order")
        self._check_second(who, draft)
        self._check_signed(who, order_of(draft).digest, signature)
        self._write(who, "order signed", draft=number, signature=signature)
        return draft

    def begin_order(self, who: Actor, number: int) -> tuple[int, SignedOrder]:
        """Return the line and the order that `carry_out` takes. Raises RefusedError."""
        draft = self._draft(number, "order")
        seats = self._signed_seats(draft)
        if len(seats) < PEOPLE_NEEDED:
            raise RefusedError("two people of different groups have to sign first; nothing was ordered")
        signed = SignedOrder(order_of(draft), tuple((one.name, draft.signatures[one.id]) for one in seats))
        return self._write(who, "order given", draft=number), signed

    async def carry_out(self, line: int, order: SignedOrder) -> str:
        """Have the co-signers do it; minutes. Raises NotDoneError, OSError."""
        return await self._pass_on(line, self._hold(order), "")

    async def _hold(self, order: SignedOrder) -> Row:
        after = await self._outside.hold(order, self._outside.record_of(order.order.key))
        return {"said": f"{after.name}: epoch {after.epoch} is in force at all of them"}

    # ---- what they share

    @property
    def venue(self) -> str:
        return self._outside.venue

    def _write(self, who: Actor, kind: str, **body: Any) -> int:
        return self._record.write(kind, seat=who.seat.id, session=who.session, address=who.address, **body)

    async def _pass_on(self, line: int, doing: Any, said: str) -> str:
        """Do what was written down, and write down what came of it. Raises NotDoneError, OSError."""
        try:
            answer = await doing
        except NotDoneError as error:
            self._record.outcome(line, str(error), is_done=False)
            raise
        words = said.format(said=answer.get("said", "")) or str(answer.get("said", "done"))
        self._record.outcome(line, words, is_done=True)
        return words

    async def _sequence(self, doing: Any) -> Row:
        return {"said": str(await doing)}

    def _drafted(self, who: Actor, kind: str, body: Row) -> Draft:
        return self._record.drafts[self._write(who, kind, draft=body)]

    def _draft(self, number: int, what: str) -> Draft:
        draft = self._record.drafts.get(number)
        if draft is None or draft.what != what:
            raise RefusedError(f"there is no such draft: {number}")
        if draft.is_done:
            raise RefusedError("this is done already")
        return draft

    def _signed_seats(self, draft: Draft) -> list[Seat]:
        """Return who has signed and is still on the list."""
        seats = self._sight.seats()
        return [seats[seat] for seat in draft.signatures if seat in seats]

    def _check_second(self, who: Actor, draft: Draft) -> None:
        """Raises RefusedError if somebody of the same role, or the same person, has signed."""
        for other in self._signed_seats(draft):
            if other.name == who.seat.name:
                raise RefusedError("you have signed this: somebody else signs too")
            if other.role == who.seat.role:
                raise RefusedError(f"{other.name} has signed as {other.role}: another role signs too")

    def _check_signed(self, who: Actor, said: bytes, signature: str) -> None:
        if not who.seat.has_signed(said, signature):
            raise RefusedError("the signature is not yours, or not of what is shown; nothing was done")

    def _check_time(self, at_ns: int) -> None:
        if not -_SIGNED_AGO_NS <= self._now_ns() - at_ns <= _SIGNED_AGO_NS:
            raise RefusedError("this was signed too long ago; nothing was done")


def document_of(draft: Draft) -> PolicyDocument:
    return msgspec.convert(draft.body["document"], PolicyDocument)


def order_of(draft: Draft) -> Order:
    return msgspec.convert(draft.body["order"], Order)


def why(told: Told | None) -> str:
    """Return what a co-signer says who refuses."""
    return str(getattr(told, "reason", "no answer"))


async def standings(outside: Outside) -> dict[str, Told | None]:
    return await outside.signers(Status())


def _need(who: Actor, of: str) -> None:
    if who.seat.of != of:
        raise RefusedError(
            "this is for people whom the charter of custody names" if of == "custody"
            else "this is for people who may lift halts"
        )  # fmt: skip


def _scope(name: str) -> HaltScope:
    if name not in HaltScope.__members__:
        raise RefusedError(f"there is no scope {name}")
    return HaltScope[name]


def _check_line(text: str, characters_max: int) -> None:
    if not texts.is_line(text, characters_max=characters_max):
        raise RefusedError(f"say why, in one line of at most {characters_max} characters")
