"""What was published, in a folder: whole snapshots or nothing, and a signed list of all of it.

    index.json  000001/ ...  minutes/  openings/

A snapshot is written beside its place and renamed once every file is synced; only then the index names it. A process
that dies in between leaves a folder that the next start removes.
"""

import os
import shutil
import threading
from collections.abc import Mapping, Sequence
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
        self._lock = threading.Lock()
        """Held while the index is changed: minutes, snapshots and openings come from several threads."""
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

    def newest(self) -> SnapshotEntry | None:
        """Return the newest snapshot that was published."""
        return self.index.newest()

    @property
    def next_snapshot(self) -> int:
        return self.index.snapshots[-1].snapshot + 1 if self.index.snapshots else 1

    def publish(
        self, entry: SnapshotEntry, files: Mapping[str, bytes], *, closes: Sequence[str] = ()
    ) -> SnapshotEntry:  # fmt: skip
        """Publish a snapshot; return its entry with its files. Raises OSError: then nothing was published.

        `closes`: files of the chain of minutes that nothing is written to any more from here on.
        """
        whole = msgspec.structs.replace(
            entry, files={name: entry_of(content) for name, content in files.items()}
        )
        _write_folder(self._folder / entry.folder, files)
        with self._lock:
            self._sign(snapshots=(*self.index.snapshots, whole), minutes=self._with_minutes(closes))
        return whole

    def withhold(self, entry: SnapshotEntry, page: bytes) -> None:
        """Say that a snapshot was withheld and why, instead of publishing it. Raises OSError."""
        self.publish(entry, {"withheld.html": page})

    def open(self, minutes: Mapping[str, Mapping[str, bytes]]) -> None:
        """Publish minutes that were drawn, each under `openings/NAME`; listed all at once. Raises OSError."""
        listed: dict[str, FileEntry] = {}
        for name, files in minutes.items():
            _write_folder(self._folder / OPENINGS / name, files)
            listed |= {f"{OPENINGS}/{name}/{file}": entry_of(content) for file, content in files.items()}
        with self._lock:
            self._sign(openings={**self.index.openings, **listed})

    def list_minutes(self, *names: str) -> None:
        """List files of the chain of minutes that are complete, and their time stamps. Raises OSError."""
        with self._lock:
            self._sign(minutes=self._with_minutes(names))

    def _with_minutes(self, names: Sequence[str]) -> dict[str, FileEntry]:
        folder = self._folder / MINUTES
        return self.index.minutes | {
            f"{MINUTES}/{name}": entry_of((folder / name).read_bytes()) for name in names
        }

    def _sign(self, **changes: object) -> None:
        index = msgspec.structs.replace(self.index, **changes)
        path = self._folder / signed_index.NAME
        if index == self.index and path.exists():
            return
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
