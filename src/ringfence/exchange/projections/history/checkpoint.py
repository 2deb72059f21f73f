"""The views in a file, so that a process starts with what was folded already.

    magic 8 | version of the code 16 | digest of the body 32 | body

A checkpoint is a convenience: one that is damaged, or that other code wrote, is passed over, and the
feed is folded from an older one or from the beginning. The body is a pickle, because the views are a
graph of objects that name one another, and nothing quicker keeps that; it may name the classes of
that graph and nothing else, so a forged file runs no foreign code.
"""

import gc
import io
import logging
import os
import pickle
from hashlib import blake2b
from pathlib import Path
from typing import Any

import ringfence.exchange.projections
import ringfence.instruments
import ringfence.messages
import ringfence.units
from ringfence.exchange.projections.views import Views
from ringfence.files import sync_directory

log = logging.getLogger(__name__)

_MAGIC = b"RFVIEWS1"
_VERSION_BYTES, _DIGEST_BYTES = 16, 32
_HEADER_BYTES = len(_MAGIC) + _VERSION_BYTES + _DIGEST_BYTES
_SUFFIX = ".views"
_KEEP = 2
_MODULES = frozenset(
    (
        "ringfence.exchange.projections.market", "ringfence.exchange.projections.coins",
        "ringfence.exchange.projections.orders",
        "ringfence.exchange.projections.positions", "ringfence.exchange.projections.ranking",
        "ringfence.exchange.projections.last_resort", "ringfence.exchange.projections.halts",
        "ringfence.instruments.specification", "ringfence.messages.commands", "ringfence.messages.halts",
        "ringfence.units.assets",
    )
)  # fmt: skip
_FOREIGN = frozenset((("collections", "deque"), ("msgspec._utils", "rebuild")))

# What a new object has is its state. What `apply` adds to it is the last batch's and worth nothing
# after it, and bound methods are made again.
_STATE = vars(Views()).keys() - {"_apply_event"}


def save(views: Views, directory: Path) -> Path:
    """Write a checkpoint, whole and durable or not at all; keep the newest two. Raises OSError."""
    body = pickle.dumps({name: vars(views)[name] for name in _STATE}, protocol=5)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = directory / f"{views.next_sequence:020d}{_SUFFIX}"
    aside = directory / "checkpoint.writing"
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(_MAGIC + _VERSION + _digest(body))
        file.write(body)
        file.flush()
        os.fsync(descriptor)
    aside.rename(path)
    sync_directory(directory)
    for old in _newest_first(directory)[_KEEP:]:
        old.unlink(missing_ok=True)
    return path


def load(directory: Path, *, at_most: int | None = None) -> Views | None:
    """Return the views of the newest checkpoint that is whole and of this very code, or None.

    `at_most` passes over those whose `next_sequence` is greater.
    """
    for path in _newest_first(directory):
        if at_most is not None and int(path.stem) > at_most:
            continue
        try:
            return _decode(path.read_bytes())
        except Exception as error:  # Whatever is wrong with it, it is only a convenience.
            log.warning("checkpoint %s is passed over: %s", path.name, error)
    return None


def _decode(raw: bytes) -> Views:
    """Return the views. Raises ValueError if the bytes are not exactly what `save` wrote."""
    version, digest = raw[len(_MAGIC) :][:_VERSION_BYTES], raw[:_HEADER_BYTES][-_DIGEST_BYTES:]
    body = memoryview(raw)[_HEADER_BYTES:]
    if len(raw) < _HEADER_BYTES or not raw.startswith(_MAGIC):
        raise ValueError("it is no checkpoint")
    if version != _VERSION:
        raise ValueError("it was written by another version of the code")
    if digest != _digest(body):
        raise ValueError("it is damaged")
    # A million new objects that all stay would have the collector walk through them again and again.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        state = _Unpickler(io.BytesIO(body)).load()
    finally:
        if was_enabled:
            gc.enable()
    views = Views()
    vars(views).update(state)
    return views


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module in _MODULES or (module, name) in _FOREIGN:
            found = super().find_class(module, name)
            if isinstance(found, type) or module not in _MODULES:
                return found
        raise pickle.UnpicklingError(f"it names {module}.{name}, which no checkpoint needs")


def _version_of_code() -> bytes:
    """Return a digest of the sources whose objects are in a checkpoint and whose rules made them."""
    digest = blake2b(digest_size=_VERSION_BYTES)
    for package in (
        ringfence.exchange.projections, ringfence.instruments, ringfence.messages, ringfence.units,
    ):  # fmt: skip
        for source in sorted(Path(package.__path__[0]).glob("*.py")):
            digest.update(source.name.encode() + b"\0" + _digest(source.read_bytes()))
    return digest.digest()


def _digest(data: bytes | memoryview) -> bytes:
    return blake2b(data, digest_size=_DIGEST_BYTES).digest()


def _newest_first(directory: Path) -> list[Path]:
    return sorted(directory.glob(f"*{_SUFFIX}"), reverse=True)


# Taken when the code is loaded: what lies on the disk later may be another version than what runs.
_VERSION = _version_of_code()
