"""The smallest run that still fails: operations cut away, classes of fault turned off."""

from collections.abc import Callable, Iterator

import msgspec

from ringfence.testing.world.batch import run_options
from ringfence.testing.world.options import Options

Fails = Callable[[Options], bool]


def fails_like(failure: str) -> Fails:
    """Return a test of whether a run fails at the same place: what it says may name other numbers."""
    kind = _kind_of(failure)

    def fails(options: Options) -> bool:
        found = run_options(options).failures
        return any(_kind_of(said) == kind for said in found.values())

    return fails


def _kind_of(failure: str) -> str:
    return failure.split(":")[0] + failure.partition(" at ")[2].split(":")[0]


def shrink(options: Options, fails: Fails) -> Options:
    """Return options of a run that still fails and has nothing in it that could be left out alone."""
    assert fails(options)
    for attempt in _fewer_faults(options, fails):
        options = attempt
    options = _fewer_operations(options, fails)
    for attempt in _fewer_faults(options, fails):
        options = attempt
    return options


def _fewer_faults(options: Options, fails: Fails) -> Iterator[Options]:
    for fault in options.faults:
        without = options.changed(faults=tuple(f for f in options.faults if f != fault))
        if fails(without):
            options = without
            yield options


def _fewer_operations(options: Options, fails: Fails) -> Options:
    """Cut the end of the run, then halves, quarters and so on of what is left."""
    low, high = 1, options.operations
    while low < high:
        middle = (low + high) // 2
        if fails(options.changed(operations=middle)):
            high = middle
        else:
            low = middle + 1
    if fails(options.changed(operations=high)):
        options = options.changed(operations=high)
    size = options.operations // 2
    while size:
        for begin in range(1, options.operations + 1, size):
            skip = tuple(sorted({*options.skip, *range(begin, begin + size)}))
            if skip != options.skip and fails(options.changed(skip=skip)):
                options = options.changed(skip=skip)
        size //= 2
    return options


def regression(options: Options, failure: str) -> str:
    """Return a pytest file that runs exactly this."""
    fields = msgspec.structs.asdict(options)
    words = "".join(f"        {name}={value!r},\n" for name, value in fields.items())
    return (
        f'"""Found by the simulated world: {_kind_of(failure)}."""\n\n'
        "from ringfence.testing.world import Options, World\n\n\n"
        f"def test_seed_{options.seed}() -> None:\n"
        f"    # It failed with {failure.splitlines()[0][:80]!r}.\n"
        f"    options = Options(\n{words}    )\n"
        "    World(options).run()\n"
    )
