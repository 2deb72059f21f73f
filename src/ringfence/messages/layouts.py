"""The binary layouts in plain words: what stands where in 64 bytes, little endian, one cache line.

Layout is wire format: the journal keeps commands for ever, so a field may be added in spare bytes
and nothing may move. `tests/golden` holds the bytes. `VERSION` is in every journal frame. Nothing here
needs NumPy: `records.py` derives its array types from this, others take records apart with `struct`.

A command's *sequence number* is its place in the journal and its *timestamp* is that of its frame,
so neither is stored in the record. A command may be followed by DATA slots that carry text; they
have sequence numbers of their own and the engine passes over them.
"""

import struct

VERSION = 1
RECORD_BYTES = 64
DISPLAY_ALL = 0xFFFFFFFF

Fields = tuple[tuple[str, str], ...]
"""Names with their type: u or i and the number of bytes, V for raw bytes."""

COMMAND_FIELDS: Fields = (
    ("handle", "u8"),  # order to cancel or amend, 0 = look it up by orig_clid; PLACE: instructions()
    ("qty", "i8"),  # orderQty, leavesQty, amount, rate, mark: what the kind says
    ("clid", "u8"),  # hash of the (new) clOrdID, 0 = none
    ("orig_clid", "u8"),  # hash of the clOrdID to cancel or amend; PLACE: of the clOrdLinkID
    ("request", "u8"),  # the gateway's token, echoed back; the engine never looks at it
    ("px", "i4"),  # limit price in ticks, 0 = none
    ("stop_px", "i4"),  # trigger price in ticks, 0 = none
    ("account", "u4"),
    ("display", "u4"),  # displayQty; DISPLAY_ALL = not an iceberg, 0 = hidden
    ("symbol", "u2"),  # instrument number 1..63; for funds the asset number
    ("kind", "u1"),  # Command
    ("type", "u1"),  # OrderType of a PLACE; parameter number of a CONFIGURE
    ("flags", "u2"),  # OrderFlag bits
    ("origin", "u2"),  # which gateway connection wrote it; 0 = the sequencer itself
)

DATA_FIELDS: Fields = (
    ("payload", "V56"),
    ("index", "u2"),  # 0, 1, 2 ... after the command it belongs to
    ("kind", "u1"),  # Command.DATA, at the same offset as in COMMAND
    ("length", "u1"),  # bytes of payload used
    ("spare", "u4"),
)

EVENT_FIELDS: Fields = (
    ("sequence", "u8"),  # of the command that caused it
    ("handle", "u8"),
    ("maker_handle", "u8"),
    ("qty", "i8"),
    ("amount", "i8"),
    ("maker_amount", "i8"),
    ("px", "i4"),
    ("account", "u4"),
    ("maker_account", "u4"),
    ("symbol", "u2"),
    ("kind", "u1"),  # Event
    ("flags", "u1"),
)

_CODES = {"u1": "B", "u2": "H", "u4": "I", "u8": "Q", "i4": "i", "i8": "q"}


def packed(fields: Fields) -> struct.Struct:
    """Return the `struct` of a record: its fields as a tuple, in their order."""
    return struct.Struct("<" + "".join([_CODES.get(code, f"{code[1:]}s") for _, code in fields]))


COMMAND_STRUCT, DATA_STRUCT, EVENT_STRUCT = packed(COMMAND_FIELDS), packed(DATA_FIELDS), packed(EVENT_FIELDS)
COMMAND_NAMES = tuple(name for name, _ in COMMAND_FIELDS)
EVENT_NAMES = tuple(name for name, _ in EVENT_FIELDS)

assert COMMAND_STRUCT.size == DATA_STRUCT.size == EVENT_STRUCT.size == RECORD_BYTES
