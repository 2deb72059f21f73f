"""/stateRoot, /user/stateProof and /audit: what the exchange commits itself to, and what its judges say."""

from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import msgspec

from ringfence.commitments.chain import latest_roots
from ringfence.commitments.root import Root
from ringfence.commitments.statements_file import inclusion_of
from ringfence.exchange.gateway import parameters as read
from ringfence.exchange.gateway.errors import Refused
from ringfence.exchange.gateway.rest.route import Request, optional, route
from ringfence.units.time import iso

Row = dict[str, Any]


@route(
    "GET",
    "/stateRoot",
    "StateRoot.get",
    optional("count", "number", "1 = the newest."),
    returns="StateRoot[]",
)
def get_roots(request: Request) -> object:
    """Get the newest signed roots of the whole state, newest first."""
    count = read.integer(request.parameters, "count", low=1, high=500) or 1
    return [_row(root) for root in latest_roots(_chain(request), count)]


def _chain(request: Request) -> Path:
    return request.gateway.directory / "roots" / "chain.roots"


def _row(root: Root) -> Row:
    return {
        "sequence": root.sequence, "timestamp": iso(root.timestamp_ns), "events": root.event_count,
        "accounts": root.accounts, "accountsRoot": root.accounts_root.hex(), "venue": root.venue.hex(),
        "record": root.encode().hex(),
    }  # fmt: skip


@route("GET", "/user/stateProof", "User.getStateProof", returns="StateProof", key=True)
def get_proof(request: Request) -> Awaitable[Row]:
    """Get the proof that your account, as you see it, is under a signed root."""
    return request.gateway.aside(lambda: _proof(request.gateway.directory, request.account))


def _proof(directory: Path, account: int) -> Row:
    for path in sorted((directory / "cuts").glob("*.statements"), reverse=True):
        sequence = int(path.stem)
        roots = (
            root
            for root in latest_roots(directory / "roots" / "chain.roots", 60)
            if root.sequence == sequence
        )
        root = next(roots, None)
        if root is None:
            continue  # it is signed in a moment
        try:
            found = inclusion_of(path, account)
        except (OSError, LookupError, ValueError):
            continue  # it was just removed, or is from before this account
        return {
            "account": account, "statement": found.statement.hex(), "nonce": found.nonce.hex(),
            "place": found.proof.place, "leaves": found.proof.leaves,
            "path": [one.hex() for one in found.proof.path], **_row(root),
        }  # fmt: skip
    raise Refused(
        404, "There is no signed root over this account yet: ask again in a few seconds", "HTTPError"
    )


@route("GET", "/audit", "Audit.get", returns="AuditReport[]")
def get_reports(request: Request) -> object:
    """Get the latest report of every judge: each law, when it was last checked and what was found."""
    reports = []
    for path in sorted((request.gateway.directory / "judges").glob("*.report.json")):
        try:
            reports.append(msgspec.Raw(path.read_bytes()))
        except OSError:
            continue  # it is being replaced
    return reports
