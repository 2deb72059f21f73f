"""A TPM 2.0 beside the token: a counter that only grows, a signed measurement, a PIN that only the right files open.

Through the command line of tpm2-tools, which speaks to a device (`device:/dev/tpmrm0`) as to swtpm
(`swtpm:path=/run/tpm`). swtpm is software: whoever brings back its state file brings back its counter.
"""

import hashlib
import hmac
import os
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ringfence.custody.hsm.counter import CounterError
from ringfence.custody.hsm.token import HsmError

_SECONDS = 10
_ATTESTATION_KEY, _SEALED = "0x81010001", "0x81010002"
_PCR = 23
"""Application's own; reset and extended again whenever the files are measured."""
_MAGIC, _QUOTE = b"\xffTCG", b"\x80\x18"
_TOOLS = ("tpm2_quote", "tpm2_nvincrement", "tpm2_unseal")


class TpmError(HsmError):
    """The TPM does not answer, or what it says is not what was enrolled. Nothing is signed."""


class Quote(msgspec.Struct, frozen=True):
    """What a TPM has measured, signed by its attestation key. Hexadecimal."""

    message: str
    """TPMS_ATTEST."""
    signature: str
    """ECDSA, DER."""


def is_installed() -> bool:
    """Return whether tpm2-tools are here."""
    return all(shutil.which(tool) for tool in _TOOLS)


class Tpm:
    """One TPM, by the name of how to reach it (TCTI); a socket's path in it may be relative to a folder."""

    def __init__(self, tcti: str, *, folder: Path | None = None) -> None:
        self.tcti, self._folder = tcti, folder
        self._environment = {**os.environ, "TPM2TOOLS_TCTI": tcti, "TSS2_LOG": "all+NONE"}

    # ---- identity

    def attestation_key(self) -> str:
        """Return the public key that signs quotes, as PEM, making the pair the first time. Raises TpmError."""
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            pem = home / "ak.pem"
            if not self._has(_ATTESTATION_KEY):
                attributes = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|sign"
                self._run(
                    "createprimary", "-Q", "-C", "o", "-G", "ecc256:ecdsa-sha256:null", "-a", attributes,
                    "-c", home / "ak.ctx",
                )  # fmt: skip
                self._run("evictcontrol", "-Q", "-C", "o", "-c", home / "ak.ctx", _ATTESTATION_KEY)
            self._run("readpublic", "-Q", "-c", _ATTESTATION_KEY, "-f", "pem", "-o", pem)
            return pem.read_text()

    # ---- measurement

    def measure(self, digest: str) -> None:
        """Take the measurement of a token's files, hexadecimal, into the PCR. Raises TpmError."""
        self._run("pcrreset", str(_PCR))
        self._run("pcrextend", f"{_PCR}:sha256={digest}")

    def quote(self, nonce: bytes) -> Quote:
        """Return the measurement, signed together with a nonce that somebody else chose. Raises TpmError."""
        with tempfile.TemporaryDirectory() as folder:
            message, signature = Path(folder) / "message", Path(folder) / "signature"
            self._run(
                "quote", "-Q", "-c", _ATTESTATION_KEY, "-l", f"sha256:{_PCR}", "-q", nonce.hex(), "-g", "sha256",
                "-m", message, "-s", signature, "-f", "plain",
            )  # fmt: skip
            return Quote(message.read_bytes().hex(), signature.read_bytes().hex())

    # ---- what only the right files open

    def seal(self, secret: bytes) -> None:
        """Keep a secret that is given out only while the PCR is as it is now. Raises TpmError."""
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            primary, policy, public, private = (
                home / name for name in ("primary", "policy", "public", "private")
            )
            if self._has(_SEALED):
                self._run("evictcontrol", "-Q", "-C", "o", "-c", _SEALED)
            self._run("createprimary", "-Q", "-C", "o", "-G", "ecc", "-c", primary)
            self._run("createpolicy", "-Q", "--policy-pcr", "-l", f"sha256:{_PCR}", "-L", policy)
            self._run(
                "create", "-Q", "-C", primary, "-L", policy, "-i", "-", "-u", public, "-r", private,
                "-a", "fixedtpm|fixedparent|noda", given=secret,
            )  # fmt: skip
            self._run("load", "-Q", "-C", primary, "-u", public, "-r", private, "-c", home / "sealed")
            self._run("evictcontrol", "-Q", "-C", "o", "-c", home / "sealed", _SEALED)

    def unseal(self) -> bytes:
        """Return the secret. Raises TpmError if the files are not those for which it was sealed."""
        try:
            return self._run("unseal", "-c", _SEALED, "-p", f"pcr:sha256:{_PCR}")
        except TpmError as error:
            raise TpmError(
                f"the TPM does not open the PIN: the token's files were changed ({error})"
            ) from error

    def counter(self, number: int, *, base: int = 0) -> "TpmCounter":
        """Return one of its counters, 0 to 255, making it the first time; it counts from `base`. Raises TpmError."""
        return TpmCounter(self, f"0x15000{number:02x}", base)

    # ---- the tools

    def _has(self, handle: str) -> bool:
        return handle.lower() in self._run("getcap", "handles-persistent").decode().lower()

    def _run(self, tool: str, *words: str | Path, given: bytes = b"") -> bytes:
        """Raises TpmError."""
        done = self._call(tool, *map(str, words), given=given)
        # There is no resource manager before swtpm, and a TPM has three places for what is loaded.
        self._call("flushcontext", "-t")
        if done.returncode:
            lines = done.stderr.decode(errors="replace").strip().splitlines()
            raise TpmError(f"tpm2_{tool}: {lines[0] if lines else 'no reason was given'}")
        return done.stdout

    def _call(self, tool: str, *words: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Raises TpmError if the tool is not there or does not come to an end."""
        try:
            return subprocess.run(
                [f"tpm2_{tool}", *words], input=given, capture_output=True, timeout=_SECONDS, env=self._environment,
                cwd=self._folder, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise TpmError(f"tpm2_{tool}: {error}") from error


class TpmCounter:
    """A counter in the TPM's own memory: it is incremented, never written, and goes on if it is made anew."""

    def __init__(self, tpm: Tpm, index: str, base: int) -> None:
        self._tpm, self._index, self._base = tpm, index, base
        if index not in tpm._run("getcap", "handles-nv-index").decode().lower():
            tpm._run("nvdefine", "-Q", index, "-C", "o", "-a", "ownerread|ownerwrite|nt=counter")
            # What was never incremented cannot be read; it begins above every counter that the TPM ever had.
            tpm._run("nvincrement", "-Q", "-C", "o", index)

    def value(self) -> int:
        """Raises CounterError."""
        try:
            raw = self._tpm._run("nvread", "-C", "o", "-s", "8", self._index)
        except TpmError as error:
            raise CounterError(f"the counter cannot be read: {error}") from error
        return int.from_bytes(raw, "big") - self._base

    def increment(self) -> int:
        """Raises CounterError."""
        try:
            self._tpm._run("nvincrement", "-Q", "-C", "o", self._index)
        except TpmError as error:
            raise CounterError(f"the counter cannot be incremented: {error}") from error
        return self.value()


def check_quote(quote: Quote, attestation_key: str, *, nonce: bytes, digest: str) -> None:
    """Return if a quote is of these files, by this TPM, for this nonce. Raises TpmError."""
    try:
        message, signature = bytes.fromhex(quote.message), bytes.fromhex(quote.signature)
        key = serialization.load_pem_public_key(attestation_key.encode())
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise TpmError("the attestation key that was enrolled is no key of an elliptic curve")
        key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        found, measured = _read(message)
    except InvalidSignature as error:
        raise TpmError("the quote is not signed by the TPM that was enrolled") from error
    except (ValueError, struct.error) as error:
        raise TpmError(f"the quote cannot be read: {error}") from error
    if not hmac.compare_digest(found, nonce):
        raise TpmError("the quote was made for another nonce: a replay")
    register = hashlib.sha256(bytes(32) + bytes.fromhex(digest)).digest()
    if measured != hashlib.sha256(register).digest():
        raise TpmError("the TPM has measured other files than those that are shown")


def _read(message: bytes) -> tuple[bytes, bytes]:
    """Return nonce and digest of the registers of a TPMS_ATTEST (TPM 2.0, part 2, 10.12). Raises ValueError."""
    if message[:4] != _MAGIC or message[4:6] != _QUOTE:
        raise ValueError("it is no quote")
    (signer,) = struct.unpack_from(">H", message, 6)
    at = 8 + signer
    (size,) = struct.unpack_from(">H", message, at)
    nonce = message[at + 2 : at + 2 + size]
    # Clock (17 bytes) and firmware (8), then one selection of one bank, then the digest.
    at += 2 + size + 17 + 8
    selected = message[at : at + 10]
    if selected != struct.pack(">IHB3s", 1, 0x000B, 3, (1 << _PCR).to_bytes(3, "little")):
        raise ValueError(f"it is of other registers than {_PCR} of SHA-256")
    (size,) = struct.unpack_from(">H", message, at + 10)
    if len(message) != at + 12 + size:
        raise ValueError("it is longer or shorter than it says")
    return nonce, message[at + 12 :]
