"""/custody: chain against ledger, policies, draws. For everybody; no client is in it.

| | |
|-|-|
| amounts | decimal strings in the chain's smallest unit, as wei do not fit into a double |
| scale | how many decimals lie between that unit and the coin |
| held | what the chain holds at the addresses of each owner |
| owed | what the ledger says that the clients' addresses hold |
| difference | held for clients, less owed, less what is in flight: 0, or coins are missing |
"""

import time
from collections import Counter
from typing import Any

from ringfence.exchange.gateway import parameters as read
from ringfence.exchange.gateway.rest.route import Request, optional, route
from ringfence.units.time import iso

Row = dict[str, Any]
_KEPT_SECONDS = 1.0
_COMPARISONS_MAX = 200


@route(
    "GET", "/custody/reconciliation", "Custody.getReconciliation",
    optional("count", "number", "How many of each asset, 1 if not given."), returns="Reconciliation[]",
)  # fmt: skip
async def get_reconciliation(request: Request) -> list[Row]:
    """Get the newest comparisons of chain and ledger for each asset, newest first."""
    count = read.integer(request.parameters, "count", low=1, high=_COMPARISONS_MAX) or 1
    seen: Counter[str] = Counter()
    rows = []
    for row in (await _published(request))["reconciliation"]:
        seen[row["asset"]] += 1
        if seen[row["asset"]] <= count:
            rows.append(_stamped(row, "timestampNs", "timestamp"))
    return rows


@route("GET", "/custody/policies", "Custody.getPolicies", returns="CustodyPolicies")
async def get_policies(request: Request) -> Row:
    """Get which version of the policy is in force for each asset, by its digest, and what waits."""
    said = await _published(request)
    rows = [_stamped(row, "pendingSinceNs", "pendingSince") for row in said["policies"]]
    return {"charter": said["charter"], "policies": rows}


@route("GET", "/custody/nominations", "Custody.getNominations", returns="CustodyNominations")
async def get_nominations(request: Request) -> Row:
    """Get who was drawn to sign each of the newest batches, with everything that the draw was made of."""
    said = await _published(request)
    rows = [_stamped(row, "drawnNs", "timestamp") for row in said["nominations"]]
    return {"roster": said["roster"], "nominations": rows, "log": said["log"]}


def _stamped(row: Row, name: str, new: str) -> Row:
    """Return a row with its nanoseconds as the wire writes times."""
    rest = {key: value for key, value in row.items() if key != name}
    return {**rest, new: iso(row[name]) if row[name] is not None else None}


async def _published(request: Request) -> Row:
    """Return what custody shows to everybody, at most a second old: strangers do not keep it busy. Raises Refused."""
    custody = request.gateway.custody
    now = time.monotonic()
    if custody.public is None or now - custody.public_at > _KEPT_SECONDS:
        custody.public, custody.public_at = await custody.ask(ask="published"), now
    return custody.public
