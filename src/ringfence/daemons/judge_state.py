"""A judge's own checkpoint: it need not begin at the journal's first command each time.

A convenience, written only while nothing was found. Whoever changes it makes the judge disagree with the core: the
exchange halts, nothing worse. It is pickled, as the checkpoints of views are, and may name the classes of its judge
and little else.
"""

import io
import logging
import pickle
import sys
import threading
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

import ringfence.commitments
import ringfence.instruments
import ringfence.messages
import ringfence.units
from ringfence.files import replace

log = logging.getLogger(__name__)
Value = TypeVar("Value")

_MAGIC = b"RFJUDG01"
_DIGEST_BYTES = 32
_STACK_BYTES, _RECURSION = 512 << 20, 1_000_000
_SHARED = (ringfence.commitments, ringfence.instruments, ringfence.messages, ringfence.units)
_FOREIGN = frozenset(
    (
        ("collections", "deque"), ("collections", "defaultdict"), ("collections", "OrderedDict"),
        ("builtins", "set"), ("builtins", "frozenset"), ("builtins", "int"), ("array", "array"),
        ("array", "_array_reconstructor"), ("msgspec._utils", "rebuild"), ("numpy", "ndarray"), ("numpy", "dtype"),
        ("numpy._core.multiarray", "_reconstruct"), ("numpy._core.numeric", "_frombuffer"),
    )
)  # fmt: skip


class JudgeState:
    """The checkpoint of one judge, whose classes are in one package."""

    def __init__(self, directory: Path, name: str, package: Any) -> None:
        self._path = directory / "judges" / f"{name}.state"
        self._prefix = package.__name__ + "."
        self._version = _version((package, *_SHARED))

    def save(self, state: object) -> None:
        """Raises OSError."""
        body = _deeply(lambda: pickle.dumps(state, protocol=5))
        replace(self._path, _MAGIC + self._version + _digest(body) + body)

    def load(self) -> Any | None:
        """Return what was saved, None if there is nothing that can be trusted."""
        try:
            raw = self._path.read_bytes()
            head = len(_MAGIC) + _DIGEST_BYTES
            body = raw[head + _DIGEST_BYTES :]
            if raw[:head] != _MAGIC + self._version:
                raise ValueError("it was written by another version of the code")
            if raw[head:][:_DIGEST_BYTES] != _digest(body):
                raise ValueError("it is damaged")
            return _deeply(lambda: _Unpickler(io.BytesIO(body), self._prefix).load())
        except FileNotFoundError:
            return None
        except Exception as error:  # Whatever is wrong with it, it is only a convenience.
            log.warning(
                "%s is passed over, the judge begins at the first command: %s", self._path.name, error
            )
            return None


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, prefix: str) -> None:
        super().__init__(file)
        self._prefixes = (prefix, *(f"{package.__name__}." for package in _SHARED))

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _FOREIGN:
            return super().find_class(module, name)
        if module.startswith(self._prefixes):
            found = super().find_class(module, name)
            if isinstance(found, type):
                return found
        raise pickle.UnpicklingError(f"it names {module}.{name}, which no checkpoint needs")


def _version(packages: tuple[Any, ...]) -> bytes:
    """Return a digest of the sources whose objects are in a checkpoint."""
    digest = blake2b(digest_size=_DIGEST_BYTES)
    for package in packages:
        for source in sorted(Path(package.__path__[0]).rglob("*.py")):
            digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return digest.digest()


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=_DIGEST_BYTES).digest()


def _deeply(work: Callable[[], Value]) -> Value:
    """Do what recurses through a book of orders, each of which names its account: it needs a deep stack."""
    results: list[Value] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            results.append(work())
        except Exception as error:
            errors.append(error)

    stack, recursion = threading.stack_size(_STACK_BYTES), sys.getrecursionlimit()
    sys.setrecursionlimit(_RECURSION)
    try:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    finally:
        sys.setrecursionlimit(recursion)
        threading.stack_size(stack)
    if errors:
        raise errors[0]
    return results[0]
