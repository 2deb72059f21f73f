"""States of the engine to prove something of: the newest that is laid out and signed, or one of the past by replay."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ringfence.commitments import Root, latest_roots, leaves_of, nonce_keys, read_roots, root_of
from ringfence.exchange.engine import Engine
from ringfence.exchange.engine.snapshot import Tables, mapped
from ringfence.exchange.engine.state import State
from ringfence.exchange.journal import RealDisk, read_frames
from ringfence.exchange.sequencer.recovery import apply
from ringfence.exchange.sequencer.statements import account_statements

_ROOTS_LOOKED_AT = 120
SUFFIX = ".snapshot"


class Signed(NamedTuple):
    """A state, and the root that the exchange has signed over it."""

    tables: Tables
    root: Root
    path: Path


def newest(directory: Path, venue: Ed25519PublicKey) -> Signed | None:
    """Return the newest state that the core has laid out and signed, None if there is none yet.

    Raises RootError if a root is not signed by the exchange, SnapshotError (ValueError) if the state is damaged.
    """
    roots = {one.sequence: one for one in latest_roots(directory / "roots" / "chain.roots", _ROOTS_LOOKED_AT)}
    for path in sorted((directory / "cuts").glob(f"*{SUFFIX}"), reverse=True):
        root = roots.get(int(path.stem))
        if root is None:
            continue  # it is signed in a moment
        root.check_signature(venue)
        try:
            return Signed(mapped(path), root, path)
        except FileNotFoundError:
            continue  # it has just been replaced by newer ones
    return None


def keep(signed: Signed, folder: Path) -> None:
    """Keep a state to replay from: under another name of the same bytes. Raises OSError, also if it is gone by now."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    place = folder / signed.path.name
    if not place.exists():
        os.link(signed.path, place)


def replayed(
    directory: Path, sequence: int, *, starts: Path, on_progress: Callable[[int], None] | None = None
) -> Engine:
    """Return the engine as it was at a sequence: from the newest state that was kept before, by the journal.

    Raises ValueError if no frame of the journal ends there, JournalError; IndexError or AssertionError from the engine.
    """
    engine = Engine()
    kept = sorted((path for path in starts.glob(f"*{SUFFIX}") if int(path.stem) <= sequence), reverse=True)
    if kept:
        engine = Engine.load(kept[0])
    for frame in read_frames(RealDisk(directory / "journal"), first_sequence=engine.next_sequence):
        if engine.next_sequence >= sequence:
            break
        apply(engine, frame)
        if on_progress:
            on_progress(engine.next_sequence)
    if engine.next_sequence != sequence:
        raise ValueError(f"the journal gives a state at {engine.next_sequence}, and none at {sequence}")
    return engine


def root_at(directory: Path, venue: Ed25519PublicKey, sequence: int) -> Root | None:
    """Return the signed root of a sequence, None if there is none. Raises ChainError."""
    for root in read_roots(directory / "roots" / "chain.roots", venue):
        if root.sequence == sequence:
            return root
    return None


def accounts_root(state: State, epoch_key: bytes) -> bytes:
    """Return the root over all accounts' statements, as the core signs it; the key of the nonces' week."""
    statements = list(account_statements(state))
    return root_of(leaves_of(nonce_keys(epoch_key, len(statements)), statements))
