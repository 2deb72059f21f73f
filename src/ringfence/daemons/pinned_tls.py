"""Mutual TLS between machines that know each other: a peer is who has the private key of a pinned certificate."""

import hashlib
import ssl
from pathlib import Path


class PinError(Exception):
    """The other side is not who was pinned. Nothing was said to it."""


def fingerprint_of(certificate: Path) -> str:
    """Return SHA-256 of a certificate in PEM, hexadecimal. Raises OSError, ValueError."""
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate.read_text())).hexdigest()


def server_context(own: Path, peers: list[Path]) -> ssl.SSLContext:
    """Return what a server needs that lets only `peers` (certificates) in; `own` has tls.crt and tls.key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(own / "tls.crt", own / "tls.key")
    for peer in peers:
        context.load_verify_locations(peer)
    return context


def client_context(own: Path, peer: Path) -> ssl.SSLContext:
    """Return what a client needs to speak to the one server that has this certificate. Raises OSError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # The certificate itself is pinned, whatever name it carries.
    context.check_hostname = False
    context.load_cert_chain(own / "tls.crt", own / "tls.key")
    context.load_verify_locations(peer)
    return context


def peer_fingerprint(connection: ssl.SSLObject | ssl.SSLSocket) -> str:
    """Return whose certificate the other side has shown. Raises PinError."""
    raw = connection.getpeercert(binary_form=True)
    if not raw:
        raise PinError("the other side has shown no certificate")
    return hashlib.sha256(raw).hexdigest()
