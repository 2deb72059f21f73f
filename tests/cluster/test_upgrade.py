"""Real machines get a newer build, one after the other, while they trade; then its rules are put in force.

The newer build is a copy of this one that knows one version of the rules more (`ringfence.testing.newer_build`).
"""

import contextlib
import json
import signal
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ringfence.messages.rules import EXIT_RULES, RULES_NEWEST
from ringfence.testing.newer_build import NEWER, newer_build
from ringfence.testing.up import ringfence, wait_for
from tests.cluster.test_failover import TRADERS, Crowd, check_journals
from tests.cluster.three import Cluster

ANNA = ("--operator", "anna")


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return newer_build(tmp_path_factory.mktemp("build") / "src")


def activate(cluster: Cluster, *without: str) -> subprocess.CompletedProcess[str]:
    """Ask for the newer rules, on the machine that leads."""
    named = [word for name in without for word in ("--without", name)]
    return ringfence("upgrade", "activate", str(NEWER), cluster.nodes[cluster.wait_leader()], *ANNA, *named)


def rules_of(cluster: Cluster, node: str) -> int:
    """Return which rules are in force on a machine, 0 if it does not answer."""
    return int((cluster.ask(node, ask="status") or {"rules": 0})["rules"])


def replace(cluster: Cluster, node: str, build: dict[str, str]) -> None:
    """Stop a machine's core and gateway and start them again with another build."""
    own = [name for name in (node, f"gateway-{node.partition('-')[2]}") if name in cluster.processes]
    for name in own:
        cluster.processes[name].terminate()
    for name in own:
        cluster.processes[name].wait(30)
        cluster.environments[name] = build
        cluster.start(name)


def have_follow(cluster: Cluster, node: str) -> None:
    """Have another machine lead if this one does: on a busy machine the first that is asked does not always."""
    while cluster.wait_leader() == node:
        cluster.wait_followers(node, seconds=40)
        cluster.ask(node, ask="hand-over", to="")
        with contextlib.suppress(TimeoutError):
            cluster.wait_leader(other_than=node, seconds=10)


def wait_newer(cluster: Cluster, node: str) -> None:
    """Wait until a machine is there with the newer build, and as far as the others."""

    def is_level() -> bool:
        said = cluster.ask(node, ask="status")
        return said is not None and said["rulesNewest"] == NEWER and said["ready"] and said["behind"] == 0

    wait_for(is_level, 40, f"{node} of the newer build")
    cluster.wait_followers(cluster.wait_leader(), seconds=40)


def roll(cluster: Cluster, nodes: Sequence[str], build: dict[str, str]) -> None:
    """Replace the build of machines, each while it follows, as docs/operating/upgrades.md says."""
    for name in nodes:
        have_follow(cluster, name)
        replace(cluster, name, build)
        wait_newer(cluster, name)


def check_replays(cluster: Cluster, build: dict[str, str]) -> None:
    """Check that each machine has told what its journal gives, and that all give the same state."""

    def replayed(own: Path) -> dict[str, str]:
        done = ringfence("journal", "replay", "--json", "--directory", own, environment=build)
        assert done.returncode == 0, done.stdout + done.stderr
        found: dict[str, str] = json.loads(done.stdout)
        return found

    with ThreadPoolExecutor(len(cluster.nodes)) as threads:
        found = list(threads.map(replayed, cluster.nodes.values()))
    by_length = {one["nextSequence"]: one["digest"] for one in found}
    assert len(by_length) < len(found), "machines that were level are"
    assert all(one["digest"] == by_length[one["nextSequence"]] for one in found)
    chains = [(own / "roots" / "chain.roots").read_bytes() for own in cluster.nodes.values()]
    end = min(map(len, chains))
    assert len({chain[:end] for chain in chains}) == 1


@pytest.mark.slow
def test_a_newer_build_is_rolled_under_load_and_its_rules_are_put_in_force(
    tmp_path: Path, build: dict[str, str]
) -> None:
    with Cluster(tmp_path, accounts=TRADERS, gateways=3) as cluster:
        crowd = Crowd(cluster)
        refused = activate(cluster)
        assert refused.returncode == 1
        assert f"the build that leads knows rules up to {RULES_NEWEST}" in refused.stderr
        leader = cluster.wait_leader()
        roll(cluster, sorted(cluster.nodes, key=lambda name: name == leader), build)
        assert {rules_of(cluster, node) for node in cluster.nodes} == {RULES_NEWEST}
        cluster.processes["history"].terminate()
        cluster.processes["history"].wait(20)
        cluster.environments["history"] = build
        cluster.start("history")

        done = activate(cluster)
        assert done.returncode == 0, done.stderr
        moment = time.monotonic()
        crowd.first_answer_after(moment)
        for node in cluster.nodes:
            wait_for(lambda node=node: rules_of(cluster, node) == NEWER, 20, "rules")  # type: ignore[misc]
        assert activate(cluster).returncode == 1  # they go up only

        # Put back on the old build, a machine says what it is missing, and the others trade on.
        leader = cluster.wait_leader()
        last = next(name for name in cluster.nodes if name != leader)
        replace(cluster, last, {})
        assert cluster.processes[last].wait(40) == EXIT_RULES
        log = (tmp_path / f"{last}.log").read_text()
        assert f"Install a build that knows rules {NEWER}" in log.splitlines()[-1]
        crowd.first_answer_after(time.monotonic())
        replace(cluster, last, build)
        wait_newer(cluster, last)
        time.sleep(1)
        crowd.stop()
        leader = cluster.wait_leader()
        followers = [name for name in cluster.nodes if name != leader]
        assert (cluster.ask(leader, ask="status") or {})["rulesKnown"] == dict.fromkeys(followers, NEWER)
        cluster.wait_level()
        for node in (leader, *followers):
            cluster.kill(node)
    check_journals(cluster)
    check_replays(cluster, build)


def test_a_machine_that_is_left_on_the_old_build_stops_where_the_new_rules_begin(
    tmp_path: Path, build: dict[str, str]
) -> None:
    """It is frozen meanwhile, and reads on afterwards: the others need not wait for it, and it does nobody harm."""
    with Cluster(tmp_path, accounts=1, gateways=1) as cluster:
        leader = cluster.wait_leader()
        left, *others = sorted(cluster.nodes, key=lambda name: name == leader)
        roll(cluster, others, build)
        have_follow(cluster, left)
        cluster.wait_followers(cluster.wait_leader(), seconds=40)
        assert f"{left} knows rules up to {RULES_NEWEST}: install a build there" in activate(cluster).stderr
        assert f"{left} is not lost, it is heard" in activate(cluster, left).stderr
        assert "there is no other machine 'node-9'" in activate(cluster, "node-9").stderr
        cluster.signal(left, signal.SIGSTOP)
        time.sleep(1.5)
        assert f"{left} is not heard: start it, or name it with --without" in activate(cluster).stderr
        done = activate(cluster, left)
        assert done.returncode == 0, done.stderr
        cluster.signal(left, signal.SIGCONT)
        assert cluster.processes[left].wait(20) == EXIT_RULES
        assert f"under rules {NEWER}" in (tmp_path / f"{left}.log").read_text().splitlines()[-1]

        cluster.start(left)
        assert cluster.processes[left].wait(40) == EXIT_RULES, (
            "its journal has them by now, and it does not forget"
        )
        cluster.environments[left] = build
        cluster.start(left)
        cluster.wait_level(seconds=40)
        assert rules_of(cluster, left) == NEWER
    check_journals(cluster)
