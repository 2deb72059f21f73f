"""`ringfence backup`: sealed copies of a running exchange, and their way back, with proof.

Exit status: 0 as it should be, 65 something was altered or is another store's, 66 something that is needed is not
there, 70 a replay has led somewhere else than was signed, 72 it is under rules that this build does not know, 74 a
disk does not read or write.
"""

import json as encoder
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from ringfence.cli.up import DIRECTORY

if TYPE_CHECKING:
    from ringfence.operations.backup import Store

app = App(name="backup", help="Sealed backups: new-key, create, list, verify, restore.")
EXIT_ALTERED, EXIT_MISSING, EXIT_UNPROVEN, EXIT_DISK = 65, 66, 70, 74
AsJson = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON instead.")]
VenueKey = Annotated[
    str,
    Parameter(
        help="The exchange's public key in hexadecimal (roots/venue.pub), or a file with it. Keep it elsewhere than "
        "the store: whoever can write to the store could bring a key of their own."
    ),
]
KeyFiles = Annotated[
    tuple[Path, ...], Parameter(help="Files with recovery keys; as many as the store asks for.")
]


@app.command
def new_key(output: Path, *, as_json: AsJson = False) -> None:
    """Make a recovery key: for who keeps it, on a machine of theirs. The exchange is told the recipient alone."""
    with _saying_why(as_json=as_json):
        from ringfence.operations.backup import new_identity

        recipient = new_identity(output)
        _say(
            {"recipient": recipient},
            f"{recipient}\nthe key itself is in {output}: nobody else has it",
            as_json=as_json,
        )


@app.command
def create(
    store: Path, *, directory: Path = DIRECTORY, recipient: tuple[str, ...] = (), threshold: int = 2,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Add a backup to a store, while the exchange runs. Full segments of the journal go there once.

    Parameters
    ----------
    store
        A folder, made by the first backup.
    directory
        The exchange's, or one machine's of a cluster.
    recipient
        For the first backup: the recipients of the recovery keys, once each.
    threshold
        For the first backup: how many of them are needed together.
    as_json
        One object.
    """
    with _saying_why(as_json=as_json):
        from ringfence.operations.backup import create as take

        taken = take(directory, store, recipients=recipient, threshold=threshold)
        made = taken.manifest
        found = {
            "name": made.name, "sequence": made.sequence, "files": len(made.files), "newBytes": taken.new_bytes,
            "seconds": round(taken.seconds, 3), "engineDigest": made.engine_digest, "journalHead": made.journal_head,
            "eventsDigest": made.events_digest, "rootSequence": made.root_sequence,
            "stateCompared": bool(taken.states), "leftOut": made.left_out,
        }  # fmt: skip
        lines = [
            f"{made.name}: everything below sequence {made.sequence}, {len(made.files)} files, "
            f"{taken.new_bytes:,} bytes new, {taken.seconds:.1f} s",
            f"state {made.engine_digest}",
            *(f"left out: {count} files, {reason}" for reason, count in sorted(made.left_out.items())),
        ]
        _say(found, "\n".join(lines), as_json=as_json)


@app.command(name="list")
def list_(store: Path, *, as_json: AsJson = False) -> None:
    """Name the backups of a store, oldest first. Nothing is checked."""
    with _saying_why(as_json=as_json):
        from ringfence.operations.backup import manifests

        found = manifests(store)
        _say({"backups": found}, "\n".join(found) or "none yet", as_json=as_json)


@app.command
def verify(
    store: Path, *, venue_key: VenueKey, name: str = "",
    all_: Annotated[bool, Parameter(name="--all", negative="")] = False,
    identity: KeyFiles = (), as_json: AsJson = False,
) -> None:  # fmt: skip
    """Check signatures and every byte of a backup, the newest without a name; with recovery keys also what is inside.

    Parameters
    ----------
    store
        A folder with backups.
    venue_key
        See the help.
    name
        Of one backup.
    all_
        Check every backup.
    identity
        See the help.
    as_json
        One object.
    """
    with _saying_why(as_json=as_json):
        from ringfence.operations.backup import check_objects, manifests, read_identities, read_manifest
        from ringfence.operations.backup.recovery import open_with

        opened = _open(store, venue_key)
        inside = open_with(opened.recovery, read_identities(identity)) if identity else ""
        rows = []
        for one in manifests(store) if all_ else [name]:
            manifest, _ = read_manifest(opened, one)
            checked = check_objects(opened, manifest, identity=inside)
            rows.append({"name": manifest.name, "sequence": manifest.sequence, "bytes": checked.sealed_bytes})
        what = "signatures, every byte and what is inside" if inside else "signatures and every byte"
        text = "\n".join(f"{row['name']}: sequence {row['sequence']}, {row['bytes']:,} bytes" for row in rows)
        _say({"ok": True, "inside": bool(inside), "backups": rows}, f"{text}\n{what} check", as_json=as_json)


@app.command
def restore(
    store: Path,
    directory: Path,
    *,
    venue_key: VenueKey,
    identity: KeyFiles,
    name: str = "",
    as_json: AsJson = False,
) -> None:
    """Restore a backup into an empty directory, replay it, and prove that its state is the one that was signed.

    Parameters
    ----------
    store
        A folder with backups.
    directory
        A new one. It gets its name when everything is proven.
    venue_key
        See the help.
    identity
        See the help.
    name
        Of the backup; the newest without it.
    as_json
        One object.
    """
    with _saying_why(as_json=as_json):
        from ringfence.operations.backup import read_identities
        from ringfence.operations.backup import restore as bring_back

        opened = _open(store, venue_key)
        restored = bring_back(opened, directory, identities=read_identities(identity), name=name)
        made, proved = restored.manifest, restored.proved
        total = restored.opened_seconds + restored.replayed_seconds
        rate = round(proved.commands / max(restored.replayed_seconds, 1e-9))
        found = {
            "name": made.name, "sequence": proved.sequence, "engineDigest": made.engine_digest, "roots": proved.roots,
            "rootSequence": made.root_sequence, "stateCompared": bool(proved.states),
            "openedSeconds": round(restored.opened_seconds, 3), "replayedSeconds": round(restored.replayed_seconds, 3),
            "seconds": round(total, 3), "commandsPerSecond": rate,
        }  # fmt: skip
        compared = f"the whole state at sequence {made.root_sequence}" if proved.states else "no state"
        lines = [
            f"{made.name} is in {directory}: {proved.sequence:,} slots, {total:.1f} s, of which the replay "
            f"{restored.replayed_seconds:.1f} s at {rate:,} a second",
            f"state {made.engine_digest}, as the manifest says",
            f"{proved.roots} signed roots agree with journal and events; {compared} was compared",
        ]
        _say(found, "\n".join(lines), as_json=as_json)


def _open(store: Path, venue_key: str) -> "Store":
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from ringfence.assurance.proofs.publisher import read_venue_key
    from ringfence.operations.backup import open_store

    path = Path(venue_key)
    text = path.read_text() if len(venue_key) != 64 and path.exists() else venue_key
    return open_store(store, Ed25519PublicKey.from_public_bytes(read_venue_key(text)))


def _say(found: dict[str, Any], text: str, *, as_json: bool) -> None:
    print(encoder.dumps(found) if as_json else text)


@contextmanager
def _saying_why(*, as_json: bool) -> Iterator[None]:
    from ringfence.exchange.journal import JournalError
    from ringfence.messages.rules import EXIT_RULES, UnknownRulesError
    from ringfence.operations.backup import BackupError, MissingError, ProofError, RecoveryError

    statuses: tuple[tuple[type[Exception], int], ...] = (
        (BackupError, EXIT_ALTERED), (RecoveryError, EXIT_ALTERED), (JournalError, EXIT_ALTERED),
        (MissingError, EXIT_MISSING), (FileNotFoundError, EXIT_MISSING), (ProofError, EXIT_UNPROVEN),
        (UnknownRulesError, EXIT_RULES), (OSError, EXIT_DISK), (ValueError, EXIT_ALTERED),
    )  # fmt: skip
    try:
        yield
    except tuple(kind for kind, _ in statuses) as error:
        status = next(status for kind, status in statuses if isinstance(error, kind))
        if as_json:
            print(encoder.dumps({"ok": False, "error": type(error).__name__, "message": str(error)}))
        else:
            print(error, file=sys.stderr)
        sys.exit(status)
