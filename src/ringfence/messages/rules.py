"""Versions of the rules: which this build can apply, and since which one each command and venue parameter exists.

The rules say what the exchange makes of a command. Machines of one exchange may run different builds while one after
the other is replaced; they stay of one mind because what is new counts from a place in the journal on, where
VenueParameter.RULES says so, and not from the moment at which somebody installed something. Until then a build that
knows more does what the older ones do, down to the refusals. A build that knows less stops in front of that place.

To add a command or a parameter: raise RULES_NEWEST, give the table below a row of that version, and leave what older
rules do as it is. Nothing is ever taken out: old journals are read by all later builds.
"""

from collections.abc import Iterable, Mapping
from enum import IntEnum

from ringfence.messages.commands import Command, VenueParameter

RULES_FIRST = 1
"""In force until a command says otherwise."""
RULES_NEWEST = 1
"""This build can apply every version from RULES_FIRST up to this one."""
EXIT_RULES = 72
"""Exit status of every process and command that has met rules it does not know."""

COMMANDS: Mapping[int, tuple[Command, ...]] = {
    1: (
        Command.PLACE, Command.AMEND, Command.CANCEL, Command.CANCEL_ALL, Command.CANCEL_ALL_AFTER,
        Command.SET_LEVERAGE, Command.SET_RISK_LIMIT, Command.TRANSFER_MARGIN, Command.OPEN_ACCOUNT,
        Command.CONFIGURE_ACCOUNT, Command.DEPOSIT, Command.WITHDRAW, Command.TRANSFER, Command.MARK, Command.TICK,
        Command.INDEX, Command.LIST, Command.CONFIGURE, Command.SET_STATE, Command.CONFIGURE_VENUE, Command.SETTLE,
        Command.HALT, Command.RESUME,
    ),
}  # fmt: skip
"""By version: the commands that it brought. DATA is none."""
PARAMETERS: Mapping[int, tuple[VenueParameter, ...]] = {
    1: (
        VenueParameter.RISK_TIERS_MAX, VenueParameter.INSURANCE_ACCOUNT, VenueParameter.CANCEL_ONLY_NS,
        VenueParameter.PEOPLE, VenueParameter.CUSTODY_ACCOUNT, VenueParameter.CONFIGURATION, VenueParameter.RULES,
        VenueParameter.FEE_DISCOUNT_1, VenueParameter.FEE_DISCOUNT_2, VenueParameter.FEE_DISCOUNT_3,
        VenueParameter.FEE_DISCOUNT_4, VenueParameter.FEE_DISCOUNT_5, VenueParameter.FEE_DISCOUNT_6,
    ),
}  # fmt: skip
"""By version: the parameters of CONFIGURE_VENUE that it brought."""


def _since(table: Mapping[int, Iterable[IntEnum]], members: Iterable[IntEnum]) -> tuple[int, ...]:
    """Return the version by number: a tuple, which the kernel's compiler takes as it is; 0 = nobody has the number."""
    rows = [(member, version) for version, brought in table.items() for member in brought]
    assert sorted(member for member, _ in rows) == sorted(members), "each stands in one version's row"
    assert all(RULES_FIRST <= version <= RULES_NEWEST for _, version in rows)
    versions = dict(rows)
    return tuple(versions.get(number, 0) for number in range(max(versions) + 1))  # type: ignore[call-overload]


COMMAND_SINCE = _since(COMMANDS, set(Command) - {Command.DATA})
PARAMETER_SINCE = _since(PARAMETERS, VenueParameter)


class UnknownRulesError(Exception):
    """This build was asked to apply rules that it does not know, and has stopped in front of them.

    It is no disagreement and no damage: whoever knows the rules goes on. Remedy: install a build that knows `rules`.
    """

    def __init__(self, rules: int, *, where: str) -> None:
        """`where` says in what they were met: it is the subject of the sentence."""
        super().__init__(
            f"{where} under rules {rules}, and this build knows rules up to {RULES_NEWEST}: nothing from there on was "
            f"applied, and everything before it stands. Install a build that knows rules {rules}, then start again."
        )
        self.rules = rules

    @classmethod
    def at(cls, sequence: int, rules: int) -> "UnknownRulesError":
        """What follows the command with a sequence number."""
        return cls(rules, where=f"what follows sequence {sequence} is")


def check_known(rules: int, *, sequence: int) -> None:
    """Raise UnknownRulesError if this build cannot go on where a command puts rules in force."""
    if rules > RULES_NEWEST:
        raise UnknownRulesError.at(sequence, rules)
