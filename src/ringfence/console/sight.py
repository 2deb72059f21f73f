"""What the console knows of coins and halts, folded from the exchange's feed and from the coordinator's log.

What was asked for comes from the feed, as co-signers have it; what was decided, from the log, whose bytes are decoded
here. What the coordinator merely says stands apart and is named so. Integers leave as text: a browser's numbers would
round them.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from embit.script import address_to_scriptpubkey

from ringfence.assurance.halting import People, decode_people
from ringfence.chained_log import Entry
from ringfence.console import decoded
from ringfence.console.seats import Seat, seats_of
from ringfence.custody.annex import Annex
from ringfence.custody.chains.accounts import AccountRoom
from ringfence.custody.client_facts import client_facts
from ringfence.custody.coordinator.batches import Batches, Flow, intent_of
from ringfence.custody.cosigner.config import Charter, ConfigurationError
from ringfence.custody.cosigner.policies import Announced, Versions, read_announced, versions
from ringfence.custody.intents import Intent, Kind
from ringfence.custody.ledger import Ledger, Withdrawal
from ringfence.custody.policy import Policy, is_fresh, waits_for
from ringfence.custody.policy.facts import ClientFacts
from ringfence.custody.policy.policy import tier_of
from ringfence.custody.quorum.messages import SignedApproval
from ringfence.custody.wallets.descriptors import Keychain
from ringfence.custody.wallets.owners import Owner, Wallets
from ringfence.exchange.projections.halts import Halts
from ringfence.units.assets import ASSETS, BY_CURRENCY, XBT
from ringfence.units.time import NS_PER_HOUR, NS_PER_MINUTE, iso

Row = dict[str, Any]
_OVER_SHOWN = 50


class Sight:
    """Fed by the process; answers with rows for the page."""

    def __init__(self, charter: Charter, *, lookahead: int = 200) -> None:
        """`lookahead`: so many scripts of ours are known beyond those in use. Raises DescriptorError, ValueError."""
        self.charter, self.wallets = charter, charter.wallets(lookahead=lookahead)
        self.ledger, self.halts, self.batches = Ledger(), Halts(), Batches()
        self.announced: list[Announced] = []
        self.annexes: dict[str, Annex] = {}
        """By chain; two people have signed each."""
        self.rooms: dict[str, AccountRoom] = {}
        self.draws: dict[str, Row] = {}
        """By batch: each quorum drawn again."""
        self.trouble: dict[str, str] = {}
        """By what cannot be followed now: why."""
        self.is_caught_up = False
        self._client_facts: dict[int, tuple[tuple[int, int], ClientFacts]] = {}

    def take(self, entry: Entry) -> None:
        """Take a line of the coordinator's log."""
        if entry.kind == "announced":
            self.announced.append(read_announced(entry))
        else:
            self.batches.take(entry)

    def look_ahead(self) -> None:
        """Know the scripts that have come into use since the last time: each account has one address at most."""
        self.wallets.extend(Owner.CLIENTS, Keychain.CHANGE, self.batches.change_next)
        self.wallets.extend(Owner.CLIENTS, Keychain.RECEIVE, self.ledger.accounts_end)
        for room in self.rooms.values():
            room.know(self.ledger.accounts_end)

    # ---- people

    @property
    def people(self) -> People | None:
        """Who may lift halts, by the list that the journal has put in force."""
        number, raw = self.halts.people
        if not number:
            return None
        people = decode_people(raw)
        assert people.number == number, "the list beside the command is another one than the command's"
        return people

    def seats(self) -> dict[str, Seat]:
        return seats_of(self.charter, self.people)

    # ---- policies

    def policies(self, now_ns: int) -> Iterator[Versions]:
        """Yield what is in force and what waits, of every asset of every chain."""
        yield self.versions(self.charter.chain, XBT.currency, now_ns)
        for annex in self.annexes.values():
            for asset in annex.assets:
                yield self.versions(annex.chain, asset.currency, now_ns)

    def versions(self, chain: str, asset: str, now_ns: int) -> Versions:
        """Raises ConfigurationError, KeyError."""
        if chain == self.charter.chain:
            first = self.charter.policy(now_ns=now_ns)
        else:
            first = self.annexes[chain].asset(asset).policy
        return versions(self.charter, first, self.announced, now_ns=now_ns)

    # ---- withdrawals

    def intent(self, one: Withdrawal, digest: str = "") -> Intent | None:
        """Return what a withdrawal wants to move, by the feed; None if it is no request, or of no chain that is known.

        From which of our wallets it goes the coordinator chooses: `digest` says which it has chosen, and is not taken
        for anything else.
        """
        if one.wish is None:
            return None
        flow = self.batches.flow_of(one.number)
        chains = [flow.chain] if flow is not None else self._chains_of(ASSETS[one.asset].currency)
        intents = [intent_of(one, chain=chain) for chain in chains]
        return next((each for each in intents if each.digest == digest), intents[0] if intents else None)

    def _chains_of(self, currency: str) -> list[str]:
        """Return from which chains an asset may be paid, the cold one first."""
        cold = [self.charter.chain] if currency == XBT.currency else []
        return cold + [
            annex.chain
            for annex in self.annexes.values()
            if currency in [one.currency for one in annex.assets]
        ]

    def waits_for(self, intent: Intent, asset: int, now_ns: int) -> str:
        """Return which people or which time a movement waits for, worked out here, empty if for none."""
        policy = self.versions(intent.chain, intent.asset, now_ns).in_force
        approvals = [each.approval for each in self.approvals(intent)]
        return waits_for(intent, approvals, policy, self._clients(asset), now_ns=now_ns)

    def _clients(self, asset: int) -> ClientFacts:
        """Return what the ledger says of clients; worked out once as long as it has not moved."""
        at, known = (self.ledger.next_sequence, len(self.ledger.withdrawals)), self._client_facts.get(asset)
        if known is None or known[0] != at:
            known = self._client_facts[asset] = (at, client_facts(self.ledger, asset))
        return known[1]

    def approvals(self, intent: Intent) -> list[SignedApproval]:
        """Return the approvals of a movement whose signatures are valid."""
        signed = tuple(self.batches.approvals.get(intent.digest, {}).values())
        return [one for one in signed if self.charter.approvals((one,))]

    def requests(self, now_ns: int) -> list[Row]:
        """Return what is open, oldest first, then the newest that are over."""
        newest = sorted(self.ledger.withdrawals.values(), key=lambda one: -one.number)
        is_open = [one for one in newest if one.locked]
        over = [one for one in newest if not one.locked][:_OVER_SHOWN]
        return [self._row(one, now_ns) for one in (*reversed(is_open), *over)]

    def request(self, number: int, now_ns: int, said: Row) -> Row | None:
        """Return everything about one withdrawal; `said`: what the coordinator says of it."""
        one = self.ledger.entry(number)
        if one is None:
            return None
        digest = str(said.get("digest", ""))
        intent, flow = self.intent(one, digest), self.batches.flow_of(number)
        row = self._row(one, now_ns, digest)
        row["said"] = {
            "waitingFor": str(said.get("waitingFor", "")), "because": str(said.get("because", "")),
            "confirmations": int(said.get("confirmations", 0)), "error": str(said.get("error", "")),
            "agrees": intent is None or not digest or intent.digest == digest,
        }  # fmt: skip
        if intent is not None:
            row |= {"intent": as_text(msgspec.to_builtins(intent)), **self._rules_of(intent, now_ns)}
        if flow is not None:
            row["flow"] = self.flow_row(flow)
        return row

    def _row(self, one: Withdrawal, now_ns: int, digest: str = "") -> Row:
        asset, intent = ASSETS[one.asset], self.intent(one, digest)
        state, waits = self._state(one, intent, now_ns)
        return {
            "number": str(one.number), "account": str(one.account), "asset": asset_row(asset.currency),
            "amount": str(one.wish.amount if one.wish else one.asked),
            "feeMax": str(one.wish.fee_max if one.wish else 0),
            "address": one.wish.address if one.wish else "", "asked": iso(one.asked_ns),
            "expires": iso(intent.expires_ns) if intent else None, "state": state, "waitsFor": waits,
            "digest": intent.digest if intent else "", "chain": intent.chain if intent else "",
            "kind": self._kind_of(intent), "txid": one.txid, "left": str(one.left), "returned": str(one.returned),
            "approvals": [
                {"person": each.approval.person, "group": each.approval.group, "at": iso(each.approval.at_ns)}
                for each in (self.approvals(intent) if intent else ())
            ],
        }  # fmt: skip

    def _kind_of(self, intent: Intent | None) -> str:
        """Return whose the destination is."""
        if intent is None:
            return ""
        room = self.rooms.get(intent.chain)
        if room is not None:
            return "client's" if room.number_of(intent.destination) is None else "ours"
        return "ours" if own_bitcoin(self.wallets, intent.destination) else "client's"

    def _state(self, one: Withdrawal, intent: Intent | None, now_ns: int) -> tuple[str, str]:
        """Return how far a withdrawal is in one word, and what it waits for."""
        flow = self.batches.flow_of(one.number)
        if not one.locked:
            because = self.batches.refused.get(str(one.number), "")
            return one.state, because or (flow.given_up if flow is not None else "")
        if str(one.number) in self.batches.refused:
            return "refused", self.batches.refused[str(one.number)]
        if str(one.number) in self.batches.cancelled:
            return "cancelled", ""
        if flow is not None:
            words = {"signed": "sent", "collecting": "signing", "nominated": "drawn", "given up": "given up"}
            return words.get(flow.state, "gathered"), flow.given_up
        if intent is None:
            return "waiting", "no chain of it is known here"
        try:
            waits = self.waits_for(intent, one.asset, now_ns)
        except (ConfigurationError, KeyError) as error:
            return "waiting", f"its policy cannot be read: {error}"
        if not waits:
            return "ready", ""
        return ("waits for people" if "P6:" in waits else "waits for time"), waits

    def _rules_of(self, intent: Intent, now_ns: int) -> Row:
        """Return what the policy wants of people and of time for a movement."""
        policy = self.versions(intent.chain, intent.asset, now_ns).in_force
        tier, fresh = tier_of(policy.tiers, intent.amount), []
        for one in self.approvals(intent):
            if is_fresh(one.approval, policy, now_ns=now_ns):
                fresh.append(one.approval)
        until = intent.requested_ns + tier.wait_hours * NS_PER_HOUR
        return {
            "tier": {
                "from": str(tier.from_amount), "approvers": tier.approvers, "groups": tier.groups,
                "fresh": [one.person for one in fresh], "freshGroups": sorted({one.group for one in fresh}),
                "missing": max(0, tier.approvers - len({one.person for one in fresh})),
                "missingGroups": max(0, tier.groups - len({one.group for one in fresh})),
                "approvalMinutes": policy.approval_minutes_max,
            },
            "timeLock": {"hours": tier.wait_hours, "until": iso(until), "isOver": now_ns >= until},
            "coolDownHours": policy.cool_down_hours, "policy": {"version": policy.version, "digest": policy.digest},
        }  # fmt: skip

    # ---- batches

    def flows(self) -> list[Row]:
        """Return the newest batches, newest first."""
        return [self.flow_row(flow) for flow in list(self.batches.flows.values())[: -_OVER_SHOWN - 1 : -1]]

    def flow_row(self, flow: Flow) -> Row:
        """Return a batch: who was drawn and whether that comes out again, the transaction from its bytes, verdicts."""
        newest, doubts = flow.newest, self._doubts_of_intents(flow)
        transaction: Row | None = None
        if flow.unsigned:
            try:
                read = self._decode(flow)
                transaction = decoded.row_of(read, flow.batch.intents)
                doubts += decoded.doubts_of(read, flow.batch.intents)
            except (decoded.UnreadableError, KeyError) as error:
                doubts.append(f"the transaction cannot be decoded here: {error}")
        return {
            "batch": flow.batch.id, "chain": flow.chain, "asset": asset_row(flow.asset), "state": flow.state,
            "intents": [as_text(msgspec.to_builtins(one)) for one in flow.batch.intents],
            "sealedAt": flow.sealed.sealed_height if flow.sealed else None,
            "decidedBy": flow.sealed.height if flow.sealed else None,
            "witnesses": [one.signer for one in flow.witnesses],
            "contributed": [one.signer for one in flow.contributions], "nominated": list(flow.quorum),
            "late": list(flow.late), "draw": self.draws.get(flow.batch.id), "givenUp": flow.given_up,
            "signers": list(newest.signers) if newest else [], "replaced": [one.txid for one in flow.attempts[:-1]],
            "transaction": transaction, "doubts": doubts,
            "verdicts": msgspec.to_builtins(newest.verdicts) if newest else {},
        }  # fmt: skip

    def _decode(self, flow: Flow) -> decoded.Decoded:
        """Raises UnreadableError, KeyError if the chain is not known."""
        if flow.chain == self.charter.chain:
            return decoded.of_bitcoin(flow, self.wallets)
        annex = self.annexes[flow.chain]
        if annex.is_hot:
            return decoded.of_hot_bitcoin(flow, self.wallets)
        return decoded.of_accounts(
            flow, self.rooms[flow.chain], factor=annex.asset(flow.asset).factor, native_factor=annex.native.factor
        )  # fmt: skip

    def _doubts_of_intents(self, flow: Flow) -> list[str]:
        """Return which movements of a batch are not those that the feed has."""
        doubts = []
        for intent in flow.batch.intents:
            if intent.kind != Kind.WITHDRAWAL:
                continue
            one = self.ledger.entry(int(intent.id)) if intent.id.isdigit() else None
            if one is None or one.wish is None or intent_of(one, chain=flow.chain) != intent:
                doubts.append(f"movement {intent.id} is not what the exchange's feed has asked for")
        return doubts

    def overview(self) -> Row:
        """Return coins of clients by asset, and what everything is followed to."""
        return {
            "ledger": str(self.ledger.next_sequence), "at": iso(self.ledger.timestamp_ns),
            "isCaughtUp": self.is_caught_up, "trouble": self.trouble, "charter": self.charter.digest,
            "backed": [
                {"asset": asset_row(ASSETS[number].currency), "amount": str(amount)}
                for number, amount in sorted(self.ledger.backed.items())
            ],
            "deposits": [
                {"outpoint": outpoint, "amount": str(amount)}
                for outpoint, amount in list(self.ledger.credited.items())[: -_OVER_SHOWN - 1 : -1]
            ],
        }  # fmt: skip


def own_bitcoin(wallets: Wallets, address: str) -> bool:
    """Return whether a Bitcoin address is ours."""
    try:
        script = bytes(address_to_scriptpubkey(address).data)
    except Exception:  # embit's errors are bare ones: whatever it is, it is no address of ours
        return False
    return wallets.classify(script) is not None


def asset_row(currency: str) -> Row:
    """Return what it takes to write an amount for people."""
    asset = BY_CURRENCY[currency]
    return {"currency": currency, "coin": asset.asset, "scale": asset.scale}


def policy_row(now: Versions, now_ns: int) -> Row:
    """Return a policy with what waits."""
    waits = now.pending
    delay_ns = now.in_force.change_delay_hours * NS_PER_HOUR
    return {
        "chain": now.in_force.chain, "asset": asset_row(now.in_force.asset), "inForce": policy_text(now.in_force),
        "digest": now.in_force.digest,
        "pending": policy_text(waits.document.policy) if waits else None,
        "pendingDigest": waits.document.policy.digest if waits else None,
        "pendingMinutes": max(0, waits.heard_ns + delay_ns - now_ns) // NS_PER_MINUTE if waits else None,
    }  # fmt: skip


def policy_text(policy: Policy) -> Row:
    """Return every figure of a policy as text; what is left out of its digest is left out here."""
    found: Row = as_text(msgspec.to_builtins(policy))
    return found


def as_text(value: Any) -> Any:
    """Return a value with every integer as text."""
    if isinstance(value, dict):
        return {name: as_text(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [as_text(one) for one in value]
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value
