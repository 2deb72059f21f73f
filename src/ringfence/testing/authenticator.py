"""A passkey in software, as a browser's authenticator answers: ES256, no attestation."""

import hashlib
import json
import os
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url

_USER_PRESENT, _USER_VERIFIED, _HAS_CREDENTIAL = 0x01, 0x04, 0x40


class Authenticator:
    """One credential at a time; `origin` is what the browser says that the page is."""

    def __init__(self, origin: str, *, verifies_user: bool = True) -> None:
        self.origin = origin
        self.count = 0
        self._flags = _USER_PRESENT | (_USER_VERIFIED if verifies_user else 0)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.id = os.urandom(32)
        self._rp_id, self._user = "", b""

    def create(self, options: dict[str, Any]) -> dict[str, Any]:
        """Answer creation options, as `credential.toJSON()` is."""
        self._rp_id, self._user = options["rp"]["id"], base64url_to_bytes(options["user"]["id"])
        numbers = self._key.public_key().public_numbers()
        cose = {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        credential = bytes(16) + len(self.id).to_bytes(2, "big") + self.id + cbor2.dumps(cose)
        data = self._data(_HAS_CREDENTIAL) + credential
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        client = self._client("webauthn.create", options["challenge"])
        return self._answer(clientDataJSON=client, attestationObject=attestation)

    def sign(self, options: dict[str, Any]) -> dict[str, Any]:
        """Answer request options."""
        self.count += 1
        data, client = self._data(0), self._client("webauthn.get", options["challenge"])
        signature = self._key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(SHA256()))
        return self._answer(
            clientDataJSON=client, authenticatorData=data, signature=signature, userHandle=self._user
        )

    def _data(self, more: int) -> bytes:
        rp = hashlib.sha256(self._rp_id.encode()).digest()
        return rp + bytes([self._flags | more]) + self.count.to_bytes(4, "big")

    def _client(self, kind: str, challenge: str) -> bytes:
        said = {"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}
        return json.dumps(said).encode()

    def _answer(self, **parts: bytes) -> dict[str, Any]:
        name, response = (
            bytes_to_base64url(self.id),
            {key: bytes_to_base64url(raw) for key, raw in parts.items()},
        )
        return {
            "id": name, "rawId": name, "type": "public-key", "response": response, "clientExtensionResults": {},
            "authenticatorAttachment": "platform",
        }  # fmt: skip
