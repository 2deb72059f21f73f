"""Fills an empty stream from one machine's journal: an exchange that grows, or servers that have lost everything."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from ringfence.commitments.chain import latest_roots
from ringfence.daemons import cluster
from ringfence.daemons.cluster import ClusterConfig, read_cluster
from ringfence.daemons.cluster_servers import open_servers
from ringfence.exchange.disk import RealDisk
from ringfence.exchange.journal import (
    JournalError,
    StreamError,
    StreamUnavailableError,
    read_frames,
)
from ringfence.exchange.journal.frame import encode

_WAIT_SECONDS = 60.0
_PAUSE_SECONDS = 0.2
Opened = TypeVar("Opened")


class SeedError(Exception):
    """The stream was not filled, or not wholly. Remedy: delete the stream's store on every server, then again."""


async def seed(directory: Path, *, on_progress: Callable[[int, int], None]) -> int:
    """Write a directory's journal and roots to streams that are empty; return how many frames there were.

    No core may run meanwhile. `on_progress` hears (bytes read, bytes in all). Raises SeedError.
    """
    try:
        config = read_cluster(directory)
        if config is None:
            raise SeedError(f"{directory} has no {cluster.NAME}: it belongs to no cluster. Nothing was done.")
        return await _seed(directory, config, on_progress)
    except (OSError, ValueError, JournalError, StreamError) as error:
        raise SeedError(f"the stream was not filled: {error}") from error


async def _seed(directory: Path, config: ClusterConfig, on_progress: Callable[[int, int], None]) -> int:
    servers = await _patient(lambda: open_servers(directory, config, name=f"{config.node}-seed"))
    try:
        frames = await _patient(lambda: servers.stream(config.stream))
        roots = await _patient(lambda: servers.stream(config.roots_stream))
        if await _patient(frames.last) or await _patient(roots.last):
            raise SeedError("the stream is not empty. Nothing was done.")
        count = 0
        for frame in read_frames(RealDisk(directory / "journal", make=False), on_progress=on_progress):
            raw, digest = encode(
                frame.commands, first_sequence=frame.first_sequence, timestamp_ns=frame.timestamp_ns,
                previous=frame.previous,
            )  # fmt: skip
            assert digest == frame.digest
            count = await frames.append(raw, digest=digest, after=count, notes={})
        chain = directory / "roots" / "chain.roots"
        known = latest_roots(chain, chain.stat().st_size if chain.exists() else 0)[::-1]
        for number, root in enumerate(known):
            await roots.append(root.encode(), digest=root.digest, after=number, notes={})
        return count
    finally:
        await servers.close()


async def _patient(work: Callable[[], Awaitable[Opened]]) -> Opened:
    """Return what `work` gives once the servers answer; they may be starting. Raises StreamUnavailableError."""
    until = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            return await work()
        except StreamUnavailableError:
            if time.monotonic() > until:
                raise
            await asyncio.sleep(_PAUSE_SECONDS)
