"""The shadow's own checkpoint: it need not begin at the journal's first command each time.

A convenience, written only while nothing was found. Whoever changes it makes the shadow disagree with the core:
the exchange halts, nothing worse. It is pickled, as the checkpoints of views are, and may name the classes of
the shadow and nothing else.
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

import ringfence.assurance.shadow
import ringfence.messages
import ringfence.units
from ringfence.assurance.shadow import Shadow
from ringfence.daemons.venue import replace
from ringfence.exchange.journal.frame import GENESIS

log = logging.getLogger(__name__)
Value = TypeVar("Value")

_MAGIC = b"RFSHDW01"
_DIGEST_BYTES = 32
_PLACE = Path("judges") / "shadow.state"
_STACK_BYTES, _RECURSION = 512 << 20, 1_000_000
_PREFIXES = ("ringfence.assurance.shadow.", "ringfence.messages.commands")
_FOREIGN = frozenset((("collections", "deque"), ("collections", "defaultdict"), ("builtins", "set")))


def _version() -> bytes:
    """Return a digest of the sources whose objects are in a checkpoint."""
    digest = blake2b(digest_size=_DIGEST_BYTES)
    for package in (ringfence.assurance.shadow, ringfence.messages, ringfence.units):
        for source in sorted(Path(package.__path__[0]).glob("*.py")):
            digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return digest.digest()


_VERSION = _version()


def save_shadow(directory: Path, shadow: Shadow, head: bytes) -> None:
    """Write a checkpoint; `head` is the journal's hash there. Raises OSError."""
    body = _deeply(lambda: pickle.dumps((shadow, head), protocol=5))
    replace(directory / _PLACE, _MAGIC + _VERSION + blake2b(body, digest_size=_DIGEST_BYTES).digest() + body)


def load_shadow(directory: Path) -> tuple[Shadow, bytes]:
    """Return (shadow, hash of the journal's last frame) of the checkpoint; from nothing if there is no good one."""
    try:
        raw = (directory / _PLACE).read_bytes()
        head = len(_MAGIC) + _DIGEST_BYTES
        body = raw[head + _DIGEST_BYTES :]
        if raw[:head] != _MAGIC + _VERSION:
            raise ValueError("it was written by another version of the code")
        if raw[head:][:_DIGEST_BYTES] != blake2b(body, digest_size=_DIGEST_BYTES).digest():
            raise ValueError("it is damaged")
        found: tuple[Shadow, bytes] = _deeply(lambda: _Unpickler(io.BytesIO(body)).load())
        return found
    except FileNotFoundError:
        pass
    except Exception as error:  # Whatever is wrong with it, it is only a convenience.
        log.warning("the shadow's checkpoint is passed over, it begins at the first command: %s", error)
    return Shadow(), GENESIS


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module.startswith(_PREFIXES) or (module, name) in _FOREIGN:
            found = super().find_class(module, name)
            if isinstance(found, type):
                return found
        raise pickle.UnpicklingError(f"it names {module}.{name}, which no checkpoint needs")


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
