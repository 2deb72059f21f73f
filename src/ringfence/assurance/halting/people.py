"""The people who may lift a halt, and the judges that must be content: names, roles, public keys.

The list is public: it stands in the journal beside the command that made it valid. A key may be Ed25519, or
ECDSA on P-256, which PIV cards, TPMs and PKCS#11 tokens have; the private half need never be on this machine.
"""

import hashlib
import os
from enum import StrEnum
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ringfence.messages.halts import Scheme

PrivateKey = Ed25519PrivateKey | ec.EllipticCurvePrivateKey
PEOPLE_MAX = 50


class Role(StrEnum):
    OPERATIONS = "operations"
    RISK = "risk"
    SECURITY = "security"
    JUDGE = "judge"
    """A process that checks. It signs that all is well, and can resume nothing."""


class Person(msgspec.Struct, frozen=True):
    name: str
    role: Role
    scheme: Scheme
    public_key: str
    """Hexadecimal: 32 bytes of Ed25519, or a point of P-256 as in SEC 1, uncompressed."""


class People(msgspec.Struct, frozen=True):
    """The whole list, in force from one command on."""

    people: tuple[Person, ...]

    def encode(self) -> bytes:
        return msgspec.json.encode(self)

    @property
    def number(self) -> int:
        """The first 63 bits of the list's BLAKE2b digest, as VenueParameter.PEOPLE carries it."""
        return int.from_bytes(hashlib.blake2b(self.encode(), digest_size=8).digest(), "little") >> 1

    def find(self, name: str, role: str) -> Person | None:
        return next((one for one in self.people if one.name == name and one.role == role), None)


def decode_people(raw: bytes) -> People:
    """Return a list of people. Raises ValueError if it is none, or somebody's key is none."""
    try:
        people = msgspec.json.decode(raw, type=People)
    except msgspec.MsgspecError as error:
        raise ValueError(f"the list of people cannot be read: {error}") from error
    if not 0 < len(people.people) <= PEOPLE_MAX:
        raise ValueError(f"a list has 1 to {PEOPLE_MAX} people, not {len(people.people)}")
    if len({(one.name, one.role) for one in people.people}) != len(people.people):
        raise ValueError("somebody is on the list twice in one role")
    if len({one.public_key for one in people.people}) != len(people.people):
        raise ValueError("one key is on the list twice: two people cannot share it")
    for one in people.people:
        if not one.name or not one.name.isprintable():
            raise ValueError("a name is missing or cannot be printed")
        _public_key(one)
    return people


def _public_key(person: Person) -> Ed25519PublicKey | ec.EllipticCurvePublicKey:
    try:
        raw = bytes.fromhex(person.public_key)
        if person.scheme == Scheme.ED25519:
            return Ed25519PublicKey.from_public_bytes(raw)
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), raw)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError(f"the public key of {person.name} is no {person.scheme} key") from error


def verifies(person: Person, text: bytes, signature: bytes) -> bool:
    """Return whether it is this person's signature of the text."""
    key = _public_key(person)
    try:
        if isinstance(key, Ed25519PublicKey):
            key.verify(signature, text)
        else:
            key.verify(signature, text, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


# ---- private halves: of people without a token, and of judges


def new_private_key(scheme: Scheme) -> PrivateKey:
    if scheme == Scheme.ED25519:
        return Ed25519PrivateKey.generate()
    return ec.generate_private_key(ec.SECP256R1())


def sign(key: PrivateKey, text: bytes) -> bytes:
    if isinstance(key, Ed25519PrivateKey):
        return key.sign(text)
    return key.sign(text, ec.ECDSA(hashes.SHA256()))


def person_of(name: str, role: Role, key: PrivateKey) -> Person:
    """Return the entry for somebody who holds a private key."""
    if isinstance(key, Ed25519PrivateKey):
        raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return Person(name, role, Scheme.ED25519, raw.hex())
    point = key.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    return Person(name, role, Scheme.ECDSA_P256, point.hex())


def write_private_key(path: Path, key: PrivateKey, *, passphrase: bytes | None) -> None:
    """Write a key as PEM, readable by its owner only. Raises FileExistsError: a key is never overwritten."""
    protection: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        protection = serialization.BestAvailableEncryption(passphrase)
    raw = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:
        file.write(raw)


def read_private_key(path: Path, *, passphrase: bytes | None) -> PrivateKey:
    """Raises ValueError if the passphrase is wrong or it is no key of ours, OSError."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ValueError(f"{path.name} cannot be opened: wrong passphrase, or no private key") from error
    if isinstance(key, Ed25519PrivateKey):
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    raise ValueError(f"{path.name} holds neither an Ed25519 nor a P-256 key")
