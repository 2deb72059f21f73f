"""Which prices have orders: a 64-ary tree of bit maps a side, four levels, next price in 1-7 words.

Words of one side lie together: one bit a tick, then one bit a word, and so on. `ins.ticks` is a
multiple of 64**3, so the shifts below are exact.
"""

from typing import Any

import numpy as np

from ringfence.exchange.engine.tables import words
from ringfence.exchange.engine.views import (
    Record,
    U,
    compiled,
    inline,
    leading_zeros,
    trailing_zeros,
)

_ZERO, _ONE, _ALL = U(0), U(1), U(0xFFFF_FFFF_FFFF_FFFF)


def words_per_side(ticks: int) -> int:
    """Return how many 64-bit words one side of a ladder needs."""
    return (ticks >> 6) + (ticks >> 12) + (ticks >> 18) + 1


@inline
def side_base(ins: Record, sell: int) -> Any:
    ticks = ins.ticks
    return ((ticks >> 6) + (ticks >> 12) + (ticks >> 18) + 1) * np.int64(sell)


@inline
def bit(i: int) -> Any:
    return _ONE << U(i & 63)


@inline
def above(i: int) -> Any:
    """Return a mask of the bits above bit i & 63."""
    return (_ALL << U(i & 63)) << _ONE


@inline
def below(i: int) -> Any:
    return bit(i) - _ONE


@inline
def lowest(word: Any) -> Any:
    return np.int64(trailing_zeros(word))


@inline
def highest(word: Any) -> Any:
    return 63 - np.int64(leading_zeros(word))


@inline
def set_price(ins: Record, sell: int, px: int) -> None:
    """Mark a price that had no orders; upper words change only when the word below was empty."""
    base = side_base(ins, sell)
    shift = 6
    index = np.int64(px)
    size = ins.ticks >> 6
    for _ in range(4):
        word = words(ins, base + (index >> 6))
        was_empty = word.bits == _ZERO
        word.bits = word.bits | bit(index)
        if not was_empty:
            return
        index >>= 6
        base += size
        shift += 6
        size = ins.ticks >> shift


@inline
def clear_price(ins: Record, sell: int, px: int) -> None:
    """Unmark a price whose last order has gone."""
    base = side_base(ins, sell)
    shift = 6
    index = np.int64(px)
    size = ins.ticks >> 6
    for _ in range(4):
        word = words(ins, base + (index >> 6))
        word.bits = word.bits & ~bit(index)
        if word.bits != _ZERO:
            return
        index >>= 6
        base += size
        shift += 6
        size = ins.ticks >> shift


@compiled
def next_price(ins: Record, sell: int, px: int) -> Any:
    """Return the lowest marked price above px; `ins.ticks` if there is none."""
    base = side_base(ins, sell)
    index = np.int64(px)
    word = words(ins, base + (index >> 6)).bits & above(index)
    if word != _ZERO:
        return (index >> 6 << 6) + lowest(word)
    return _climb_up(ins, base, index >> 6)


@compiled
def _climb_up(ins: Record, base0: int, index1: int) -> Any:
    base1 = base0 + (ins.ticks >> 6)
    base2 = base1 + (ins.ticks >> 12)
    base3 = base2 + (ins.ticks >> 18)
    word = words(ins, base1 + (index1 >> 6)).bits & above(index1)
    if word == _ZERO:
        index2 = index1 >> 6
        word = words(ins, base2 + (index2 >> 6)).bits & above(index2)
        if word == _ZERO:
            index3 = index2 >> 6
            word = words(ins, base3).bits & above(index3)
            if word == _ZERO:
                return ins.ticks
            index3 = lowest(word)
            index2 = (index3 << 6) + lowest(words(ins, base2 + index3).bits)
        else:
            index2 = (index2 >> 6 << 6) + lowest(word)
        index1 = (index2 << 6) + lowest(words(ins, base1 + index2).bits)
    else:
        index1 = (index1 >> 6 << 6) + lowest(word)
    return (index1 << 6) + lowest(words(ins, base0 + index1).bits)


@compiled
def previous_price(ins: Record, sell: int, px: int) -> Any:
    """Return the highest marked price below px; 0 if there is none (prices start at 1)."""
    base = side_base(ins, sell)
    index = np.int64(px)
    word = words(ins, base + (index >> 6)).bits & below(index)
    if word != _ZERO:
        return (index >> 6 << 6) + highest(word)
    return _climb_down(ins, base, index >> 6)


@compiled
def _climb_down(ins: Record, base0: int, index1: int) -> Any:
    base1 = base0 + (ins.ticks >> 6)
    base2 = base1 + (ins.ticks >> 12)
    base3 = base2 + (ins.ticks >> 18)
    word = words(ins, base1 + (index1 >> 6)).bits & below(index1)
    if word == _ZERO:
        index2 = index1 >> 6
        word = words(ins, base2 + (index2 >> 6)).bits & below(index2)
        if word == _ZERO:
            index3 = index2 >> 6
            word = words(ins, base3).bits & below(index3)
            if word == _ZERO:
                return np.int64(0)
            index3 = highest(word)
            index2 = (index3 << 6) + highest(words(ins, base2 + index3).bits)
        else:
            index2 = (index2 >> 6 << 6) + highest(word)
        index1 = (index2 << 6) + highest(words(ins, base1 + index2).bits)
    else:
        index1 = (index1 >> 6 << 6) + highest(word)
    return (index1 << 6) + highest(words(ins, base0 + index1).bits)
