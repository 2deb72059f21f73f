"""Bytes into whole messages. What is garbled is passed over, as the standard says: no number is used up by it."""

import re
from collections.abc import Iterator

BYTES_MAX = 8_192
_BEGIN = b"8=FIX"
_HEAD = re.compile(rb"8=[^\x01=]{1,16}\x019=([0-9]{1,6})\x01")
_HEAD_BYTES_MAX = 2 + 16 + 1 + 2 + 6 + 1
_TRAILER = re.compile(rb"10=([0-9]{3})\x01")
_TRAILER_BYTES = 7


class TooLong(Exception):
    """A message says that it is longer than any that is taken."""


def checksum(data: bytes) -> int:
    return sum(data) & 0xFF


class Framer:
    """Takes a message's bytes in any pieces. `garbled` counts what was passed over."""

    def __init__(self) -> None:
        self._held = b""
        self.garbled = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield every whole message whose length and checksum are right. Raises TooLong."""
        self._held += data
        while True:
            self._skip_to_begin()
            head = _HEAD.match(self._held)
            if head is None:
                if len(self._held) < _HEAD_BYTES_MAX:
                    return
                self._pass_over()
                continue
            length = int(head[1])
            if length > BYTES_MAX:
                raise TooLong(f"a message of {length} bytes; at most {BYTES_MAX} are taken")
            end = head.end() + length
            if len(self._held) < end + _TRAILER_BYTES:
                return
            trailer = _TRAILER.match(self._held, end)
            body = self._held[:end]
            if trailer is None or not body.endswith(b"\x01") or int(trailer[1]) != checksum(body):
                self._pass_over()
                continue
            self._held = self._held[end + _TRAILER_BYTES :]
            yield body + trailer[0]

    def _skip_to_begin(self) -> None:
        """Drop what cannot be a message's beginning."""
        at = self._held.find(_BEGIN)
        if at < 0:
            # The beginning of the next one may be here in part.
            kept = next((n for n in range(len(_BEGIN) - 1, 0, -1) if self._held.endswith(_BEGIN[:n])), 0)
            at = len(self._held) - kept
        if at:
            self.garbled += 1
            self._held = self._held[at:]

    def _pass_over(self) -> None:
        """Leave this beginning; the next one, or a part of it, may be anywhere behind it."""
        self._held = self._held[1:]
