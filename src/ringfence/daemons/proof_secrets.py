"""What the prover holds: the key that signs what it publishes, and a token whose key hides accounts.

    proofs/signing.key     Ed25519, 0600; the prover's alone
    proofs/publisher.json  its public half, and the word of the exchange's key that it publishes for it
    proofs/token/          a PKCS#11 token with one key: a year's key comes from it, an account's nonce from that

Where no PKCS#11 module is, a file takes the token's place, and the log says so: who reads it finds every account.
"""

import hmac
import logging
import os
import shutil
import subprocess
from pathlib import Path
from typing import Protocol

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ringfence.assurance.proofs.publisher import Publisher, endorse, venue_key_of
from ringfence.assurance.proofs.secrets import epoch_message
from ringfence.commitments import load_keys
from ringfence.custody.hsm import Lockout, Token, softhsm_module
from ringfence.daemons import token_founding
from ringfence.files import replace

log = logging.getLogger("ringfence.prover")
SECRET_BYTES = 32
_TOKEN, _LABEL = "prover", "porl"


class _Endorsed(msgspec.Struct, frozen=True):
    publisher: str
    endorsement: str


class Master(Protocol):
    """From one secret to the keys of years."""

    def mac(self, message: bytes) -> bytes:
        """Return 32 bytes that nobody else can make. Raises HsmError."""
        ...


class TokenMaster:
    """A key inside a token."""

    def __init__(self, token: Token) -> None:
        self._token = token

    def mac(self, message: bytes) -> bytes:
        return self._token.mac(_LABEL, message)


class FileMaster:
    """A file, where no token can be had."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def mac(self, message: bytes) -> bytes:
        return hmac.digest(self._secret, message, "sha256")


class EpochKeys:
    """The keys of years, each asked for once."""

    def __init__(self, master: Master) -> None:
        self._master = master
        self._known: dict[int, bytes] = {}

    def of(self, epoch: int) -> bytes:
        """Raises HsmError."""
        if epoch not in self._known:
            self._known[epoch] = self._master.mac(epoch_message(epoch))
        return self._known[epoch]


def home_of(directory: Path) -> Path:
    return directory / "proofs"


def found(directory: Path) -> None:
    """Make the prover's signing key, and let the exchange's key name it; once. Raises OSError, ValueError.

    Only who may read the exchange's key can do it; the prover itself need not.
    """
    home = home_of(directory)
    home.mkdir(mode=0o700, exist_ok=True)
    path = home / "signing.key"
    if not path.exists():
        replace(path, os.urandom(SECRET_BYTES))
    if not (home / "publisher.json").exists():
        public = _signing_key(home).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        word = endorse(load_keys(directory).signing, public)
        replace(home / "publisher.json", msgspec.json.encode(_Endorsed(public.hex(), word.hex())))


def _signing_key(home: Path) -> Ed25519PrivateKey:
    raw = (home / "signing.key").read_bytes()
    if len(raw) != SECRET_BYTES:
        raise ValueError(f"proofs/signing.key is damaged: it has {len(raw)} bytes. Restore it from a backup.")
    return Ed25519PrivateKey.from_private_bytes(raw)


def load_publisher(directory: Path) -> Publisher:
    """Raises OSError, ValueError, ForgedError."""
    home = home_of(directory)
    endorsed = msgspec.json.decode((home / "publisher.json").read_bytes(), type=_Endorsed)
    return Publisher(
        _signing_key(home), venue=venue_key_of(directory), endorsement=bytes.fromhex(endorsed.endorsement)
    )


def open_master(directory: Path) -> Master:
    """Return the secret behind all nonces, making it once. Raises HsmError, OSError, ValueError.

    What was founded stays: a venue that began with a file is not moved to a token, for its clients hold nonces.
    """
    home = home_of(directory)
    path, folder = home / "master.key", home / "token"
    module = softhsm_module()
    if path.exists() or (module is None and not folder.exists()):
        return _open_file(path)
    if module is None:
        raise ValueError(
            "the prover's token was made by SoftHSM, which is not installed: Debian package softhsm2"
        )
    return TokenMaster(_open_token(folder, module))


def _open_file(path: Path) -> FileMaster:
    if not path.exists():
        log.warning(
            "no PKCS#11 module is installed: proofs/master.key hides accounts instead of a token's key"
        )
        replace(path, os.urandom(SECRET_BYTES))
    raw = path.read_bytes()
    if len(raw) != SECRET_BYTES:
        raise ValueError(f"proofs/master.key is damaged: it has {len(raw)} bytes. Restore it from a backup.")
    return FileMaster(raw)


def _open_token(folder: Path, module: Path) -> Token:
    """Open the token, making it if there is none; one that was cut short while it was made has shown nothing."""
    folder.mkdir(mode=0o700, exist_ok=True)
    made = folder / "made"
    if not made.exists():
        shutil.rmtree(folder / "tokens", ignore_errors=True)
    token_founding.configure(folder)
    pin = token_founding.pin_of(folder)
    if not made.exists():
        try:
            token_founding.initialise(_TOKEN, pin)
        except subprocess.CalledProcessError as error:
            raise OSError(f"the prover's token was not made: {error.stderr!r}") from error
    token = Token(module, _TOKEN, pin, Lockout(folder / "lockout"))
    if not made.exists():
        token.generate_mac_key(_LABEL)
        replace(made, b"")
    return token
