"""Settings are the same on every machine: what is applied on one is in force on all, and who has another file waits."""

from pathlib import Path

import pytest

from ringfence.configuration import EXIT_CONFIG, number_in_force, read_configuration
from ringfence.testing.up import ringfence, wait_for
from ringfence.testing.venue import configure
from tests.cluster.three import Cluster


@pytest.mark.slow
def test_what_is_applied_on_one_machine_is_in_force_on_all(tmp_path: Path) -> None:
    with Cluster(tmp_path, accounts=1, gateways=2) as cluster:
        here, there, third = cluster.nodes.values()
        configure(here, {"limits": {"orders_per_second": 9}})
        number = read_configuration(here).number
        assert ringfence("config", "apply", here, "--operator", "anna").returncode == 0
        for own in (here, there, third):
            wait_for(lambda own=own: number_in_force(own) == number, 20, "word")  # type: ignore[misc]

        cluster.kill("gateway-2")
        cluster.start("gateway-2")
        assert cluster.processes["gateway-2"].wait(60) == EXIT_CONFIG
        assert read_configuration(there).number != number
        assert ringfence("config", "restore", there).returncode == 0
        assert read_configuration(there) == read_configuration(here)
        cluster.start("gateway-2")
        cluster.wait_ready()
