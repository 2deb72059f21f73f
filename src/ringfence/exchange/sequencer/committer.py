"""Once a second the state is hashed, signed and chained; every few seconds it is laid out for the judges.

A forked child reads the tables of that moment while the core goes on. At a million accounts it takes longer
than a second; the next one begins when it is done, after a pause of as long again, and the records say so by
their sequence numbers.

    roots/chain.roots          the signed chain, for ever
    roots/venue.pub            the public key under it, hexadecimal
    roots/begun                sequence u8 of the root that is being made: written before the next batch is published,
                               so that a judge who is as far keeps what it has of that moment
    cuts/SEQUENCE.snapshot     the whole state, as in a snapshot, unsynced: what the auditor looks at
    cuts/SEQUENCE.levels       the price levels beside it
    cuts/SEQUENCE.statements   the statements under that root, from which proofs of inclusion are made
"""

import os
from pathlib import Path
from typing import NamedTuple

from ringfence.commitments import (
    CommitmentKeys,
    Root,
    RootChain,
    leaves_of,
    nonce_keys,
    root_of,
    venue_digest,
)
from ringfence.commitments.root import EventsHash
from ringfence.commitments.statements_file import write_statements
from ringfence.exchange.engine import Engine
from ringfence.exchange.engine.levels import SUFFIX, levels_of
from ringfence.exchange.feed import FeedReader
from ringfence.exchange.forked import in_forked_child
from ringfence.exchange.sequencer.statements import account_statements, venue_of
from ringfence.messages.batch import Batch
from ringfence.messages.events import Event
from ringfence.units.time import NS_PER_SECOND

ROOT_EVERY_NS = NS_PER_SECOND
CUT_EVERY_NS = 5 * NS_PER_SECOND
_KEEP_CUTS = 3
_HASH_BYTES = 32


class _Cut(NamedTuple):
    """A child at work, and what is known of its moment already."""

    child: int
    pipe: int
    begun_ns: int
    root: Root
    since: int
    """The sequence that its events are counted from: the place of the root before, where that one was begun."""


class Committer:
    """Makes roots and cuts of an engine. Time is told; nothing here waits."""

    def __init__(self, engine: Engine, directory: Path, keys: CommitmentKeys) -> None:
        """Raises ChainError if the chain on the disk is not ours, OSError."""
        self._engine, self._directory, self._keys = engine, directory, keys
        self._chain = RootChain(directory / "roots" / "chain.roots", keys.signing)
        (directory / "roots" / "venue.pub").write_text(keys.public_bytes.hex() + "\n")
        self._begun = os.open(directory / "roots" / "begun", os.O_RDWR | os.O_CREAT, 0o600)
        self._cut: _Cut | None = None
        self.collected_since = 0
        """Where the events of the root that was collected last are counted from."""
        self._next_root_ns = self._next_cut_ns = 0
        self.start_over()

    def start_over(self) -> None:
        """Go on from the last root of the chain: take in the events that were published after it."""
        self._events = EventsHash(int(Event.AMENDED))
        self._committed = self._since = self.last_sequence
        reader = FeedReader(self._directory / "feed", next_sequence=self._committed)
        while reader.next_sequence < self._engine.next_sequence and (batch := reader.read()) is not None:
            self.take(batch)
        reader.close()

    def take(self, batch: Batch) -> None:
        """Note a batch that was published."""
        self._events.update(batch.events.tobytes())

    def begin(self, *, now_ns: int, journal: bytes) -> bool:
        """Begin with the root of this moment if it is due, and return whether; `journal` is the last frame's hash."""
        if self._cut is not None or now_ns < self._next_root_ns:
            return False
        return self.begin_now(now_ns=now_ns, journal=journal)

    def begin_now(self, *, now_ns: int, journal: bytes) -> bool:
        """Begin with the root of this moment, if there is none of it yet; none may be under way."""
        engine = self._engine
        assert self._cut is None
        if engine.next_sequence <= self._committed:
            return False
        since, self._since = self._since, engine.next_sequence
        self._committed = engine.next_sequence
        os.pwrite(self._begun, engine.next_sequence.to_bytes(8, "little"), 0)
        root = Root(
            sequence=engine.next_sequence, timestamp_ns=engine.timestamp_ns, event_count=engine.event_count,
            accounts=int(engine.state.header["n_accounts"]), journal=journal, events=self._events.take(),
            accounts_root=bytes(_HASH_BYTES), venue=bytes(_HASH_BYTES), previous=bytes(_HASH_BYTES),
        )  # fmt: skip
        lays_out = now_ns >= self._next_cut_ns
        if lays_out:
            self._next_cut_ns = now_ns + CUT_EVERY_NS
        reading, writing = os.pipe()
        child = in_forked_child(lambda: self._in_child(writing, lays_out=lays_out), keep=(writing,))
        os.close(writing)
        os.set_blocking(reading, False)
        self._cut = _Cut(child, reading, now_ns, root, since)
        return True

    def _in_child(self, writing: int, *, lays_out: bool) -> None:
        engine = self._engine
        epoch = self._keys.nonces.epoch_key(engine.timestamp_ns)
        statements = list(account_statements(engine.state))
        nonces = nonce_keys(epoch, len(statements))
        leaves = leaves_of(nonces, statements)
        venue = venue_of(engine.state)
        if lays_out:
            folder = self._directory / "cuts"
            folder.mkdir(mode=0o700, exist_ok=True)
            name = f"{engine.next_sequence:020d}"
            write_statements(folder / f"{name}.statements", nonces, statements)
            aside = folder / f"{name}.writing"
            with open(aside, "wb") as file:
                file.writelines(engine.snapshot())
            levels_of(engine.state).tofile(folder / f"{name}{SUFFIX}")
            aside.rename(folder / f"{name}.snapshot")
        os.write(writing, root_of(leaves) + venue_digest(venue))

    def collect(self, *, now_ns: int, waits: bool = False) -> Root | None:
        """Return a root that is ready to be written, None if none is. Raises OSError if its child failed."""
        if self._cut is None:
            return None
        child, status = os.waitpid(self._cut.child, 0 if waits else os.WNOHANG)
        if not child:
            return None
        cut, self._cut = self._cut, None
        self.collected_since = cut.since
        said = os.read(cut.pipe, 2 * _HASH_BYTES) if status == 0 else b""
        os.close(cut.pipe)
        if len(said) != 2 * _HASH_BYTES:
            raise OSError(
                f"the child that hashed the state of sequence {cut.root.sequence} ended with {status}"
            )
        took_ns = now_ns - cut.begun_ns
        self._next_root_ns = cut.begun_ns + max(ROOT_EVERY_NS, 2 * took_ns)
        self._remove_old_cuts()
        return cut.root._replace(accounts_root=said[:_HASH_BYTES], venue=said[_HASH_BYTES:])

    def write(self, root: Root) -> Root:
        """Return the root as it stands in the chain, signed and synced; may run in a thread. Raises OSError."""
        return self._chain.append(root)

    # ---- the chain on more than one machine

    @property
    def last_sequence(self) -> int:
        """The sequence of the chain's last root, 0 if there is none."""
        return self._chain.last.sequence if self._chain.last else 0

    @property
    def roots(self) -> int:
        """How many roots the chain has here."""
        return len(self._chain)

    def is_under_way_at(self, sequence: int) -> bool:
        """Return whether the root of a sequence is being worked out."""
        return self._cut is not None and self._cut.root.sequence == sequence

    def chained(self, root: Root) -> Root:
        """Return a root as the next one of the chain, signed, before it is written anywhere."""
        return self._chain.chained(root)

    def put(self, root: Root) -> None:
        """Write a signed root that every machine has or will have. Raises ChainError, OSError."""
        self._chain.put(root)

    def _remove_old_cuts(self) -> None:
        for suffix in (".snapshot", ".statements", SUFFIX):
            for old in sorted((self._directory / "cuts").glob(f"*{suffix}"))[:-_KEEP_CUTS]:
                old.unlink(missing_ok=True)

    def close(self) -> None:
        """Wait for a child at work and throw away what it made: the events are hashed again next time."""
        if self._cut is not None:
            os.waitpid(self._cut.child, 0)
            os.close(self._cut.pipe)
        self._chain.close()
        os.close(self._begun)
