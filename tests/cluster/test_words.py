"""What machines hear of each other comes in any order: the last word of a leader stays its last."""

from pathlib import Path

import msgspec

from ringfence.configuration import Configuration, Settings
from ringfence.daemons import cluster
from ringfence.daemons.cluster import ClusterConfig, Node
from ringfence.daemons.replica import Heartbeat, Replica

NODES = {f"node-{number}": Node(f"127.0.0.1:{number}") for number in (1, 2, 3)}


def heard_by(node: str, *said: Heartbeat) -> Replica:
    config = ClusterConfig(node, ("nats://127.0.0.1:4",), NODES)
    replica = Replica(Path("nowhere"), config, Configuration(Settings(), b""))
    for one in said:
        replica._listen(cluster.HEARTBEATS, msgspec.json.encode(one))
    return replica


def beat(epoch: int, number: int, successor: str | None = None) -> Heartbeat:
    return Heartbeat(node="node-1", epoch=epoch, number=number, roots=0, successor=successor)


def test_a_nudge_that_comes_after_the_resignation_does_not_take_it_back() -> None:
    """It was the machine that waited longest, and not the one that was named, that led after a hand-over."""
    replica = heard_by("node-2", beat(1, 8), beat(1, 9, "node-2"), beat(1, 9))
    assert replica._heard is not None
    assert replica._heard.successor == "node-2"


def test_who_leads_in_a_later_epoch_is_heard() -> None:
    replica = heard_by("node-2", beat(1, 9, "node-3"), beat(2, 10))
    assert replica._heard is not None
    assert (replica._heard.epoch, replica._heard.successor) == (2, None)
