"""The binary records as NumPy arrays: commands in, events out. What stands where says `layouts.py`."""

import numpy as np

from ringfence.messages.layouts import (
    COMMAND_FIELDS,
    DATA_FIELDS,
    DISPLAY_ALL,
    EVENT_FIELDS,
    RECORD_BYTES,
    VERSION,
)

__all__ = ["COMMAND", "DATA", "DISPLAY_ALL", "EVENT", "RECORD_BYTES", "VERSION", "record"]


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


COMMAND, DATA, EVENT = record(*COMMAND_FIELDS), record(*DATA_FIELDS), record(*EVENT_FIELDS)

assert DATA.fields is not None
assert COMMAND.fields is not None
assert DATA.fields["kind"][1] == COMMAND.fields["kind"][1] == 58
