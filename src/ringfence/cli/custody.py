"""`ringfence custody`: what operators, signers and anybody who has the files see of the coins."""

import asyncio
import json as encoder
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from ringfence.cli.up import DIRECTORY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from rich.table import Table

    from ringfence.custody.cosigner.config import Charter, Person
    from ringfence.custody.intents import Intent

app = App(
    name="custody",
    help="Coins: `status`, `withdrawals`, `pending`, `show`, `signers`, `reconciliation`, `nominations`, `draw`; "
    "`faucet` on development chains; `approve`, `veto`, `freeze`, `thaw`; `policy`; `key`; `console-log`.",
)
Json = Annotated[bool, Parameter(help="For machines.")]


@app.command
def status(*, directory: Path = DIRECTORY, json: Json = False) -> None:
    """Say how far custody is and whether chain and ledger agree."""
    said = ask_desk(directory, ask="status")
    if json:
        print(encoder.dumps(said))
        return
    print(f"ledger at {said['ledger']}, charter {said['charter'][:16]}")
    for chain, one in said["chains"].items():
        fees = (
            ""
            if one["feesLeft"] is None
            else f"; the company has {one['feesLeft']:,} {one['assets'][0]} for fees"
        )
        print(f"{chain}: {', '.join(one['assets'])}{fees}")
        for asset in one["assets"]:
            print(f"  {asset}: {_compared(said['reconciled'].get(asset))}")
    (addresses, receive), (payments, change) = said["pools"]["receive"], said["pools"]["change"]
    print(
        f"{addresses} of {receive} deposit addresses are given out, keys for the change of {payments} of {change} used"
    )
    if 10 * addresses > 9 * receive or 10 * payments > 9 * change:
        print("the keys run out: stop, and start with `ringfence up --coin-keys` and a larger number")
    for where, trouble in said["trouble"].items():
        print(f"trouble with {where}: {trouble}")


def _compared(last: dict[str, Any] | None) -> str:
    if last is None:
        return "chain and ledger were not compared yet"
    differ = f"DIFFER by {last['difference']:,}"
    return f"chain and ledger {'agree' if last['difference'] == 0 else differ} at block {last['height']}"


@app.command
def withdrawals(*, directory: Path = DIRECTORY, json: Json = False) -> None:
    """Show every withdrawal and how far it is; `show` has everything about one of them."""
    rows = ask_desk(directory, ask="withdrawals")["withdrawals"]
    if json:
        print(encoder.dumps(rows))
        return
    from rich.console import Console

    table = _table("number", "account", "amount", "of", "to", "state", "step")
    for row in rows:
        step = row["because"] or row["waitingFor"] or f"{row['step']}, {row['confirmations']} confirmations"
        table.add_row(
            str(row["withdrawal"]),
            str(row["account"]),
            f"{row['amount']:,}",
            row["currency"],
            row["address"],
            row["state"],
            step,
        )
    Console().print(table)


@app.command
def pending(*, directory: Path = DIRECTORY, json: Json = False) -> None:
    """Show the withdrawals that wait for people or for time, with what each waits for."""
    rows = [row for row in ask_desk(directory, ask="withdrawals")["withdrawals"] if _is_pending(row)]
    if json:
        print(encoder.dumps(rows))
        return
    from rich.console import Console

    table = _table("number", "account", "amount", "of", "to", "waits for")
    for row in rows:
        table.add_row(
            str(row["withdrawal"]),
            str(row["account"]),
            f"{row['amount']:,}",
            row["currency"],
            row["address"],
            row["waitingFor"],
        )
    Console().print(table if rows else "nothing waits for anybody")


def _is_pending(row: dict[str, Any]) -> bool:
    return row["state"] == "locked" and not row["batch"] and not row["because"] and bool(row["waitingFor"])


@app.command
def show(withdrawal: int, *, directory: Path = DIRECTORY, json: Json = False) -> None:
    """Show one withdrawal: who was drawn and how, the transaction taken apart, every rule's verdict of every signer."""
    said = ask_desk(directory, ask="withdrawal", withdrawal=withdrawal)
    if json:
        print(encoder.dumps(said))
        return
    from rich.console import Console

    console = Console(highlight=False)
    for line in _told(said):
        console.print(line)
    if said.get("transaction"):
        console.print(_transaction_table(said["transaction"]))
    if said.get("verdicts"):
        console.print(_verdict_table(said["verdicts"]))


def _told(said: dict[str, Any]) -> "Iterator[str]":
    to = f"{said['amount']:,} {said['currency']} of account {said['account']} to {said['address']}"
    yield f"withdrawal {said['withdrawal']}: {to}: {said['state']}, {said['step']}"
    if said["because"] or said["waitingFor"]:
        yield said["because"] or f"waits for {said['waitingFor']}"
    if said["approvals"]:
        yield f"approved by {', '.join(said['approvals'])}"
    if said["batch"]:
        seen = f"seen by {', '.join(said['witnesses']) or 'nobody yet'}"
        yield f"{said['batch']}: sealed at block {said['sealedAt']} for block {said['decidedBy']}, {seen}"
    if said["nominated"]:
        yield f"nominated: {', '.join(said['nominated'])}; let time pass: {', '.join(said['late']) or 'nobody'}"
    if said["txid"]:
        yield f"transaction {said['txid']}, {said['confirmations']} confirmations"


def _transaction_table(transaction: dict[str, Any]) -> "Table":
    table = _table("what", "amount", "where")
    for outpoint in transaction["inputs"]:
        table.add_row("spends", "", outpoint)
    for output in transaction["outputs"]:
        table.add_row(output["what"], f"{output['amount']:,}", output["address"])
    table.add_row("fee", f"{transaction['fee']:,}", transaction["size"])
    return table


def _verdict_table(verdicts: dict[str, list[dict[str, Any]]]) -> "Table":
    table = _table("rule", "movement", *verdicts, "found")
    by_rule: dict[tuple[str, str], dict[str, Any]] = {}
    for signer, rows in verdicts.items():
        for row in rows:
            by_rule.setdefault((row["rule"], row["intent"]), {})[signer] = row
    for (rule, intent), found in by_rule.items():
        marks = ["yes" if found[name]["allows"] else "[bold red]NO[/]" for name in verdicts]
        reasons = sorted({row["reason"] for row in found.values()})
        table.add_row(rule, intent, *marks, "; ".join(reasons))
    return table


@app.command
def reconciliation(*, directory: Path = DIRECTORY, json: Json = False) -> None:
    """Show the last comparisons of chain and ledger, newest first, with every item in flight."""
    path = directory / "custody" / "reconciliation.json"
    try:
        reports = encoder.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        sys.exit(f"there are no reports: {error}")
    if json:
        print(encoder.dumps(reports))
        return
    from rich.console import Console

    table = _table("of", "block", "ledger", "clients on chain", "owed to chains", "in flight", "difference")
    for asset, _, height, _, sequence, _, chain, backed, _, items, difference in reports[:20]:
        flight = "; ".join(f"{what} {name}: {amount:,}" for what, name, amount in items)
        table.add_row(
            asset, str(height), str(sequence), f"{chain['clients']:,}", f"{backed:,}", flight,
            "0, agrees" if difference == 0 else f"[bold red]{difference:,}[/]",
        )  # fmt: skip
    Console().print(table)


@app.command
def signers(*, directory: Path = DIRECTORY, json: Json = False) -> None:
    """Ask every co-signer how it stands: policy, log, node, token."""
    import msgspec

    from ringfence.custody.quorum.messages import Status

    found = ask_signers(directory, Status())
    if json:
        print(encoder.dumps({name: msgspec.to_builtins(one) for name, one in found.items()}))
        return
    from rich.console import Console

    table = _table("signer", "role", "policies", "frozen", "block", "ledger", "log", "token")
    for name, one in found.items():
        if one is None or not hasattr(one, "role"):
            table.add_row(name, "[bold red]does not answer[/]")
            continue
        table.add_row(
            name, one.role, ", ".join(f"{of[1]} {of[2][:8]}" for of in one.policies),
            "yes" if one.is_frozen else "no", str(one.height),
            str(one.ledger_sequence), f"{one.log_entries} entries, {one.log_head[:12]}", one.token,
        )  # fmt: skip
    Console().print(table)


@app.command
def freeze(*, because: str, directory: Path = DIRECTORY) -> None:
    """Have every co-signer sign nothing any more. Anybody may; to go on takes people at each of them."""
    from ringfence.custody.quorum.messages import Freeze

    found = ask_signers(directory, Freeze(because))
    away = [name for name, one in found.items() if one is None]
    print(f"{len(found) - len(away)} of {len(found)} co-signers are frozen")
    if away:
        sys.exit(f"no answer from {', '.join(away)}: stop these by hand")


@app.command
def thaw(*, person: list[str], key: list[Path], directory: Path = DIRECTORY) -> None:
    """Let every frozen co-signer go on: two people of different groups sign, each for each co-signer."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from ringfence.custody.quorum.messages import Standing, Status, Thaw, statement

    if len(person) != len(key):
        sys.exit("give one --key for each --person, in the same order; nothing was signed")
    try:
        private = [Ed25519PrivateKey.from_private_bytes(bytes.fromhex(path.read_text())) for path in key]
    except (OSError, ValueError) as error:
        sys.exit(f"a key cannot be read: {error}; nothing was signed")
    frozen = {
        name: one.frozen for name, one in ask_signers(directory, Status()).items()
        if isinstance(one, Standing) and one.frozen
    }  # fmt: skip
    refused = []
    for name, line in frozen.items():
        digest = statement(b"thaw", name, line)
        signatures = tuple((who, one.sign(digest).hex()) for who, one in zip(person, private, strict=True))
        answer = ask_signers(directory, Thaw(line, signatures), only=name)[name]
        if not isinstance(answer, Standing):
            refused.append(f"{name}: {getattr(answer, 'reason', 'no answer')}")
    if refused:
        sys.exit("; ".join(refused))
    print(f"{len(frozen)} co-signers go on")


@app.command
def approve(*, withdrawal: int, person: str, key: Path, directory: Path = DIRECTORY) -> None:
    """Approve one withdrawal, as somebody whom the charter names.

    What is signed is read from the exchange's feed, not from the coordinator: it shows nobody anything else.
    """
    from ringfence.custody.cosigner.config import approval_digest
    from ringfence.custody.intents import Approval
    from ringfence.custody.quorum.messages import SignedApproval

    intent, known, private = _what_and_who(directory, withdrawal, person, key)
    what = f"{intent.amount:,} {intent.asset} of account {intent.account} to {intent.destination}"
    if sys.stdin.isatty() and input(f"{what}\nApprove? Type the amount in {intent.asset}: ") != str(
        intent.amount
    ):
        sys.exit("that is not the amount; nothing was signed")
    bare = SignedApproval(Approval(person, known.group, intent.digest, time.time_ns()), "")
    signature = private.sign(approval_digest(bare)).hex()
    approval = {"approval": _builtins(bare.approval), "signature": signature}
    ask_desk(directory, ask="approve", approval=approval)
    print(f"{person} approves {what}")


@app.command
def veto(*, withdrawal: int, because: str, person: str, key: Path, directory: Path = DIRECTORY) -> None:
    """Send one withdrawal back that is in no batch yet, as somebody whom the charter names. One person is enough."""
    from msgspec.structs import replace

    from ringfence.custody.cosigner.config import veto_digest
    from ringfence.custody.quorum.messages import SignedVeto

    intent, _, private = _what_and_who(directory, withdrawal, person, key)
    bare = SignedVeto(person, intent.digest, because, "")
    ask_desk(
        directory, ask="veto", veto=_builtins(replace(bare, signature=private.sign(veto_digest(bare)).hex()))
    )
    print(
        f"{person} stops {intent.amount:,} {intent.asset} of account {intent.account} to {intent.destination}"
    )


@app.command
def faucet(
    amount: Annotated[int, Parameter(help="In the currency's smallest unit: XBt, USDt, Gwei, LAMPORT.")],
    *, account: int = 1, currency: str = "XBt", directory: Path = DIRECTORY,
) -> None:  # fmt: skip
    """Pay coins of a development chain, which are worth nothing, to an account's deposit address."""
    from ringfence.custody.chains.accounts import NodeError
    from ringfence.custody.chains.bitcoin.rpc import BitcoinError
    from ringfence.daemons.faucets import pay

    address = ask_desk(directory, ask="depositAddress", account=account, asset=currency)["address"]
    try:
        txid = pay(directory, currency, address, amount)
    except (NodeError, BitcoinError, OSError, ValueError, AssertionError) as error:
        sys.exit(f"nothing was paid: {error}")
    print(f"{amount:,} {currency} to {address}, the address of account {account}, in {txid}")


@app.command
def nominations(*, directory: Path = DIRECTORY, json: Json = False) -> None:
    """Draw every quorum of the coordinator's log again, from the blocks and contributions in it."""
    from ringfence.chained_log import LogError
    from ringfence.daemons.custody_founding import FoundingError
    from ringfence.daemons.nominations import drawn_again

    try:
        rows = drawn_again(directory)
    except (LogError, FoundingError, OSError) as error:
        sys.exit(f"nothing can be drawn again: {error}")
    if json:
        print(encoder.dumps(rows))
    else:
        from rich.console import Console

        table = _table("batch", "sealed at", "block that decided", "drawn", "let time pass", "drawn again")
        for row in rows:
            agrees = "the same" if row["agrees"] else "[bold red]" + ", ".join(row["again"]) + "[/]"
            table.add_row(
                row["batch"], str(row["sealedAt"]), row["block"][:24], ", ".join(row["quorum"]),
                ", ".join(row["late"]), agrees,
            )  # fmt: skip
        Console().print(table)
    if not all(row["agrees"] for row in rows):
        sys.exit("a quorum was not drawn as it is said")


@app.command
def draw(file: Path, *, json: Json = False) -> None:
    """Draw every quorum again from a saved answer of `GET /api/v1/custody/nominations`. Runs anywhere."""
    from ringfence.daemons.nominations import drawn_from

    try:
        rows = drawn_from(encoder.loads(file.read_bytes()))
    except (OSError, ValueError, RecursionError) as error:
        sys.exit(f"nothing can be drawn again: {error}")
    if json:
        print(encoder.dumps(rows))
    else:
        for row in rows:
            again = "a beacon took part" if row["again"] is None else ", ".join(row["again"])
            print(f"{row['batch']}: {', '.join(row['quorum'])}; drawn again: {again}")
    if not all(row["agrees"] for row in rows):
        sys.exit("a quorum was not drawn as it is said, or cannot be drawn from this alone")


@app.command
def console_log(
    *, head: Annotated[str, Parameter(help="A head that was noted earlier: it has to be in the log.")] = "",
    directory: Path = DIRECTORY, json: Json = False,
) -> None:  # fmt: skip
    """Check the custody console's log, line by line, and show what people did there."""
    from ringfence.chained_log import LogError, entries_of
    from ringfence.database.stores import CONSOLE, read_lines
    from ringfence.units.time import iso

    try:
        entries = list(entries_of(read_lines(directory, CONSOLE)))
    except (LogError, OSError, ValueError) as error:
        sys.exit(f"the console's log is not what was written: {error}")
    if head and head not in [one.digest.hex() for one in entries]:
        sys.exit("no line of the log has that head: its end was cut off, or it is another log")
    if json:
        print(encoder.dumps([_builtins(one) for one in entries]))
        return
    for one in entries:
        body = {name: value for name, value in one.body.items() if name != "seat"}
        print(f"{one.number} {iso(one.at_ns)} {one.kind} {one.body.get('seat', '')} {encoder.dumps(body)}")
    print(
        f"{len(entries)} lines, each follows from the one before; head {entries[-1].digest.hex() if entries else ''}"
    )


# ---- helpers


def _what_and_who(
    directory: Path, withdrawal: int, person: str, key: Path
) -> "tuple[Intent, Person, Ed25519PrivateKey]":
    """Return a withdrawal that waits, as the exchange's feed has it, and who speaks of it; or leave."""
    from ringfence.custody.coordinator.batches import intent_of
    from ringfence.custody.ledger import LedgerGapError
    from ringfence.daemons.custody_founding import FoundingError, read_charter
    from ringfence.daemons.funds_feed import FundsFeed

    try:
        charter, feed = read_charter(directory), FundsFeed(directory)
        feed.catch_up()
    except (FoundingError, LedgerGapError, OSError) as error:
        sys.exit(f"{error}; nothing was signed")
    one = feed.ledger.open().get(withdrawal)
    if one is None or one.wish is None:
        sys.exit(f"no withdrawal {withdrawal} waits; nothing was signed")
    known = charter.person(person)
    if known is None:
        sys.exit(f"the charter names no {person}; nothing was signed")
    return intent_of(one, chain=_chain_of(directory, charter, one.asset)), known, read_person_key(key)


def _chain_of(directory: Path, charter: "Charter", asset: int) -> str:
    """Return the chain of an asset, as charter and annexes have it, or leave."""
    from ringfence.custody.cosigner.config import ConfigurationError
    from ringfence.daemons.account_chains import read_annexes
    from ringfence.units.assets import ASSETS, XBT

    if asset == XBT.number:
        return charter.chain
    try:
        annexes = read_annexes(directory, charter)
    except ConfigurationError as error:
        sys.exit(f"{error}; nothing was signed")
    for annex in annexes:
        if ASSETS[asset].currency in [one.currency for one in annex.assets]:
            return annex.chain
    sys.exit(f"no annex names {ASSETS[asset].currency}; nothing was signed")


def read_person_key(path: Path) -> "Ed25519PrivateKey":
    """Return the private key of somebody whom the charter names, or leave."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(path.read_text()))
    except (OSError, ValueError) as error:
        sys.exit(f"{path} cannot be read: {error}; nothing was signed")


def _table(*columns: str) -> "Table":
    from rich.table import Table

    table = Table()
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _builtins(value: Any) -> Any:
    import msgspec

    return msgspec.to_builtins(value)


def ask_desk(directory: Path, **question: Any) -> dict[str, Any]:
    """Ask the coordinator's desk, or leave with what it says."""
    import socket

    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(15)
            line.connect(str(directory / "custody" / "desk.sock"))
            line.sendall(encoder.dumps({"id": 1, **question}).encode() + b"\n")
            with line.makefile("rb") as file:
                said: dict[str, Any] = encoder.loads(file.readline())
    except (OSError, ValueError) as error:
        sys.exit(f"custody does not answer: {error}. Is `ringfence up` running here?")
    if "error" in said:
        sys.exit(str(said["error"]))
    return said


def ask_signers(directory: Path, question: Any, *, only: str = "") -> dict[str, Any]:
    """Ask every co-signer at once, or one of them; None is the answer of who gives none in time."""
    from ringfence.daemons.ceremonies import ask_all

    try:
        return asyncio.run(ask_all(directory, question, only=only))
    except (OSError, ValueError) as error:
        sys.exit(f"custody was not founded here: {error}")
