"""`ringfence proofs`: what was published, when the next snapshot is due, and one more on request.

Exit status: 0 well, 66 there is no such exchange, 70 the prover is not content or nothing came in time.
"""

import hmac
import json
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

from cyclopts import App, Parameter

from ringfence.cli.journal import DIRECTORY, AsJson, Directory

app = App(name="proofs", help="Proofs of reserves and liabilities: how they stand, and one more on request.")
EXIT_NO_INPUT, EXIT_RED = 66, 70
_POLL_SECONDS = 0.5
_SECONDS = 60.0


@app.command
def status(*, directory: Directory = DIRECTORY, as_json: AsJson = False) -> None:
    """Show the snapshots so far, the chain of minutes, and what the prover is not content with."""
    report = _report(directory)
    found: dict[str, Any] = {"report": report, "snapshots": _snapshots(directory)}
    if as_json:
        print(json.dumps(found))
    else:
        _show(report, found["snapshots"])
    if report["red"]:
        sys.exit(EXIT_RED)


@app.command
def publish(
    *,
    directory: Directory = DIRECTORY,
    seconds: Annotated[float, Parameter(help="How long to wait for it.")] = 300.0,
    as_json: AsJson = False,
) -> None:
    """Publish one more snapshot now. The signed index says of it that it was asked for."""
    from ringfence.daemons.proof_secrets import home_of
    from ringfence.daemons.proof_snapshots import ASKED
    from ringfence.files import replace

    _report(directory)
    before = {one["snapshot"] for one in _snapshots(directory)}
    replace(home_of(directory) / ASKED, b"")
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        new = [one for one in _snapshots(directory) if one["snapshot"] not in before]
        if new and (new[-1]["withheld"] or not (home_of(directory) / ASKED).exists()):
            print(json.dumps(new[-1]) if as_json else _line(new[-1]))
            sys.exit(EXIT_RED if new[-1]["withheld"] else 0)
        time.sleep(_POLL_SECONDS)
    findings = "; ".join(f"{one['what']}: {one['found']}" for one in _report(directory)["findings"])
    sys.exit(f"no snapshot came in {seconds:.0f} s; it is still asked for. {findings}")


def _report(directory: Path) -> dict[str, Any]:
    from ringfence.daemons.proof_secrets import home_of
    from ringfence.daemons.prover import REPORT

    path = home_of(directory) / REPORT
    try:
        report: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        print(f"no prover has run in {directory}: ringfence up", file=sys.stderr)
        sys.exit(EXIT_NO_INPUT)
    return report


@app.command
def mine(
    name: Annotated[str, Parameter(help="Of the API key, as `ringfence key list` shows it.")] = "demo-1",
    *,
    currency: str = "XBt",
    directory: Directory = DIRECTORY,
    as_json: AsJson = False,
) -> None:
    """Find the balance of a demo account in the newest snapshot, and a link that does the same in a browser.

    What the account has at this moment is shown beside it: that is the figure to compare with, since it does not come
    from who makes the proofs. Trades and marks in between are the difference.
    """
    from ringfence.assurance.proofs.errors import ProofError
    from ringfence.assurance.proofs.publisher import venue_key_of
    from ringfence.assurance.proofs.verify import Claimant, verify_porl2
    from ringfence.cli.verify_liabilities import fail
    from ringfence.daemons.supervisor import read_run_state
    from ringfence.exchange.users.keys import keys_of

    state = read_run_state(directory)
    key = next((one for one in keys_of(directory).read() if one.name == name), None)
    if state is None or key is None:
        print(
            f"nothing runs in {directory}, or no key is called {name!r}: ringfence key list", file=sys.stderr
        )
        sys.exit(EXIT_NO_INPUT)
    said = _asked(state.url, f"/api/v1/porl/nonce?currency={currency}", key.id, key.secret)
    margin = _asked(state.url, f"/api/v1/user/margin?currency={currency}", key.id, key.secret)
    if "error" in said:
        sys.exit(f"{said['error']['message']}: ringfence proofs status")
    venue = venue_key_of(directory)
    with urllib.request.urlopen(f"{state.url}{said['porl2']}", timeout=_SECONDS) as answer:  # noqa: S310 - our own
        raw = answer.read()
    claimant = Claimant(
        said["account"], said["login"], account_nonce=bytes.fromhex(said["accountNonce"]),
        expected=int(said["balanceText"]),
    )  # fmt: skip
    try:
        verdict = verify_porl2(raw, claimant, venue=venue)
    except ProofError as error:
        fail(error, as_json=as_json)
    fields = {
        "venue": venue.hex(), "account": said["account"], "login": said["login"], "key": said["accountNonce"],
        "kind": "account", "expect": said["balanceText"], "unit": "units",
    }  # fmt: skip
    link = f"{state.url}{said['verifier']}#{urlencode(fields)}"
    found = {
        "snapshot": said["snapshot"], "currency": currency, "mine": str(verdict.mine), "total": str(verdict.total),
        "now": margin.get("marginBalance"), "file": f"{state.url}{said['porl2']}", "link": link,
    }  # fmt: skip
    if as_json:
        print(json.dumps(found))
        return
    print(f"snapshot {found['snapshot']}: {verdict.mine} {currency} of {verdict.total} are {said['login']}'s")
    print(f"now the account has {found['now']} {currency}: trades and marks since then are the difference")
    print(f"the same in a browser: save {found['file']}, open this, and drop the file\n  {link}")


def _asked(url: str, path: str, key: str, secret: str) -> dict[str, Any]:
    """Return the answer to a signed request, an error in words as well. Raises OSError."""
    expires = str(int(time.time()) + 60)
    signature = hmac.new(secret.encode(), f"GET{path}{expires}".encode(), "sha256").hexdigest()
    headers = {"api-key": key, "api-expires": expires, "api-signature": signature}
    request = urllib.request.Request(url + path, headers=headers)  # noqa: S310 - our own gateway
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
            found: dict[str, Any] = json.loads(answer.read())
    except urllib.error.HTTPError as error:
        found = json.loads(error.read())
    return found


def _snapshots(directory: Path) -> list[dict[str, Any]]:
    """Return what the index lists, oldest first; nothing before the first snapshot."""
    path = directory / "proofs" / "published" / "index.json"
    if not path.exists():
        return []
    found: list[dict[str, Any]] = json.loads(json.loads(path.read_bytes())["index"])["snapshots"]
    return found


def _line(one: dict[str, Any]) -> str:
    if one["withheld"]:
        return f"snapshot {one['snapshot']} was withheld: {one['withheld']}"
    return f"snapshot {one['snapshot']} is published, {len(one['files'])} files, {one['because']}"


def _show(report: dict[str, Any], snapshots: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    from ringfence.assurance.proofs.plots import decimal
    from ringfence.units.assets import BY_CURRENCY

    table = Table(title="snapshots, newest first", box=None)
    for name in ("number", "time", "because", "asset", "owed", "coins", "demo coins"):
        table.add_column(name, justify="left" if name in ("time", "because", "asset") else "right")
    for one in snapshots[:-6:-1]:
        if one["withheld"]:
            table.add_row(str(one["snapshot"]), one["timestamp"], f"[red]withheld: {one['withheld']}[/]")
        for currency, asset in sorted(one["assets"].items()):
            known = BY_CURRENCY[currency]
            amounts = (decimal(int(asset[name]), known.scale) for name in ("total", "reserves", "demo"))
            table.add_row(str(one["snapshot"]), one["timestamp"], one["because"], known.asset, *amounts)
    console = Console()
    console.print(table)
    print(f"lines of the chain of minutes  {report['minutes']:,}")
    print(f"minutes opened                 {report['opened']}")
    print(f"next snapshot                  {report['nextSnapshot']}")
    for one in report["findings"]:
        console.print(f"[red]{one['what']}[/]: {one['found']}", highlight=False, soft_wrap=True)
