"""The list of mutants that change nothing is about the source as it is."""

import pytest

from ringfence.testing.ablations.hook import source_of
from ringfence.testing.equivalents import EQUIVALENT, Equivalent
from ringfence.testing.mutation import SUITES


@pytest.mark.parametrize("one", EQUIVALENT, ids=lambda one: f"{one.module}: {one.line[:40]}")
def test_its_line_is_in_the_source_and_it_says_why(one: Equivalent) -> None:
    module = next(name for name in SUITES if name.rsplit(".", 1)[-1] == one.module)
    assert one.line in {line.strip() for line in source_of(module).read_text().splitlines()}
    assert one.changes
    assert one.why
