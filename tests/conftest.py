"""For all tests: their order, and what a library of the tests may not do to the Python that the product is tested with.

Files that run whole exchanges are spread among the others: neither do three of them share two cores, nor does one of
them run alone at the end.
"""

import sys
from contextlib import suppress
from itertools import groupby

import pytest

_RECURSION = sys.getrecursionlimit()
with suppress(ImportError):
    # It lifts Python's limit to 100,000 when it is first imported: then JSON of nothing but brackets, which a node may
    # answer, ends the process instead of raising an error. The product does not import it.
    import py_ecc  # noqa: F401
sys.setrecursionlimit(_RECURSION)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    files = [list(of_file) for _, of_file in groupby(items, key=lambda item: item.path)]
    whole = [of_file for of_file in files if "e2e" in of_file[0].path.parts]
    others = [of_file for of_file in files if "e2e" not in of_file[0].path.parts]
    apart = len(others) // (len(whole) + 1)
    for number, of_file in enumerate(whole):
        others.insert(number * (apart + 1), of_file)
    items[:] = [item for of_file in others for item in of_file]
