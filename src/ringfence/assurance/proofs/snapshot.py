"""One snapshot from the state at one sequence: every asset's files, and the entry that the index has of them."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from ringfence.assurance.proofs.claims import Claims
from ringfence.assurance.proofs.header import Cut
from ringfence.assurance.proofs.index import AssetEntry, SnapshotEntry
from ringfence.assurance.proofs.liabilities import Coins, Filed, Names, write_asset
from ringfence.assurance.proofs.publisher import Publisher
from ringfence.commitments import Root
from ringfence.instruments.specification import Instrument
from ringfence.units.assets import ASSETS
from ringfence.units.time import iso


class Moment(NamedTuple):
    """What is known of a cut beside the claims."""

    root: Root
    """The signed state root of its sequence."""
    height: int
    block_hash: str
    instruments: Mapping[int, Instrument]
    names: Names
    coins: Mapping[int, Coins]
    """By asset, at the same sequence."""


def cut_of(asset: int, snapshot: int, claims: Claims, moment: Moment, venue: bytes) -> Cut:
    """Return what was known of an asset before there were leaves."""
    marks = {
        of.symbol: of.mark_text(claims.marks[number])
        for number, of in moment.instruments.items()
        if number in claims.marks and of.settle_asset == asset and claims.marks[number]
    }
    return Cut(
        accounts_root=moment.root.accounts_root.hex(), asset=ASSETS[asset].currency, block_hash=moment.block_hash,
        height=moment.height, marks=dict(sorted(marks.items())), scale=ASSETS[asset].scale, sequence=claims.sequence,
        snapshot=snapshot, state_root=moment.root.digest.hex(), timestamp=iso(claims.timestamp_ns), venue=venue.hex(),
    )  # fmt: skip


def write_assets(
    snapshot: int, claims: Claims, moment: Moment, *, previous: Mapping[str, bytes], reserves: bytes,
    publisher: Publisher, shuffle_key: Callable[[], bytes], with_v1: bool = True,
) -> dict[str, Filed]:  # fmt: skip
    """Return the files of every asset that `moment.coins` names, by currency.

    `previous`: digest of the last header of each asset. Raises ValueError if an asset does not add up.
    """
    return {
        ASSETS[asset].currency: write_asset(
            asset, claims, cut_of(asset, snapshot, claims, moment, publisher.venue), names=moment.names, coins=coins,
            previous=previous.get(ASSETS[asset].currency, bytes(32)), reserves=reserves, publisher=publisher,
            shuffle_key=shuffle_key(), with_v1=with_v1,
        )
        for asset, coins in sorted(moment.coins.items())
    }  # fmt: skip


def entry_of(
    snapshot: int, claims: Claims, moment: Moment, *, because: str, assets: Mapping[str, AssetEntry],
    withheld: str | None = None,
) -> SnapshotEntry:  # fmt: skip
    return SnapshotEntry(
        assets=dict(assets), because=because, files={}, folder=f"{snapshot:06d}", height=moment.height,
        sequence=claims.sequence, snapshot=snapshot, timestamp=iso(claims.timestamp_ns), withheld=withheld,
    )  # fmt: skip


def asset_entry(filed: Filed, *, reserves: int) -> AssetEntry:
    """Return what the index says of an asset; reserves in ledger units."""
    sums = filed.header.figures.sums
    return AssetEntry(
        demo=sums.demo, header=filed.header.digest.hex(), negative=sums.negative, reserves=str(reserves),
        snapshot_root=filed.snapshot_root.hex(), total=filed.header.figures.total,
    )  # fmt: skip


def with_files(
    entry: SnapshotEntry, files: Mapping[str, Filed], reserves: Mapping[str, int]
) -> SnapshotEntry:
    """Return an entry with what its assets come to."""
    assets = {
        currency: asset_entry(one, reserves=reserves.get(currency, 0)) for currency, one in files.items()
    }
    return msgspec.structs.replace(entry, assets=assets)
