"""How the kernel sees memory: `order(h, i)` is a bare record, no array, no reference count.

All of this is plain Python and works as such; `compiler.py` knows the machine code of the same words
and is only imported where the kernel has to be compiled. RINGFENCE_ENGINE chooses before the first import:

- `checked` (default): compiled; every index is tested and a bad one raises IndexError.
- `unchecked`: compiled without the tests, for measuring what they cost.
- `python`: not compiled at all; records are small proxies. For debuggers, coverage and as a second
  opinion in tests.
"""

import ctypes
import os
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

BUILD = os.environ.get("RINGFENCE_ENGINE", "checked")
if BUILD not in ("checked", "unchecked", "python"):
    raise ValueError(f"RINGFENCE_ENGINE={BUILD!r}: use checked, unchecked or python")
COMPILED = BUILD != "python"

Record = Any
"""A view of one record. What fields it has says `records.py`."""
Function = Callable[..., Any]
U = np.uint64


class Table(NamedTuple):
    """How to reach the records whose base address and number `owner.p_<name>` and `cap_<name>` hold."""

    get: Function
    prefetch: Function
    owner: np.dtype[np.void]
    dtype: np.dtype[np.void]
    name: str


PARTS: dict[Function, bool] = {}
"""Every function of the kernel, and whether it is copied into its callers."""
RECORDS: dict[Function, np.dtype[np.void]] = {}
TABLES: list[Table] = []


def inline(function: Any) -> Any:
    """Mark a part of the kernel that is copied into every caller."""
    PARTS[function] = True
    return function


def compiled(function: Any) -> Any:
    """Mark a part of the kernel of which there is one copy."""
    PARTS[function] = False
    return function


entry = compiled
"""Mark what Python may call: one address in, a number out. `native.callables` makes it machine code."""


def at_address(dtype: np.dtype[np.void]) -> Any:
    """Return a function from an address to the record there."""
    fields = _fields_of(dtype)

    def view(address: Any) -> Any:
        return Proxy(int(address), fields)

    RECORDS[view] = dtype
    return view


def table(owner: np.dtype[np.void], dtype: np.dtype[np.void], name: str) -> tuple[Any, Any]:
    """Return (getter, prefetcher) of the records whose base address `owner.p_<name>` holds."""
    fields, base, capacity = _fields_of(dtype), "p_" + name, "cap_" + name

    def get(record: Any, index: Any) -> Any:
        index = int(index)
        if not 0 <= index < getattr(record, capacity):
            raise IndexError(name, index)
        return Proxy(getattr(record, base) + index * dtype.itemsize, fields)

    def prefetch(record: Any, index: Any) -> None:
        """Ask for a record that will be needed soon: only machine code can."""

    TABLES.append(Table(get, prefetch, owner, dtype, name))
    return get, prefetch


_CODES = {"u1": "B", "u2": "H", "u4": "I", "u8": "Q", "i4": "i", "i8": "q"}


class Proxy:
    """One record at an address: 64-bit unsigned fields read as np.uint64, the rest as int."""

    __slots__ = ("_address", "_fields")

    def __init__(self, address: int, fields: dict[str, tuple[struct.Struct, int, bool]]) -> None:
        object.__setattr__(self, "_address", address)
        object.__setattr__(self, "_fields", fields)

    def __getattr__(self, name: str) -> Any:
        codec, offset, is_word = self._fields[name]
        raw = ctypes.string_at(self._address + offset, codec.size)
        value = codec.unpack(raw)[0]
        return U(value) if is_word else value

    def __setattr__(self, name: str, value: Any) -> None:
        codec, offset, _ = self._fields[name]
        ctypes.memmove(self._address + offset, codec.pack(int(value)), codec.size)


def _fields_of(dtype: np.dtype[np.void]) -> dict[str, tuple[struct.Struct, int, bool]]:
    assert dtype.fields is not None
    result = {}
    for name, field in dtype.fields.items():
        code = field[0].str[1:]
        result[name] = (struct.Struct("<" + _CODES[code]), field[1], code == "u8")
    return result


# ---- single instructions


def trailing_zeros(word: Any) -> int:
    word = int(word)
    return (word & -word).bit_length() - 1


def leading_zeros(word: Any) -> int:
    return 64 - int(word).bit_length()


def mulhi(a: int, b: int) -> int:
    """Return the high 64 bits of the signed 128-bit product."""
    return (int(a) * int(b)) >> 64


def mullo(a: Any, b: Any) -> Any:
    """Return the low 64 bits of an unsigned product."""
    return U(int(a) * int(b) & 0xFFFF_FFFF_FFFF_FFFF)
