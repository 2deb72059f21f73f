"""What of an exchange's directory a backup keeps.

Everything is kept that no rule names: a file that somebody adds tomorrow is rather copied once too often than lost.
In custody it is the other way round: what no rule names is somebody's secret until it is known to be none.
"""

import fnmatch
import os
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple


class Reason(StrEnum):
    """Why something is not in a backup."""

    MADE_AGAIN = "made again from the journal"
    RUNNING = "of running processes"
    CHAIN = "a development chain: the world outside"
    MACHINE = "of this machine alone: another machine gets keys and a place of its own"
    COSIGNER = "a co-signer's secrets never leave its machine"
    PERSON = "a person's private key stays with the person"
    UNKNOWN = "unknown in custody: left out until somebody says what it is"


class Rule(NamedTuple):
    pattern: str
    """Of a path within the directory; `*` also matches `/`."""
    reason: Reason | None
    """None: it is kept."""


# The first that fits decides. The journal itself is copied by `taking`, up to one sequence.
RULES = (
    Rule("*.new", Reason.RUNNING),
    Rule("*.lock", Reason.RUNNING),
    Rule("*.sock", Reason.RUNNING),
    Rule("*.in-database", Reason.RUNNING),
    Rule("run.json", Reason.RUNNING),
    Rule("logs/*", Reason.RUNNING),
    Rule(".cache/*", Reason.MADE_AGAIN),
    Rule("metrics/*", Reason.RUNNING),
    Rule("journal/*", Reason.MADE_AGAIN),
    Rule("feed/*", Reason.MADE_AGAIN),
    Rule("snapshots/*", Reason.MADE_AGAIN),
    Rule("checkpoints/*", Reason.MADE_AGAIN),
    Rule("cuts/*", Reason.MADE_AGAIN),
    Rule("history.sqlite*", Reason.MADE_AGAIN),
    Rule("roots/begun", Reason.MADE_AGAIN),
    # A judge's memory may be further than the cut; it reads the feed again.
    Rule("judges/*.state", Reason.MADE_AGAIN),
    Rule("judges/*.checks.json", Reason.MADE_AGAIN),
    Rule("bitcoin/*", Reason.CHAIN),
    Rule("ethereum/*", Reason.CHAIN),
    Rule("solana/*", Reason.CHAIN),
    # What is in that database is in the backup as files: with the address beside them it would be in two places.
    Rule("database.url", Reason.MACHINE),
    Rule("*.moved", Reason.MACHINE),
    Rule("cluster.toml", Reason.MACHINE),
    Rule("cluster/*", Reason.MACHINE),
    Rule("nodes/*", Reason.MACHINE),
    Rule("stream/*", Reason.MACHINE),
    Rule("people/*.pem", Reason.PERSON),
    Rule("people/*.key", Reason.PERSON),
    Rule("custody/people/*", Reason.PERSON),
    Rule("custody/recovery/*", Reason.PERSON),
    Rule("custody/cosigners/*/charter.json", None),
    Rule("custody/cosigners/*/public.json", None),
    Rule("custody/cosigners/*/tls.crt", None),
    Rule("custody/cosigners/*", Reason.COSIGNER),
    Rule("custody/parties/*", Reason.COSIGNER),
    Rule("custody/*.json", None),
    Rule("custody/*.pub", None),
    Rule("custody/annexes/*", None),
    Rule("custody/console/*", None),
    Rule("custody/coordinator/*", None),
    Rule("custody/verifier/*", None),
    Rule("custody/*", Reason.UNKNOWN),
)


class Contents(NamedTuple):
    kept: tuple[str, ...]
    """Paths of files, sorted."""
    left_out: dict[str, int]
    """How many files are not there for which reason."""


def contents_of(directory: Path) -> Contents:
    """Look through a directory. Raises OSError."""
    kept: list[str] = []
    left_out: dict[str, int] = {}
    for path in sorted(_files(directory)):
        reason = reason_of(path)
        if reason is None:
            kept.append(path)
        else:
            left_out[reason] = left_out.get(reason, 0) + 1
    return Contents(tuple(kept), left_out)


def reason_of(path: str) -> Reason | None:
    """Return why a path is left out, None if it is kept."""
    for rule in RULES:
        if fnmatch.fnmatchcase(path, rule.pattern):
            return rule.reason
    return None


def _files(directory: Path) -> Iterator[str]:
    """Yield regular files. A link leads elsewhere, and sockets hold nothing."""
    for folder, _, names in os.walk(directory):
        for name in names:
            path = Path(folder) / name
            if path.is_file() and not path.is_symlink():
                yield path.relative_to(directory).as_posix()
