"""How a file is changed by somebody who hopes that nobody sees it."""

from collections.abc import Callable

from hypothesis import strategies as st


def mutated(data: st.DataObject, raw: bytes, *, digits: bytes, swap: Callable[[int], int]) -> bytes:
    """Return a file with a byte changed, some bytes cut out or doubled, or one of its digits swapped for another."""
    at = data.draw(st.integers(0, len(raw) - 1))
    kind = data.draw(st.sampled_from(["flip", "cut", "double", "digit"]))
    if kind == "flip":
        return raw[:at] + bytes((raw[at] ^ data.draw(st.integers(1, 127)),)) + raw[at + 1 :]
    if kind == "cut":
        return raw[:at] + raw[at + data.draw(st.integers(1, 40)) :]
    if kind == "double":
        return raw[:at] + raw[at : at + data.draw(st.integers(1, 40))] + raw[at:]
    places = [place for place, byte in enumerate(raw) if byte in digits]
    at = places[data.draw(st.integers(0, len(places) - 1))]
    return raw[:at] + bytes((swap(raw[at]),)) + raw[at + 1 :]
