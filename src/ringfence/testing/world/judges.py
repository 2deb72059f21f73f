"""Second opinions of every batch: none yet."""

from ringfence.testing.world.judge import Second


def second_opinions() -> list[Second]:
    """Return a fresh set of judges for one run."""
    return []
