"""Publishes snapshots: takes one state, writes every asset's files, has the coins shown, and puts it all out at once.

proofs/private/000001/   equities.npy, snapshot.json: what opens accounts, and what an auditor shuffles again with
"""

import asyncio
import os
import random
import shutil
import time
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from ringfence.assurance.proofs.claims import claimed_assets
from ringfence.assurance.proofs.errors import InconclusiveError
from ringfence.assurance.proofs.hashes import NONE, digest
from ringfence.assurance.proofs.header import Header, read_header
from ringfence.assurance.proofs.index import SnapshotEntry
from ringfence.assurance.proofs.liabilities import Coins, Filed, Names
from ringfence.assurance.proofs.minutes import lines_of, name_of
from ringfence.assurance.proofs.publication import Publication
from ringfence.assurance.proofs.publisher import Publisher
from ringfence.assurance.proofs.report import Report, report_page, withheld_page
from ringfence.assurance.proofs.schedule import Schedule
from ringfence.assurance.proofs.secrets import account_nonce, epoch_of
from ringfence.assurance.proofs.snapshot import Moment, entry_of, with_files, write_assets
from ringfence.assurance.proofs.verify import Claimant, verify_bitmex, verify_porl2
from ringfence.daemons.control import prove_control
from ringfence.daemons.proof_desk import Desk, Opened
from ringfence.daemons.proof_minutes import MinuteKeeper, Taken
from ringfence.daemons.proof_secrets import EpochKeys, home_of
from ringfence.daemons.reserves import ListedReserves, list_reserves
from ringfence.daemons.venue import JUDGES
from ringfence.files import replace
from ringfence.units.assets import ASSETS, BY_CURRENCY
from ringfence.units.time import NS_PER_SECOND

VERIFIER = "verifier.html"
ASKED = "asked"
"""The file by which an operator asks for a snapshot; the index says of one that it was asked for."""
_REPORT_IS_OLD_SECONDS = 60
_PATIENCE_SECONDS = 300.0
"""A judge that is not as far is waited for, e.g. after a start; then it counts as one that is not content."""
_SHUFFLE_KEY_BYTES = 32
_CLIENTS_LOOKED_FOR = 2
"""Of each asset before it is published, one in each format."""
_TRIES, _TRY_SECONDS = 5, 5.0
"""A payment that has left and is not debited yet makes coins look short for a moment."""


class WithheldError(Exception):
    """A judge is not content, so nothing is published but a page that says so."""


class _Private(msgspec.Struct, frozen=True):
    """What is kept of a snapshot beside the equities."""

    epoch: int
    logins: list[str]
    shuffle_keys: dict[str, str]
    """By currency: with it, an auditor shuffles again."""


class _Drawn(NamedTuple):
    """Everything of a snapshot before anybody has shown coins."""

    taken: Taken
    moment: Moment
    listed: ListedReserves
    filed: dict[str, Filed]
    shuffle_keys: list[bytes]

    @property
    def is_covered(self) -> bool:
        """Return whether coins, those for demonstration included, are what is owed."""
        return all(
            self.listed.totals.get(currency, 0)
            + self.listed.paid_ahead.get(currency, 0)
            + int(one.header.figures.sums.demo)
            >= _net_of(one.header)
            for currency, one in self.filed.items()
        )


def _net_of(header: Header) -> int:
    return int(header.figures.total) - int(header.figures.sums.negative)


class Snapshots:
    """The one who publishes snapshots of a venue."""

    def __init__(
        self, directory: Path, publisher: Publisher, keys: EpochKeys, schedule: Schedule, *, desk: Desk
    ) -> None:
        """Raises OSError, ForgedError."""
        home = home_of(directory)
        self._directory, self._publisher, self._keys, self._desk = directory, publisher, keys, desk
        self._folder, self._private = home / "published", home / "private"
        self.publication = Publication(self._folder, publisher, period=schedule.period_seconds)
        self._waits_since: float | None = None
        # Who is looked for is nobody's business beforehand.
        self._random = random.SystemRandom()
        self._put_out_verifier()
        self._put_on_desk()

    def _put_out_verifier(self) -> None:
        """Put the page that checks all of it beside the files: the same bytes as in the source."""
        page = resources.files("ringfence.assurance.proofs").joinpath(VERIFIER).read_bytes()
        path = self._folder / VERIFIER
        replace(path, page)
        path.chmod(0o644)

    @property
    def current(self) -> int:
        """Return the number of the newest snapshot, by which the period of the moment is called; 0 before the first."""
        newest = self.publication.newest()
        return newest.snapshot if newest is not None else 0

    @property
    def is_asked(self) -> bool:
        """Return whether an operator wants a snapshot beside those that are due."""
        return (home_of(self._directory) / ASKED).exists()

    @property
    def taken_ns(self) -> int:
        """Return of when the newest snapshot is, 0 before the first."""
        newest = self.publication.index.newest()
        return int(datetime.fromisoformat(newest.timestamp).timestamp()) * NS_PER_SECOND if newest else 0

    async def publish(self, minutes: MinuteKeeper) -> SnapshotEntry:
        """Publish the next snapshot, of a state that is taken now.

        Raises WithheldError if a judge is not content: that is said instead, once. Raises InconclusiveError if
        something is not there yet, ValueError if the books do not add up, OSError, HsmError, ReserveError.
        """
        reason = self._why_not()
        if reason is not None:
            self._withhold(reason, await asyncio.to_thread(minutes.take))
            raise WithheldError(reason)
        number = self.publication.next_snapshot
        drawn = await self._draw(number, minutes)
        for _ in range(_TRIES - 1):
            if drawn.is_covered:
                break
            await asyncio.sleep(_TRY_SECONDS)
            drawn = await self._draw(number, minutes)
        await asyncio.to_thread(self._read_again, drawn)
        files = {name: content for one in drawn.filed.values() for name, content in one.files().items()}
        files |= await self._show_coins(drawn.listed, drawn.filed)
        because = "asked" if self.is_asked else "schedule" if self.current else "first"
        entry = with_files(
            entry_of(number, drawn.taken.claims, drawn.moment, because=because, assets={}), drawn.filed,
            drawn.listed.totals,
        )  # fmt: skip
        files["report.html"] = self._report(entry, drawn, files)
        self._keep(number, drawn)
        published = await asyncio.to_thread(self._put_out, minutes, entry, files)
        (home_of(self._directory) / ASKED).unlink(missing_ok=True)
        self._put_on_desk()
        return published

    # ---- parts of it

    async def _draw(self, number: int, minutes: MinuteKeeper) -> _Drawn:
        taken = await asyncio.to_thread(minutes.take)
        below = taken.claims.sequence
        listed = await list_reserves(self._directory, snapshot=number, below=below)
        moment = self._moment(taken, listed)
        keys = [os.urandom(_SHUFFLE_KEY_BYTES) for _ in moment.coins]
        waiting = iter(keys)
        filed = await asyncio.to_thread(
            write_assets, number, taken.claims, moment, previous=self._previous(),
            reserves=digest(listed.reserves), publisher=self._publisher, shuffle_key=lambda: next(waiting),
        )  # fmt: skip
        return _Drawn(taken, moment, listed, filed, keys)

    def _moment(self, taken: Taken, listed: ListedReserves) -> Moment:
        claims, known = taken.claims, taken.known
        assets = set(claimed_assets(claims)) | {BY_CURRENCY[one].number for one in listed.totals}
        coins = {
            asset: Coins(
                known.backed.get(asset, 0) + known.demo.get(asset, 0), known.demo.get(asset, 0),
                listed.in_flight.get(ASSETS[asset].currency, 0),
            )
            for asset in assets
        }  # fmt: skip
        return Moment(
            root=taken.signed.root, height=listed.height, block_hash=listed.block_hash, instruments=known.instruments,
            names=Names(self._keys.of(epoch_of(claims.timestamp_ns)), known.logins), coins=coins,
        )  # fmt: skip

    def _read_again(self, drawn: _Drawn) -> None:
        """Read every file as a stranger does, and look for a client in each (I28). Raises ProofError."""
        for currency, one in drawn.filed.items():
            equities = drawn.taken.claims.equities[BY_CURRENCY[currency].number]
            owed = np.flatnonzero(equities > 0).tolist()
            drawn_by_lot = self._random.sample(owed, min(_CLIENTS_LOOKED_FOR, len(owed)))
            claimants = [self._claimant(drawn, currency, account) for account in drawn_by_lot] or [None]
            verify_porl2(one.porl2, claimants[0], venue=self._publisher.venue)
            verify_bitmex(one.csv, claimants[-1], header=one.header, sidecar=one.bind)

    def _claimant(self, drawn: _Drawn, currency: str, account: int) -> Claimant | None:
        names = drawn.moment.names
        return Claimant(
            account, names.login(account), account_nonce=account_nonce(names.epoch_key, currency, account),
            expected=int(drawn.taken.claims.equities[BY_CURRENCY[currency].number, account]),
        )  # fmt: skip

    async def _show_coins(self, listed: ListedReserves, filed: dict[str, Filed]) -> dict[str, bytes]:
        roots = {name: one.snapshot_root.hex() for name, one in filed.items() if name in listed.totals}
        control = await prove_control(self._directory, reserves=listed.reserves, snapshot_roots=roots)
        return {"reserves.json": listed.reserves, "reserves.yaml": listed.yaml, "control.json": control}

    def _previous(self) -> dict[str, bytes]:
        """Return the digest of each asset's newest header."""
        found: dict[str, bytes] = {}
        for one in self.publication.index.snapshots:
            found |= {currency: bytes.fromhex(asset.header) for currency, asset in one.assets.items()}
        return found

    def _report(self, entry: SnapshotEntry, drawn: _Drawn, files: dict[str, bytes]) -> bytes:
        minutes = lines_of(self._folder / "minutes", self.current, self._publisher.public)
        return report_page(
            Report(
                entry=entry, headers={name: one.header for name, one in drawn.filed.items()},
                before=self.publication.index, minutes=minutes, files=files,
            )
        )  # fmt: skip

    def _put_out(
        self, minutes: MinuteKeeper, entry: SnapshotEntry, files: dict[str, bytes]
    ) -> SnapshotEntry:  # fmt: skip
        """Publish; no line is written to a period once the index has it as a whole."""
        with minutes.lock:
            return self.publication.publish(entry, files, closes=self._ending())

    def _ending(self) -> list[str]:
        """Return the file of the period that a snapshot ends: from then on lines are written to another one."""
        path = self._folder / "minutes" / name_of(self.current)
        return [path.name] if path.exists() else []

    # ---- when nothing may be published

    def _why_not(self) -> str | None:
        """Return what a judge has found, None if all of them are content.

        Raises InconclusiveError while a judge has found nothing and is only not as far, after a start for some minutes.
        """
        waiting = ""
        for judge in JUDGES:
            path = self._directory / "judges" / f"{judge}.report.json"
            try:
                report = msgspec.json.decode(path.read_bytes())
                age = datetime.now(UTC) - datetime.fromisoformat(report["timestamp"])
                red, findings = report["red"], [f"{one['law']}: {one['what']}" for one in report["findings"]]
            except (OSError, KeyError, ValueError, msgspec.MsgspecError) as error:
                waiting = f"the {judge} has not reported: {error}"
                continue
            if findings:
                return f"{red} checks of the {judge} are red ({'; '.join(findings)})"
            if age.total_seconds() > _REPORT_IS_OLD_SECONDS:
                waiting = f"the {judge} has not reported for {age.total_seconds():.0f} s"
            elif red:
                waiting = f"{red} checks of the {judge} were not made for too long"
        if not waiting:
            self._waits_since = None
            return None
        self._waits_since = self._waits_since or time.monotonic()
        if time.monotonic() - self._waits_since > _PATIENCE_SECONDS:
            return waiting
        raise InconclusiveError(waiting)

    def _withhold(self, reason: str, taken: Taken) -> None:
        last = self.publication.index.snapshots[-1] if self.publication.index.snapshots else None
        if last is not None and last.withheld is not None:
            return
        moment = Moment(taken.signed.root, 0, NONE.hex(), {}, Names(b"", ()), {})
        entry = entry_of(
            self.publication.next_snapshot,
            taken.claims,
            moment,
            because="withheld",
            assets={},
            withheld=reason,
        )
        self.publication.withhold(entry, withheld_page(entry))

    # ---- what is kept

    def _keep(self, number: int, drawn: _Drawn) -> None:
        """Keep what opens accounts, before anything is published that it would have to open."""
        place = self._private / f"{number:06d}"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(mode=0o700, parents=True)
        claims, names = drawn.taken.claims, drawn.moment.names
        np.save(place / "equities.npy", claims.equities)
        for currency, one in drawn.filed.items():
            order = np.argsort(one.owners, kind="stable")
            np.save(place / f"{currency}.owners.npy", one.owners[order])
            np.save(place / f"{currency}.places.npy", one.places[order])
        keys = {name: key.hex() for name, key in zip(drawn.filed, drawn.shuffle_keys, strict=True)}
        private = _Private(epoch_of(claims.timestamp_ns), list(names.logins), keys)
        replace(place / "snapshot.json", msgspec.json.encode(private))

    def _put_on_desk(self) -> None:
        newest = self.publication.index.newest()
        if newest is None:
            return
        place = self._private / newest.folder
        private = msgspec.json.decode((place / "snapshot.json").read_bytes(), type=_Private)
        headers = {
            currency: read_header((self._folder / newest.folder / f"{currency}.header").read_bytes())
            for currency in newest.assets
        }
        self._desk.newest = Opened(
            snapshot=newest.snapshot, folder=newest.folder, height=newest.height, created=newest.timestamp,
            equities=np.load(place / "equities.npy"), names=Names(self._keys.of(private.epoch), private.logins),
            seeds={currency: header.seed for currency, header in headers.items()},
            totals={currency: header.figures.total for currency, header in headers.items()},
            owners={currency: np.load(place / f"{currency}.owners.npy") for currency in headers},
            places={currency: np.load(place / f"{currency}.places.npy") for currency in headers},
        )  # fmt: skip
