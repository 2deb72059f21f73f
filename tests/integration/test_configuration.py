"""One file of settings as an operator meets it: real core, real gateway, and a stranger who replays the journal."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ringfence.assurance.halting import People, Role, new_private_key, person_of
from ringfence.assurance.replay import export, verify
from ringfence.commitments import latest_roots
from ringfence.configuration import (
    EXIT_CONFIG,
    NAME,
    decode,
    in_words,
    number_in_force,
    number_of,
    read_configuration,
    text_path,
)
from ringfence.daemons import configuring, founding
from ringfence.daemons.admin import Admin, AdminRefused, command
from ringfence.messages.batch import CONFIGURATION_TEXT, Records, encode_data
from ringfence.messages.commands import Command
from ringfence.messages.halts import Scheme
from ringfence.messages.records import COMMAND
from ringfence.testing.client import Client
from ringfence.testing.up import ringfence
from ringfence.testing.venue import Venue, configure

ANNA = ("--operator", "anna")
ROLES = {"anna": Role.OPERATIONS, "bert": Role.RISK, "auditor": Role.JUDGE}
PEOPLE = People(tuple(person_of(name, role, new_private_key(Scheme.ED25519)) for name, role in ROLES.items()))


def ask(venue: Venue, records: Records, *, operator: str = "test") -> None:
    """Raises AdminRefused."""

    async def talk() -> None:
        admin = Admin(venue.directory)
        await admin.connect()
        try:
            await admin.ask(records, operator=operator)
        finally:
            admin.close()

    asyncio.run(talk())


def config(directory: Path, what: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return ringfence("config", what, directory, *arguments)


def end_of(venue: Venue, name: str) -> str:
    """Return what a process said last."""
    return str(json.loads((venue.directory / f"{name}.log").read_text().splitlines()[-1])["event"])


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    with Venue(tmp_path_factory.mktemp("configured"), accounts=2) as running:
        ask(running, founding.put_in_force(PEOPLE))
        yield running


@pytest.mark.slow
def test_what_is_changed_by_hand_is_gone_by_when_it_was_put_in_force(venue: Venue, tmp_path: Path) -> None:
    directory = venue.directory
    first = read_configuration(directory)
    assert config(directory, "apply", *ANNA).returncode == 0
    assert number_in_force(directory) == first.number

    # Somebody edits the file: nobody goes by it.
    configure(directory, {"limits": {"anonymous_requests_per_minute": 77}})
    second = read_configuration(directory)
    shown = config(directory, "diff")
    assert shown.returncode == 1
    assert "-anonymous_requests_per_minute = 0\n+anonymous_requests_per_minute = 77" in shown.stdout
    venue.kill("gateway")
    venue.start("gateway")
    assert venue.processes["gateway"].wait(30) == EXIT_CONFIG
    refused = end_of(venue, "gateway")
    assert f"{in_words(second.number)}, in force is {in_words(first.number)}" in refused
    assert "`ringfence config apply --operator NAME`" in refused

    # The core starts all the same, or nobody could ever put it in force.
    venue.kill("core")
    venue.start("core")
    applied = apply_when_it_answers(directory)
    assert "is in force; sequence" in applied.stdout
    venue.start("gateway")
    venue.wait_ready()
    assert Client(venue.port, None).call("GET", "/instrument").headers["x-ratelimit-limit"] == "77"
    assert config(directory, "diff").returncode == 0
    assert number_in_force(directory) == second.number

    # A stranger sees what was in force when, and that the signed state says the same.
    after = json.loads(config(directory, "check", "--json").stdout)
    assert after == {"number": in_words(second.number), "inForce": in_words(second.number), "isInForce": True}
    wait_for_root(venue)
    export(directory, tmp_path / "public")
    outcome = verify(tmp_path / "public")
    assert [one.number for one in outcome.configurations] == [first.number, second.number]
    assert [one.text.encode() for one in outcome.configurations] == [first.text, second.text]
    assert outcome.configurations[0].sequence < outcome.configurations[1].sequence
    shown = ringfence("journal", "show", "--directory", directory, "--kind", "CONFIGURE_VENUE", "--json")
    said = [json.loads(line) for line in shown.stdout.splitlines()]
    rows = [row for row in said if row["parameter"] == "CONFIGURATION"]
    assert [(row["value"], row["operator"]) for row in rows] == [
        (first.number, "anna"),
        (second.number, "anna"),
    ]


def apply_when_it_answers(directory: Path) -> subprocess.CompletedProcess[str]:
    for _ in range(50):
        done = config(directory, "apply", *ANNA)
        if "no exchange core answers" not in done.stderr:
            return done
        time.sleep(0.1)
    raise AssertionError(done.stderr)


def wait_for_root(venue: Venue) -> None:
    """Wait until a root was signed of all that is in force."""
    chain = venue.directory / "roots" / "chain.roots"
    before = latest_roots(chain)[0].sequence
    ask(venue, command(Command.TICK))
    for _ in range(100):
        if latest_roots(chain)[0].sequence > before:
            return
        time.sleep(0.1)
    raise AssertionError("no root came")


def test_a_change_is_taken_back_and_a_lost_copy_comes_from_the_journal(venue: Venue) -> None:
    directory = venue.directory
    config(directory, "apply", *ANNA)
    text = (directory / NAME).read_bytes()
    (directory / NAME).write_text("")
    assert config(directory, "check").returncode == EXIT_CONFIG
    assert config(directory, "apply", *ANNA).returncode == EXIT_CONFIG
    text_path(directory, number_of(text)).unlink()
    restored = config(directory, "restore")
    assert restored.returncode == 0, restored.stderr
    assert (directory / NAME).read_bytes() == text
    (directory / NAME).unlink()
    assert "restore" in config(directory, "found").stderr
    assert config(directory, "restore").returncode == 0
    assert json.loads(config(directory, "show", "--json").stdout)["isInForce"]


@pytest.mark.parametrize(
    ("operator", "why"), [("mallory", "mallory has no role"), ("auditor", "auditor has no role")]
)
def test_who_has_no_role_puts_nothing_in_force(venue: Venue, operator: str, why: str) -> None:
    config(venue.directory, "apply", *ANNA)
    before = number_in_force(venue.directory)
    configure(venue.directory, {"limits": {"orders_per_second": 11}})
    refused = config(venue.directory, "apply", "--operator", operator)
    assert refused.returncode == 1
    assert why in refused.stderr
    assert number_in_force(venue.directory) == before
    config(venue.directory, "restore")


def test_what_is_no_configuration_is_refused_by_the_core_itself(venue: Venue) -> None:
    written = read_configuration(venue.directory)
    good = configuring.put_in_force(written.text)
    other = good.copy()
    other["qty"][0] += 1
    with pytest.raises(AdminRefused, match="the command is about"):
        ask(venue, other, operator="anna")
    with pytest.raises(AdminRefused, match="has 1 to 32768 bytes"):
        ask(venue, good[:1], operator="anna")
    text = written.text.replace(b"[limits]", b"[limit]")
    bad = np.concatenate([good[:1], np.frombuffer(encode_data([(CONFIGURATION_TEXT, text)]), COMMAND)])
    bad["qty"][0] = number_of(text)
    with pytest.raises(AdminRefused, match="limit is nothing that there is"):
        ask(venue, bad, operator="anna")
    assert decode(written.text) == written.settings


@pytest.mark.parametrize("name", ["core", "gateway", "fix_gateway"])
@pytest.mark.parametrize("text", [None, "", "[limits]\n", "\0"])
def test_no_process_starts_with_a_file_that_is_no_good(name: str, text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / NAME).write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", f"ringfence.daemons.{name}", str(tmp_path)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == EXIT_CONFIG
    assert NAME in done.stderr
    assert "nothing was started" in done.stderr
