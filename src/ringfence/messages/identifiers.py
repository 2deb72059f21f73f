"""Identifiers of the wire and the numbers they stand for.

An order is named by its *handle*: the low 32 bits of the sequence number of the command that placed
it, then its slot in the engine's order table. The engine finds the slot with one load and checks the
sequence bits, so a stale handle never names somebody else's order. On the wire the same numbers
appear as a UUID (RFC 9562 version 8), so nothing needs to be remembered to translate back.
"""

from hashlib import blake2b

ORDER, TRADE, EXECUTION, TRANSACTION = 0, 1, 2, 3
_VERSION_VARIANT = (8 << 76) | (2 << 62)


def wire_id(tag: int, number: int, low: int = 0) -> str:
    """Return the UUID text of a 60-bit number, a tag of 0..15 and a low part of 56 bits."""
    value = (
        (number >> 12) << 80
        | _VERSION_VARIANT
        | (number & 0xFFF) << 64
        | (tag & 0xF) << 56
        | low & 0xFF_FFFF_FFFF_FFFF
    )
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def parse_wire_id(text: str) -> tuple[int, int, int] | None:
    """Return (tag, number, low) of a UUID that `wire_id` made, None for any other text."""
    if len(text) != 36:
        return None
    try:
        value = int(text.replace("-", ""), 16)
    except ValueError:
        return None
    tag = value >> 56 & 0xF
    number = value >> 80 << 12 | value >> 64 & 0xFFF
    low = value & 0xFF_FFFF_FFFF_FFFF
    return (tag, number, low) if wire_id(tag, number, low) == text.lower() else None


def order_id(sequence: int, handle: int) -> str:
    """Return the wire orderID of the order placed by command `sequence`."""
    return wire_id(ORDER, sequence, handle & 0xFFFFFFFF)


def order_handle(sequence: int, slot: int) -> int:
    return (sequence & 0xFFFFFFFF) << 32 | slot


def handle_of(order_id_text: str) -> int | None:
    """Return the engine handle that an orderID names, None if it is no orderID of ours."""
    parsed = parse_wire_id(order_id_text)
    if parsed is None or parsed[0] != ORDER:
        return None
    return order_handle(parsed[1], parsed[2] & 0xFFFFFFFF)


def clid_hash(client_order_id: str) -> int:
    """Return the 64-bit hash by which the engine knows a clOrdID; never 0.

    Scope is one account, so a collision can only confuse the account that went looking for it.
    """
    digest = blake2b(client_order_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") or 1
