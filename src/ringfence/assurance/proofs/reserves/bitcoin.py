"""Scripts, from what a stranger is told of them; nothing is taken from custody, which derives them in other ways.

Two forms of descriptor are understood, letter by letter. Whatever else somebody may spend by is not judged: a branch
that needs none of our keys would make the coins anybody's.

    wsh(or_i(and_v(v:multi(2,K,K,K),multi(1,K,K)),and_v(v:multi(3,X,X,X,X,X),older(N))))
    wpkh(X)                     K: 33 bytes in hexadecimal    X: an extended public key and a path, xpub.../0/17
"""

import hashlib
import re
from functools import lru_cache
from typing import NamedTuple

from coincurve import PublicKey
from Crypto.Hash import RIPEMD160
from embit.base58 import decode_check

from ringfence.assurance.proofs.errors import ForgedError, InconclusiveError

OPERATIONS_NEEDED, POLICY_NEEDED, RECOVERY_NEEDED = 2, 1, 3
_KEY = r"0[23][0-9a-f]{64}"
_EXTENDED = r"[1-9A-HJ-NP-Za-km-z]{100,120}(?:/(?:0|[1-9][0-9]{0,9})){2}"
_VAULT = re.compile(
    rf"wsh\(or_i\(and_v\(v:multi\(2,((?:{_KEY},){{2}}{_KEY})\),multi\(1,({_KEY},{_KEY})\)\),"
    rf"and_v\(v:multi\(3,((?:{_EXTENDED},){{4}}{_EXTENDED})\),older\(([1-9][0-9]{{0,4}})\)\)\)\)"
)
_HOT = re.compile(rf"wpkh\(({_EXTENDED})\)")
HOT_PATH = (1, 0)
"""Of the hot wallet's one address below its key."""
_CHECKSUM = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_INPUT = "0123456789()[],'/*abcdefgh@:$%{}IJKLMNOPQRSTUVWXYZ&+-.;<=>?!^_|~ijklmnopqrstuvwxyzABCDEFGH`#\"\\ "
_PUBLIC_VERSIONS = {"main": bytes.fromhex("0488b21e")}
_TEST_VERSION = bytes.fromhex("043587cf")
PREFIXES = {"main": "bc", "testnet": "tb", "signet": "tb", "regtest": "bcrt"}
_CHILD_MAX = 2**31 - 1
_SHA512_BLOCK = 128
_INNER, _OUTER = (bytes(byte ^ pad for byte in range(256)) for pad in (0x36, 0x5C))


class Extended(NamedTuple):
    """An extended public key."""

    key: bytes
    chain_code: bytes


class Vault(NamedTuple):
    """What a script of a vault says."""

    operations: tuple[bytes, ...]
    policy: tuple[bytes, ...]
    recovery: tuple[str, ...]
    """Extended public keys, in the order of the script."""
    path: tuple[int, int]
    recovery_keys: tuple[bytes, ...]
    recovery_blocks: int

    @property
    def witness_script(self) -> bytes:
        main = _multi(OPERATIONS_NEEDED, self.operations, 0xAF) + _multi(POLICY_NEEDED, self.policy, 0xAE)
        later = _multi(RECOVERY_NEEDED, self.recovery_keys, 0xAF) + _number(self.recovery_blocks) + b"\xb2"
        return b"\x63" + main + b"\x67" + later + b"\x68"

    @property
    def script(self) -> bytes:
        return b"\0\x20" + hashlib.sha256(self.witness_script).digest()


class Hot(NamedTuple):
    extended: str
    path: tuple[int, int]
    key: bytes

    @property
    def script(self) -> bytes:
        return b"\0\x14" + hash160(self.key)


def read_descriptor(text: str, network: str) -> Vault | Hot:
    """Return what a descriptor says. Raises InconclusiveError if it is of another form, ForgedError for false keys."""
    bare = _without_checksum(text)
    found = _VAULT.fullmatch(bare)
    if found is not None:
        operations, policy, recovery, blocks = found.groups()
        keys = tuple(bytes.fromhex(one) for one in operations.split(","))
        others = tuple(bytes.fromhex(one) for one in policy.split(","))
        if len({*keys, *others}) < len(keys) + len(others):
            raise ForgedError("a key is in the script twice: one holder would have two votes")
        paths = [_path(one) for one in recovery.split(",")]
        if len({path for _, path in paths}) > 1:
            raise ForgedError("the recovery keys of one script have several paths")
        derived = tuple(derived_key(extended(one, network), path) for one, path in paths)
        if len(set(derived)) < len(derived):
            raise ForgedError("a recovery key is in the script twice")
        if int(blocks) > 0xFFFF:
            raise ForgedError(f"a recovery after {blocks} blocks cannot be said in a script")
        return Vault(keys, others, tuple(one for one, _ in paths), paths[0][1], derived, int(blocks))
    found = _HOT.fullmatch(bare)
    if found is not None:
        one, path = _path(found[1])
        return Hot(one, path, derived_key(extended(one, network), path))
    raise InconclusiveError(
        f"a descriptor of another form, in which somebody else may spend as well: {text[:80]}"
    )


def _without_checksum(text: str) -> str:
    """Return a descriptor without its checksum, which is right if it is there (BIP380). Raises ForgedError."""
    bare, sign, checksum = text.partition("#")
    if sign and checksum != descriptor_checksum(bare):
        raise ForgedError(f"the checksum of the descriptor is wrong: {text[-12:]}")
    return bare


def _path(text: str) -> tuple[str, tuple[int, int]]:
    one, first, second = text.split("/")
    if max(int(first), int(second)) > _CHILD_MAX:
        raise ForgedError(f"a path that only private keys go: {text[-24:]}")
    return one, (int(first), int(second))


@lru_cache(maxsize=64)
def extended(text: str, network: str) -> Extended:
    """Return the key that an extended public key spells. Raises ForgedError."""
    try:
        raw = bytes(decode_check(text))
        PublicKey(raw[45:])
    except Exception as error:  # embit's and libsecp256k1's errors are bare ones
        raise ForgedError(f"{text[:12]}... is no extended public key") from error
    if len(raw) != 78 or raw[:4] != _PUBLIC_VERSIONS.get(network, _TEST_VERSION):
        raise ForgedError(f"{text[:12]}... is no extended public key of {network}")
    return Extended(raw[45:], raw[13:45])


def derived_key(of: Extended, path: tuple[int, int]) -> bytes:
    """Return a public key below another (BIP32, unhardened). Raises ForgedError: one in 2**127 is none."""
    return _below(of, path[0]).child(path[1])[0]


@lru_cache(maxsize=256)
def _below(of: Extended, number: int) -> "_Parent":
    key, chain_code = _Parent(of).child(number)
    return _Parent(Extended(key, chain_code))


class _Parent:
    """A key with what all keys below it have in common worked out once: its point, and the beginning of the HMAC."""

    def __init__(self, of: Extended) -> None:
        padded = of.chain_code.ljust(_SHA512_BLOCK, b"\0")
        self._inner = hashlib.sha512(padded.translate(_INNER) + of.key)
        self._outer = hashlib.sha512(padded.translate(_OUTER))
        self._point = PublicKey(of.key)

    def child(self, number: int) -> tuple[bytes, bytes]:
        """Return a child's key and chain code. Raises ForgedError."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(number.to_bytes(4, "big"))
        outer.update(inner.digest())
        mixed = outer.digest()
        try:
            return bytes(self._point.add(mixed[:32]).format()), mixed[32:]
        except Exception as error:  # libsecp256k1's errors are bare ones
            raise ForgedError("there is no such key below an extended public key") from error


def _multi(needed: int, keys: tuple[bytes, ...], opcode: int) -> bytes:
    return (
        bytes((0x50 + needed,)) + b"".join(b"\x21" + key for key in keys) + bytes((0x50 + len(keys), opcode))
    )


def _number(value: int) -> bytes:
    if value <= 16:
        return bytes((0x50 + value,))
    raw = value.to_bytes((value.bit_length() + 8) // 8, "little")
    return bytes((len(raw),)) + raw


def hash160(raw: bytes) -> bytes:
    """OpenSSL 3 has RIPEMD-160 among its old ones, which many do not load."""
    return RIPEMD160.new(hashlib.sha256(raw).digest()).digest()


# ---- texts with checksums


def descriptor_checksum(text: str) -> str:
    """Return the checksum of a descriptor (BIP380). Raises ForgedError for a letter that none has."""
    state, group, count = 1, 0, 0
    for letter in text:
        place = _INPUT.find(letter)
        if place < 0:
            raise ForgedError(f"no descriptor has the letter {letter!r}")
        state = _descriptor_step(state, place & 31)
        group, count = group * 3 + (place >> 5), count + 1
        if count == 3:
            state, group, count = _descriptor_step(state, group), 0, 0
    if count:
        state = _descriptor_step(state, group)
    for _ in range(8):
        state = _descriptor_step(state, 0)
    state ^= 1
    return "".join(_CHECKSUM[state >> 5 * (7 - place) & 31] for place in range(8))


def _descriptor_step(state: int, value: int) -> int:
    top = state >> 35
    state = (state & 0x7FFFFFFFF) << 5 ^ value
    for bit, generator in enumerate((0xF5DEE51989, 0xA9FDCA3312, 0x1BAB10E32D, 0x3706B1677A, 0x644D626FFD)):
        if top >> bit & 1:
            state ^= generator
    return state


_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


def _mixed(top: int) -> int:
    found = 0
    for bit, generator in enumerate(_GENERATORS):
        found ^= generator if top >> bit & 1 else 0
    return found


_TABLE = tuple(_mixed(top) for top in range(32))


def _bech32_step(state: int, value: int) -> int:
    return (state & 0x1FFFFFF) << 5 ^ value ^ _TABLE[state >> 25]


@lru_cache(maxsize=8)
def _bech32_begin(prefix: str) -> int:
    state = 1
    for value in (*(ord(one) >> 5 for one in prefix), 0, *(ord(one) & 31 for one in prefix), 0):
        state = _bech32_step(state, value)
    return state


def address_of(script: bytes, network: str) -> str:
    """Return the address of a script of segwit version 0 (BIP173)."""
    assert script[0] == 0
    assert len(script) == 2 + script[1]
    program, prefix = script[2:], PREFIXES[network]
    bits = 8 * len(program)
    padding = -bits % 5
    number, count = int.from_bytes(program, "big") << padding, (bits + padding) // 5
    values = [number >> 5 * place & 31 for place in range(count - 1, -1, -1)]
    state, table = _bech32_begin(prefix), _TABLE
    for value in (*values, 0, 0, 0, 0, 0, 0):
        state = (state & 0x1FFFFFF) << 5 ^ value ^ table[state >> 25]
    state ^= 1
    checksum = (state >> 5 * place & 31 for place in range(5, -1, -1))
    return f"{prefix}1q" + "".join([_CHECKSUM[value] for value in (*values, *checksum)])
