"""A WebSocket text frame as a server sends it (RFC 6455, section 5.2): unmasked, so one serves everyone."""

import struct

_TEXT_FINAL = 0x81
_MEDIUM, _LONG = struct.Struct(">BBH"), struct.Struct(">BBQ")


def text_frame(payload: bytes) -> bytes:
    """Return the frame of a whole text message."""
    size = len(payload)
    if size < 126:
        return bytes((_TEXT_FINAL, size)) + payload
    if size < 1 << 16:
        return _MEDIUM.pack(_TEXT_FINAL, 126, size) + payload
    return _LONG.pack(_TEXT_FINAL, 127, size) + payload
