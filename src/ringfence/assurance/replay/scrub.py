"""What is taken out of commands: names, clOrdIDs and free texts. The engine gives the same events without them.

Accounts keep their numbers, which say in which order they were opened and nothing else; see
docs/decisions/0010. A clOrdID's hash becomes another number, the same for the same text, under a key that
nobody keeps.
"""

import hashlib

from ringfence.messages.batch import (
    CHECKS,
    CONFIGURATION_TEXT,
    CONSTITUENTS,
    HALT_REASON,
    PEOPLE_LIST,
    REFUSED_BECAUSE,
    RESUME_STATEMENT,
    SIGNATURES,
    SPECIFICATION,
    decode_slots,
    encode_data,
)
from ringfence.messages.commands import Command
from ringfence.messages.layouts import COMMAND_NAMES, COMMAND_STRUCT
from ringfence.messages.layouts import RECORD_BYTES as SLOT

PUBLIC_TEXTS = frozenset(
    (
        SPECIFICATION,
        CONSTITUENTS,
        HALT_REASON,
        RESUME_STATEMENT,
        SIGNATURES,
        PEOPLE_LIST,
        CONFIGURATION_TEXT,
        CHECKS,
        REFUSED_BECAUSE,
    )
)
_AT = {name: COMMAND_NAMES.index(name) for name in ("clid", "orig_clid", "request", "origin", "kind")}
_BLANK_DATA = bytes(58) + bytes((Command.DATA,)) + bytes(5)


class Scrubber:
    def __init__(self, key: bytes) -> None:
        self._key = key

    def scrub(self, commands: bytes) -> bytes:
        """Return the slots of a frame, as many as there were."""
        out: list[bytes] = []
        position, count = 0, len(commands) // SLOT
        while position < count:
            row = list(COMMAND_STRUCT.unpack_from(commands, position * SLOT))
            for name in ("clid", "orig_clid"):
                row[_AT[name]] = self._other(row[_AT[name]])
            row[_AT["request"]] = row[_AT["origin"]] = 0
            out.append(COMMAND_STRUCT.pack(*row))
            end = position + 1
            while end < count and commands[end * SLOT + 58] == Command.DATA:
                end += 1
            out.append(self._texts(commands[position * SLOT : end * SLOT], end - position - 1))
            position = end
        return b"".join(out)

    def _texts(self, run: bytes, slots: int) -> bytes:
        """Return the texts of one command that are everybody's, in as many slots."""
        kept = encode_data([item for item in decode_slots(run, 0).items() if item[0] in PUBLIC_TEXTS])
        assert len(kept) <= slots * SLOT
        return kept + _BLANK_DATA * (slots - len(kept) // SLOT)

    def _other(self, word: int) -> int:
        if not word:
            return 0
        digest = hashlib.blake2b(word.to_bytes(8, "little"), digest_size=8, key=self._key).digest()
        return int.from_bytes(digest, "little") | 1
