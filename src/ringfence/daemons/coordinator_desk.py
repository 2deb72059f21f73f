"""The coordinator's desk: what the gateway and the command line ask of it, one line of JSON each.

Whoever asks can read and write in the venue's folder; the gateway has authenticated the account that it speaks for.
Nothing that is said here is believed by anybody who signs.
"""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from ringfence import lines
from ringfence.custody.clients import OBJECTION_NS
from ringfence.custody.coordinator.account_rail import AccountRail
from ringfence.custody.coordinator.batches import intent_of
from ringfence.custody.coordinator.rail import Rail
from ringfence.custody.coordinator.reconcile import Report
from ringfence.custody.coordinator.shown import papers_of, row_of
from ringfence.custody.cosigner.config import ASSET, ConfigurationError, PolicyDocument
from ringfence.custody.cosigner.policies import announced_body, is_news
from ringfence.custody.ledger import Withdrawal
from ringfence.custody.quorum.messages import SignedApproval, SignedVeto
from ringfence.custody.wallets.addresses import GapError
from ringfence.custody.wallets.descriptors import DerivationError, Keychain, PoolEndError
from ringfence.custody.wallets.owners import Owner
from ringfence.daemons.coordinator_public import published
from ringfence.messages.funds import FundsError, Wish, decode, decode_of_account
from ringfence.units.assets import ASSETS
from ringfence.units.time import NS_PER_HOUR

if TYPE_CHECKING:
    from ringfence.daemons.coordinator import Coordinator

_ASKING_SECONDS = 10.0
_BECAUSE_CHARACTERS_MAX = 200


class Desk:
    def __init__(self, coordinator: "Coordinator") -> None:
        self._of = coordinator

    async def hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer a connection's questions until it hangs up; what is no question is answered with what it is not."""
        with suppress(OSError, ValueError):  # it hung up, or sent no lines
            while line := await reader.readline():
                asked: Any = None
                try:
                    asked = msgspec.json.decode(line)
                    said = await self.answer(asked)
                except (msgspec.MsgspecError, KeyError, TypeError, ValueError, AttributeError) as error:
                    said = {"error": f"this is no question: {error}"}
                number = asked.get("id") if isinstance(asked, dict) else None
                writer.write(msgspec.json.encode({"id": number, **said}) + b"\n")
                await writer.drain()
        writer.close()

    async def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Answer one question."""
        ask = asked.get("ask")
        if ask == "depositAddress":
            return await self._address(int(asked["account"]), str(asked["asset"]))
        if ask == "deposits":
            return {"deposits": self._deposits_of(int(asked["account"]))}
        if ask == "currencies":
            return {"currencies": [asset for rail in self._of.rails.values() for asset in rail.assets]}
        if ask == "withdrawals":
            return {"withdrawals": self.shown()}
        if ask in ("client", "doubt"):
            self._of.feed.catch_up()  # what was durable before the question is in the answer
        if ask == "client":
            return self._client_of(int(asked["account"]))
        if ask == "doubt":
            return self._doubt(int(asked["account"]), str(asked["said"]).encode(), str(asked["asset"]))
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
            now = self._of.versions(str(asked.get("asset", ASSET)), str(asked.get("chain", "")))
            waits = now.pending
            return {
                "inForce": msgspec.to_builtins(now.in_force), "digest": now.in_force.digest,
                "pending": msgspec.to_builtins(waits.document) if waits else None,
                "heardNs": waits.heard_ns if waits else None,
            }  # fmt: skip
        if ask == "status":
            return self._status()
        if ask == "published":
            return published(self._of)
        return {"error": f"{ask!r} is not asked here"}

    def _status(self) -> dict[str, Any]:
        newest = {report.asset: report for report in self._of.reports}
        return {
            "ledger": self._of.ledger.next_sequence, "charter": self._of.charter.digest, "pools": self._pools(),
            "trouble": self._of.troubles,
            "chains": {
                chain: {"assets": list(rail.assets), "at": rail.position(), "feesLeft": self._fees_left(rail)}
                for chain, rail in self._of.rails.items()
            },
            "reconciled": {asset: _report_row(report) for asset, report in newest.items()},
        }  # fmt: skip

    def _fees_left(self, rail: Rail) -> int | None:
        """Return what the company has paid in for fees that no client pays, in the chain's own ledger unit."""
        return rail.fees_left(self._of.ledger) if isinstance(rail, AccountRail) else None

    def _pools(self) -> dict[str, list[int]]:
        """Return how many scripts of the clients' wallet are taken, and for how many there are keys."""
        vault = self._of.wallets.vaults[Owner.CLIENTS]
        taken = (len(self._of.bitcoin.book), self._of.batches.change_next)
        return {
            keychain.name.lower(): [used, vault.size(keychain)]
            for keychain, used in zip(Keychain, taken, strict=True)
        }

    async def _address(self, account: int, asset: str) -> dict[str, Any]:
        rail = self._of.rail_of(asset)
        if rail is None:
            return {"error": f"no chain of {asset} is connected"}
        if isinstance(rail, AccountRail):
            number, text = account, rail.room.deposit_address(account)
        else:
            try:
                given = self._of.bitcoin.book.address_of(account)
            except (GapError, PoolEndError, DerivationError) as error:
                return {"error": str(error)}
            number, text = given.number, given.text
        question = {"account": account, "asset": asset, "number": number, "address": text}
        try:
            said = await lines.ask(self._of.home / "verifier.sock", question, seconds=_ASKING_SECONDS)
        except lines.NoAnswerError as error:
            return {"error": f"the address verifier does not answer: {error}"}
        if "signature" not in said:
            return {"error": said.get("error", "the verifier refuses")}
        return {"address": text, "signature": said["signature"]}

    def _deposits_of(self, account: int) -> list[dict[str, Any]]:
        return [
            {"outpoint": one.outpoint, "currency": ASSETS[one.asset].currency, "amount": one.amount,
             "state": one.state, "confirmations": one.confirmations, "needed": one.needed}
            for rail in self._of.rails.values()
            for one in rail.deposits(self._of.ledger) if one.account == account
        ]  # fmt: skip

    def _client_of(self, account: int) -> dict[str, Any]:
        """Return what an account has said of its withdrawals, and from when on it counts."""
        policy, client = self._of.policy_of(ASSET), self._of.ledger.clients.of(account)
        delay_ns = policy.allow_list_delay_hours * NS_PER_HOUR
        return {
            "key": client.key_at(self._of.ledger.timestamp_ns), "keySince": client.changed_ns, "nonce": client.nonce,
            "pendingKey": client.pending_key,
            "pendingUntil": client.pending_since_ns + OBJECTION_NS if client.pending_key else None,
            "addresses": [
                {"id": line.number, "address": address, "name": line.name, "since": line.since_ns,
                 "usableFrom": line.since_ns + delay_ns, "currency": self._currency_of(address)}
                for address, line in client.listed.items()
            ],
        }  # fmt: skip

    def _currency_of(self, address: str) -> str:
        """Return what the chain of an address takes its fees in."""
        found = [rail.assets[0] for rail in self._of.rails.values() if rail.is_address(address)]
        return found[0] if found else ASSET

    def _doubt(self, account: int, raw: bytes, asset: str) -> dict[str, Any]:
        """Say early why custody would not count what an account wants to say, or would not pay."""
        clients, now_ns = self._of.ledger.clients, self._of.ledger.timestamp_ns
        try:
            wish = decode(raw, Wish)
        except FundsError:
            why = clients.objection(account, decode_of_account(raw), now_ns)
        else:
            rail = self._of.rail_of(asset)
            if rail is not None and not rail.is_address(wish.address):
                return {"error": f"Invalid address: it is none of {asset}'s network, in its one spelling"}
            why = clients.doubt(account, wish, now_ns, currency=asset)
        return {"error": why} if why else {}

    def _cancel(self, account: int, number: int) -> dict[str, Any]:
        entry = self._of.ledger.entry(number)
        if entry is None or entry.account != account or not entry.locked:
            return {"error": "no such withdrawal"}
        if str(number) in self._of.batches.batch_of:
            return {"error": "it is in a batch that is sealed, and cannot be called back"}
        self._of.write("cancelled", {"withdrawal": str(number)})
        return {"canceled": number}

    def _approve(self, signed: SignedApproval) -> dict[str, Any]:
        if not self._of.charter.approvals((signed,)):
            return {"error": "the approval is not signed by somebody who may"}
        self._of.write("approved", {"approval": msgspec.to_builtins(signed)})
        return {"approved": signed.approval.digest}

    def _announce(self, document: PolicyDocument) -> dict[str, Any]:
        """Write down a version of the policy; co-signers hear of it for themselves."""
        try:
            if is_news(
                self._of.charter, self._of.versions(document.policy.asset, document.policy.chain), document
            ):
                self._of.write("announced", announced_body(document))
        except ConfigurationError as error:
            return {"error": str(error)}
        return {"digest": document.policy.digest}

    def _veto(self, veto: SignedVeto) -> dict[str, Any]:
        """Send a withdrawal back that is in no batch yet: one person is enough to stop it."""
        if not self._of.charter.is_veto(veto):
            return {"error": "the veto is not signed by somebody who may"}
        for one in self._of.waiting():
            if one.wish is not None and intent_of(one, chain=self._chain_of(one)).digest == veto.digest:
                why = f"stopped by {veto.person}: {veto.because}"[:_BECAUSE_CHARACTERS_MAX]
                body = {"withdrawal": str(one.number), "because": why, "veto": msgspec.to_builtins(veto)}
                self._of.write("refused", body)
                return {"stopped": one.number}
        return {
            "error": "no such withdrawal waits: it is in a batch already (freeze the co-signers), or is over"
        }

    def _chain_of(self, one: Withdrawal) -> str:
        rail = self._of.rail_for(one)
        return rail.chain if rail is not None else ""

    def shown(self) -> list[dict[str, Any]]:
        """Return every withdrawal and how far it is, newest first: what a page or a terminal shows."""
        return [self._row(one) for _, one in sorted(self._of.ledger.withdrawals.items(), reverse=True)]

    def _row(self, one: Withdrawal) -> dict[str, Any]:
        refused, waits = self._of.batches.refused.get(str(one.number), ""), self._of.waits.get(one.number, "")
        flow = self._of.batches.flow_of(one.number)
        depths = [self._of.rails[flow.chain].confirmations(each) for each in flow.attempts] if flow else []
        return row_of(one, flow, refused, waits, max(depths, default=0), self._chain_of(one))

    def _withdrawal(self, number: int) -> dict[str, Any]:
        one = self._of.ledger.entry(number)
        if one is None:
            return {"error": f"there is no withdrawal {number}"}
        row = self._row(one)
        people = self._of.batches.approvals.get(row["digest"], {})
        flow = self._of.batches.flow_of(number)
        papers = papers_of(flow, self._of.rails[flow.chain].shown(flow)) if flow is not None else {}
        return {**row, "approvals": sorted(people), **papers}


def _report_row(report: Report) -> dict[str, Any]:
    return {
        "height": report.height, "chain": report.chain, "backed": report.backed, "difference": report.difference,
        "timestampNs": report.timestamp_ns, "items": [list(item) for item in report.items],
    }  # fmt: skip
