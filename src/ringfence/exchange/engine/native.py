"""The kernel's machine code: kept between runs, loaded without Numba.

Importing Numba takes longer than all else that a core does before it is ready, so it is only imported
where the code of exactly this source is not there yet.
"""

import ctypes
import hashlib
import os
import pickle
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

import llvmlite.binding as llvm

from ringfence.exchange.engine.views import BUILD, COMPILED, Function

_CHECKSUM_BYTES = 16
_METH_O = 0x0008
_loaded: list[Any] = []
"""What the machine code lives in; it is called as long as the process lives."""


def callables(*entries: Function) -> tuple[Function, ...]:
    """Return entry points of the kernel as machine code, or as they are in the build without."""
    if not COMPILED:
        return entries
    path = cache_directory() / "kernel.o"
    code = kept(path)
    if code is None:
        from ringfence.exchange.engine.compiler import object_code

        code = object_code(entries)
        keep(path, code)
    return _load(code, entries)


# ---- kept


def cache_directory() -> Path:
    """Return where the compiled kernel of exactly this source is kept between runs."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "ringfence" / f"engine-{sources_digest()}"


def sources_digest() -> str:
    """Return a hash of everything the machine code depends on: sources, compiler and processor."""
    package = Path(__file__).resolve().parent
    digest = hashlib.blake2b(digest_size=8)
    versions = [version(name) for name in ("numba", "llvmlite", "numpy")]
    for fact in (BUILD, *versions, llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()):
        digest.update(fact.encode())
    files = sorted(package.rglob("*.py")) + sorted((package.parents[1] / "messages").glob("*.py"))
    for file in [*files, package.parents[1] / "units" / "limits.py"]:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def kept(path: Path) -> bytes | None:
    """Return the object code in a file, None if there is none or it is damaged."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    code = raw[_CHECKSUM_BYTES:]
    return code if raw[:_CHECKSUM_BYTES] == _checksum(code) else None


def keep(path: Path, code: bytes) -> None:
    """Write a whole file aside and rename it: another process may be doing the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(f".{os.getpid()}")
    aside.write_bytes(_checksum(code) + code)
    aside.rename(path)


def _checksum(code: bytes) -> bytes:
    return hashlib.blake2b(code, digest_size=_CHECKSUM_BYTES).digest()


# ---- loaded


class _MethodDef(ctypes.Structure):
    """CPython's PyMethodDef."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("code", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


class _Failure(ctypes.Structure):
    """What Numba says about an exception: the pickle of its class and arguments."""

    _fields_ = (("pickled", ctypes.c_void_p), ("size", ctypes.c_int32))


def _load(code: bytes, entries: tuple[Function, ...]) -> tuple[Function, ...]:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _loaded.append(engine)
    names = [function.__name__ for function in entries]
    return tuple(_c_function(name, engine.get_function_address(name)) for name in names)


def _c_function(name: str, address: int) -> Function:
    """Return what CPython calls as it calls its own: ctypes takes three times as long for a call."""
    definition = _MethodDef(name.encode(), address, _METH_O, None)
    _loaded.append(definition)
    function: Function = _new_c_function(definition, _raise, None)
    return function


_new_c_function = ctypes.PYFUNCTYPE(
    ctypes.py_object, ctypes.POINTER(_MethodDef), ctypes.py_object, ctypes.c_void_p
)(("PyCFunction_NewEx", ctypes.pythonapi))


def _raise(address: int) -> NoReturn:
    """Raise what the machine code found wrong; it gives the address of a _Failure."""
    failure = _Failure.from_address(address)
    kind, arguments, _ = pickle.loads(ctypes.string_at(failure.pickled, failure.size))  # noqa: S301
    raise kind(*(arguments or ()))
