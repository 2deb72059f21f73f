"""Opens the minutes that a block has drawn: replays the journal to each, and publishes what everybody was owed then.

What is replayed must be what was committed to. If it is not, nothing is published, and the prover's report is red.
"""

import logging
import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ringfence.assurance.proofs.claims import Claims, claimed_assets, claims_of
from ringfence.assurance.proofs.claims_tree import ClaimsTree
from ringfence.assurance.proofs.errors import DifferentError
from ringfence.assurance.proofs.hashes import NONE
from ringfence.assurance.proofs.liabilities import Coins, Filed, Names
from ringfence.assurance.proofs.minutes import SUFFIX, Minute, deciding_height, drawn, lines_of
from ringfence.assurance.proofs.publication import Publication
from ringfence.assurance.proofs.publisher import Publisher
from ringfence.assurance.proofs.secrets import epoch_of
from ringfence.assurance.proofs.snapshot import Moment, write_assets
from ringfence.commitments import Root, load_nonces
from ringfence.daemons import proof_states
from ringfence.daemons.proof_feed import ProofFeed
from ringfence.daemons.proof_secrets import EpochKeys, home_of
from ringfence.exchange.engine.snapshot import tables_of
from ringfence.units.assets import ASSETS

log = logging.getLogger("ringfence.prover")


class Opener:
    def __init__(
        self, directory: Path, publisher: Publisher, keys: EpochKeys, publication: Publication, *, opened: int
    ) -> None:
        """Raises OSError, ValueError."""
        home = home_of(directory)
        self._directory, self._publisher, self._keys = directory, publisher, keys
        self._publication, self._count = publication, opened
        self._venue = Ed25519PublicKey.from_public_bytes(publisher.venue)
        self._minutes, self._starts = home / "published" / "minutes", home / "private" / "starts"
        self._nonces = load_nonces(directory)
        self.differences: dict[int, str] = {}
        """By period: what was replayed and is not what was committed to."""

    @property
    def opened(self) -> int:
        """Return how many minutes were opened so far."""
        return len({path.rsplit("/", 1)[0] for path in self._publication.index.openings})

    def next_period(self, current: int) -> int | None:
        """Return the oldest period that has ended and of which not every drawn minute was opened."""
        done = {path.split("/")[1] for path in self._publication.index.openings}
        for path in sorted(self._minutes.glob(f"*{SUFFIX}")):
            period = int(path.stem)
            if period < current and path.stem not in done and period not in self.differences:
                return period
        return None

    def _lines(self, period: int) -> list[Minute]:
        return lines_of(self._minutes, period, self._publisher.public)

    def deciding_height(self, period: int) -> int | None:
        """Return the height of the block that draws, None if the period after has no line yet."""
        later = [int(path.stem) for path in self._minutes.glob(f"*{SUFFIX}") if int(path.stem) > period]
        return deciding_height(self._lines(min(later))) if later else None

    def kept_from(self, period: int) -> int:
        """Return the sequence from which on states are needed still."""
        lines = self._lines(period)
        return lines[-1].sequence if lines else 0

    def open(self, period: int, height: int, block_hash: str) -> None:
        """Open every minute of a period that a block has drawn. Raises OSError, JournalError, ValueError, HsmError."""
        chosen = drawn(self._lines(period), bytes.fromhex(block_hash), count=self._count)
        opened: dict[str, dict[str, bytes]] = {}
        for minute in chosen:
            try:
                filed = self._replay(period, minute)
            except DifferentError as error:
                self.differences[period] = f"period {period}: {error}"
                log.critical("minute %d of period %d was not opened: %s", minute.n, period, error)
                return
            name = f"{period:06d}/{minute.n:08d}"
            opened[name] = {file: raw for one in filed.values() for file, raw in one.files().items()}
        self._publication.open(opened)
        log.info("block %d has opened %d minutes of period %d", height, len(opened), period)

    def _replay(self, period: int, minute: Minute) -> dict[str, Filed]:
        """Return the files of a minute, if the journal gives what was committed to. Raises DifferentError."""
        root = proof_states.root_at(self._directory, self._venue, minute.sequence)
        if root is None or root.digest.hex() != minute.state_root:
            raise DifferentError(f"minute {minute.n}: the exchange has signed no such state root")
        engine = proof_states.replayed(self._directory, minute.sequence, starts=self._starts)
        feed = ProofFeed(self._directory)
        try:
            feed.catch_up(below=minute.sequence)
            ledger = feed.ledger
            claims = claims_of(
                tables_of(engine.state), feed.pending(), custody_account=ledger.custody_account
            )
        finally:
            feed.close()
        epoch_key = self._keys.of(epoch_of(claims.timestamp_ns))
        again = proof_states.accounts_root(engine.state, self._nonces.epoch_key(claims.timestamp_ns))
        _check(minute, claims, root, epoch_key, again)
        coins = {
            asset: Coins(
                ledger.backed.get(asset, 0) + ledger.demo.get(asset, 0), ledger.demo.get(asset, 0), 0
            )
            for asset in claimed_assets(claims)
        }
        moment = Moment(
            root,
            minute.height,
            minute.block_hash,
            feed.instruments,
            Names(epoch_key, tuple(feed.logins)),
            coins,
        )
        return write_assets(
            period, claims, moment, previous=self._headers(period), reserves=NONE, publisher=self._publisher,
            shuffle_key=lambda: os.urandom(32), with_v1=False,
        )  # fmt: skip

    def _headers(self, period: int) -> dict[str, bytes]:
        """Return the digests of the headers of the snapshot before a minute."""
        for one in self._publication.index.snapshots:
            if one.snapshot == period:
                return {currency: bytes.fromhex(asset.header) for currency, asset in one.assets.items()}
        return {}


def _check(minute: Minute, claims: Claims, root: Root, epoch_key: bytes, accounts_root: bytes) -> None:
    """Raises DifferentError unless the state that was replayed is the one that was committed to."""
    tree = ClaimsTree(epoch_key)
    tree.update(claims)
    facts = [
        ("the accounts' root of the exchange", root.accounts_root.hex(), accounts_root.hex()),
        ("the claims of all accounts", minute.accounts, tree.root.hex()),
    ]
    for asset in claimed_assets(claims):
        said = minute.totals.get(ASSETS[asset].currency, ("nothing", "nothing", None))
        facts.append((f"what is owed in {ASSETS[asset].currency}", said[0], str(claims.total(asset))))
        facts.append((f"what accounts owe in {ASSETS[asset].currency}", said[1], str(claims.negative(asset))))
    for what, committed, found in facts:
        if committed != found:
            raise DifferentError(
                f"minute {minute.n}: {what}: committed to {committed}, the journal gives {found}"
            )
