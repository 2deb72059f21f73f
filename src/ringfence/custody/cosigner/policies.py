"""Which version of the policy is in force for one that has heard of new ones: by its own clock, from its own log.

Who signs a version may write any date below it. So its delay begins when it is heard of, and everybody who decides
keeps the moment in its own log. Another version may take the place of one that is still waiting: whoever finds that two
people are about to loosen something signs the present numbers as the next version, which is in force at once.
"""

from typing import Any, NamedTuple

import msgspec

from ringfence.chained_log import Entry
from ringfence.custody.cosigner.config import Charter, ConfigurationError, PolicyDocument
from ringfence.custody.policy import Policy, PolicyError, check_change


class Announced(NamedTuple):
    document: PolicyDocument
    heard_ns: int


def read_announced(entry: Entry) -> Announced:
    """Return what a line `announced` of a log says."""
    return Announced(msgspec.convert(entry.body["document"], PolicyDocument), entry.at_ns)


def announced_body(document: PolicyDocument) -> dict[str, Any]:
    """Return the body of a line `announced`."""
    return {"document": msgspec.to_builtins(document)}


class Versions(NamedTuple):
    in_force: Policy
    pending: Announced | None
    """The next one, if it waits."""


def versions(charter: Charter, first: Policy, announced: list[Announced], *, now_ns: int) -> Versions:
    """Return what is in force and what waits of the policy for an asset of a chain, from its first version on.

    Raises ConfigurationError if a document is signed by nobody who may.
    """
    current: Policy = first
    pending: Announced | None = None
    for one in announced:
        if (one.document.policy.chain, one.document.policy.asset) != (first.chain, first.asset):
            continue
        current, pending = _passed(charter, current, pending, one.heard_ns)
        if one.document.policy.version == current.version + 1:
            pending = one
    return Versions(*_passed(charter, current, pending, now_ns))


def _passed(
    charter: Charter, current: Policy, pending: Announced | None, now_ns: int
) -> tuple[Policy, Announced | None]:
    if pending is None or _objection(charter, current, pending, now_ns):
        return current, pending
    return pending.document.policy, None


def _objection(charter: Charter, current: Policy, pending: Announced, now_ns: int) -> str:
    signed = msgspec.structs.replace(charter.signed_policy(pending.document), announced_ns=pending.heard_ns)
    try:
        check_change(current, signed, now_ns=now_ns)
    except PolicyError as error:
        return str(error)
    return ""


def is_news(charter: Charter, before: Versions, document: PolicyDocument) -> bool:
    """Return whether a version has to be written down: it does not wait already. Raises as `check_announced`."""
    if before.pending is not None and before.pending.document.policy == document.policy:
        return False
    check_announced(charter, before, document)
    return True


def check_announced(charter: Charter, before: Versions, document: PolicyDocument) -> None:
    """Return if this version may be written down to wait, or be in force at once. Raises ConfigurationError.

    What is wrong with it for ever is refused; that its delay has not passed is not wrong.
    """
    long_ago = msgspec.structs.replace(charter.signed_policy(document), announced_ns=0)
    try:
        check_change(before.in_force, long_ago, now_ns=2**63)
    except PolicyError as error:
        raise ConfigurationError(str(error)) from error
