"""For all tests: what a library of the tests does to Python must not be what the product is tested with."""

import sys
from contextlib import suppress

_RECURSION = sys.getrecursionlimit()
with suppress(ImportError):
    # It lifts Python's limit to 100,000 when it is first imported: then JSON of nothing but brackets, which a node may
    # answer, ends the process instead of raising an error. The product does not import it.
    import py_ecc  # noqa: F401
sys.setrecursionlimit(_RECURSION)
