"""How bad a hole is: a CVSS v4.0 vector as FIRST writes it, and five bands.

The vector is checked for its shape and kept; the band is the role's judgement, because a score is of the component
and not of what coins could have been lost.
"""

import re
from enum import StrEnum
from typing import NamedTuple

from ringfence.units.time import NS_PER_DAY

_PREFIX = "CVSS:4.0"
_METRICS: tuple[tuple[str, str, bool], ...] = (
    # (metric, its values, mandatory), in the order that the specification wants.
    ("AV", "NALP", True), ("AC", "LH", True), ("AT", "NP", True), ("PR", "NLH", True), ("UI", "NPA", True),
    ("VC", "HLN", True), ("VI", "HLN", True), ("VA", "HLN", True), ("SC", "HLN", True), ("SI", "HLN", True),
    ("SA", "HLN", True), ("E", "XAPU", False), ("CR", "XHML", False), ("IR", "XHML", False), ("AR", "XHML", False),
    ("MAV", "XNALP", False), ("MAC", "XLH", False), ("MAT", "XNP", False), ("MPR", "XNLH", False),
    ("MUI", "XNPA", False), ("MVC", "XHLN", False), ("MVI", "XHLN", False), ("MVA", "XHLN", False),
    ("MSC", "XHLN", False), ("MSI", "XSHLN", False), ("MSA", "XSHLN", False), ("S", "XNP", False),
    ("AU", "XNY", False), ("R", "XAUI", False), ("V", "XDC", False), ("RE", "XLMH", False),
)  # fmt: skip
_PROVIDER_URGENCY = "(?:/U:(?:X|Clear|Green|Amber|Red))?"
_VECTOR = re.compile(
    _PREFIX
    + "".join(f"(?:/{name}:[{values}]){'' if needed else '?'}" for name, values, needed in _METRICS)
    + _PROVIDER_URGENCY
)


class Band(StrEnum):
    NONE = "none"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Terms(NamedTuple):
    """What the policy promises for a band. Rewards in whole US dollars."""

    fix_days: int
    reward_min: int
    reward_max: int
    example: str

    @property
    def fix_ns(self) -> int:
        return self.fix_days * NS_PER_DAY


BANDS: dict[Band, Terms] = {
    Band.CRITICAL: Terms(7, 10_000, 100_000, "coins can be moved, made or hidden by who has no right to"),
    Band.HIGH: Terms(30, 3_000, 10_000, "orders or balances of others can be changed; a check passes that must fail"),
    Band.MEDIUM: Terms(60, 500, 3_000, "what is one client's is seen by another; a process is kept from working"),
    Band.LOW: Terms(90, 100, 500, "a defence in depth is missing, with no way through it known"),
    Band.NONE: Terms(90, 0, 0, "a bug without a consequence for anybody's security"),
}  # fmt: skip


def check_vector(text: str) -> str:
    """Return a vector that is one. Raises ValueError."""
    if len(text) > 250 or not _VECTOR.fullmatch(text):
        raise ValueError(
            f"no CVSS v4.0 vector: it begins with {_PREFIX}/AV:.../AC:... and has all base metrics"
        )
    return text
