"""The shadow as a judge of a public journal."""

from ringfence.assurance.shadow import Shadow
from ringfence.assurance.shadow.statements import account_statements, venue_of


class ShadowJudge:
    def __init__(self) -> None:
        self._shadow = Shadow()

    def step(self, commands: bytes, *, timestamp_ns: int) -> bytes:
        return self._shadow.step(commands, timestamp_ns=timestamp_ns)

    def statements(self) -> list[bytes]:
        return list(account_statements(self._shadow.venue))

    def venue(self) -> bytes:
        return venue_of(self._shadow.venue)
