"""Second opinions of every batch: other code that must say the same, and laws that must hold."""

from ringfence.assurance.audit.auditor import Auditor
from ringfence.assurance.audit.cuts import Cut
from ringfence.assurance.shadow import Shadow, disagreement
from ringfence.exchange.engine import Engine
from ringfence.messages.batch import Batch
from ringfence.testing.world.judge import Second

_CUT_EVERY = 25


class ShadowSays:
    """The shadow must give the same events, byte for byte."""

    def __init__(self) -> None:
        self._shadow = Shadow()

    def __call__(self, batch: Batch, engine: Engine) -> None:
        said = batch.events.tobytes()
        events = self._shadow.step(batch.commands.tobytes(), timestamp_ns=batch.timestamp_ns)
        assert events == said, f"the shadow disagrees: {disagreement(said, events)}"


class AuditorSays:
    """The auditor must find nothing: whatever it finds would halt an exchange that does what it should."""

    def __init__(self) -> None:
        self._auditor = Auditor()
        self._batches = 0

    def __call__(self, batch: Batch, engine: Engine) -> None:
        auditor = self._auditor
        found = auditor.on_batch(batch) + auditor.on_time(batch.timestamp_ns)
        self._batches += 1
        if self._batches % _CUT_EVERY == 0:
            found += auditor.on_cut(Cut.of(engine.state))
        assert not found, f"a false halt: {found[0]}"


def second_opinions() -> list[Second]:
    """Return a fresh set of judges for one run."""
    return [ShadowSays(), AuditorSays()]
