"""One machine gets a newer build, whose rules are put in force: who judges, serves or replays with the old one stops.

The newer build is a copy of this one that knows one version of the rules more (`ringfence.testing.newer_build`).
"""

import asyncio
import json
import subprocess
import time
from pathlib import Path

import pyrage
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ringfence.assurance.replay import export, verify
from ringfence.assurance.replay.shadow import ShadowJudge
from ringfence.commitments import latest_roots
from ringfence.daemons import founding
from ringfence.daemons.upgrading import judges_know, read_rules
from ringfence.daemons.venue import JUDGES
from ringfence.messages.rules import EXIT_RULES, RULES_NEWEST, UnknownRulesError
from ringfence.operations.backup import open_store, restore
from ringfence.testing.client import Client
from ringfence.testing.newer_build import NEWER, newer_build
from ringfence.testing.up import ringfence, wait_for
from ringfence.testing.venue import Venue

pytestmark = pytest.mark.slow

RISK = "demo-risk"
READERS = ("history", "gateway", "fix_gateway")


class Upgraded:
    """An exchange whose core was replaced, whose rules were put in force, and that was stopped then."""

    def __init__(self, folder: Path) -> None:
        self.build = newer_build(folder / "build")
        self.directory = folder / "exchange"
        self.refused: dict[str, str] = {}
        """What was said to each attempt to put them in force too soon."""
        self.ends: dict[str, int] = {}
        """How processes of the old build ended."""
        self.public, self.store = folder / "public.journal", folder / "store"
        self.keys = [pyrage.x25519.Identity.generate() for _ in range(2)]
        with Venue(self.directory, accounts=2, fix=True) as self.venue:
            asyncio.run(self.venue.submit(founding.put_in_force(founding.ensure_people(self.directory))))
            self._start(*JUDGES)
            self.refused["old core"] = self._activate().stderr
            self._replace("core", build=self.build)
            wait_for(lambda: read_rules(self.directory).newest == NEWER, 60, "core")
            self._wait_judges(RULES_NEWEST)
            self.refused["old judges"] = self._activate().stderr
            self.refused["nobody"] = self._activate("nobody").stderr
            self._replace(*JUDGES, build=self.build)
            self._wait_judges(NEWER)
            self.done = self._activate()
            self.shown = json.loads(ringfence("upgrade", "show", self.directory, "--json").stdout)
            for name in READERS:
                self.ends[name] = self.venue.processes[name].wait(30)
            self._replace(*READERS, build=self.build)
            self.venue.wait_ready()
            self._trade()
            for judge in JUDGES:
                self._replace(judge, build={})
                self.ends[judge] = self.venue.processes[judge].wait(60)
            self._trade()
            self.state = Client(self.venue.port, None).get("/halt/status")["state"]
            recipients = [word for key in self.keys for word in ("--recipient", str(key.to_public()))]
            self.backup = ringfence(
                "backup",
                "create",
                self.store,
                "--directory",
                self.directory,
                *recipients,
                environment=self.build,
            )
        export(self.directory, self.public)

    def _start(self, *names: str) -> None:
        for name in names:
            self.venue.start(name)

    def _replace(self, *names: str, build: dict[str, str]) -> None:
        for name in names:
            self.venue.processes[name].terminate()
        for name in names:
            self.venue.processes[name].wait(30)
            self.venue.environments[name] = build
            self.venue.start(name)

    def _activate(self, operator: str = RISK) -> subprocess.CompletedProcess[str]:
        return ringfence("upgrade", "activate", str(NEWER), self.directory, "--operator", operator)

    def _wait_judges(self, rules: int) -> None:
        wait_for(lambda: judges_know(self.directory) == dict.fromkeys(JUDGES, rules), 60, "judges")

    def _trade(self) -> None:
        """Trade until a root was signed that holds it."""
        count = len(latest_roots(self.directory / "roots" / "chain.roots", 1_000))
        until = time.monotonic() + 30
        while len(latest_roots(self.directory / "roots" / "chain.roots", 1_000)) < count + 2:
            assert time.monotonic() < until
            assert Client(self.venue.port, 1).place(orderQty=100, price=9_990).status == 200
            time.sleep(0.2)


@pytest.fixture(scope="module")
def upgraded(tmp_path_factory: pytest.TempPathFactory) -> Upgraded:
    return Upgraded(tmp_path_factory.mktemp("upgraded"))


def test_the_core_asks_who_has_to_apply_them_and_whose_name_it_is(upgraded: Upgraded) -> None:
    assert f"the build that leads knows rules up to {RULES_NEWEST}" in upgraded.refused["old core"]
    assert f"shadow knows rules up to {RULES_NEWEST}: install a build" in upgraded.refused["old judges"]
    assert "nobody has no role" in upgraded.refused["nobody"]
    assert all(said.startswith("refused, nothing has changed") for said in upgraded.refused.values())


def test_they_come_into_force_and_the_operators_name_is_in_the_journal(upgraded: Upgraded) -> None:
    assert upgraded.done.returncode == 0, upgraded.done.stderr
    assert upgraded.shown["inForce"] == NEWER
    shown = ringfence(
        "journal", "show", "--directory", upgraded.directory, "--kind", "CONFIGURE_VENUE", "--json"
    )
    rows = [
        row for line in shown.stdout.splitlines() if (row := json.loads(line)).get("parameter") == "RULES"
    ]
    assert [(row["value"], row["operator"]) for row in rows][-1] == (NEWER, RISK)


def test_judges_gateways_and_history_of_the_old_build_stop_there_and_halt_nothing(upgraded: Upgraded) -> None:
    assert upgraded.ends == dict.fromkeys((*READERS, *JUDGES), EXIT_RULES)
    assert upgraded.state == "Running"
    for name in upgraded.ends:
        assert f"Install a build that knows rules {NEWER}" in (upgraded.directory / f"{name}.log").read_text()


def test_a_replay_of_the_journal_says_what_is_missing(upgraded: Upgraded) -> None:
    old = ringfence("journal", "replay", "--directory", upgraded.directory, "--json")
    assert old.returncode == EXIT_RULES, old.stderr
    assert json.loads(old.stdout)["error"] == "UnknownRulesError"
    new = ringfence("journal", "replay", "--directory", upgraded.directory, environment=upgraded.build)
    assert new.returncode == 0, new.stdout + new.stderr


def test_nothing_is_exported_for_research_by_a_build_that_is_too_old(
    upgraded: Upgraded, tmp_path: Path
) -> None:
    for build, status in (({}, EXIT_RULES), (upgraded.build, 0)):
        done = ringfence("export", "trades", tmp_path, "--directory", upgraded.directory, environment=build)
        assert done.returncode == status, done.stderr


def test_a_stranger_with_the_old_build_is_told_that_it_is_too_old(upgraded: Upgraded) -> None:
    for judge in (None, ShadowJudge()):
        with pytest.raises(UnknownRulesError, match=f"under rules {NEWER}"):
            verify(upgraded.public, judge)
    old = ringfence("verify", "replay", upgraded.public, "--json")
    assert (old.returncode, json.loads(old.stdout)["verdict"]) == (EXIT_RULES, "unknown rules")
    for options in ((), ("--shadow",)):
        new = ringfence("verify", "replay", upgraded.public, *options, environment=upgraded.build)
        assert new.returncode == 0, new.stderr


def test_a_backup_is_not_restored_by_a_build_that_is_too_old(upgraded: Upgraded, tmp_path: Path) -> None:
    assert upgraded.backup.returncode == 0, upgraded.backup.stderr
    venue = Ed25519PublicKey.from_public_bytes(
        bytes.fromhex((upgraded.directory / "roots" / "venue.pub").read_text())
    )
    identities = [str(key) for key in upgraded.keys]
    with pytest.raises(UnknownRulesError, match=f"under rules {NEWER}"):
        restore(open_store(upgraded.store, venue), tmp_path / "restored", identities=identities)
    assert not (tmp_path / "restored").exists()
    recipient = ("--recipient", str(upgraded.keys[0].to_public()), "--threshold", "1")
    old = ringfence("backup", "create", tmp_path / "store", "--directory", upgraded.directory, *recipient)
    assert old.returncode == EXIT_RULES, old.stderr
