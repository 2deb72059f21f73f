"""Login and enrolment with a hardware key: WebAuthn, by py_webauthn; the person is verified by the key every time.

A challenge is good once and for two minutes. Keys are discoverable, so nobody is asked for a name, and the console
tells nobody whose names it knows.
"""

import hashlib
import secrets
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
import webauthn
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from webauthn.helpers import (
    base64url_to_bytes,
    bytes_to_base64url,
    decode_credential_public_key,
    decoded_public_key_to_cryptography,
)
from webauthn.helpers.cose import COSEAlgorithmIdentifier
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from ringfence.console.origin import Origin
from ringfence.console.sessions import Clock

CHALLENGE_SECONDS = 120.0
_PENDING_MAX = 200
_ALGORITHMS = [
    COSEAlgorithmIdentifier.ECDSA_SHA_256,
    COSEAlgorithmIdentifier.EDDSA,
    COSEAlgorithmIdentifier.RSASSA_PKCS1_v1_5_SHA_256,
]
_TIMEOUT_MS = int(CHALLENGE_SECONDS * 1000)
Json = dict[str, Any]


class HardwareError(Exception):
    """What came is not the answer of a hardware key that is wanted here. Nothing was done."""


class NewKey(NamedTuple):
    """A hardware key that was shown to be there, and not yet to be anybody's."""

    credential: str
    """Base64url, as its browser names it."""
    public_key: str
    """COSE, hexadecimal."""
    digest: str
    """SHA-256 of the public key as SPKI, hexadecimal: what a person signs."""
    signed: int
    """How often it has signed."""
    challenge: str


class KnownKey(NamedTuple):
    """A hardware key that a person has enrolled for a seat."""

    credential: str
    seat: str
    public_key: str
    signed: int
    """How often it had signed when it was seen last; 0 of one that does not count."""
    signed_by: str
    """The seat's public key that the enrolment was signed with."""


class Hardware:
    """Asks hardware keys, and checks what they answer."""

    def __init__(self, origin: Origin, now: Clock = time.monotonic) -> None:
        self._origin, self._now = origin, now
        self._pending: dict[str, tuple[str, bytes, float]] = {}

    # ---- enrolment

    def begin_enrolment(self, seat: str) -> Json:
        """Return what a browser asks a new key. Whether there is such a seat is seen at the end, by a signature."""
        ticket, challenge = self._begin("enrol")
        options = webauthn.generate_registration_options(
            rp_id=self._origin.relying_party, rp_name="Ringfence custody console", user_name=seat, challenge=challenge,
            user_id=handle_of(seat), timeout=_TIMEOUT_MS, supported_pub_key_algs=_ALGORITHMS,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
            ),
        )  # fmt: skip
        return {"ticket": ticket, "publicKey": _as_json(options)}

    def finish_enrolment(self, ticket: str, answer: Json) -> NewKey:
        """Raises HardwareError."""
        challenge = self._take(ticket, "enrol")
        try:
            found = webauthn.verify_registration_response(
                credential=answer, expected_challenge=challenge, expected_rp_id=self._origin.relying_party,
                expected_origin=self._origin.text, require_user_verification=True,
                supported_pub_key_algs=_ALGORITHMS,
            )  # fmt: skip
            key = decoded_public_key_to_cryptography(
                decode_credential_public_key(found.credential_public_key)
            )
            raw = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        except Exception as error:  # the library's errors and its parsers': whatever it is, it is no such key
            raise HardwareError(f"this is no new hardware key: {type(error).__name__}") from error
        return NewKey(
            bytes_to_base64url(found.credential_id), found.credential_public_key.hex(),
            hashlib.sha256(raw).hexdigest(), found.sign_count, bytes_to_base64url(challenge),
        )  # fmt: skip

    # ---- a challenge for whoever removes a key: no hardware key has a part in it

    def begin_removal(self) -> Json:
        ticket, challenge = self._begin("remove")
        return {"ticket": ticket, "challenge": bytes_to_base64url(challenge)}

    def finish_removal(self, ticket: str) -> str:
        """Return the challenge that has to be in what was signed. Raises HardwareError."""
        return str(bytes_to_base64url(self._take(ticket, "remove")))

    # ---- login

    def begin_login(self) -> Json:
        ticket, challenge = self._begin("login")
        options = webauthn.generate_authentication_options(
            rp_id=self._origin.relying_party, challenge=challenge, timeout=_TIMEOUT_MS,
            user_verification=UserVerificationRequirement.REQUIRED,
        )  # fmt: skip
        return {"ticket": ticket, "publicKey": _as_json(options)}

    def finish_login(self, ticket: str, answer: Json, keys: Mapping[str, KnownKey]) -> tuple[KnownKey, int]:
        """Return whose key it is and how often it has signed by now. Raises HardwareError."""
        challenge = self._take(ticket, "login")
        try:
            known = keys[answer["id"]]
            found = webauthn.verify_authentication_response(
                credential=answer, expected_challenge=challenge, expected_rp_id=self._origin.relying_party,
                expected_origin=self._origin.text, credential_public_key=bytes.fromhex(known.public_key),
                credential_current_sign_count=known.signed, require_user_verification=True,
            )  # fmt: skip
            handle = base64url_to_bytes(answer["response"]["userHandle"])
        except Exception as error:  # as above
            raise HardwareError(f"this opens nothing: {type(error).__name__}") from error
        if not secrets.compare_digest(handle, handle_of(known.seat)):
            raise HardwareError("this opens nothing: the key says that it is somebody else's")
        return known, int(found.new_sign_count)

    # ---- challenges

    def _begin(self, what: str) -> tuple[str, bytes]:
        now = self._now()
        for ticket in [ticket for ticket, one in self._pending.items() if now - one[2] > CHALLENGE_SECONDS]:
            del self._pending[ticket]
        if len(self._pending) >= _PENDING_MAX:
            raise HardwareError("too many are at it: try again in a minute")
        ticket, challenge = secrets.token_urlsafe(16), secrets.token_bytes(32)
        self._pending[ticket] = (what, challenge, now)
        return ticket, challenge

    def _take(self, ticket: str, what: str) -> bytes:
        """Return a challenge, which is used up by that."""
        kind, challenge, began = self._pending.pop(ticket, ("", b"", 0.0))
        if kind != what or self._now() - began > CHALLENGE_SECONDS:
            raise HardwareError("this took too long, or was done before: begin again")
        return challenge


def handle_of(seat: str) -> bytes:
    """Return what a hardware key keeps of whose it is."""
    return hashlib.sha256(b"ringfence console seat " + seat.encode()).digest()


def _as_json(options: Any) -> Json:
    return msgspec.json.decode(webauthn.options_to_json(options), type=Json)
