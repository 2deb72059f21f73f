"""/porl: proofs of liabilities, in BitMEX's shape with what is exact beside it, and how the prover stands.

BitMEX's `total` and `balance` are doubles, which are exact below 2^53 only; `totalText` and `balanceText` always are.
"""

from pathlib import Path
from typing import Any

import msgspec

from ringfence import lines
from ringfence.exchange.gateway import parameters as read
from ringfence.exchange.gateway.errors import Refused, unavailable
from ringfence.exchange.gateway.rest.route import Request, optional, route
from ringfence.units.assets import BY_CURRENCY, XBT

Row = dict[str, Any]
_SECONDS = 5.0
_CURRENCY = optional("currency", description="XBt if not given.")


def _home(request: Request) -> Path:
    return request.gateway.directory / "proofs"


@route("GET", "/porl/nonce", "Porl.getNonce", _CURRENCY, returns="Porl", key=True)
async def get_nonce(request: Request) -> Row:
    """Get what opens your leaves in the newest snapshot: keep it to yourself."""
    currency = read.text(request.parameters, "currency") or XBT.currency
    if currency not in BY_CURRENCY:
        raise Refused(400, "Invalid currency", "ValidationError")
    try:
        question = {"account": request.account, "currency": currency}
        said = await lines.ask(_home(request) / "desk.sock", question, seconds=_SECONDS)
    except lines.NoAnswerError as error:
        raise unavailable("the prover does not answer") from error
    if "error" in said:
        raise Refused(404, str(said["error"]))
    folder = said["folder"]
    return {
        "account": said["account"], "nonce": said["nonce"], "accountNonce": said["accountNonce"],
        "total": float(said["total"]), "balance": float(said["balance"]),
        "filename": f"{folder}/{currency}.liabilities.csv", "height": said["height"], "created": said["created"],
        "currency": currency, "snapshot": said["snapshot"], "snapshotKey": said["snapshotKey"], "login": said["login"],
        "leaves": said["leaves"],
        "totalText": said["total"], "balanceText": said["balance"], "porl2": f"/proofs/{folder}/{currency}.porl2",
        "url": f"/proofs/{folder}/{currency}.liabilities.csv", "verifier": "/proofs/verifier.html",
    }  # fmt: skip


@route("GET", "/porl/status", "Porl.getStatus", returns="PorlStatus")
def get_status(request: Request) -> object:
    """Get how the prover stands: lines of the chain of minutes, snapshots, the next one, what is wrong."""
    try:
        return msgspec.Raw((_home(request) / "report.json").read_bytes())
    except FileNotFoundError as error:
        raise Refused(404, "No prover runs here") from error


@route("GET", "/porl/snapshots", "Porl.getSnapshots", _CURRENCY, returns="PorlSnapshot[]")
def get_snapshots(request: Request) -> object:
    """Get the snapshots that were published, newest first."""
    currency = read.text(request.parameters, "currency") or XBT.currency
    try:
        envelope = msgspec.json.decode((_home(request) / "published" / "index.json").read_bytes(), type=Row)
        index = msgspec.json.decode(envelope["index"], type=Row)
    except FileNotFoundError:
        return []
    found = []
    for one in reversed(index["snapshots"]):
        asset = one["assets"].get(currency)
        if asset is None:
            continue
        name = f"{currency}.liabilities.csv"
        found.append(
            {
                "snapshot": one["snapshot"], "currency": currency, "filename": f"{one['folder']}/{name}",
                "height": one["height"], "created": one["timestamp"], "total": float(asset["total"]),
                "totalText": asset["total"], "reservesText": asset["reserves"], "negativeText": asset["negative"],
                "demoText": asset["demo"], "snapshotRoot": asset["snapshotRoot"],
                "sha256": one["files"].get(name, {}).get("sha256"), "url": f"/proofs/{one['folder']}/{name}",
                "report": f"/proofs/{one['folder']}/report.html",
            }
        )  # fmt: skip
    return found
