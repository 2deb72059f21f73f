"""Two sets of tokens: one for stories that change keys, one on which a key of each scheme was made once for all."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from ringfence.custody.hsm import softhsm_module
from ringfence.custody.quorum.mpc.engine import Scheme, engine_path
from ringfence.custody.quorum.mpc.keys import KeyRecord
from ringfence.testing.mpc import Circle, MpcHardware, make_tokens


class Settled(NamedTuple):
    """A circle that has a key of each scheme."""

    circle: Circle
    records: dict[Scheme, KeyRecord]


@pytest.fixture(scope="package")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if softhsm_module() is None or shutil.which("softhsm2-util") is None:
        pytest.skip("SoftHSM is not installed: Debian package softhsm2")
    if engine_path() is None:
        pytest.skip("the MPC engine is not built: it needs Rust 1.88 or newer, then `make mpc`")
    folder = tmp_path_factory.mktemp("hardware")
    make_tokens(folder, "", "settled-")
    return folder


@pytest.fixture(scope="package")
def hardware(tokens: Path) -> MpcHardware:
    return MpcHardware(tokens)


@pytest.fixture
def circle(tmp_path: Path, hardware: MpcHardware) -> Iterator[Circle]:
    made = Circle(tmp_path / "circle", hardware, signing_seconds=5.0)
    yield made
    made.close()


@pytest.fixture(scope="package")
def begun(tokens: Path) -> tuple[MpcHardware, Path, dict[Scheme, KeyRecord]]:
    hardware, folder = MpcHardware(tokens, prefix="settled-"), tokens / "settled"
    made = Circle(folder, hardware)

    async def create() -> dict[Scheme, KeyRecord]:
        return {scheme: await made.create(scheme.value, scheme) for scheme in Scheme}

    records = asyncio.run(create())
    made.close()
    return hardware, folder, records


@pytest.fixture
def settled(tmp_path: Path, begun: tuple[MpcHardware, Path, dict[Scheme, KeyRecord]]) -> Iterator[Settled]:
    hardware, folder, records = begun
    made = Circle(tmp_path / "circle", hardware, signing_seconds=2.0, begun=folder)
    yield Settled(made, records)
    made.close()
