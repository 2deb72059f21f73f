"""What the console may submit to the core: to halt, and to lift a halt with signatures. Nothing else leaves it."""

from ringfence.messages.batch import (
    CHECKS,
    HALT_REASON,
    RESUME_STATEMENT,
    SIGNATURES,
    Records,
    command_positions,
    decode_data,
)
from ringfence.messages.commands import Command

_TEXTS = {Command.HALT: {HALT_REASON}, Command.RESUME: {RESUME_STATEMENT, SIGNATURES, CHECKS}}


class NotOursError(Exception):
    """The console was about to send the core something else. Nothing was sent."""


def check_sent(records: Records) -> None:
    """Raises NotOursError unless it is one HALT or one RESUME, with what belongs beside it."""
    positions = list(command_positions(records))
    if positions != [0]:
        raise NotOursError("the console sends one command at a time, with its texts behind it")
    kind = int(records[0]["kind"])
    if kind not in _TEXTS:
        raise NotOursError(f"the console does not send commands of kind {kind}")
    if set(decode_data(records, 0)) != _TEXTS[Command(kind)]:
        raise NotOursError("something else stands beside the command than belongs there")
