"""Balances of Ethereum against the state root of a named block, offline: EIP-1186 proofs, and what addresses are.

A balance is in the leaf of a trie whose root is in the block's header, whose hash is the block's name. Whoever knows
that name from a node of their own knows the balance. Nodes of the tries are shared among accounts, so all are in one
list; one that is missing leaves the balance unproven, one that is changed has another hash and is no node any more.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import rlp
from coincurve import PublicKey
from Crypto.Hash import keccak
from trie import HexaryTrie
from trie.exceptions import (
    MissingTraversalNode,
    MissingTrieNode,
)

from ringfence.assurance.proofs.errors import ForgedError
from ringfence.assurance.proofs.reserves.bitcoin import derived_key, extended

CLIENTS = 1
"""Addresses are at `m/1/NUMBER` below the shared key."""
_ADDRESS_BYTES = 20
_PLACES = {"parent": 0, "state_root": 3, "number": 8}
_HEADER_FIELDS_MIN, _HEADER_FIELDS_MAX = 15, 32
_XPUB = "main"


class Layout(NamedTuple):
    """Where a token keeps who has how much."""

    slot: int
    is_vyper: bool
    """Vyper hashes the slot before the address, Solidity after it."""

    def place(self, address: bytes) -> bytes:
        parts = [address.rjust(32, b"\0"), self.slot.to_bytes(32, "big")]
        return keccak_256(b"".join(reversed(parts) if self.is_vyper else parts))


LAYOUTS = {
    ("eip155:1", "0xdAC17F958D2ee523a2206206994597C13D831ec7"): Layout(2, is_vyper=False),
    ("eip155:31337", "0xDf297B7F8C54fE12888F398394175cA479B5d07a"): Layout(2, is_vyper=True),
}
"""By chain and contract: Tether's dollar, and the one of the development chain. Where a balance lies is a matter of the
contract's code, so whoever publishes a list does not get to say it."""


class Account(NamedTuple):
    nonce: int
    balance: int
    storage_root: bytes
    code_hash: bytes


EMPTY_ROOT: bytes = bytes.fromhex("56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421")
"""Of a trie without entries."""


class Header(NamedTuple):
    digest: bytes
    parent: bytes
    state_root: bytes
    height: int


class _Nodes(dict[bytes, bytes]):
    """Nodes by their hash, that know which of them were looked at."""

    def __init__(self, nodes: Iterable[bytes]) -> None:
        super().__init__((keccak_256(node), node) for node in nodes)
        self.used: set[bytes] = set()

    def __getitem__(self, key: bytes) -> bytes:
        found = super().__getitem__(key)
        self.used.add(key)
        return found


class Proof:
    """Nodes of tries, by their hash."""

    def __init__(self, nodes: Iterable[bytes]) -> None:
        self._nodes = _Nodes(nodes)

    def unused(self) -> int:
        """Return how many nodes have proven nothing so far."""
        return len(self._nodes) - len(self._nodes.used)

    def account(self, state_root: bytes, address: bytes) -> Account | None:
        """Return what the state says of an address, None if it says that there is nothing. Raises ForgedError."""
        found = self._value(state_root, keccak_256(address), f"account 0x{address.hex()}")
        if not found:
            return None
        fields = _decoded(found, f"account 0x{address.hex()}")
        if not _is_list(fields, 4) or len(fields[2]) != 32 or len(fields[3]) != 32:
            raise ForgedError(f"account 0x{address.hex()}: what the trie holds is no account")
        return Account(
            int.from_bytes(fields[0], "big"),
            int.from_bytes(fields[1], "big"),
            bytes(fields[2]),
            bytes(fields[3]),
        )

    def storage(self, storage_root: bytes, place: bytes) -> int:
        """Return what a contract keeps at a place. Raises ForgedError."""
        if storage_root == EMPTY_ROOT:
            return 0
        found = self._value(storage_root, keccak_256(place), f"storage {place.hex()}")
        return int.from_bytes(_decoded(found, "storage"), "big") if found else 0

    def _value(self, root: bytes, key: bytes, what: str) -> bytes:
        try:
            return bytes(HexaryTrie(self._nodes, root)[key])
        except (MissingTrieNode, MissingTraversalNode, KeyError) as error:
            raise ForgedError(f"{what}: a node of the proof is missing or was changed") from error
        except Exception as error:  # what a node that is none makes of the library
            raise ForgedError(f"{what}: the proof is none: {type(error).__name__}") from error


def read_header(raw: bytes) -> Header:
    """Return what of a block's header is needed; its hash is over all of it. Raises ForgedError."""
    fields = _decoded(raw, "the header")
    if not isinstance(fields, list) or not _HEADER_FIELDS_MIN <= len(fields) <= _HEADER_FIELDS_MAX:
        raise ForgedError("the header is no list of a header's fields")
    parent, state_root, number = (fields[place] for place in _PLACES.values())
    if not all(isinstance(one, bytes) for one in (parent, state_root, number)) or len(state_root) != 32:
        raise ForgedError("the header has no state root")
    return Header(keccak_256(raw), bytes(parent), bytes(state_root), int.from_bytes(number, "big"))


def address_of(key: str, number: int) -> bytes:
    """Return the address with a number below an extended public key. Raises ForgedError."""
    point = PublicKey(derived_key(extended(key, _XPUB), (CLIENTS, number))).format(compressed=False)
    return keccak_256(point[1:])[-_ADDRESS_BYTES:]


def spelt(address: bytes) -> str:
    """Return an address with the checksum in its capitals (EIP-55)."""
    digits = address.hex()
    marks = keccak_256(digits.encode()).hex()
    return "0x" + "".join(
        one.upper() if int(mark, 16) >= 8 else one for one, mark in zip(digits, marks, strict=False)
    )


def keccak_256(raw: bytes) -> bytes:
    return keccak.new(digest_bits=256, data=raw).digest()


def _decoded(raw: bytes, what: str) -> Any:
    try:
        return rlp.decode(raw, strict=True)
    except Exception as error:  # rlp's errors have no common name that is exported
        raise ForgedError(f"{what} is no RLP: {error}") from error


def _is_list(found: object, length: int) -> bool:
    return isinstance(found, list) and len(found) == length and all(isinstance(one, bytes) for one in found)
