"""The statements under one root in a file, with their nonces: what proofs of inclusion are made of."""

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ringfence.commitments.tree import HASH_BYTES, Proof, leaves_of, proof_of, root_of

_MAGIC = b"RFSTMT01"
_HEAD = struct.Struct("<8sQ")
_ENTRY = struct.Struct(f"<Q{HASH_BYTES}s")


def write_statements(path: Path, nonces: Sequence[bytes], statements: Sequence[bytes]) -> None:
    """Write the statements of accounts 1, 2, 3 ... whole or not at all; nothing is synced."""
    offset, entries = 0, []
    for nonce, statement in zip(nonces, statements, strict=True):
        entries.append(_ENTRY.pack(offset, nonce))
        offset += len(statement)
    aside = path.with_suffix(".laying")
    aside.write_bytes(b"".join((_HEAD.pack(_MAGIC, len(entries)), *entries, *statements)))
    aside.chmod(0o600)
    aside.rename(path)


class Inclusion(NamedTuple):
    """An account's statement, its nonce, and its way up to a root."""

    statement: bytes
    nonce: bytes
    proof: Proof
    accounts_root: bytes


def inclusion_of(path: Path, account: int) -> Inclusion:
    """Return the proof of one account. Raises ValueError if the file is damaged, LookupError, OSError."""
    nonces, statements = read_statements(path)
    if not 0 < account <= len(statements):
        raise LookupError(f"account {account} is not under the root of {path.stem}")
    leaves = leaves_of(nonces, statements)
    return Inclusion(
        statements[account - 1], nonces[account - 1], proof_of(leaves, account - 1), root_of(leaves)
    )


def read_statements(path: Path) -> tuple[list[bytes], list[bytes]]:
    """Return (nonces, statements). Raises ValueError if the file is not what was written, OSError."""
    raw = path.read_bytes()
    try:
        magic, count = _HEAD.unpack_from(raw)
        if magic != _MAGIC:
            raise ValueError(f"{path.name} holds no statements")
        begin = _HEAD.size + count * _ENTRY.size
        entries = list(_ENTRY.iter_unpack(raw[_HEAD.size : begin]))
    except struct.error as error:
        raise ValueError(f"{path.name} is cut off") from error
    ends = [offset for offset, _ in entries[1:]] + [len(raw) - begin]
    statements = [raw[begin + offset : begin + end] for (offset, _), end in zip(entries, ends, strict=True)]
    return [nonce for _, nonce in entries], statements
