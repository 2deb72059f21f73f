"""One asset's files of one cut: from what everybody is owed to what is published."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ringfence.assurance.proofs import bitmex, porl2
from ringfence.assurance.proofs.claims import FEES_ACCOUNT, IN_FLIGHT_ACCOUNT, Claims, Int64s
from ringfence.assurance.proofs.hashes import DIGEST_BYTES, digest
from ringfence.assurance.proofs.header import (
    FORMAT,
    V1,
    Cut,
    Figures,
    Header,
    House,
    Sums,
    header_of,
    seed_of,
)
from ringfence.assurance.proofs.pieces import Pieces, Stream, split
from ringfence.assurance.proofs.publisher import Publisher
from ringfence.assurance.proofs.secrets import account_nonce, login_hash, snapshot_key, sub_nonce, uid_tag
from ringfence.assurance.proofs.tree import SHARD_LEVEL, Level, records_v2, v2_levels
from ringfence.units.assets import ASSETS

SOFTWARE = "ringfence 0.1.0"


class Names(NamedTuple):
    """What is known of accounts beside their balances, and what hides them."""

    epoch_key: bytes
    logins: Sequence[str]
    """By account number; those beyond its end are called as the exchange calls an account without a name."""

    def login(self, account: int) -> str:
        if account in _HOUSE:
            return _HOUSE[account]
        return login_of(account, self.logins[account] if account < len(self.logins) else "")


_HOUSE = {FEES_ACCOUNT: "fees", IN_FLIGHT_ACCOUNT: "deposits in flight"}


def login_of(account: int, name: str) -> str:
    """Return by which name a client knows an account: what `GET /user` shows as `username`."""
    return name or f"account-{account}"


class Coins(NamedTuple):
    """What is known of an asset beside the claims: ledger units, at the same sequence."""

    net_deposits: int
    demo: int
    in_flight: int
    """Deposits that a chain has and that nobody was credited yet."""


class Filed(NamedTuple):
    """The files of one asset."""

    currency: str
    header: Header
    root: bytes
    porl2: bytes
    top: bytes
    csv: bytes
    bind: bytes
    owners: Int64s
    """(pieces,): account of each leaf that is worth something: what its owner may be told, and nobody else."""
    places: Int64s
    """(pieces,): where it is."""

    @property
    def snapshot_root(self) -> bytes:
        return self.header.snapshot_root(self.root)

    def files(self) -> dict[str, bytes]:
        """Return content by name; the two of BitMEX's format may be missing."""
        named = {
            "porl2": self.porl2, "header": self.header.raw, "top": self.top, "liabilities.csv": self.csv,
            "bind": self.bind,
        }  # fmt: skip
        return {f"{self.currency}.{ending}": content for ending, content in named.items() if content}


class _Row(NamedTuple):
    """The owners of one asset's leaves, house last, and the secrets of each."""

    accounts: list[int]
    balances: "np.typing.NDArray[np.int64]"
    nonces: list[bytes]
    owners: list[porl2.Owner]


def write_asset(
    asset: int, claims: Claims, cut: Cut, *, names: Names, coins: Coins, previous: bytes, reserves: bytes,
    publisher: Publisher, shuffle_key: bytes, with_v1: bool = True,
) -> Filed:  # fmt: skip
    """Return an asset's files. `previous`, `reserves`: digests. `shuffle_key`: 32 bytes of this use only.

    Raises ValueError if what accounts are owed is not what came in: then nothing may be published.
    """
    _check_identity(asset, claims, coins)
    row = _owners(asset, claims, cut, names, coins)
    stream = Stream(shuffle_key)
    pieces = split(row.balances, stream)
    free = DIGEST_BYTES * len(pieces.free)
    leaves = porl2.leaves_of(pieces, row.owners, stream.take(free))
    levels = v2_levels(leaves)
    csv, bind, v1 = _bitmex(pieces, row, cut, stream) if with_v1 else (b"", b"", V1())
    sums = Sums(
        demo=str(coins.demo), fees=str(claims.fees[asset]), in_flight=str(coins.in_flight),
        negative=str(claims.negative(asset)), net_deposits=str(coins.net_deposits),
        pending=str(claims.pending[asset]), unrealised=str(claims.unrealised[asset]),
        wallets=str(claims.wallets[asset]),
    )  # fmt: skip
    figures = Figures(
        format=FORMAT, house=_house(claims, cut, row, pieces, names), leaves=pieces.leaves,
        previous=previous.hex(), reserves=reserves.hex(), software=SOFTWARE, sums=sums,
        total=str(int(levels[-1].values[0])), v1=v1,
    )  # fmt: skip
    header, root = header_of(cut, figures), levels[-1].digests
    top = records_v2(levels[min(SHARD_LEVEL, len(levels) - 1)])
    return Filed(
        cut.asset, header, root, porl2.encode(header, leaves, root, publisher), top, csv, bind,
        owners=np.array(row.accounts, np.int64)[pieces.owners], places=pieces.places,
    )  # fmt: skip


def _check_identity(asset: int, claims: Claims, coins: Coins) -> None:
    if claims.net(asset) != coins.net_deposits:
        raise ValueError(
            f"{ASSETS[asset].currency}: wallets, profit, pending and fees come to {claims.net(asset)}, and "
            f"{coins.net_deposits} came in"
        )


def _owners(asset: int, claims: Claims, cut: Cut, names: Names, coins: Coins) -> _Row:
    held = claims.equities[asset]
    house = (claims.insurance_account,) if claims.insurance_account else ()
    clients = np.setdiff1d(np.flatnonzero(held > 0), np.array(house, np.int64)).tolist()
    accounts = [*clients, *house, FEES_ACCOUNT, IN_FLIGHT_ACCOUNT]
    extra = [max(int(held[one]), 0) for one in house] + [max(claims.fees[asset], 0), coins.in_flight]
    balances = np.concatenate([held[clients], np.array(extra, np.int64)])
    seed, venue = seed_of(cut), bytes.fromhex(cut.venue)
    nonces = [account_nonce(names.epoch_key, cut.asset, one) for one in accounts]
    owners = [
        porl2.Owner(snapshot_key(nonce, seed, one), uid_tag(venue, one, login_hash(names.login(one)), seed))
        for one, nonce in zip(accounts, nonces, strict=True)
    ]
    return _Row(accounts, balances, nonces, owners)


def _bitmex(pieces: Pieces, row: _Row, cut: Cut, stream: Stream) -> tuple[bytes, bytes, V1]:
    free = DIGEST_BYTES * len(pieces.free)
    keys = [sub_nonce(nonce, cut.height, one) for one, nonce in zip(row.accounts, row.nonces, strict=True)]
    leaves: Level = bitmex.leaves_of(pieces, keys, stream.take(free))
    csv, root = bitmex.encode(cut.height, leaves)
    bind = bitmex.bind(pieces, leaves, [owner.uid_tag for owner in row.owners], stream.take(free))
    return csv, bind, V1(bind=digest(bind).hex(), file=digest(csv).hex(), root=root.hex())


def _house(claims: Claims, cut: Cut, row: _Row, pieces: Pieces, names: Names) -> tuple[House, ...]:
    """Return everything that opens the leaves of who is no client."""
    count = len(row.accounts)
    first = count - 2 - bool(claims.insurance_account)
    return tuple(
        House(
            account=row.accounts[at], balance=str(int(row.balances[at])), key=row.owners[at].key.hex(),
            leaves=tuple(sorted(pieces.places[pieces.owners == at].tolist())),
            login=names.login(row.accounts[at]), name=_HOUSE.get(row.accounts[at], "insurance fund"),
            nonce=sub_nonce(row.nonces[at], cut.height, row.accounts[at]).hex(),
        )
        for at in range(first, count)
    )  # fmt: skip
