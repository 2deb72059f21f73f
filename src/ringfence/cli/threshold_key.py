"""`ringfence custody key`: keys that nobody has. Two people order; every co-signer takes part and signs the outcome."""

import asyncio
import json as encoder
import secrets
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from ringfence.cli.custody import ask_signers, read_person_key
from ringfence.cli.up import DIRECTORY

if TYPE_CHECKING:
    from ringfence.custody.cosigner.config import Charter
    from ringfence.custody.quorum.mpc.keys import KeyRecord, SignedOrder, Transcript, What

app = App(
    name="key",
    help="Keys that nobody has: `create`, `refresh`, `restore`, `review`, `succeed`, `list`; `verify` a transcript.",
)
SCHEMES = ("ecdsa-secp256k1", "ed25519")
People = Annotated[list[str], Parameter(help="Who orders it: two people of different groups.")]
Keys = Annotated[list[Path], Parameter(help="Their private keys, in the same order.")]


@app.command
def create(
    name: str, *, scheme: str = SCHEMES[0], threshold: int = 4, person: People, key: Keys,
    directory: Path = DIRECTORY,
) -> None:  # fmt: skip
    """Make a key of which every co-signer has a share, and nobody ever had the whole.

    Any `threshold` of the co-signers must hold two of operations and one of policy: of five, four do.
    """
    from ringfence.custody.quorum.mpc.keys import NAME_BYTES_MAX, What
    from ringfence.daemons.ceremonies import transcript_path

    if scheme not in SCHEMES:
        sys.exit(f"--scheme is {' or '.join(SCHEMES)}; nothing was ordered")
    if not name.replace("-", "").isalnum() or len(name.encode()) > NAME_BYTES_MAX:
        sys.exit(
            f"a key's name has letters, digits and hyphens, {NAME_BYTES_MAX} at most; nothing was ordered"
        )
    if transcript_path(directory, name).exists():
        sys.exit(f"there is a key {name} already; nothing was ordered")
    signed = _order(directory, What.CREATE, name, scheme, 1, threshold, "", person, key)
    _hold(directory, signed, None)


@app.command
def refresh(name: str, *, person: People, key: Keys, directory: Path = DIRECTORY) -> None:
    """Give every co-signer a new share of the same key; what any of them had before opens nothing any more."""
    from ringfence.custody.quorum.mpc.keys import What

    record = _record(directory, name)
    epoch = record.epoch + 1
    signed = _order(directory, What.REFRESH, name, record.scheme, epoch, record.threshold, "", person, key)
    _hold(directory, signed, record)


@app.command
def restore(name: str, *, target: str, person: People, key: Keys, directory: Path = DIRECTORY) -> None:
    """Give the co-signer in a place its share back, after its machine was lost or replaced; then `refresh`."""
    from ringfence.custody.quorum.mpc.keys import What

    record = _record(directory, name)
    if target not in record.parties:
        sys.exit(f"{target} has no place in {name}; nothing was ordered")
    signed = _order(
        directory, What.RESTORE, name, record.scheme, record.epoch, record.threshold, target, person, key
    )
    _hold(directory, signed, record)
    print(f"now `ringfence custody key refresh {name}`: until then {target} cannot sign with ECDSA")


@app.command
def review(name: str, *, person: People, key: Keys, directory: Path = DIRECTORY) -> None:
    """Let a key go on that rests because runs have failed. Look at the co-signers' logs first: who was named?"""
    from ringfence.custody.quorum.mpc.keys import Review, What
    from ringfence.daemons.ceremonies import why

    record = _record(directory, name)
    signed = _order(
        directory, What.REVIEW, name, record.scheme, record.epoch, record.threshold, "", person, key
    )
    answers = ask_signers(directory, Review(signed))
    refused = [f"{one}: {why(told)}" for one, told in answers.items() if not hasattr(told, "keys")]
    if refused:
        sys.exit("; ".join(refused))
    print(f"{name} goes on at {len(answers)} co-signers")


@app.command
def succeed(
    chain: str, *, to: Annotated[str, Parameter(help="Name of the new key, which `create` has made.")], person: People,
    key: Keys, directory: Path = DIRECTORY,
) -> None:  # fmt: skip
    """Leave the key of a chain for another one: when as many shares as sign may have leaked together.

    Deposit addresses change; what lies under the old key, and what still comes there, is swept to the new one.
    """
    from ringfence.daemons.ceremonies import CeremonyError
    from ringfence.daemons.succession import signed_by, take_over

    if len(person) != len(key):
        sys.exit("give one --key for each --person, in the same order; nothing was signed")
    record, charter = _record(directory, to), _charter(directory)
    private = [(who, read_person_key(path)) for who, path in zip(person, key, strict=True)]
    try:
        annex = asyncio.run(
            take_over(directory, charter, chain, record, lambda bare: signed_by(bare, private))
        )
    except (CeremonyError, OSError, ValueError) as error:
        sys.exit(str(error))
    print(f"{chain} has the key {annex.key} at all co-signers; {annex.left[-1].key} is left")
    print("deposit addresses are others now; `ringfence custody status` shows how the old ones empty")


@app.command(name="list")
def list_(*, directory: Path = DIRECTORY, json: bool = False) -> None:
    """Ask every co-signer of which keys it has a share, in which epoch, and how many runs have failed."""
    import msgspec
    from rich.console import Console
    from rich.table import Table

    from ringfence.custody.quorum.mpc.keys import Keys as Ask
    from ringfence.daemons.ceremonies import why

    answers = ask_signers(directory, Ask())
    if json:
        print(encoder.dumps({one: msgspec.to_builtins(told) for one, told in answers.items()}))
        return
    by_key: dict[tuple[str, ...], list[str]] = {}
    for one, told in answers.items():
        for held in getattr(told, "keys", ()):
            trouble = ", ".join([str(held.failures), *(f"{other} is banned" for other in held.banned)])
            row = (held.key, held.scheme, str(held.epoch), trouble, held.public_key)
            by_key.setdefault(row, []).append(one)
    table = Table()
    for column in ("key", "scheme", "epoch", "failed runs", "public key", "co-signers with a share"):
        table.add_column(column, overflow="fold")
    for line, names in sorted(by_key.items()):
        table.add_row(*line, "all" if len(names) == len(answers) else ", ".join(names))
    Console().print(table)
    for one, told in answers.items():
        if not hasattr(told, "keys"):
            print(f"{one}: {why(told)}")


@app.command
def verify(transcript: Path, *, directory: Path = DIRECTORY) -> None:
    """Check a ceremony against the charter: who ordered it, and that every co-signer has signed the same outcome."""
    from ringfence.custody.quorum.mpc.keys import TranscriptError, check_transcript

    charter, read = _charter(directory), _read(transcript)
    try:
        record = check_transcript(read, charter.is_signed)
        _check_people(charter, read)
    except TranscriptError as error:
        sys.exit(f"{transcript.name} does not verify: {error}")
    erased = sorted({one.erased for one in read.adopted if one.erased})
    print(f"{record.name}: {read.signed.order.what} of {record.scheme}, epoch {record.epoch}, verifies")
    print(
        f"ordered by {', '.join(name for name, _ in read.signed.signatures)}; {len(read.adopted)} co-signers signed"
    )
    print(f"public key {record.public_key}")
    if erased:
        print(f"every co-signer says that it has destroyed what opened epoch {erased[0]}")


# ---- a ceremony


def _order(
    directory: Path, what: "What", name: str, scheme: str, epoch: int, threshold: int, target: str,
    person: list[str], key: list[Path],
) -> "SignedOrder":  # fmt: skip
    from ringfence.custody.quorum.mpc.engine import Scheme
    from ringfence.custody.quorum.mpc.keys import Order, SignedOrder

    if len(person) != len(key):
        sys.exit("give one --key for each --person, in the same order; nothing was ordered")
    parties = tuple(one.name for one in _charter(directory).members)
    now_ns = time.time_ns()
    order = Order(
        what, name, Scheme(scheme), epoch, threshold, parties, target, secrets.token_hex(16), now_ns
    )
    signatures = tuple(
        (who, read_person_key(path).sign(order.digest).hex()) for who, path in zip(person, key, strict=True)
    )
    return SignedOrder(order, signatures)


def _hold(directory: Path, signed: "SignedOrder", record: "KeyRecord | None") -> None:
    """Carry an order out at every co-signer and write down what they have signed, or leave."""
    from ringfence.daemons.ceremonies import CeremonyError, hold

    order = signed.order
    print(f"{order.what} {order.key}: {len(order.parties)} co-signers talk to each other")
    try:
        after = asyncio.run(hold(directory, _charter(directory), signed, record))
    except (CeremonyError, OSError, ValueError) as error:
        sys.exit(str(error))
    print(f"{order.key}: epoch {after.epoch} is in force at all of them")
    print(f"public key {after.public_key}")


# ---- files


def _record(directory: Path, name: str) -> "KeyRecord":
    from ringfence.daemons.ceremonies import transcript_path

    path = transcript_path(directory, name)
    if not path.exists():
        sys.exit(f"there is no key {name}")
    return _read(path).record


def _read(path: Path) -> "Transcript":
    from ringfence.daemons.ceremonies import CeremonyError, read_transcript

    try:
        return read_transcript(path)
    except CeremonyError as error:
        sys.exit(str(error))


def _charter(directory: Path) -> "Charter":
    from ringfence.daemons.custody_founding import FoundingError, read_charter

    try:
        return read_charter(directory)
    except FoundingError as error:
        sys.exit(str(error))


def _check_people(charter: "Charter", read: "Transcript") -> None:
    from ringfence.custody.quorum.mpc.keys import TranscriptError

    if not charter.people_of(read.signed.order.digest, read.signed.signatures):
        raise TranscriptError("it was not ordered by two people of different groups")
