"""One development chain for tests that leave it as it is, and one of its own for those that do not."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chains.solana.running import Owner, RunningSolana

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSolana]:
    running = RunningSolana(tmp_path_factory.mktemp("solana"))
    yield running
    assert running.stop() == 0, running.log()


@pytest.fixture
def own_node(tmp_path: Path) -> Iterator[RunningSolana]:
    running = RunningSolana(tmp_path)
    yield running
    running.process.kill()
    running.process.wait()


@pytest.fixture
def new_owner(node: RunningSolana) -> Callable[[], Owner]:
    """Gives owners whom the shared chain does not know yet."""
    return lambda: Owner(node.rpc, next(_NUMBERS))
