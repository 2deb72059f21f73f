"""The core's clock is part of the core: when it fails, the core does not go on without it."""

import asyncio
from pathlib import Path

import pytest

from ringfence.daemons.core import Core
from ringfence.exchange.sequencer import Sequencer, recover


async def test_a_clock_that_fails_stops_the_core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sequencer = Sequencer(recover(tmp_path), tmp_path)
    core = Core(sequencer)

    def fail() -> None:
        raise AssertionError("the clock is broken")

    monkeypatch.setattr(sequencer, "collect_snapshot", fail)
    with pytest.raises(AssertionError, match="the clock is broken"):
        await asyncio.wait_for(core.run(), 5)
    sequencer.close(snapshot=False)
