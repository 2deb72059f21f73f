"""`ringfence custody policy`: the numbers by which co-signers decide, and how people change them.

A version is drafted, signed by people that the charter names, and announced. What loosens anything needs two of
different groups and waits for the delay of the version in force, by each co-signer's own clock. To tighten takes one.
"""

import json as encoder
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from ringfence.cli.custody import Json, ask_desk, ask_signers, read_person_key
from ringfence.cli.up import DIRECTORY
from ringfence.units.time import NS_PER_HOUR

if TYPE_CHECKING:
    from ringfence.custody.cosigner.config import PolicyDocument

app = App(
    name="policy", help="The policy of custody: `show`, then `draft`, `sign` and `announce` a new version."
)


Of = Annotated[str, Parameter(help="Of which asset: each has a policy of its own.")]


@app.command
def show(*, asset: Of = "XBt", directory: Path = DIRECTORY, json: Json = False) -> None:
    """Show the version in force and what waits, at the coordinator and at each co-signer."""
    from ringfence.custody.quorum.messages import Standing, Status

    said = ask_desk(directory, ask="policy", asset=asset)
    standings = {
        name: next((of[2:] for of in one.policies if of[:2] == (said["inForce"]["chain"], asset)), None)
        if isinstance(one, Standing)
        else None
        for name, one in ask_signers(directory, Status()).items()
    }
    if json:
        print(encoder.dumps({**said, "cosigners": standings}))
        return
    from rich.console import Console
    from rich.table import Table

    table, waiting = Table("figure", "in force", "waits"), (said["pending"] or {}).get("policy", {})
    for name, value in said["inForce"].items():
        new = waiting.get(name, value)
        table.add_row(
            name, encoder.dumps(value), "" if new == value else f"[bold yellow]{encoder.dumps(new)}[/]"
        )
    console = Console()
    console.print(table)
    if said["pending"]:
        hours = said["inForce"]["change_delay_hours"] - (time.time_ns() - said["heardNs"]) / NS_PER_HOUR
        console.print(f"version {waiting['version']} comes into force in {max(hours, 0):.1f} h")
    for name, standing in standings.items():
        agrees = standing is not None and standing[0] == said["digest"]
        console.print(f"{name}: {'the same' if agrees else '[bold red]another one, or no answer[/]'}")


@app.command
def draft(
    *, output: Path, set: Annotated[list[str], Parameter(help="name=value; the value as JSON. Repeat for more.")],
    asset: Of = "XBt", directory: Path = DIRECTORY,
) -> None:  # fmt: skip
    """Write the next version, unsigned, with some figures changed."""
    from ringfence.custody.cosigner.config import PolicyDocument
    from ringfence.custody.policy.policy import compare

    before = ask_desk(directory, ask="policy", asset=asset)["inForce"]
    fields = dict(before)
    for one in set:
        name, _, value = one.partition("=")
        if name not in fields or name == "version":
            sys.exit(f"the policy has no figure {name!r} to set; nothing was written")
        try:
            fields[name] = encoder.loads(value)
        except ValueError:
            sys.exit(f"{value!r} is not JSON; nothing was written")
    fields["version"] += 1
    old, new = _policy(before), _policy(fields)
    _write(output, PolicyDocument(new, time.time_ns(), ()))
    change = compare(old, new)
    print(
        f"version {new.version} {new.digest} loosens: {_names(change.loosens)}; tightens: {_names(change.tightens)}"
    )
    print(f"written to {output}: `ringfence custody policy sign {output} --person ... --key ...`")


@app.command
def sign(document: Path, *, person: str, key: Path) -> None:
    """Sign a drafted version, after showing every figure of it."""
    import msgspec

    from ringfence.custody.quorum.messages import statement

    read = _read(document)
    private = read_person_key(key)
    for name, value in msgspec.to_builtins(read.policy).items():
        print(f"{name}: {encoder.dumps(value)}")
    signature = private.sign(statement(b"policy", read.policy.digest, read.announced_ns)).hex()
    others = tuple(one for one in read.signatures if one[0] != person)
    _write(document, msgspec.structs.replace(read, signatures=(*others, (person, signature))))
    print(f"signed by {person}: {document}")


@app.command
def announce(document: Path, *, directory: Path = DIRECTORY) -> None:
    """Bring a signed version to the coordinator and to every co-signer; each judges it for itself."""
    import msgspec

    from ringfence.custody.quorum.messages import Announce, Standing

    read = _read(document)
    ask_desk(directory, ask="announce", document=msgspec.to_builtins(read))
    answers = ask_signers(directory, Announce(msgspec.json.encode(read).decode()))
    refused = [
        f"{name}: {getattr(one, 'reason', 'no answer')}"
        for name, one in answers.items()
        if not isinstance(one, Standing)
    ]
    if refused:
        sys.exit("announced, but not to all: " + "; ".join(refused) + ". Announce it again when they answer.")
    digest = read.policy.digest
    in_force = all(digest in [of[2] for of in one.policies] for one in answers.values())
    print(
        f"version {read.policy.version} is {'in force' if in_force else 'waiting'} at {len(answers)} co-signers"
    )


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "nothing"


def _policy(fields: dict[str, Any]) -> Any:
    import msgspec

    from ringfence.custody.policy import Policy

    try:
        return msgspec.convert(fields, Policy)
    except msgspec.MsgspecError as error:
        sys.exit(f"this is no policy: {error}; nothing was written")


def _read(path: Path) -> "PolicyDocument":
    import msgspec

    from ringfence.custody.cosigner.config import PolicyDocument

    try:
        return msgspec.json.decode(path.read_bytes(), type=PolicyDocument)
    except (OSError, msgspec.MsgspecError) as error:
        sys.exit(f"{path} cannot be read: {error}; nothing was done")


def _write(path: Path, document: "PolicyDocument") -> None:
    import msgspec

    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(document)))
    except OSError as error:
        sys.exit(f"{error}; nothing was written")
