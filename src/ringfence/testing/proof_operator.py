"""An exchange that publishes proofs, in virtual time, on an engine in turmoil; and operators who cheat with them.

Everything but the processes is the product's own: engine, claims, files, chain of minutes, index. Blocks are numbers
and hashes. A cheat overrides one step of the honest operator, and does everything else so that it does not show.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ringfence.assurance.proofs.claims import Claims, claimed_assets, claims_of
from ringfence.assurance.proofs.claims_tree import ClaimsTree
from ringfence.assurance.proofs.hashes import NONE, digest
from ringfence.assurance.proofs.history import Block
from ringfence.assurance.proofs.index import SnapshotEntry, published_digest
from ringfence.assurance.proofs.liabilities import Coins, Filed, Names
from ringfence.assurance.proofs.minutes import (
    Minute,
    MinuteChain,
    Totals,
    deciding_height,
    drawn,
    name_of,
    read_period,
)
from ringfence.assurance.proofs.publication import Publication
from ringfence.assurance.proofs.publisher import Publisher, endorse
from ringfence.assurance.proofs.snapshot import Moment, entry_of, with_files, write_assets
from ringfence.commitments import Root, leaves_of, nonce_keys, root_of
from ringfence.exchange.engine import Engine
from ringfence.exchange.engine.snapshot import tables_of
from ringfence.exchange.sequencer.statements import account_statements
from ringfence.instruments.catalogue import start_instruments
from ringfence.messages.batch import Batch
from ringfence.messages.events import Event
from ringfence.testing.play import START_NS
from ringfence.testing.turbulence import TRADERS, Turbulence
from ringfence.units.assets import ASSETS, BY_CURRENCY
from ringfence.units.time import iso

EPOCH_KEY = hashlib.sha256(b"year").digest()
_BATCHES_A_MINUTE = 4
_NO_BLOCK = bytes(32)
_RESERVES = b"{}"
"""Coins are a number here."""


def public_of(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def publisher_of(seed: str) -> Publisher:
    """Return a publisher of an exchange of its own; the same seed gives the same."""
    venue, key = (
        Ed25519PrivateKey.from_private_bytes(hashlib.sha256(f"{who} {seed}".encode()).digest())
        for who in ("venue", "publisher")
    )
    return Publisher(key, venue=public_of(venue), endorsement=endorse(venue, public_of(key)))


class Operator:
    """An honest one."""

    def __init__(self, folder: Path, *, seed: int = 1, batches: int = 200) -> None:
        self.folder, self._seed = folder, seed
        self.publisher = publisher_of(str(seed))
        self.publication = Publication(folder, self.publisher, period=302_400)
        self.chain = MinuteChain(folder / "minutes", self.publisher)
        self.tree = ClaimsTree(EPOCH_KEY)
        self.height = 800_000
        self.coins: dict[int, int] = {}
        """By asset: what came in less what went out."""
        self._play = Turbulence(seed)
        self._batches: Iterator[Batch] = self._play.batches(batches)
        self._period = 0
        self._before: int | None = None
        """The snapshot after which a minute was that is opened just now."""
        self.states: dict[int, bytes] = {}
        """By line of the chain: the engine as it was, to replay from."""
        self.trade()

    @property
    def venue(self) -> bytes:
        return self.publisher.venue

    @property
    def engine(self) -> Engine:
        return self._play.engine

    def names(self) -> Names:
        return Names(EPOCH_KEY, ["", *(f"trader-{number}" for number in range(1, TRADERS + 2))])

    # ---- time goes by

    def trade(self, batches: int = _BATCHES_A_MINUTE) -> None:
        for _, batch in zip(range(batches), self._batches, strict=False):
            for event in batch.events:
                if event["kind"] in (Event.DEPOSITED, Event.WITHDRAWN):
                    sign = 1 if event["kind"] == Event.DEPOSITED else -1
                    asset = int(event["symbol"])
                    self.coins[asset] = self.coins.get(asset, 0) + sign * int(event["amount"])

    def block(self) -> None:
        self.height += 1

    def block_at(self, height: int) -> Block | None:
        """Answer as a reader's own node would."""
        if height > self.height:
            return None
        digest = hashlib.sha256(f"block {height}".encode()).hexdigest()
        return Block(digest, bytes(80))

    # ---- what is said of a moment

    def claims(self) -> Claims:
        return claims_of(tables_of(self.engine.state), [], custody_account=0)

    def root(self) -> Root:
        statements = list(account_statements(self.engine.state))
        accounts = root_of(leaves_of(nonce_keys(EPOCH_KEY, len(statements)), statements))
        return Root(
            self.engine.next_sequence, self.engine.timestamp_ns, self.engine.event_count, len(statements), _NO_BLOCK,
            _NO_BLOCK, accounts, _NO_BLOCK, _NO_BLOCK,
        )  # fmt: skip

    def moment(self, claims: Claims) -> Moment:
        block = self.block_at(self.height)
        assert block is not None
        coins = {asset: Coins(self.coins.get(asset, 0), 0, 0) for asset in claimed_assets(claims)}
        instruments = {one.number: one for one in start_instruments(START_NS)}
        return Moment(self.root(), self.height, block.digest, instruments, self.names(), coins)

    def reserves(self) -> dict[int, int]:
        """Return by asset what lies on the chains."""
        return dict(self.coins)

    # ---- its three duties

    def minute(self, because: str = "minute") -> Minute:
        claims, root = self.claims(), self.root()
        self.tree.update(claims)
        block = self.block_at(self.height)
        assert block is not None
        held = self.reserves()
        totals: dict[str, Totals] = {
            ASSETS[asset].currency: (
                str(claims.total(asset)), str(claims.negative(asset)), str(held.get(asset, 0))
            )
            for asset in claimed_assets(claims)
        }  # fmt: skip
        line = self.chain.append(
            self._period,
            Minute(
                accounts=self.tree.root.hex(), because=because, block_hash=block.digest, height=self.height, n=0,
                previous="", published=self.published().hex(), sequence=root.sequence, state_root=root.digest.hex(),
                timestamp=iso(root.timestamp_ns), totals=totals,
            ),
        )  # fmt: skip
        self.states[line.n] = b"".join(self.engine.snapshot())
        return line

    def published(self) -> bytes:
        return published_digest(self.publication.index.newest())

    def publish(self) -> SnapshotEntry:
        claims = self.claims()
        moment = self.moment(claims)
        number = self.publication.next_snapshot
        filed = self.write(number, claims, moment)
        held = {ASSETS[asset].currency: amount for asset, amount in self.reserves().items()}
        entry = with_files(entry_of(number, claims, moment, because="schedule", assets={}), filed, held)
        files = {name: raw for one in filed.values() for name, raw in one.files().items()}
        files["reserves.json"] = _RESERVES
        published = self.publication.publish(entry, files, closes=self.closed_files())
        self._period = number
        return published

    def closed_files(self) -> list[str]:
        return [name_of(self._period)] if (self.folder / "minutes" / name_of(self._period)).exists() else []

    def write(self, number: int, claims: Claims, moment: Moment, *, with_v1: bool = True) -> dict[str, Filed]:
        key = hashlib.sha256(f"shuffle {self._seed} {number}".encode()).digest()
        return write_assets(
            number, claims, moment, previous=self.previous(), publisher=self.publisher,
            reserves=digest(_RESERVES) if with_v1 else NONE,
            shuffle_key=lambda: key, with_v1=with_v1,
        )  # fmt: skip

    def previous(self) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for one in self.publication.index.snapshots:
            if self._before is not None and one.snapshot > self._before:
                break
            found |= {currency: bytes.fromhex(asset.header) for currency, asset in one.assets.items()}
        return found

    def open(self, period: int) -> list[Minute]:
        """Open what the block has drawn of a period that has ended."""
        later = min(
            int(path.stem) for path in (self.folder / "minutes").glob("*.jsonl") if int(path.stem) > period
        )
        height = deciding_height(self.lines(later))
        assert height is not None
        block = self.block_at(height)
        assert block is not None, "the block that draws is not there yet"
        chosen = self.chosen(drawn(self.lines(period), bytes.fromhex(block.digest)))
        self.publication.open({f"{period:06d}/{one.n:08d}": self.opened(period, one) for one in chosen})
        return chosen

    def chosen(self, lines: list[Minute]) -> list[Minute]:
        return lines

    def opened(self, period: int, line: Minute) -> dict[str, bytes]:
        claims, moment = self.replayed(line)
        self._before = period
        try:
            filed = self.write(period, claims, moment, with_v1=False)
        finally:
            self._before = None
        return {name: raw for one in filed.values() for name, raw in one.files().items()}

    def replayed(self, line: Minute) -> tuple[Claims, Moment]:
        """Return what the state was at a line."""
        now, self._play.engine = self._play.engine, Engine.restore(self.states[line.n], name="line")
        coins, self.coins = self.coins, self._coins_of(self._play.engine)
        try:
            claims = self.claims()
            return claims, self.moment(claims)._replace(height=line.height, block_hash=line.block_hash)
        finally:
            self._play.engine, self.coins = now, coins

    def _coins_of(self, engine: Engine) -> dict[int, int]:
        claims = claims_of(tables_of(engine.state), [], custody_account=0)
        return {asset: claims.net(asset) for asset in claimed_assets(claims)}

    def lines(self, period: int) -> list[Minute]:
        raw = (self.folder / "minutes" / name_of(period)).read_bytes()
        return list(read_period(raw, self.publisher.public))


def equity(claims: Claims, currency: str, account: int) -> int:
    return max(int(claims.equities[BY_CURRENCY[currency].number, account]), 0)


def without(claims: Claims, asset: int, account: int, amount: int) -> Claims:
    """Return claims in which an account is owed less, and every sum says so too."""
    equities, coins = claims.equities.copy(), claims.coins.copy()
    equities[asset, account] -= amount
    coins[asset, account] -= amount
    wallets = list(claims.wallets)
    wallets[asset] -= amount
    return claims._replace(equities=equities, coins=coins, wallets=tuple(wallets))


# ---- cheats


class OmitsAClient(Operator):
    """Leaves one account out of the snapshot, and says that less came in."""

    victim = 2

    def publish(self) -> SnapshotEntry:
        asset = 0
        amount = equity(Operator.claims(self), "XBt", self.victim)
        self.coins[asset] -= amount
        try:
            return super().publish()
        finally:
            self.coins[asset] += amount

    def write(self, number: int, claims: Claims, moment: Moment, *, with_v1: bool = True) -> dict[str, Filed]:
        if not with_v1:
            return super().write(number, claims, moment, with_v1=with_v1)
        amount = equity(claims, "XBt", self.victim)
        return super().write(number, without(claims, 0, self.victim, amount), moment, with_v1=with_v1)


class LowersOneBalance(OmitsAClient):
    """Owes one account one unit less than its own statement says."""

    def publish(self) -> SnapshotEntry:
        self.coins[0] -= 1
        try:
            return Operator.publish(self)
        finally:
            self.coins[0] += 1

    def write(self, number: int, claims: Claims, moment: Moment, *, with_v1: bool = True) -> dict[str, Filed]:
        return Operator.write(self, number, without(claims, 0, self.victim, 1), moment, with_v1=with_v1)


class BorrowsForTheSnapshot(Operator):
    """Has half of the coins, and all of them in the minutes in which it publishes."""

    borrowed = False

    def reserves(self) -> dict[int, int]:
        return {asset: amount if self.borrowed else amount // 2 for asset, amount in self.coins.items()}

    def publish(self) -> SnapshotEntry:
        self.borrowed = True
        try:
            return super().publish()
        finally:
            self.borrowed = False


class LiesInMinutes(Operator):
    """Commits to half of what it owes, minute by minute, for coins that it has not: a snapshot tells the truth."""

    def minute(self, because: str = "minute") -> Minute:
        self._halves = True
        try:
            return super().minute(because)
        finally:
            self._halves = False

    _halves = False

    def claims(self) -> Claims:
        claims = super().claims()
        if not self._halves:
            return claims
        return without(claims, 0, 1, int(claims.equities[0, 1]) // 2)


class ForksTheHeaders(Operator):
    """Begins the chain of headers anew, as if an earlier snapshot had never been."""

    def previous(self) -> dict[str, bytes]:
        return {}


class ReplaysAnOldFile(Operator):
    """Publishes the files of an earlier snapshot once more, because they looked better."""

    def write(self, number: int, claims: Claims, moment: Moment, *, with_v1: bool = True) -> dict[str, Filed]:
        if number == 1 or not with_v1:
            self._old = super().write(number, claims, moment, with_v1=with_v1)
        return self._old


class OpensWhatItLikes(Operator):
    """Opens another minute than the one that was drawn."""

    def chosen(self, lines: list[Minute]) -> list[Minute]:
        others = [one for one in self.lines(0) if one.n not in {line.n for line in lines}]
        return others[: len(lines)]


class TellsTwoStories(Operator):
    """Has another history for some: the last snapshot is another one."""

    def other_index(self) -> bytes:
        from ringfence.assurance.proofs.index import encode

        index = self.publication.index
        last = index.snapshots[-1]
        changed = {
            currency: msgspec.structs.replace(asset, total=str(int(asset.total) - 1))
            for currency, asset in last.assets.items()
        }
        other = msgspec.structs.replace(last, assets=changed)
        return encode(
            msgspec.structs.replace(index, snapshots=(*index.snapshots[:-1], other)), self.publisher
        )
