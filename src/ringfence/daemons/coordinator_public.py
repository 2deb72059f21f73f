"""What of custody everybody may see: chain against ledger, policies by digest, every draw with all that it was made of.

No client is in it: items in flight are counted and added up, a batch is its digest. The figures of a policy are not in
it either, because a thief would stay right below them; its digest holds whoever signed it to what they signed.
"""

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from ringfence.chained_log import Entry
from ringfence.custody.coordinator.account_rail import AccountRail
from ringfence.custody.coordinator.reconcile import Report
from ringfence.units.assets import BY_CURRENCY

if TYPE_CHECKING:
    from ringfence.daemons.coordinator import Coordinator

_DRAWS_KEPT = 200
Row = dict[str, Any]


class Draws:
    """The newest draws, as the coordinator's log has them; who has the roster draws each of them again."""

    def __init__(self) -> None:
        self._sealed: dict[str, Row] = {}
        self._rows: dict[str, Row] = {}

    def take(self, entry: Entry) -> None:
        body = entry.body
        if entry.kind == "sealed":
            self._sealed[body["id"]] = body["sealed"]
        elif entry.kind == "drawn":
            self._rows[body["id"]] = {
                "batch": body["id"], "drawnNs": entry.at_ns, "sealed": self._sealed.pop(body["id"], None),
                "block": body["block"], "beacon": body["beacon"], "contributions": body["contributions"],
                "quorum": body["quorum"], "late": body["late"],
            }  # fmt: skip
            while len(self._rows) > _DRAWS_KEPT:
                del self._rows[next(iter(self._rows))]
        elif entry.kind == "substituted" and body["id"] in self._rows:
            self._rows[body["id"]] |= {"quorum": body["quorum"], "late": body["late"]}

    def newest_first(self) -> list[Row]:
        return list(reversed(self._rows.values()))


def published(of: "Coordinator") -> Row:
    """Return everything at once; the gateway keeps it for a second."""
    return {
        "reconciliation": [_report(report, scale=_scale(of, report.asset)) for report in reversed(of.reports)],
        "charter": of.charter.digest, "policies": _policies(of),
        "roster": [
            {"name": one.name, "role": one.role, "identity": one.identity, "organisation": one.organisation,
             "site": one.site}
            for one in of.charter.roster().signers
        ],
        "nominations": of.draws.newest_first(), "log": {"entries": of.log.count, "head": of.log.head},
    }  # fmt: skip


def _report(report: Report, *, scale: int) -> Row:
    """Amounts are decimal strings of the chain's smallest unit: wei do not fit into a double."""
    flight: dict[str, list[int]] = defaultdict(list)
    for item in report.items:
        flight[item.what].append(item.amount)
    return {
        "asset": report.asset, "scale": scale, "chain": report.chain_name, "height": report.height,
        "block": report.block, "sequence": report.ledger_sequence, "timestampNs": report.timestamp_ns,
        "held": {owner: str(amount) for owner, amount in report.chain.items()}, "owed": str(report.backed),
        "demo": str(report.demo), "difference": str(report.difference), "agrees": report.agrees,
        "inFlight": [
            {"what": what, "count": len(amounts), "amount": str(sum(amounts))} for what, amounts in flight.items()
        ],
    }  # fmt: skip


def _scale(of: "Coordinator", currency: str) -> int:
    """Return how many decimals lie between the chain's smallest unit and the coin."""
    rail = of.rail_of(currency)
    factor = rail.annex.asset(currency).factor if isinstance(rail, AccountRail) else 1
    return BY_CURRENCY[currency].scale + len(str(factor)) - 1


def _policies(of: "Coordinator") -> list[Row]:
    rows = []
    for chain, rail in of.rails.items():
        for asset in rail.assets:
            now = of.versions(asset, chain)
            waits = now.pending
            rows.append(
                {
                    "chain": now.in_force.chain, "asset": now.in_force.asset, "version": now.in_force.version,
                    "digest": now.in_force.digest, "changeDelayHours": now.in_force.change_delay_hours,
                    "pendingVersion": waits.document.policy.version if waits else None,
                    "pendingDigest": waits.document.policy.digest if waits else None,
                    "pendingSinceNs": waits.heard_ns if waits else None,
                }
            )  # fmt: skip
    return rows
