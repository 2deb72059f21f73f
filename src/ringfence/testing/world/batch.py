"""Many seeds on several cores, and what came of them."""

import contextlib
import ctypes
import gc
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import islice

from ringfence.testing.world.options import Options, draw
from ringfence.testing.world.world import World

_CHUNK = 5
_M_MMAP_THRESHOLD = -3


@dataclass
class Tally:
    """What a number of runs came to."""

    seeds: int = 0
    commands: int = 0
    seconds: float = 0.0
    """Of one core."""
    reached: Counter[str] = field(default_factory=Counter)
    failures: dict[int, str] = field(default_factory=dict)
    """By seed: what did not hold."""

    def add(self, other: "Tally") -> None:
        self.seeds += other.seeds
        self.commands += other.commands
        self.seconds += other.seconds
        self.reached.update(other.reached)
        self.failures.update(other.failures)


def run_seed(seed: int) -> Tally:
    """Run one seed; a failure is in the tally, not raised."""
    return run_options(draw(seed))


def run_options(options: Options) -> Tally:
    world = World(options)
    tally = Tally(seeds=1)
    began = time.process_time()
    try:
        outcome = world.run()
        tally.commands = outcome.commands
    except Exception as error:
        tally.failures[options.seed] = describe(error)
    tally.seconds = time.process_time() - began
    tally.reached = world.reached
    return tally


def describe(error: BaseException) -> str:
    """Return what an error says and where it arose, in a line."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{frames[-1].filename.rsplit('/', 1)[-1]}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__} at {place}: {error}"


def run_seeds(seeds: Iterable[int]) -> Tally:
    """Run seeds one after the other in this process."""
    tally = Tally()
    with _quick_memory():
        for number, seed in enumerate(seeds):
            tally.add(run_seed(seed))
            if number % _CHUNK == _CHUNK - 1:
                gc.collect()
    return tally


def run_on_cores(seeds: Iterable[int], *, workers: int, on_progress: Callable[[Tally], None]) -> Tally:
    """Run seeds on so many cores; `on_progress` hears the tally so far."""
    total = Tally()
    chunks = _chunks(seeds)
    with ProcessPoolExecutor(workers) as pool:
        for tally in pool.map(run_seeds, chunks):
            total.add(tally)
            on_progress(total)
    return total


def _chunks(seeds: Iterable[int]) -> Iterator[list[int]]:
    left = iter(seeds)
    while chunk := list(islice(left, _CHUNK)):
        yield chunk


@contextlib.contextmanager
def _quick_memory() -> Iterator[None]:
    """Let the engines' empty tables be fresh pages, and garbage wait: a third of a run went into both."""
    with contextlib.suppress(AttributeError, OSError):
        # Only the C library of GNU has it. From here on calloc asks the kernel, which gives zeros lazily.
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 1 << 16)
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()
