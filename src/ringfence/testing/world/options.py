"""What one seed turns on: each run has its own mixture of faults and its own kind of market."""

import random
from typing import Any

import msgspec

FAULTS = (
    "kill", "power_cut", "stop_in_operation", "gateway_kill", "line_loss", "disk_error", "disk_full",
    "slow_disk", "rot", "snapshot_damage", "feed_damage", "lost_request", "lost_answer", "late_request",
    "duplicate", "clock_jump", "leap", "halt",
)  # fmt: skip
"""Every class of fault that the world knows; a seed turns off some, the shrinker tries without each."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """One run. Everything that is not here is decided while it runs, by streams of the same seed."""

    seed: int
    faults: tuple[str, ...]
    operations: int
    """What traders begin before the faults stop."""
    traders: int
    gateways: int
    window: int
    """Requests that one trader has under way at most."""
    shock: float
    """The largest move of the index in one step; prices run away where it is large."""
    poor: bool
    """Small wallets and hardly an insurance fund: liquidations, deficits, deleveraging."""
    cautious: bool
    """Traders place many stops."""
    ranked: bool
    """Deleveraging by BitMEX's queue instead of in proportion."""
    snapshot_every: int
    segment_bytes: int
    feed_file_bytes: int
    pending_max: int
    trouble_ms: int
    """Mean time between two faults."""
    disk_ms: int
    """What a synced write usually takes."""
    batch_slots: int
    queue_slots: int
    """Small ones make the core sort what waits, and shed."""
    skip: tuple[int, ...] = ()
    """Operations that are left out: what the shrinker cut."""

    def has(self, fault: str) -> bool:
        return fault in self.faults

    def changed(self, **changes: Any) -> "Options":
        return msgspec.structs.replace(self, **changes)


_QUEUES = ((4096, 65_536), (16, 48), (24, 24))
"""(slots of a batch, slots that may wait)"""


def draw(seed: int) -> Options:
    """Return the options of a seed."""
    dice = random.Random(f"options {seed}")
    faults = () if dice.random() < 0.04 else tuple(fault for fault in FAULTS if dice.random() < 0.65)
    drawn = Options(
        seed=seed, faults=faults, operations=dice.choice((140, 180, 220)), traders=dice.choice((6, 8, 9)),
        gateways=dice.choice((1, 1, 2)), window=dice.choice((2, 4, 8)),
        shock=dice.choice((0.002, 0.01, 0.03, 0.06)), poor=dice.random() < 0.7, cautious=dice.random() < 0.3,
        ranked=dice.random() < 0.5,
        snapshot_every=dice.choice((40, 100, 250, 10**9)), segment_bytes=dice.choice((4096, 16_384, 65_536)),
        feed_file_bytes=dice.choice((8_192, 65_536, 10**9)), pending_max=dice.choice((4, 1_000, 1_000, 1_000)),
        trouble_ms=dice.choice((60, 120, 240)), disk_ms=dice.choice((2, 8, 20)),
        batch_slots=4096, queue_slots=65_536,
    )  # fmt: skip
    batch_slots, queue_slots = dice.choice(_QUEUES)
    return drawn.changed(batch_slots=batch_slots, queue_slots=queue_slots)
