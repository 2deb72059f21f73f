"""What was published, in a folder: whole snapshots or nothing, and a signed list of all of it.

    index.json  000001/ ...  minutes/  openings/

A snapshot is written beside its place and renamed once every file is synced; only then the index names it. A process
that dies in between leaves a folder that the next start removes.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import msgspec

from ringfence.assurance.proofs import index as signed_index
from ringfence.assurance.proofs.index import FileEntry, Index, SnapshotEntry, entry_of
from ringfence.assurance.proofs.publisher import Publisher
from ringfence.files import replace, sync_directory

MINUTES, OPENINGS = "minutes", "openings"
_ASIDE = ".writing"


class Publication:
    """The one writer of a folder."""

    def __init__(self, folder: Path, publisher: Publisher, *, period: int) -> None:
        """`period`: seconds between two snapshots. Raises OSError, ForgedError if the index there is not ours."""
        self._folder, self._publisher = folder, publisher
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        self.index = Index(minutes={}, openings={}, period=period, snapshots=(), venue=publisher.venue.hex())
        path = folder / signed_index.NAME
        if path.exists():
            found, _ = signed_index.decode(path.read_bytes(), venue=publisher.venue)
            self.index = msgspec.structs.replace(found, period=period)
        listed = {one.folder for one in self.index.snapshots}
        for stray in folder.iterdir():
            # Digits: a snapshot that no index names was never published.
            if stray.name.endswith(_ASIDE) or (stray.name.isdigit() and stray.name not in listed):
                shutil.rmtree(stray)

    @property
    def next_snapshot(self) -> int:
        return self.index.snapshots[-1].snapshot + 1 if self.index.snapshots else 1

    def publish(self, entry: SnapshotEntry, files: Mapping[str, bytes]) -> SnapshotEntry:
        """Publish a snapshot; return its entry with its files. Raises OSError: then nothing was published."""
        listed = {name: entry_of(content) for name, content in files.items()}
        _write_folder(self._folder / entry.folder, files)
        whole = msgspec.structs.replace(entry, files=listed)
        self._sign(msgspec.structs.replace(self.index, snapshots=(*self.index.snapshots, whole)))
        return whole

    def withhold(self, entry: SnapshotEntry, page: bytes) -> None:
        """Say that a snapshot was withheld and why, instead of publishing it. Raises OSError."""
        self.publish(entry, {"withheld.html": page})

    def open(self, minutes: Mapping[str, Mapping[str, bytes]]) -> None:
        """Publish minutes that were drawn, each under `openings/NAME`; listed all at once. Raises OSError."""
        listed = dict(self.index.openings)
        for name, files in minutes.items():
            _write_folder(self._folder / OPENINGS / name, files)
            listed |= {f"{OPENINGS}/{name}/{file}": entry_of(content) for file, content in files.items()}
        self._sign(msgspec.structs.replace(self.index, openings=listed))

    def list_minutes(self, *names: str) -> None:
        """List files of the chain of minutes that are complete, and their time stamps. Raises OSError."""
        listed = dict(self.index.minutes)
        for name in names:
            listed[f"{MINUTES}/{name}"] = entry_of((self._folder / MINUTES / name).read_bytes())
        if listed != self.index.minutes:
            self._sign(msgspec.structs.replace(self.index, minutes=listed))

    def _sign(self, index: Index) -> None:
        path = self._folder / signed_index.NAME
        replace(path, signed_index.encode(index, self._publisher))
        path.chmod(0o644)
        sync_directory(self._folder)
        self.index = index


def _write_folder(place: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder whole or not at all."""
    aside = place.with_name(place.name + _ASIDE)
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(mode=0o755, parents=True)
    for name, content in files.items():
        with open(aside / name, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    sync_directory(aside)
    if place.exists():
        shutil.rmtree(place)
    aside.rename(place)
    sync_directory(place.parent)


def listed_files(index: Index) -> dict[str, FileEntry]:
    """Return every file that an index names, by its path in the folder."""
    found = {**index.minutes, **index.openings}
    for one in index.snapshots:
        found |= {f"{one.folder}/{name}": entry for name, entry in one.files.items()}
    return found
