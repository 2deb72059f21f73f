"""Servers of the stream for the tests of this folder."""

from collections.abc import Iterator

import pytest

from tests.cluster.stream_servers import Servers


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with Servers(tmp_path_factory.mktemp("servers")) as running:
        yield running
