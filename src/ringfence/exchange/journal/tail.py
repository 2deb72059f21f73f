"""Frames as they are written: for judges, who follow the journal itself and not what was published of it."""

import os
from pathlib import Path
from typing import NamedTuple

from ringfence.exchange.journal.errors import JournalCorruptError
from ringfence.exchange.journal.frame import HEADER_BYTES, Damage, Frame, decode, frame_bytes
from ringfence.exchange.journal.reader import SUFFIX


class JournalPlace(NamedTuple):
    """Between two frames."""

    segment: int = 0
    offset: int = 0
    next_sequence: int = 0


class JournalTail:
    """Reads on from where it is; `read` returns the next frame, None if there is none yet."""

    def __init__(self, directory: Path, place: JournalPlace) -> None:
        self._directory = directory
        self._number, self._offset, self.next_sequence = place
        self._descriptor = -1

    @property
    def place(self) -> JournalPlace:
        return JournalPlace(self._number, self._offset, self.next_sequence)

    def read(self) -> Frame | None:
        """Raises JournalCorruptError if what stands there is no frame and something whole comes after it."""
        while True:
            if self._descriptor < 0 and not self._open():
                return None
            size = frame_bytes(os.pread(self._descriptor, HEADER_BYTES, self._offset))
            found = decode(os.pread(self._descriptor, size, self._offset), 0) if size else Damage("no header")
            if isinstance(found, Frame):
                if found.first_sequence != self.next_sequence:
                    raise self._corrupt(
                        f"it begins at sequence {found.first_sequence}, not {self.next_sequence}"
                    )
                self._offset += found.size
                self.next_sequence = found.next_sequence
                return found
            if self._name_of(self._number + 1) is None:
                return None  # it is being written
            if os.pread(self._descriptor, HEADER_BYTES, self._offset).strip(b"\0"):
                raise self._corrupt(found.what)
            self.close()
            self._number, self._offset = self._number + 1, 0

    def _corrupt(self, what: str) -> JournalCorruptError:
        name = self._name_of(self._number) or ""
        return JournalCorruptError(segment=name, offset=self._offset, sequence=self.next_sequence, what=what)

    def _name_of(self, number: int) -> str | None:
        return next((path.name for path in self._directory.glob(f"{number:08d}-*{SUFFIX}")), None)

    def _open(self) -> bool:
        name = self._name_of(self._number)
        if name is None:
            return False
        self._descriptor = os.open(self._directory / name, os.O_RDONLY)
        return True

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
