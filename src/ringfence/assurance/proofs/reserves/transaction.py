"""Proofs of control on Bitcoin, byte by byte: what BIP-322 signs, and the signatures that a witness has to hold.

Nothing is taken from custody, which builds the same with other code.
"""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from coincurve import PublicKey

from ringfence.assurance.proofs.errors import ForgedError
from ringfence.assurance.proofs.reserves.bitcoin import OPERATIONS_NEEDED, POLICY_NEEDED, Hot, Vault, hash160

_TAG = hashlib.sha256(b"BIP0322-signed-message").digest()
_OP_RETURN_OUTPUT = bytes(8) + b"\1\x6a"
_VERSION = _LOCK_TIME = _SEQUENCE = bytes(4)
_SIGHASH_ALL = 1
_ITEM_BYTES_MAX, _INPUTS_MAX = 10_000, 1_000
_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0


class Spent(NamedTuple):
    """What an input of a proof names."""

    outpoint: str
    amount: int
    whose: Vault | Hot


def to_spend_id(message: str, challenge: bytes) -> bytes:
    """Return the id of the transaction that holds a message, as it is in an input."""
    digest = hashlib.sha256(_TAG + _TAG + message.encode()).digest()
    begin = _VERSION + b"\1" + bytes(32) + b"\xff\xff\xff\xff" + b"\x22\x00\x20" + digest + _SEQUENCE
    return _double(begin + b"\1" + bytes(8) + _sized(challenge) + _LOCK_TIME)


def check_proof(raw: bytes, message: str, challenge: Vault | Hot, coins: Sequence[Spent]) -> None:
    """Return if a proof is signed as it has to be for exactly these coins. Raises ForgedError."""
    outpoints = [
        to_spend_id(message, challenge.script) + bytes(4),
        *(_outpoint(one.outpoint) for one in coins),
    ]
    witnesses = _witnesses(raw, outpoints)
    whose, amounts = [challenge, *(one.whose for one in coins)], [0, *(one.amount for one in coins)]
    before, sequences = _double(b"".join(outpoints)), _double(_SEQUENCE * len(outpoints))
    after = _double(_OP_RETURN_OUTPUT)
    for place, witness in enumerate(witnesses):
        name = f"input {place}"
        code = _code(whose[place])
        digest = _double(
            _VERSION + before + sequences + outpoints[place] + _sized(code) + amounts[place].to_bytes(8, "little")
            + _SEQUENCE + after + _LOCK_TIME + _SIGHASH_ALL.to_bytes(4, "little")
        )  # fmt: skip
        _check_witness(witness, whose[place], digest, name)


def _check_witness(witness: list[bytes], whose: Vault | Hot, digest: bytes, name: str) -> None:
    """Raises ForgedError unless it is the one form of witness that the script takes, and its signatures are good."""
    if isinstance(whose, Hot):
        if len(witness) != 2 or witness[1] != whose.key:
            raise ForgedError(f"{name}: the witness is no signature and key")
        _check_signatures([witness[0]], (whose.key,), digest, name)
        return
    if (
        len(witness) != 7
        or witness[0]
        or witness[2]
        or witness[5] != b"\1"
        or witness[6] != whose.witness_script
    ):
        raise ForgedError(f"{name}: the witness is none of one of policy and two of operations")
    _check_signatures(witness[1:2], whose.policy, digest, f"{name}, policy")
    _check_signatures(witness[3:5], whose.operations, digest, f"{name}, operations")


def _check_signatures(signatures: list[bytes], keys: tuple[bytes, ...], digest: bytes, name: str) -> None:
    """As `OP_CHECKMULTISIG` does: each by another key, in the order of the keys. Raises ForgedError."""
    assert len(signatures) in (1, POLICY_NEEDED, OPERATIONS_NEEDED)
    left = iter(keys)
    for signature in signatures:
        if not any(_is_signed(signature, key, digest) for key in left):
            raise ForgedError(f"{name}: a signature is none of the keys that are left for it")


def _is_signed(signature: bytes, key: bytes, digest: bytes) -> bool:
    if not 9 <= len(signature) <= 73 or signature[-1] != _SIGHASH_ALL or not is_strict_der(signature[:-1]):
        return False
    try:
        return bool(PublicKey(key).verify(signature[:-1], digest, hasher=None))
    except Exception:  # libsecp256k1's errors are bare ones
        return False


def is_strict_der(raw: bytes) -> bool:
    """Return whether r and s are written in the one way of BIP66, s in its lower half."""
    found = []
    if raw[:1] != b"\x30" or raw[1] != len(raw) - 2:
        return False
    rest = raw[2:]
    for _ in range(2):
        if len(rest) < 3 or rest[0] != 2 or not 1 <= rest[1] <= 33 or len(rest) < 2 + rest[1]:
            return False
        value, rest = rest[2 : 2 + rest[1]], rest[2 + rest[1] :]
        if value[0] & 0x80 or (len(value) > 1 and not value[0] and not value[1] & 0x80):
            return False
        found.append(int.from_bytes(value, "big"))
    return not rest and found[0] > 0 and 0 < found[1] <= _HALF_ORDER


def _code(whose: Vault | Hot) -> bytes:
    if isinstance(whose, Hot):
        return b"\x76\xa9\x14" + hash160(whose.key) + b"\x88\xac"
    return whose.witness_script


def _witnesses(raw: bytes, outpoints: list[bytes]) -> list[list[bytes]]:
    """Return the witnesses, if the transaction is what it has to be otherwise. Raises ForgedError."""
    inputs = b"".join(outpoint + b"\0" + _SEQUENCE for outpoint in outpoints)
    begin = _VERSION + b"\0\1" + _count(len(outpoints)) + inputs + b"\1" + _OP_RETURN_OUTPUT
    if not raw.startswith(begin) or not raw.endswith(_LOCK_TIME):
        raise ForgedError("the transaction that is signed is not the one of this message and these coins")
    reader = _Reader(raw[len(begin) : -len(_LOCK_TIME)])
    found = [[reader.item() for _ in range(reader.count())] for _ in outpoints]
    if reader.left():
        raise ForgedError(f"{reader.left()} bytes follow the witnesses")
    return found


class _Reader:
    def __init__(self, raw: bytes) -> None:
        self._raw, self._at = raw, 0

    def count(self) -> int:
        """Return a compact size in its shortest form."""
        first = self._take(1)[0]
        if first < 0xFD:
            return first
        value = int.from_bytes(self._take(2), "little")
        if first != 0xFD or value < 0xFD:
            raise ForgedError("a length in a witness is not written in its one way")
        return value

    def item(self) -> bytes:
        size = self.count()
        if size > _ITEM_BYTES_MAX:
            raise ForgedError(f"{size} bytes in a witness are too many")
        return self._take(size)

    def left(self) -> int:
        return len(self._raw) - self._at

    def _take(self, size: int) -> bytes:
        taken = self._raw[self._at : self._at + size]
        if len(taken) < size:
            raise ForgedError("the transaction ends in a witness")
        self._at += size
        return taken


def _outpoint(text: str) -> bytes:
    txid, _, vout = text.partition(":")
    return bytes.fromhex(txid)[::-1] + int(vout).to_bytes(4, "little")


def _count(value: int) -> bytes:
    assert value <= _INPUTS_MAX
    return bytes((value,)) if value < 0xFD else b"\xfd" + value.to_bytes(2, "little")


def _sized(raw: bytes) -> bytes:
    return _count(len(raw)) + raw


def _double(raw: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(raw).digest()).digest()
