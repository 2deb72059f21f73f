"""The binary records: commands in, events out. 64 bytes each, little endian, one cache line.

Layout is wire format: the journal keeps commands for ever, so a field may be added in spare bytes
and nothing may move. `tests/golden` holds the bytes. `VERSION` is in every journal frame.

A command's *sequence number* is its place in the journal and its *timestamp* is that of its frame,
so neither is stored in the record. A command may be followed by DATA slots that carry text; they
have sequence numbers of their own and the engine passes over them.
"""

import numpy as np

VERSION = 1
RECORD_BYTES = 64


def record(*fields: tuple[str, str], size: int = RECORD_BYTES) -> np.dtype[np.void]:
    """Return a dtype of exactly `size` bytes with every field at its natural alignment."""
    names, formats, offsets = [], [], []
    offset = 0
    for name, code in fields:
        width = np.dtype(code).itemsize
        assert offset % width == 0, f"{name} is not aligned"
        names.append(name)
        formats.append("<" + code)
        offsets.append(offset)
        offset += width
    assert offset <= size, f"{offset} bytes do not fit {size}"
    return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": size})


COMMAND = record(
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

DATA = record(
    ("payload", "V56"),
    ("index", "u2"),  # 0, 1, 2 ... after the command it belongs to
    ("kind", "u1"),  # Command.DATA, at the same offset as in COMMAND
    ("length", "u1"),  # bytes of payload used
    ("spare", "u4"),
)

EVENT = record(
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

DISPLAY_ALL = 0xFFFFFFFF

assert DATA.fields is not None
assert COMMAND.fields is not None
assert DATA.fields["kind"][1] == COMMAND.fields["kind"][1] == 58
