"""One replay, held against the roots that the exchange has signed."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ringfence.commitments import (
    ChainError,
    Nonces,
    Root,
    leaves_of,
    nonce_keys,
    read_roots,
    root_of,
    venue_digest,
)
from ringfence.commitments.root import EventsHash
from ringfence.exchange.engine import Engine
from ringfence.exchange.journal import Frame
from ringfence.exchange.sequencer import apply
from ringfence.exchange.sequencer.statements import account_statements, venue_of
from ringfence.messages.batch import Batch
from ringfence.messages.events import Event


class ProofError(Exception):
    """A replay has led somewhere else than was signed. The text says where; nothing of it may be used."""


class Proved(NamedTuple):
    """Where a replay came to."""

    sequence: int
    commands: int
    journal_head: str
    events_digest: str
    """Of the events after the last root."""
    roots: int
    """How many roots were compared: place, journal, count and hash of the events."""
    states: int
    """At how many of them the whole state was laid out and compared as well."""


def prove(
    engine: Engine, frames: Iterable[Frame], *, roots: list[Root], nonces: Nonces,
    take: Callable[[Batch], None] = lambda batch: None,
) -> Proved:  # fmt: skip
    """Apply frames to an engine; `take` is given every batch.

    Every root is compared with where the replay is at its sequence; at the last one the whole state, which costs as
    long as the exchange has accounts. An engine that does not begin at 0 is compared with the last root alone.
    Raises ProofError, JournalError, IndexError or AssertionError from the engine.
    """
    begun, head = engine.next_sequence, b""
    compared = states = 0
    due = [root for root in roots if root.sequence > begun]
    last = roots[-1] if roots else None
    events = EventsHash(int(Event.AMENDED))
    # After a beginning in the middle the first root's events are known in part only.
    is_known = begun == 0 or any(root.sequence == begun for root in roots)
    for frame in frames:
        batch = apply(engine, frame)
        head = frame.digest
        events.update(batch.events.tobytes())
        take(batch)
        if due and due[0].sequence < batch.next_sequence:
            raise ProofError(
                f"no batch of the journal ends at sequence {due[0].sequence}, which a root names"
            )
        if due and due[0].sequence == batch.next_sequence:
            root, digest = due.pop(0), events.take()
            if root.journal != head:
                raise ProofError(
                    f"the journal below sequence {root.sequence} is not the one whose root was signed"
                )
            if (is_known and root.events != digest) or root.event_count != engine.event_count:
                raise ProofError(
                    f"the events below sequence {root.sequence} are not those whose root was signed"
                )
            is_known = True
            compared += 1
            if root is last:
                _check_state(engine, root, nonces)
                states += 1
    if due:
        raise ProofError(
            f"the journal ends at sequence {engine.next_sequence}, before the root of {due[0].sequence}"
        )
    return Proved(
        engine.next_sequence, engine.next_sequence - begun, head.hex(), events.take().hex(), compared, states
    )


def _check_state(engine: Engine, root: Root, nonces: Nonces) -> None:
    """Raises ProofError."""
    statements = list(account_statements(engine.state))
    keys = nonce_keys(nonces.epoch_key(engine.timestamp_ns), len(statements))
    if root_of(leaves_of(keys, statements)) != root.accounts_root or len(statements) != root.accounts:
        raise ProofError(f"the accounts at sequence {root.sequence} are not those whose root was signed")
    if venue_digest(venue_of(engine.state)) != root.venue:
        raise ProofError(f"the venue's state at sequence {root.sequence} is not the one that was signed")


def roots_in(chain: Path, key: Ed25519PublicKey) -> list[Root]:
    """Return a chain of roots, each checked. Raises ProofError."""
    try:
        return list(read_roots(chain, key))
    except ChainError as error:
        raise ProofError(f"the chain of roots: {error}") from error
