"""Evidence: what a token is, what its files are, how far its counter is, for a nonce that somebody else chose.

A co-signer shows its evidence to the others before it signs, and signs with the digest of the evidence beside it.
They hold it against what was enrolled, and against the highest counter that they have seen of it.
"""

import hashlib
import hmac
from pathlib import Path
from typing import NamedTuple

import msgspec

from ringfence.chained_log import Counter
from ringfence.custody.hsm.token import IDENTITY, Token, verifies
from ringfence.custody.hsm.tpm import Quote, Tpm, TpmError, check_quote
from ringfence.units.time import NS_PER_SECOND

FRESH_NS = 60 * NS_PER_SECOND
_CLOCKS_APART_NS = 5 * NS_PER_SECOND


class EvidenceError(Exception):
    """The evidence of a co-signer does not convince. It takes part in nothing; the text says what is wrong."""


class Evidence(msgspec.Struct, frozen=True):
    signer: str
    serial: str
    model: str
    token_digest: str
    """Of the token's files, hexadecimal; empty for a device that has none."""
    keys_digest: str
    """Of the labels and public keys that the token has."""
    counter: int
    nonce: str
    subject: str
    """What it is shown for: the digest of what is to be signed."""
    at_ns: int
    quote: Quote | None = None
    """Of the TPM beside the token, for the digest of everything above; None without a TPM."""
    signature: str = ""

    @property
    def digest(self) -> bytes:
        body = msgspec.json.encode(msgspec.structs.replace(self, signature=""), order="sorted")
        return hashlib.sha256(b"ringfence evidence" + body).digest()


class Baseline(NamedTuple):
    """What was enrolled, under the eyes of two people."""

    signer: str
    identity: bytes
    """Public key, 33 bytes."""
    serial: str
    model: str
    token_digest: str
    keys_digest: str
    tpm_key: str = ""
    """Public key that signs the quotes of the TPM beside it, PEM; empty without a TPM."""


_REWRITTEN = ("token.object", "generation")
"""SoftHSM writes these anew at every login: they hold the token's flags and PINs, no keys."""


def measure_directory(directory: Path) -> str:
    """Return a digest over the names and contents of the files of a token's keys. Raises OSError."""
    digest = hashlib.sha256()
    for path in sorted(directory.rglob("*")):
        if path.is_file() and path.suffix != ".lock" and path.name not in _REWRITTEN:
            name = str(path.relative_to(directory)).encode()
            digest.update(len(name).to_bytes(4, "big") + name)
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def keys_of(token: Token) -> str:
    """Return a digest over the labels and public keys of a token."""
    digest = hashlib.sha256()
    for label, public in token.public_keys().items():
        digest.update(label.encode() + b"\0" + public)
    return digest.hexdigest()


class Witness:
    """Makes evidence of the token on this machine."""

    def __init__(
        self, signer: str, token: Token, counter: Counter, *, files: Path | None, tpm: Tpm | None = None
    ) -> None:
        self._signer, self._token, self._counter, self._files = signer, token, counter, files
        self._tpm = tpm

    def enrol(self) -> Baseline:
        """Return what the token is now."""
        info = self._token.info
        return Baseline(
            self._signer, self._token.public_key(IDENTITY), info.serial, info.model, self._measure(),
            keys_of(self._token), self._tpm.attestation_key() if self._tpm is not None else "",
        )  # fmt: skip

    def _measure(self) -> str:
        return measure_directory(self._files) if self._files is not None else ""

    def show(self, *, nonce: str, subject: str, now_ns: int) -> Evidence:
        """Return evidence for a nonce; the counter grows with each. Raises CounterError, HsmError, OSError."""
        info = self._token.info
        body = Evidence(
            self._signer, info.serial, info.model, self._measure(), keys_of(self._token), self._counter.increment(),
            nonce, subject, now_ns,
        )  # fmt: skip
        if self._tpm is not None:
            # Measured each time: a TPM that was restarted since has forgotten.
            self._tpm.measure(body.token_digest)
            body = msgspec.structs.replace(body, quote=self._tpm.quote(body.digest))
        signature = self._token.sign(IDENTITY, body.digest)
        return msgspec.structs.replace(body, signature=signature.hex())


def check_evidence(
    evidence: Evidence, baseline: Baseline, *, nonce: str, subject: str, highest_counter: int, now_ns: int
) -> None:
    """Return if the evidence convinces. Raises EvidenceError.

    `highest_counter` is the highest that the checker has seen of this signer, for ever.
    """
    try:
        signature = bytes.fromhex(evidence.signature)
    except ValueError as error:
        raise EvidenceError(f"{evidence.signer}: the signature is none") from error
    if not verifies(baseline.identity, evidence.digest, signature):
        raise EvidenceError(f"{baseline.signer}: not signed by the identity key that was enrolled")
    if not hmac.compare_digest(evidence.nonce.encode(), nonce.encode()) or evidence.subject != subject:
        raise EvidenceError(f"{baseline.signer}: the evidence was made for something else: a replay")
    if not -_CLOCKS_APART_NS <= now_ns - evidence.at_ns <= FRESH_NS:
        raise EvidenceError(f"{baseline.signer}: the evidence is not fresh")
    if evidence.counter <= highest_counter:
        counters = f"its counter is {evidence.counter}, {highest_counter} was seen"
        raise EvidenceError(f"{baseline.signer}: {counters}: an old copy was brought back")
    for what, found, enrolled in (
        ("name", evidence.signer, baseline.signer), ("serial number", evidence.serial, baseline.serial),
        ("model", evidence.model, baseline.model), ("files", evidence.token_digest, baseline.token_digest),
        ("keys", evidence.keys_digest, baseline.keys_digest),
    ):  # fmt: skip
        if found != enrolled:
            raise EvidenceError(f"{baseline.signer}: the token's {what} are not those that were enrolled")
    if baseline.tpm_key:
        _check_tpm(evidence, baseline)


def _check_tpm(evidence: Evidence, baseline: Baseline) -> None:
    if evidence.quote is None:
        raise EvidenceError(f"{baseline.signer}: its TPM has signed nothing")
    nonce = msgspec.structs.replace(evidence, quote=None).digest
    try:
        check_quote(evidence.quote, baseline.tpm_key, nonce=nonce, digest=baseline.token_digest)
    except TpmError as error:
        raise EvidenceError(f"{baseline.signer}: {error}") from error
