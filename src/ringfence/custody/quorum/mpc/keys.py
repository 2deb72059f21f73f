"""A key that nobody has: what everybody knows of it, what people order for it, and what parties sign about it."""

import hashlib
from collections.abc import Callable
from enum import StrEnum

import msgspec

from ringfence.custody.quorum.messages import statement
from ringfence.custody.quorum.mpc.engine import Scheme

NAME_BYTES_MAX = 32
Verify = Callable[[str, bytes, str], bool]
"""Whether somebody's identity has signed: name, digest, signature in hexadecimal."""


class KeyRecord(msgspec.Struct, frozen=True):
    """One epoch of a key. The public key is the same in all of them."""

    name: str
    scheme: Scheme
    epoch: int
    threshold: int
    parties: tuple[str, ...]
    """By place, the first is 1."""
    public_key: str
    """Compressed, hexadecimal."""
    package: str
    """Verifying shares, as the engine writes them, hexadecimal."""
    chain_code: str = ""
    """ECDSA: what keys below this one are derived with (BIP32), hexadecimal; the same in all epochs."""

    @property
    def digest(self) -> str:
        return hashlib.sha256(b"ringfence key 1" + msgspec.json.encode(self, order="sorted")).hexdigest()

    def place_of(self, name: str) -> int:
        """Raises ValueError."""
        return self.parties.index(name) + 1


class What(StrEnum):
    CREATE = "create"
    REFRESH = "refresh"
    """New shares for everybody; the old ones are worth nothing beside them."""
    RESTORE = "restore"
    """Who holds a place gets a share of the epoch in force, from `threshold` others; a refresh has to follow."""
    REVIEW = "review"
    """People have looked at why runs failed; the key goes on."""


class Order(msgspec.Struct, frozen=True):
    """What is to be done with a key. People sign it; each order is carried out once."""

    what: What
    key: str
    scheme: Scheme
    epoch: int
    """The one that comes of it; of a restore and a review, the one that is in force."""
    threshold: int
    parties: tuple[str, ...]
    """All places, in their order."""
    target: str
    """Who is to be restored; empty otherwise."""
    nonce: str
    at_ns: int

    @property
    def digest(self) -> bytes:
        return statement(b"mpc order", msgspec.json.encode(self, order="sorted").decode())


class SignedOrder(msgspec.Struct, frozen=True):
    order: Order
    signatures: tuple[tuple[str, str], ...]
    """(person, Ed25519 signature of the order's digest), hexadecimal."""


class Conduct(msgspec.Struct, frozen=True, tag="mpcConduct"):
    """Take part in carrying out an order. Who has to be told what the key is now is told by `record`."""

    signed: SignedOrder
    record: KeyRecord | None
    """The epoch in force, for who may have lost it; None before there is one."""


class Ready(msgspec.Struct, frozen=True, tag="mpcReady"):
    """A party has its part of a new epoch, on its disk, and says which epoch that is."""

    signer: str
    order: str
    record: KeyRecord
    signature: str
    """By the identity key, of `statement(b"mpc ready", order, record digest)`."""

    @property
    def digest(self) -> bytes:
        return statement(b"mpc ready", self.signer, self.order, self.record.digest)


class Adopt(msgspec.Struct, frozen=True, tag="mpcAdopt"):
    """Put a new epoch into force: every party has said that it is ready, and that it is the same one."""

    signed: SignedOrder
    ready: tuple[Ready, ...]


class Review(msgspec.Struct, frozen=True, tag="mpcReview"):
    """Go on with a key that has rested since its runs failed."""

    signed: SignedOrder


class Keys(msgspec.Struct, frozen=True, tag="mpcKeys"):
    """Which keys a co-signer has a share of, and how they stand."""


class KeyStanding(msgspec.Struct, frozen=True):
    key: str
    scheme: Scheme
    epoch: int
    public_key: str
    failures: int
    """Runs that have failed in a row."""
    banned: tuple[str, ...]


class KeysHeld(msgspec.Struct, frozen=True, tag="mpcKeysHeld"):
    signer: str
    keys: tuple[KeyStanding, ...]


class Adopted(msgspec.Struct, frozen=True, tag="mpcAdopted"):
    """A party has put an epoch into force and destroyed what opened its share of the one before: its receipt."""

    signer: str
    key: str
    record: str
    """Digest of the record in force."""
    epoch: int
    erased: int
    """The epoch whose share nobody can open any more; 0 = there was none."""
    signature: str

    @property
    def digest(self) -> bytes:
        return statement(b"mpc adopted", self.signer, self.key, self.record, self.epoch, self.erased)


class Transcript(msgspec.Struct, frozen=True):
    """A ceremony as anybody can check it: what was ordered, what each party has said."""

    signed: SignedOrder
    ready: tuple[Ready, ...]
    adopted: tuple[Adopted, ...]

    @property
    def record(self) -> KeyRecord:
        return self.ready[0].record


class TranscriptError(Exception):
    """The ceremony is not what it says: the key is not to be used."""


def check_ready(order: Order, ready: tuple[Ready, ...], verify: Verify) -> KeyRecord:
    """Return what all parties have agreed on. Raises TranscriptError."""
    digest = order.digest.hex()
    if sorted(one.signer for one in ready) != sorted(order.parties):
        raise TranscriptError(f"ready are {', '.join(one.signer for one in ready) or 'none'}, all have to be")
    for one in ready:
        if one.order != digest or not verify(one.signer, one.digest, one.signature):
            raise TranscriptError(f"{one.signer} has not signed that it is ready for this order")
    record = ready[0].record
    if any(one.record != record for one in ready):
        raise TranscriptError("the parties have not come to the same key")
    said = (record.name, record.scheme, record.epoch, record.threshold, record.parties)
    if said != (order.key, order.scheme, order.epoch, order.threshold, order.parties):
        raise TranscriptError("what came out is not what was ordered")
    return record


def check_transcript(transcript: Transcript, verify: Verify) -> KeyRecord:
    """Return the record of a ceremony that has come to its end. Raises TranscriptError."""
    order = transcript.signed.order
    record = check_ready(order, transcript.ready, verify)
    if sorted(one.signer for one in transcript.adopted) != sorted(order.parties):
        raise TranscriptError("not every party has put the new epoch into force")
    for one in transcript.adopted:
        is_of_it = (one.key, one.record, one.epoch) == (order.key, record.digest, order.epoch)
        if not is_of_it or not verify(one.signer, one.digest, one.signature):
            raise TranscriptError(f"the receipt of {one.signer} is not of this ceremony")
    return record
