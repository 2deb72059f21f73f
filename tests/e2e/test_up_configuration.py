"""`ringfence up` with a file that is not in force, and with one that is no good."""

import json
from pathlib import Path

import pytest

from ringfence.configuration import EXIT_CONFIG, NAME, in_words, number_in_force, read_configuration
from ringfence.testing.client import Client
from ringfence.testing.up import Up, ringfence, wait_for
from ringfence.testing.venue import configure

pytestmark = pytest.mark.slow


def test_an_edited_file_waits_to_be_put_in_force(tmp_path: Path) -> None:
    directory = tmp_path / "exchange"
    with Up(directory, "--no-bots") as exchange:
        first = read_configuration(directory)
        assert (first.settings.gateway.port, number_in_force(directory)) == (exchange.port, first.number)
    configure(directory, {"limits": {"anonymous_requests_per_minute": 500}})
    second = read_configuration(directory)

    again = Up(directory, "--no-bots", port=exchange.port)
    try:
        wait_for(lambda: in_words(first.number) in again.text, 60, "word of what is in force")
        assert again.process.poll() is None
        refused = ringfence("config", "apply", directory, "--operator", "ringfence up")
        assert "ringfence up has no role" in refused.stderr
        applied = ringfence("config", "apply", directory, "--operator", "demo-risk")
        assert f"{in_words(second.number)} is in force" in applied.stdout, applied.stderr
        again.wait_until_it_trades()
        assert Client(exchange.port, None).call("GET", "/instrument").headers["x-ratelimit-limit"] == "500"
        status = json.loads(ringfence("status", directory, "--json").stdout)
        assert status["configuration"] == {
            "in_force": in_words(second.number),
            "file": in_words(second.number),
        }
    finally:
        assert again.stop() == 0

    (directory / NAME).write_text("[limits]\n")
    broken = ringfence("up", directory, "--no-bots", "--no-custody", "--no-chains")
    assert broken.returncode == EXIT_CONFIG
    assert "limits.orders_per_second is missing" in broken.stdout.replace("\n", " ")
    assert ringfence("config", "restore", directory).returncode == 0
    assert read_configuration(directory) == second
