"""Second opinions of every batch: other code that must say the same."""

from ringfence.assurance.shadow import Shadow, disagreement
from ringfence.messages.batch import Batch
from ringfence.testing.world.judge import Second


class ShadowSays:
    """The shadow must give the same events, byte for byte."""

    def __init__(self) -> None:
        self._shadow = Shadow()

    def __call__(self, batch: Batch) -> None:
        said = batch.events.tobytes()
        events = self._shadow.step(batch.commands.tobytes(), timestamp_ns=batch.timestamp_ns)
        assert events == said, f"the shadow disagrees: {disagreement(said, events)}"


def second_opinions() -> list[Second]:
    """Return a fresh set of judges for one run."""
    return [ShadowSays()]
