"""No step of upkeep writes more events than it has asked room for: beyond it lies memory that is not the engine's."""

from types import ModuleType
from typing import Any

import pytest

from ringfence.exchange.engine import (
    deleveraging,
    funding,
    insurance,
    liquidation,
    settlement,
    timers,
    upkeep,
)
from ringfence.exchange.engine.views import COMPILED
from ringfence.messages.commands import AdlMethod
from ringfence.messages.records import RECORD_BYTES
from ringfence.testing.turbulence import Turbulence

plain_only = pytest.mark.skipif(COMPILED, reason="only plain Python can be watched: RINGFENCE_ENGINE=python")
STEPS = [
    (deleveraging, "deleverage", upkeep, "has_room"), (settlement, "settle", upkeep, "has_room"),
    (funding, "fund_one", upkeep, "has_room"), (liquidation, "take_care_of", liquidation, "room_for"),
    (insurance, "work", upkeep, "room_for"), (timers, "fire_timers", upkeep, "has_room"),
]  # fmt: skip
"""A step, who calls it, and how it asks for room."""


class Watch:
    """Writes down every question for room, and holds what follows against it."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch
        self._asked: list[tuple[int, int]] = []
        self.steps: dict[str, int] = {}

    def over(self, module: ModuleType, step: str, caller: ModuleType, question: str) -> None:
        ask, inner = getattr(module, question), getattr(module, step)

        def asking(h: Any, events: int, *more: Any) -> Any:
            self._hold(int(h.cursor))
            self._asked = [(int(h.cursor), int(events))]
            return ask(h, events, *more)

        def stepping(h: Any, *more: Any) -> Any:
            before, self._asked = self._asked, []
            answer = inner(h, *more)
            self._hold(int(h.cursor))
            self.steps[step] = self.steps.get(step, 0) + bool(self._asked)
            self._asked = before
            return answer

        self._patch.setattr(module, question, asking)
        for place in {module, caller}:
            self._patch.setattr(place, step, stepping)

    def _hold(self, cursor: int) -> None:
        for begun, events in self._asked:
            assert cursor - begun <= events * RECORD_BYTES, "more events than there was room for"


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    found = Watch(monkeypatch)
    for step in STEPS:
        found.over(*step)
    return found


@plain_only
@pytest.mark.parametrize("method", list(AdlMethod))
def test_no_step_writes_more_events_than_it_has_asked_room_for(watch: Watch, method: AdlMethod) -> None:
    for _ in Turbulence(5, adl_method=method).batches(150):
        pass
    assert {name for name, count in watch.steps.items() if count} >= {step for _, step, _, _ in STEPS[:5]}
