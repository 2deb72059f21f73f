"""One token, by PKCS#11: keys are made inside, never leave, and sign digests that the co-signer worked out itself."""

from pathlib import Path
from typing import Any, NamedTuple, Self

import pkcs11
from asn1crypto.algos import DSASignature
from asn1crypto.core import OctetString
from coincurve import PublicKey
from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass

from ringfence.custody.hsm.lockout import Lockout

_SECP256K1 = bytes.fromhex("06052b8104000a")
"""The curve's object identifier, 1.3.132.0.10."""
_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_SOFTHSM = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so")
DIGEST_BYTES = 32
IDENTITY = "identity"
"""Label of the key that signs evidence and nothing else."""
_PRIVATE = {
    Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False, Attribute.PRIVATE: True, Attribute.TOKEN: True,
    Attribute.SIGN: True, Attribute.DERIVE: False, Attribute.MODIFIABLE: False, Attribute.COPYABLE: False,
}  # fmt: skip
_SECRET = {
    Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False, Attribute.PRIVATE: True, Attribute.MODIFIABLE: False,
    Attribute.COPYABLE: False,
}  # fmt: skip
_NONCE_BYTES = 12
_MUST_BE = {
    Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False, Attribute.ALWAYS_SENSITIVE: True,
    Attribute.NEVER_EXTRACTABLE: True, Attribute.LOCAL: True,
}  # fmt: skip


class HsmError(Exception):
    """The token did not do it. Nothing was signed."""


class TokenMissingError(HsmError):
    """No such token. Remedy: is the device connected, is the module's path right?"""


class WrongPinError(HsmError):
    """The PIN was refused; it was counted."""


class KeyMissingError(HsmError):
    """The token has no such key, or has one that did not come to be inside of it."""


class Info(NamedTuple):
    serial: str
    model: str
    manufacturer: str
    label: str


def softhsm_module() -> Path | None:
    """Return where SoftHSM is on this machine, None if it is not installed (Debian package softhsm2)."""
    return next((Path(path) for path in _SOFTHSM if Path(path).exists()), None)


def protects(info: Info) -> str:
    """Return in one sentence what a kind of token does not protect from, for the start-up message."""
    if "SoftHSM" in info.model or "SoftHSM" in info.manufacturer:
        return (
            "SoftHSM is software: who reads its files and knows the PIN has the keys, its attributes prove nothing, "
            "and it counts no wrong PINs. For development only."
        )
    return f"{info.manufacturer} {info.model}: what it withstands its vendor says; it was not tried here."


class Token:
    """A session with one token. Opened with a PIN, closed as soon as the work is done."""

    def __init__(self, module: Path, label: str, pin: str, lockout: Lockout) -> None:
        """Raises TokenMissingError, WrongPinError, TokenLockedError, HsmError."""
        try:
            self._token = pkcs11.lib(str(module)).get_token(token_label=label)
        except (pkcs11.NoSuchToken, pkcs11.MultipleTokensReturned) as error:
            raise TokenMissingError(f"no token is called {label}") from error
        except (pkcs11.PKCS11Error, RuntimeError, OSError) as error:
            raise TokenMissingError(f"{module} cannot be loaded: {error}") from error
        lockout.begin()
        try:
            self._session = self._token.open(rw=True, user_pin=pin)
        except pkcs11.PinIncorrect as error:
            raise WrongPinError(f"the PIN of {label} is wrong; {lockout.failures} in a row") from error
        except pkcs11.PinLocked as error:
            raise HsmError(f"the token {label} has locked itself") from error
        except pkcs11.PKCS11Error as error:
            raise HsmError(f"{label} does not open: {type(error).__name__}") from error
        lockout.succeeded()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._session.close()

    @property
    def info(self) -> Info:
        token = self._token
        serial = token.serial.decode() if isinstance(token.serial, bytes) else str(token.serial)
        return Info(
            serial.strip("\0 "), token.model.strip("\0 "), token.manufacturer_id.strip("\0 "), token.label
        )

    # ---- keys

    def generate(self, label: str) -> bytes:
        """Make a key pair inside the token and return its public key, 33 bytes. Raises HsmError if there is one."""
        if self._find(ObjectClass.PRIVATE_KEY, label) is not None:
            raise HsmError(f"there is a key {label} already; none was made")
        try:
            parameters = self._session.create_domain_parameters(
                KeyType.EC, {Attribute.EC_PARAMS: _SECP256K1}, local=True
            )
            parameters.generate_keypair(
                store=True, label=label, private_template=_PRIVATE, public_template={Attribute.VERIFY: True}
            )
        except pkcs11.PKCS11Error as error:
            raise HsmError(f"no key {label} was made: {type(error).__name__}") from error
        return self.public_key(label)

    def pair(self, label: str) -> bytes:
        """Return the public key of a pair, making it if there is none. Raises HsmError, also for half of a pair."""
        is_there = self._find(ObjectClass.PRIVATE_KEY, label) is not None
        return self.public_key(label) if is_there else self.generate(label)

    def remove_torn(self) -> None:
        """Remove what is left of pairs whose making was cut short, in which nothing can sign. Raises HsmError."""
        labels = set(self.labels()) - {""}
        try:
            for kind in (ObjectClass.PUBLIC_KEY, ObjectClass.PRIVATE_KEY):
                for key in list(self._session.get_objects({Attribute.CLASS: kind})):
                    if str(key[Attribute.LABEL]) not in labels:
                        key.destroy()
        except pkcs11.PKCS11Error as error:
            raise HsmError(f"what is left of a pair cannot be removed: {type(error).__name__}") from error

    def public_key(self, label: str) -> bytes:
        """Return the compressed public key, 33 bytes. Raises KeyMissingError."""
        key = self._find(ObjectClass.PUBLIC_KEY, label)
        if key is None:
            raise KeyMissingError(f"the token has no key {label}")
        return _compressed(key)

    def public_keys(self) -> dict[str, bytes]:
        """Return the public key of every pair by its label, sorted, in one pass: a search for each takes seconds.

        Raises HsmError if two have one label, KeyMissingError for half of a pair.
        """
        found: dict[str, bytes] = {}
        for key in self._session.get_objects({Attribute.CLASS: ObjectClass.PUBLIC_KEY}):
            label = str(key[Attribute.LABEL])
            if label in found:
                raise HsmError(f"the token has several keys {label}")
            found[label] = _compressed(key)
        labels = self.labels()
        missing = [label for label in labels if label not in found]
        if missing:
            raise KeyMissingError(f"the token has no public half of {missing[0]}")
        return {label: found[label] for label in labels}

    def labels(self) -> list[str]:
        """Return the labels of all keys, sorted."""
        found = self._session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY})
        return sorted(str(key[Attribute.LABEL]) for key in found)

    def sign(self, label: str, digest: bytes) -> bytes:
        """Return an ECDSA signature of a digest, r and s of 32 bytes each, s in the lower half. Raises HsmError.

        The signature is checked against the public key before it leaves: a token that lies is found out.
        """
        if len(digest) != DIGEST_BYTES:
            raise HsmError(f"a digest has {DIGEST_BYTES} bytes, not {len(digest)}; nothing was signed")
        key = self._find(ObjectClass.PRIVATE_KEY, label)
        if key is None:
            raise KeyMissingError(f"the token has no key {label}")
        wrong = [name.name for name, wanted in _MUST_BE.items() if key[name] is not wanted]
        if wrong:
            raise KeyMissingError(
                f"the key {label} may not be used: {', '.join(wrong)} are not as they must be"
            )
        try:
            raw = bytes(key.sign(digest, mechanism=Mechanism.ECDSA))
        except pkcs11.PKCS11Error as error:
            raise HsmError(f"{label} did not sign: {type(error).__name__}") from error
        signature = raw[:32] + _lower(int.from_bytes(raw[32:], "big")).to_bytes(32, "big")
        if not verifies(self.public_key(label), digest, signature):
            raise HsmError(f"{label} has given a signature that does not verify; it is thrown away")
        return signature

    # ---- secrets that are kept outside, under a key of the token's

    def generate_secret(self, label: str) -> None:
        """Make an AES-256 key that never leaves the token. Raises HsmError if there is one."""
        if self._find(ObjectClass.SECRET_KEY, label) is not None:
            raise HsmError(f"there is a secret key {label} already; none was made")
        try:
            self._session.generate_key(
                KeyType.AES, 256, label=label, store=True, template=_SECRET,
                capabilities=MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT,
            )  # fmt: skip
        except pkcs11.PKCS11Error as error:
            raise HsmError(f"no secret key {label} was made: {type(error).__name__}") from error

    def has_secret(self, label: str) -> bool:
        return self._find(ObjectClass.SECRET_KEY, label) is not None

    def secret_labels(self) -> list[str]:
        """Return the labels of all secret keys, sorted."""
        found = self._session.get_objects({Attribute.CLASS: ObjectClass.SECRET_KEY})
        return sorted(str(key[Attribute.LABEL]) for key in found)

    def seal(self, label: str, secret: bytes, *, bound_to: bytes) -> bytes:
        """Return a secret encrypted by AES-GCM, nonce first; only with the same `bound_to` is it opened again."""
        nonce = self.random(_NONCE_BYTES)
        parameters = pkcs11.GCMParams(nonce, bound_to)
        try:
            raw = self._secret(label).encrypt(secret, mechanism=Mechanism.AES_GCM, mechanism_param=parameters)
        except pkcs11.PKCS11Error as error:
            raise HsmError(f"{label} did not seal: {type(error).__name__}") from error
        return nonce + bytes(raw)

    def unseal(self, label: str, sealed: bytes, *, bound_to: bytes) -> bytes:
        """Raises HsmError if it was sealed by another key, for something else, or was changed."""
        parameters = pkcs11.GCMParams(sealed[:_NONCE_BYTES], bound_to)
        key = self._secret(label)
        try:
            return bytes(
                key.decrypt(sealed[_NONCE_BYTES:], mechanism=Mechanism.AES_GCM, mechanism_param=parameters)
            )
        except pkcs11.PKCS11Error as error:
            raise HsmError(f"{label} does not open this: {type(error).__name__}") from error

    def destroy_secret(self, label: str) -> None:
        """Destroy a secret key: what was sealed under it is gone, in every copy. Nothing happens if there is none."""
        key = self._find(ObjectClass.SECRET_KEY, label)
        try:
            if key is not None:
                key.destroy()
        except pkcs11.PKCS11Error as error:
            raise HsmError(f"{label} was not destroyed: {type(error).__name__}") from error

    # ---- what is made from a secret that never leaves

    def generate_mac_key(self, label: str) -> None:
        """Make a key for HMAC-SHA-256 that never leaves the token. Raises HsmError if there is one."""
        if self._find(ObjectClass.SECRET_KEY, label) is not None:
            raise HsmError(f"there is a secret key {label} already; none was made")
        try:
            self._session.generate_key(
                KeyType.GENERIC_SECRET, 256, label=label, store=True, template=_SECRET,
                capabilities=MechanismFlag.SIGN,
            )  # fmt: skip
        except pkcs11.PKCS11Error as error:
            raise HsmError(f"no key {label} was made: {type(error).__name__}") from error

    def mac(self, label: str, message: bytes) -> bytes:
        """Return HMAC-SHA-256 of a message, 32 bytes. Raises HsmError."""
        try:
            return bytes(self._secret(label).sign(message, mechanism=Mechanism.SHA256_HMAC))
        except pkcs11.PKCS11Error as error:
            raise HsmError(f"{label} did not authenticate: {type(error).__name__}") from error

    def _secret(self, label: str) -> Any:
        key = self._find(ObjectClass.SECRET_KEY, label)
        if key is None:
            raise KeyMissingError(f"the token has no secret key {label}")
        return key

    def random(self, count: int) -> bytes:
        """Return bytes from the token's generator."""
        return bytes(self._session.generate_random(count * 8))

    def _find(self, kind: ObjectClass, label: str) -> Any | None:
        try:
            return self._session.get_key(object_class=kind, label=label)
        except pkcs11.NoSuchKey:
            return None
        except pkcs11.MultipleObjectsReturned as error:
            raise HsmError(f"the token has several keys {label}") from error
        except pkcs11.PKCS11Error as error:
            raise HsmError(f"the token does not answer: {type(error).__name__}") from error


def _compressed(key: Any) -> bytes:
    point = OctetString.load(key[Attribute.EC_POINT]).native
    return bytes(PublicKey(point).format(compressed=True))


def _lower(s: int) -> int:
    return min(s, _ORDER - s)


def verifies(public_key: bytes, digest: bytes, signature: bytes) -> bool:
    """Return whether r|s is a signature of a digest, by libsecp256k1."""
    if len(signature) != 64:
        return False
    try:
        return bool(PublicKey(public_key).verify(der(signature), digest, hasher=None))
    except Exception:  # libsecp256k1's errors are bare ones: whatever it is, it is no signature
        return False


def der(signature: bytes) -> bytes:
    """Return r|s as Bitcoin writes it."""
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    return bytes(DSASignature({"r": r, "s": s}).dump())
