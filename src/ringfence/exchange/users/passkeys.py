"""Passkeys: WebAuthn ceremonies by py_webauthn, for one name and its one origin."""

from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
import webauthn
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

_LOOPBACK = ("127.0.0.1", "::1")
VENUE = "Ringfence"


class PasskeyError(Exception):
    """The answer of the authenticator does not count; nothing was changed."""


class Passkey(msgspec.Struct, frozen=True):
    id: str
    """Of the credential, base64url."""
    public_key: str
    """COSE, base64url."""
    count: int
    """How often the authenticator says that it has signed; 0 = it does not count."""
    name: str = ""
    created_ns: int = 0
    used_ns: int = 0


class Site(NamedTuple):
    """Whom passkeys are for. WebAuthn knows names alone, so a loopback address is `localhost`."""

    rp_id: str
    origins: tuple[str, ...]


def site_of(url: str) -> Site:
    """Return whom passkeys are for at an exchange that clients see at `url`."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host in _LOOPBACK:
        port = f":{parts.port}" if parts.port else ""
        return Site("localhost", (f"{parts.scheme}://localhost{port}",))
    return Site(host, (f"{parts.scheme}://{parts.netloc}",))


def creation_options(
    site: Site, *, challenge: bytes, user: str, email: str, known: list[Passkey]
) -> dict[str, Any]:
    options = webauthn.generate_registration_options(
        rp_id=site.rp_id, rp_name=VENUE, user_name=email, user_id=user.encode(), challenge=challenge,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.PREFERRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
        exclude_credentials=_descriptors(known),
    )  # fmt: skip
    return _plain(options)


def request_options(site: Site, *, challenge: bytes, known: list[Passkey]) -> dict[str, Any]:
    """Return what a browser needs to sign with one of these; none = whichever it has for this site."""
    options = webauthn.generate_authentication_options(
        rp_id=site.rp_id, challenge=challenge, allow_credentials=_descriptors(known) or None,
        user_verification=UserVerificationRequirement.REQUIRED,
    )  # fmt: skip
    return _plain(options)


def created(site: Site, answer: Any, *, challenge: bytes, name: str, now_ns: int) -> Passkey:
    """Return the passkey that an authenticator has made. Raises PasskeyError."""
    try:
        found = webauthn.verify_registration_response(
            credential=answer, expected_challenge=challenge, expected_rp_id=site.rp_id,
            expected_origin=list(site.origins), require_user_verification=True,
        )  # fmt: skip
    except Exception as error:
        raise _refusal(error) from error
    return Passkey(
        bytes_to_base64url(found.credential_id),
        bytes_to_base64url(found.credential_public_key),
        found.sign_count,
        name,
        now_ns,
    )


def signed(site: Site, answer: Any, *, challenge: bytes, passkey: Passkey) -> int:
    """Return the authenticator's new count. Raises PasskeyError, also if the count shows that there are two of it."""
    try:
        found = webauthn.verify_authentication_response(
            credential=answer, expected_challenge=challenge, expected_rp_id=site.rp_id,
            expected_origin=list(site.origins), credential_public_key=base64url_to_bytes(passkey.public_key),
            credential_current_sign_count=passkey.count, require_user_verification=True,
        )  # fmt: skip
    except Exception as error:
        raise _refusal(error) from error
    return found.new_sign_count


def credential_id(answer: Any) -> str:
    """Return which passkey an answer claims to be of, empty if it claims none."""
    found = answer.get("id") if isinstance(answer, dict) else None
    return found if isinstance(found, str) else ""


def _refusal(error: Exception) -> PasskeyError:
    # What a stranger sends may trip the parsers in ways of their own; none of them is a yes.
    known = isinstance(error, WebAuthnException)
    return PasskeyError(str(error) if known else "the authenticator's answer cannot be read")


def _descriptors(known: list[Passkey]) -> list[PublicKeyCredentialDescriptor]:
    return [PublicKeyCredentialDescriptor(id=base64url_to_bytes(one.id)) for one in known]


def _plain(options: Any) -> dict[str, Any]:
    return msgspec.json.decode(webauthn.options_to_json(options), type=dict[str, Any])
