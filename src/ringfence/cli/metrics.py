"""`ringfence metrics`: what a running exchange says of itself, once, as Prometheus reads it."""

import asyncio
from pathlib import Path

from ringfence.cli.up import DIRECTORY


def metrics(directory: Path = DIRECTORY) -> None:
    """Print the metrics of every process of this machine once. Prometheus gets them at the port of monitoring.json.

    Parameters
    ----------
    directory
        Where its journal, keys and logs are.
    """
    from ringfence.monitoring.gather import gather

    print(asyncio.run(gather(directory)), end="")
