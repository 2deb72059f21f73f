"""Commits to what everybody is owed, one line a minute: the newest signed state, as one hash and a few sums."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ringfence.assurance.proofs.claims import Claims, claimed_assets, claims_of
from ringfence.assurance.proofs.claims_tree import ClaimsTree
from ringfence.assurance.proofs.errors import InconclusiveError
from ringfence.assurance.proofs.index import SnapshotEntry, published_digest
from ringfence.assurance.proofs.minutes import Minute, MinuteChain, Totals
from ringfence.assurance.proofs.publisher import Publisher
from ringfence.assurance.proofs.secrets import epoch_of
from ringfence.daemons import proof_states
from ringfence.daemons.proof_chains import Seen
from ringfence.daemons.proof_feed import ProofFeed
from ringfence.daemons.proof_secrets import EpochKeys, home_of
from ringfence.daemons.proof_states import Signed
from ringfence.instruments.specification import Instrument
from ringfence.units.assets import ASSETS, BY_CURRENCY
from ringfence.units.time import NS_PER_MINUTE, iso

_NO_BLOCK = "00" * 32


class Known(NamedTuple):
    """What the feed says at the same sequence."""

    backed: dict[int, int]
    """By asset: what chains have to hold."""
    demo: dict[int, int]
    logins: tuple[str, ...]
    instruments: dict[int, Instrument]


class Taken(NamedTuple):
    """A signed state, and what it says that everybody is owed."""

    signed: Signed
    claims: Claims
    known: Known


class MinuteKeeper:
    """The one writer of the chain of minutes."""

    def __init__(self, directory: Path, publisher: Publisher, keys: EpochKeys) -> None:
        """Raises OSError, ForgedError."""
        home = home_of(directory)
        self._directory, self._keys = directory, keys
        self._venue = Ed25519PublicKey.from_public_bytes(publisher.venue)
        self.folder = home / "published" / "minutes"
        self.starts = home / "private" / "starts"
        self._chain = MinuteChain(self.folder, publisher)
        self.feed = ProofFeed(directory)
        self._trees: dict[int, ClaimsTree] = {}
        """The tree of the epoch, once it was made."""
        self._signed: Signed | None = None
        self._kept_ns = 0
        self.lock = threading.RLock()
        """Held while a line is written, and while a snapshot ends the period that lines are written to."""
        self.committed_ns = 0
        """When the last line was written, by this machine's clock."""

    @property
    def last(self) -> Minute | None:
        return self._chain.last

    @property
    def sequence(self) -> int:
        """Return how far the last line reaches."""
        return self._chain.last.sequence if self._chain.last else 0

    def take(self) -> Taken:
        """Return the newest state and its claims; ledger and state are of one sequence.

        Raises InconclusiveError if there is none yet or the feed is not as far, ValueError if they do not fit together.
        """
        with self.lock:
            signed = proof_states.newest(self._directory, self._venue)
            if signed is None or not self.feed.catch_up(below=signed.root.sequence):
                raise InconclusiveError("no signed state is laid out yet, or the feed is not as far")
            self._signed = signed
            ledger = self.feed.ledger
            claims = claims_of(signed.tables, self.feed.pending(), custody_account=ledger.custody_account)
            known = Known(
                dict(ledger.backed), dict(ledger.demo), tuple(self.feed.logins), dict(self.feed.instruments)
            )
            return Taken(signed, claims, known)

    def commit(
        self, because: str, seen: Seen | None, *, newest: Callable[[], SnapshotEntry | None]
    ) -> Minute:
        """Write a line of the period after the newest snapshot. Raises what `take` does, OSError, HsmError."""
        with self.lock:
            return self._commit(because, seen, newest())

    def _commit(self, because: str, seen: Seen | None, published: SnapshotEntry | None) -> Minute:
        taken = self.take()
        root = taken.signed.root
        minute = Minute(
            accounts=self._tree(taken.claims).root.hex(), because=because,
            block_hash=seen.block_hash if seen else _NO_BLOCK, height=seen.height if seen else 0, n=0, previous="",
            published=published_digest(published).hex(), sequence=root.sequence, state_root=root.digest.hex(),
            timestamp=iso(root.timestamp_ns), totals=totals_of(taken.claims, seen),
        )  # fmt: skip
        written = self._chain.append(published.snapshot if published is not None else 0, minute)
        self.committed_ns = time.time_ns()
        return written

    def _tree(self, claims: Claims) -> ClaimsTree:
        """Return the tree of this year with these claims in it."""
        epoch = epoch_of(claims.timestamp_ns)
        if epoch not in self._trees:
            self._trees = {epoch: ClaimsTree(self._keys.of(epoch))}
        self._trees[epoch].update(claims)
        return self._trees[epoch]

    # ---- states to replay from

    def keep_start(self, *, every_minutes: int) -> None:
        """Keep the state of the last line if the one before is too old. Raises OSError."""
        now_ns = time.time_ns()
        if self._signed is not None and now_ns - self._kept_ns >= every_minutes * NS_PER_MINUTE:
            # It may have been replaced by newer ones: then the next minute's is kept.
            with suppress(FileNotFoundError):
                proof_states.keep(self._signed, self.starts)
                self._kept_ns = now_ns

    def begin_period(self) -> None:
        """Keep a state at the beginning of a period."""
        self._kept_ns = 0

    def forget_starts(self, *, before: int) -> None:
        """Remove the states that nothing will be replayed from: of those before a sequence all but the newest."""
        kept = sorted(self.starts.glob(f"*{proof_states.SUFFIX}"))
        for path in [path for path in kept if int(path.stem) <= before][:-1]:
            path.unlink(missing_ok=True)


def totals_of(claims: Claims, seen: Seen | None) -> dict[str, Totals]:
    """Return by currency what is owed, what accounts owe, and what lies on the chains."""
    found: dict[str, Totals] = {}
    held = seen.reserves if seen is not None else {}
    assets = set(claimed_assets(claims)) | {BY_CURRENCY[currency].number for currency in held}
    for asset in sorted(assets):
        currency = ASSETS[asset].currency
        reserves = str(held.get(currency, 0)) if seen is not None else None
        found[currency] = (str(claims.total(asset)), str(claims.negative(asset)), reserves)
    return found
