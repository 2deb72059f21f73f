"""Mutual TLS between machines that know each other: a peer is who has the private key of a pinned certificate."""

import hashlib
import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ringfence.files import replace

_YEARS = 10
_END = "-----END CERTIFICATE-----"


class PinError(Exception):
    """The other side is not who was pinned. Nothing was said to it."""


def fingerprint_of(certificate: Path) -> str:
    """Return SHA-256 of a certificate in PEM, hexadecimal. Raises OSError, ValueError."""
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate.read_text())).hexdigest()


def certificates_in(text: str) -> list[str]:
    """Return the certificates of a file in PEM, one or more. Raises ValueError if there is none, or anything else."""
    found = [begin + _END for begin in text.split(_END)[:-1]]
    if not found or text.split(_END)[-1].strip():
        raise ValueError("these are no certificates in PEM")
    normal = [ssl.DER_cert_to_PEM_cert(ssl.PEM_cert_to_DER_cert(one.strip())) for one in found]
    for one in normal:
        x509.load_pem_x509_certificate(one.encode())
    return normal


def fingerprints_of(certificates: Path) -> list[str]:
    """Return SHA-256 of each certificate in a file: while one is replaced there are two. Raises OSError, ValueError."""
    found = certificates_in(certificates.read_text())
    return [hashlib.sha256(ssl.PEM_cert_to_DER_cert(one)).hexdigest() for one in found]


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


def ensure_certificate(folder: Path, name: str, *, address: str = "") -> None:
    """Make a key and a certificate that it signs itself, for a name and perhaps an address, or a host's name.

    Peers pin it, no authority is asked. Raises OSError.
    """
    if (folder / "tls.crt").exists():
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    # Of two trusted certificates with one subject OpenSSL looks at one alone, and while a certificate is replaced there
    # are two: the number tells them apart.
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, name),
            x509.NameAttribute(NameOID.SERIAL_NUMBER, f"{serial:x}"),
        ]
    )
    names = [x509.DNSName(name), *([_alternative(address)] if address else [])]
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=365 * _YEARS))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    replace(folder / "tls.key", private)
    replace(folder / "tls.crt", certificate.public_bytes(serialization.Encoding.PEM))


def _alternative(address: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(address))
    except ValueError:
        return x509.DNSName(address)
