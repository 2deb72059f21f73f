"""One set of tokens and one node for all thefts; each has a custody of its own."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ringfence.custody.hsm import softhsm_module
from ringfence.testing.bitcoin import RunningNode
from ringfence.testing.custody import Custody, Hardware


@pytest.fixture(scope="package")
def hardware(tmp_path_factory: pytest.TempPathFactory) -> Hardware:
    if softhsm_module() is None or shutil.which("softhsm2-util") is None:
        pytest.skip("SoftHSM is not installed: Debian package softhsm2")
    return Hardware(tmp_path_factory.mktemp("hardware") / "hsm")


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    running = RunningNode(tmp_path_factory.mktemp("node"))
    yield running
    running.kill()


@pytest.fixture
def custody(tmp_path: Path, hardware: Hardware, node: RunningNode) -> Iterator[Custody]:
    made = Custody(tmp_path / "custody", hardware, node)
    yield made
    made.close()
