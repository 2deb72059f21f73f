"""What is said beside a HALT: which law was broken, what should be and what is."""

from enum import StrEnum

import msgspec


class Reason(msgspec.Struct, frozen=True, omit_defaults=True):
    """The evidence of a halt, as it stands in the journal for everybody to read."""

    by: str
    """Who halts: a judge's name, or a person's."""
    what: str
    """One sentence: what is wrong, or why it is done."""
    law: str = ""
    """The invariant that was broken, e.g. I03; empty if a person halts."""
    expected: str = ""
    found: str = ""
    cut: int = 0
    """The sequence number at which both values were taken."""
    dump: str = ""
    """BLAKE2b-256 of the state dump that the judge has kept, hexadecimal."""


class Scheme(StrEnum):
    """How a person's key signs."""

    ED25519 = "ed25519"
    ECDSA_P256 = "ecdsa-p256-sha256"
    """What PIV cards, TPMs and most PKCS#11 tokens have; DER signature over SHA-256."""


class Signature(msgspec.Struct, frozen=True):
    """One person's signature below a statement."""

    name: str
    role: str
    signature: str
    """Hexadecimal."""


def encode_reason(reason: Reason) -> bytes:
    """Return the reason as JSON; texts that are too long are cut."""
    cut = {
        field: value[:400]
        for field in reason.__struct_fields__
        if isinstance(value := getattr(reason, field), str)
    }
    return msgspec.json.encode(msgspec.structs.replace(reason, **cut))


def decode_reason(raw: bytes) -> Reason:
    """Return the reason of a HALT; whatever cannot be read is shown as it is."""
    try:
        return msgspec.json.decode(raw, type=Reason)
    except msgspec.MsgspecError:
        return Reason(by="", what=raw.decode(errors="replace"))


def encode_signatures(signatures: list[Signature]) -> bytes:
    return msgspec.json.encode(signatures)


def decode_signatures(raw: bytes) -> list[Signature]:
    """Return the signatures beside a command. Raises ValueError if they cannot be read."""
    try:
        return msgspec.json.decode(raw, type=list[Signature])
    except msgspec.MsgspecError as error:
        raise ValueError(f"the signatures cannot be read: {error}") from error
