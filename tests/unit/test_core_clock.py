"""The core's clock is part of the core: when it fails, the core does not go on without it."""

import asyncio
from pathlib import Path

import pytest

from ringfence.commitments import load_keys
from ringfence.configuration import CoreSettings
from ringfence.daemons.core_loop import Core
from ringfence.daemons.gatekeeper import Gatekeeper
from ringfence.exchange.sequencer import Committer, Sequencer, recover


async def test_a_clock_that_fails_stops_the_core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sequencer = Sequencer(recover(tmp_path), tmp_path)
    keys = load_keys(tmp_path)
    committer = Committer(sequencer.engine, tmp_path, keys)
    core = Core(sequencer, committer, Gatekeeper(tmp_path, sequencer.engine, keys), CoreSettings())

    def fail() -> None:
        raise AssertionError("the clock is broken")

    monkeypatch.setattr(sequencer, "collect_snapshot", fail)
    with pytest.raises(AssertionError, match="the clock is broken"):
        await asyncio.wait_for(core.run(), 5)
    committer.close()
    sequencer.close(snapshot=False)
