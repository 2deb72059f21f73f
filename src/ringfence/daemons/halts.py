"""Halting and lifting a halt from outside: the commands, and what a person needs to see before signing."""

from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from ringfence.assurance.halting import ResumeStatement, SignedChecks
from ringfence.commitments import latest_roots, load_keys
from ringfence.daemons.admin import command
from ringfence.messages.batch import CHECKS, HALT_REASON, RESUME_STATEMENT, SIGNATURES, Records, encode_data
from ringfence.messages.commands import Command, HaltScope, MissedFunding, TradingState
from ringfence.messages.halts import Reason, Signature, encode_reason, encode_signatures
from ringfence.messages.records import COMMAND


class Target(NamedTuple):
    """What is halted: a scope, and the number of the contract or asset where it has one."""

    scope: HaltScope
    number: int = 0


VENUE = Target(HaltScope.VENUE)


def halt(target: Target, reason: Reason, *, state: TradingState = TradingState.HALTED) -> Records:
    """Return the command that halts, with its evidence."""
    said = np.frombuffer(encode_data([(HALT_REASON, encode_reason(reason))]), COMMAND)
    row = command(Command.HALT, type=target.scope, symbol=target.number, qty=state)
    return np.concatenate([row, said])


def draft(
    directory: Path, target: Target, *, halt: int, funding: MissedFunding, cause: str
) -> ResumeStatement:
    """Return the statement that people sign now, of the newest root. Raises ValueError if there is none."""
    roots = latest_roots(directory / "roots" / "chain.roots")
    if not roots:
        raise ValueError("no state root was written yet")
    return ResumeStatement(
        venue=load_keys(directory).public_bytes.hex(), scope=target.scope, target=target.number, halt=halt,
        sequence=roots[0].sequence, accounts_root=roots[0].accounts_root.hex(), funding=funding, cause=cause,
    )  # fmt: skip


def resume(directory: Path, statement: ResumeStatement, signatures: list[Signature]) -> Records:
    """Return the command that lifts a halt, with the signatures and the judges' newest reports."""
    texts = [
        (RESUME_STATEMENT, statement.text.encode()), (SIGNATURES, encode_signatures(signatures)),
        (CHECKS, msgspec.json.encode(_checks(directory))),
    ]  # fmt: skip
    row = command(
        Command.RESUME, type=statement.scope, symbol=statement.target, handle=statement.halt,
        qty=statement.funding,
    )  # fmt: skip
    return np.concatenate([row, np.frombuffer(encode_data(texts), COMMAND)])


def _checks(directory: Path) -> list[SignedChecks]:
    """Return the newest signed report of every judge; one that cannot be read is missing."""
    found = []
    for path in sorted((directory / "judges").glob("*.checks.json")):
        try:
            found.append(msgspec.json.decode(path.read_bytes(), type=SignedChecks))
        except (OSError, msgspec.MsgspecError):
            continue
    return found
