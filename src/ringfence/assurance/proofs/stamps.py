"""Time stamps: that a digest existed before a block of Bitcoin, in OpenTimestamps' format, which others read too.

The work is done by the `opentimestamps` package; here it is put to our digests and our errors.
"""

from collections.abc import Iterator
from typing import NamedTuple

from bitcoin.core import CBlock, CBlockHeader
from opentimestamps.bitcoin import make_timestamp_from_block
from opentimestamps.core.notary import BitcoinBlockHeaderAttestation, VerificationError
from opentimestamps.core.op import OpSHA256
from opentimestamps.core.serialize import (
    BytesDeserializationContext,
    BytesSerializationContext,
    DeserializationError,
)
from opentimestamps.core.timestamp import DetachedTimestampFile, Timestamp

from ringfence.assurance.proofs.errors import ForgedError
from ringfence.assurance.proofs.hashes import DIGEST_BYTES

_OP_RETURN, _PUSH_32 = 0x6A, 0x20
HEADER_BYTES = 80


class Attested(NamedTuple):
    """A block whose header has to hold a digest as the root of its transactions."""

    height: int
    digest: bytes


def anchor_script(digest: bytes) -> bytes:
    """Return the output that puts a digest into a transaction and holds no coins."""
    assert len(digest) == DIGEST_BYTES
    return bytes((_OP_RETURN, _PUSH_32)) + digest


def stamp_from_block(digest: bytes, block: bytes, height: int) -> bytes | None:
    """Return the stamp of a digest that a transaction of a block holds, None if none does."""
    timestamp = make_timestamp_from_block(digest, CBlock.deserialize(block), height)
    return None if timestamp is None else _encode(digest, timestamp)


def stamp_from_calendar(digest: bytes, receipt: bytes) -> bytes:
    """Return the stamp that a calendar has promised: `ots upgrade` completes it. Raises ForgedError."""
    try:
        timestamp = Timestamp.deserialize(BytesDeserializationContext(receipt), digest)
    except (DeserializationError, ValueError) as error:
        raise ForgedError(f"the calendar's answer is no time stamp: {error}") from error
    return _encode(digest, timestamp)


def _encode(digest: bytes, timestamp: Timestamp) -> bytes:
    context = BytesSerializationContext()
    DetachedTimestampFile(OpSHA256(), timestamp).serialize(context)
    assert timestamp.msg == digest
    return bytes(context.getbytes())


def read_stamp(raw: bytes, digest: bytes) -> list[Attested]:
    """Return the blocks that a stamp of a digest names; none if it only has promises. Raises ForgedError."""
    try:
        file = DetachedTimestampFile.deserialize(BytesDeserializationContext(raw))
    except (DeserializationError, ValueError, RecursionError) as error:
        raise ForgedError(f"this is no time stamp: {error}") from error
    if file.file_digest != digest:
        raise ForgedError(f"the stamp is of {file.file_digest.hex()}, not of {digest.hex()}")
    return list(_attested(file.timestamp))


def _attested(timestamp: Timestamp) -> Iterator[Attested]:
    for message, attestation in timestamp.all_attestations():
        if isinstance(attestation, BitcoinBlockHeaderAttestation):
            yield Attested(attestation.height, message)


def check_header(attested: Attested, header: bytes) -> str:
    """Return the hash of the block with this header of 80 bytes, if it holds what was stamped. Raises ForgedError."""
    if len(header) != HEADER_BYTES:
        raise ForgedError(f"a block's header has {HEADER_BYTES} bytes, not {len(header)}")
    block = CBlockHeader.deserialize(header)
    try:
        BitcoinBlockHeaderAttestation(attested.height).verify_against_blockheader(attested.digest, block)
    except VerificationError as error:
        raise ForgedError(f"block {attested.height} does not hold what was stamped") from error
    return str(block.GetHash()[::-1].hex())
