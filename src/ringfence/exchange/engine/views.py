"""Records in memory for Numba: `order(h, i)` is a bare record, no array, no reference count.

Three builds of the same source, chosen by RINGFENCE_ENGINE before the first import:

- `checked` (default): compiled; every index is tested and a bad one raises IndexError.
- `unchecked`: compiled without the tests, for measuring what they cost.
- `python`: not compiled at all; records are small proxies. For debuggers, coverage and as a second
  opinion in tests.
"""

import ctypes
import hashlib
import os
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ringfence.messages.records import COMMAND

BUILD = os.environ.get("RINGFENCE_ENGINE", "checked")
if BUILD not in ("checked", "unchecked", "python"):
    raise ValueError(f"RINGFENCE_ENGINE={BUILD!r}: use checked, unchecked or python")
COMPILED = BUILD != "python"
CHECKED = BUILD == "checked"

Record = Any
"""A view of one record. What fields it has says `records.py`."""
U = np.uint64


def sources_digest() -> str:
    """Return a hash of everything the machine code depends on: it names the compile cache.

    Numba notices edits of the file that holds the entry point only, so the cache directory itself
    has to change with every other file.
    """
    import llvmlite
    import numba

    package = Path(__file__).resolve().parent
    digest = hashlib.blake2b(digest_size=8)
    for name in (BUILD, numba.__version__, llvmlite.__version__, np.__version__):
        digest.update(name.encode())
    files = sorted(package.rglob("*.py")) + sorted((package.parents[1] / "messages").glob("*.py"))
    for file in [*files, package.parents[1] / "units" / "limits.py"]:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def cache_directory() -> Path:
    """Return where the compiled kernel of exactly this source is kept between runs."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "ringfence" / f"engine-{sources_digest()}"


if COMPILED:
    import numba as nb
    from llvmlite import ir
    from numba import types
    from numba.core import cgutils
    from numba.core.codegen import JITCodeLibrary
    from numba.core.registry import cpu_target
    from numba.extending import intrinsic

    nb.config.CACHE_DIR = str(cache_directory())
    _OPTIONS: dict[str, Any] = {"error_model": "numpy"}
    _PART = {**_OPTIONS, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    inline = nb.njit(forceinline=True, **_PART)
    # Said outright, or Numba takes it over from whichever caller it compiles first.
    compiled = nb.njit(forceinline=False, **_PART)

    _FORBIDDEN = re.compile(r"\b(?:double|float|half|NRT_incref|NRT_decref|NRT_allocate)\b")

    def refuse_floats_and_reference_counts(code: str) -> None:
        """Raise AssertionError if one of our functions computes with floats or counts references.

        Both creep in silently: a float where uint64 meets int64, a count where an array is passed.
        """
        ours, name = False, ""
        for line in code.splitlines():
            if line.startswith("define "):
                name = line[line.find("@") + 1 :].split("(")[0].strip('"')
                ours = name.startswith("_ZN9ringfence")
            elif ours and (found := _FORBIDDEN.search(line)):
                raise AssertionError(f"the kernel may not use {found[0]}: {name}: {line.strip()}")

    class _Library(JITCodeLibrary):  # type: ignore[misc]
        """Machine code for entry points only.

        Numba optimises and assembles every function on its own and again inside each of its callers.
        The parts of a kernel are only ever linked into it, so while one is compiled its parts stay
        intermediate code: a cold start takes a third of the time. Parts cannot be called from Python.
        """

        entry_name = ""

        def _is_part(self) -> bool:
            return bool(_Library.entry_name) and self.name != _Library.entry_name

        def _optimize_functions(self, module: Any) -> None:
            if self._is_part():
                module.data_layout = self._codegen._data_layout
            else:
                super()._optimize_functions(module)

        def _optimize_final_module(self) -> None:
            if not self._is_part():
                super()._optimize_final_module()

        def _finalize_final_module(self) -> None:
            if self._is_part():
                self._keep_calls()
                self._finalize_dynamic_globals()
                self._finalized = True
            else:
                if _Library.entry_name:
                    refuse_floats_and_reference_counts(str(self._final_module))
                super()._finalize_final_module()

        def _keep_calls(self) -> None:
            """Inline what is marked inline and nothing else: one copy of every rare path."""
            for function in self._final_module.functions:
                if not function.is_declaration and function.name.startswith("_ZN9ringfence"):
                    if not any(b"alwaysinline" in words for words in function.attributes):
                        function.add_function_attribute("noinline")

        def get_pointer_to_function(self, name: str) -> Any:
            return 0 if self._is_part() else super().get_pointer_to_function(name)

    _codegen = cpu_target.target_context.codegen()
    _set_environment = _codegen.set_env

    def _set_environment_if_assembled(name: str, environment: Any) -> None:
        if not _Library.entry_name or _codegen._engine.is_symbol_defined(name):
            _set_environment(name, environment)

    _codegen._library_class = _Library
    _codegen.set_env = _set_environment_if_assembled

    def entry(function: Callable[[int], int]) -> Callable[[int], int]:
        """Compile a kernel entry point: one address in, a number out, cached on disk."""
        _Library.entry_name = function.__qualname__
        try:
            result: Callable[[int], int] = nb.njit(nb.int64(nb.int64), cache=True, nogil=True, **_OPTIONS)(
                function
            )
        finally:
            _Library.entry_name = ""
        return result

    _ROWS = [types.Array(nb.from_dtype(COMMAND), 1, "C", readonly=fixed) for fixed in (False, True)]

    @nb.njit([nb.int64(rows) for rows in _ROWS], cache=True)
    def address_of_commands(commands: Any) -> Any:
        """Return where a contiguous array of COMMAND is; nine times faster than asking NumPy."""
        return commands.ctypes.data

    _BYTES = ir.IntType(8).as_pointer()
    _I64, _I32 = ir.IntType(64), ir.IntType(32)

    def at_address(dtype: np.dtype[np.void]) -> Any:
        """Return a compiled function from an address to the record there."""
        record_type = nb.from_dtype(dtype)

        @intrinsic
        def view(typing_context: Any, address: Any) -> Any:
            def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
                return builder.inttoptr(args[0], context.get_value_type(record_type))

            return record_type(types.int64), generate

        return view

    def table(owner: np.dtype[np.void], dtype: np.dtype[np.void], name: str) -> tuple[Any, Any]:
        """Return (getter, prefetcher) of the records whose base address `owner.p_<name>` holds."""
        assert owner.fields is not None
        record_type = nb.from_dtype(dtype)
        base_offset = owner.fields["p_" + name][1]
        capacity_offset = owner.fields["cap_" + name][1]

        def element(builder: Any, args: Any) -> Any:
            raw = builder.bitcast(args[0], _BYTES)
            field = builder.gep(raw, [_I64(base_offset)])
            base = builder.load(builder.bitcast(field, _BYTES.as_pointer()))
            return builder.gep(base, [builder.mul(args[1], _I64(dtype.itemsize))], inbounds=True)

        @intrinsic
        def get(typing_context: Any, owner_record: Any, index: Any) -> Any:
            def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
                if CHECKED:
                    raw = builder.bitcast(args[0], _BYTES)
                    field = builder.gep(raw, [_I64(capacity_offset)])
                    capacity = builder.load(builder.bitcast(field, _I64.as_pointer()))
                    outside = builder.icmp_unsigned(">=", args[1], capacity)
                    with builder.if_then(outside, likely=False):
                        context.call_conv.return_user_exc(builder, IndexError, (name,))
                return builder.bitcast(element(builder, args), context.get_value_type(record_type))

            return record_type(owner_record, types.uint64), generate

        @intrinsic
        def prefetch(typing_context: Any, owner_record: Any, index: Any) -> Any:
            def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
                kind = ir.FunctionType(ir.VoidType(), [_BYTES, _I32, _I32, _I32])
                function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
                builder.call(function, [element(builder, args), _I32(0), _I32(3), _I32(1)])
                return context.get_dummy_value()

            return types.void(owner_record, types.uint64), generate

        return get, prefetch

    def _count_zeros(instruction: str) -> Any:
        @intrinsic
        def count(typing_context: Any, word: Any) -> Any:
            def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
                return getattr(builder, instruction)(args[0], ir.Constant(ir.IntType(1), 1))

            return types.int64(types.uint64), generate

        return count

    trailing_zeros, leading_zeros = _count_zeros("cttz"), _count_zeros("ctlz")

    @intrinsic
    def mulhi(typing_context: Any, a: Any, b: Any) -> Any:
        """Return the high 64 bits of the signed 128-bit product."""

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            wide = ir.IntType(128)
            product = builder.mul(builder.sext(args[0], wide), builder.sext(args[1], wide))
            return builder.trunc(builder.ashr(product, ir.Constant(wide, 64)), _I64)

        return types.int64(types.int64, types.int64), generate

    @inline
    def mullo(a: Any, b: Any) -> Any:
        """Return the low 64 bits of an unsigned product."""
        return a * b

else:

    def inline(function: Any) -> Any:
        return function

    compiled = entry = inline

    def address_of_commands(commands: Any) -> int:
        assert commands.dtype == COMMAND
        assert commands.flags.c_contiguous
        return int(commands.ctypes.data)

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

    def at_address(dtype: np.dtype[np.void]) -> Any:
        fields = _fields_of(dtype)
        return lambda address: Proxy(int(address), fields)

    def table(owner: np.dtype[np.void], dtype: np.dtype[np.void], name: str) -> tuple[Any, Any]:
        fields, base, capacity = _fields_of(dtype), "p_" + name, "cap_" + name

        def get(record: Any, index: Any) -> Any:
            index = int(index)
            if not 0 <= index < getattr(record, capacity):
                raise IndexError(name, index)
            return Proxy(getattr(record, base) + index * dtype.itemsize, fields)

        return get, lambda record, index: None

    def trailing_zeros(word: Any) -> int:
        word = int(word)
        return (word & -word).bit_length() - 1

    def leading_zeros(word: Any) -> int:
        return 64 - int(word).bit_length()

    def mulhi(a: int, b: int) -> int:
        return (int(a) * int(b)) >> 64

    def mullo(a: Any, b: Any) -> Any:
        return U(int(a) * int(b) & 0xFFFF_FFFF_FFFF_FFFF)
