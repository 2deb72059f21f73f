"""A judge's checkpoint: it goes on as if it had never stopped, and nothing else gets in."""

import pickle
from pathlib import Path

import pytest

import ringfence.assurance.audit
import ringfence.assurance.shadow
from ringfence.assurance.audit.auditor import Auditor
from ringfence.assurance.shadow import Shadow
from ringfence.daemons.judge_state import JudgeState
from ringfence.testing.stretch import Stretch


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "judges").mkdir()
    return tmp_path


@pytest.mark.parametrize("seed", range(3))
def test_both_judges_go_on_where_they_were(folder: Path, seed: int) -> None:
    stretch = Stretch(seed, count=300, cuts=2)
    batches = stretch.batches
    stretch.close()
    half = len(batches) // 2
    auditor, shadow = Auditor(), Shadow()
    states = (
        JudgeState(folder, "auditor", ringfence.assurance.audit),
        JudgeState(folder, "shadow", ringfence.assurance.shadow),
    )
    for batch in batches[:half]:
        assert auditor.on_batch(batch) == []
        shadow.step(batch.commands.tobytes(), timestamp_ns=batch.timestamp_ns)
    for state, judge in zip(states, (auditor, shadow), strict=True):
        state.save(judge)
    woken, second = states[0].load(), states[1].load()
    assert woken is not None
    assert second is not None
    assert woken.next_sequence == second.next_sequence == batches[half].first_sequence
    for batch in batches[half:]:
        assert woken.on_batch(batch) == []
        events = second.step(batch.commands.tobytes(), timestamp_ns=batch.timestamp_ns)
        assert events == batch.events.tobytes()


def test_what_was_changed_or_is_something_else_is_passed_over(folder: Path) -> None:
    state = JudgeState(folder, "shadow", ringfence.assurance.shadow)
    assert state.load() is None
    state.save(Shadow())
    path = folder / "judges" / "shadow.state"
    raw = path.read_bytes()
    for broken in (raw[:-1], raw[:50], b"", raw[:-5] + b"12345", b"X" + raw[1:]):
        path.write_bytes(broken)
        assert state.load() is None
    path.write_bytes(raw)
    assert JudgeState(folder, "shadow", ringfence.assurance.audit).load() is None


def test_a_checkpoint_names_no_strange_classes(folder: Path) -> None:
    state = JudgeState(folder, "shadow", ringfence.assurance.shadow)
    state.save(Path("."))
    assert state.load() is None
    state.save(pickle.Pickler)
    assert state.load() is None
