"""`/.well-known/security.txt`, RFC 9116: where to report, until when this counts, signed as the RFC wants (OpenPGP)."""

import warnings
from datetime import UTC, datetime, timedelta

import pysequoia

EXPIRES_DAYS = 90
_USER = "Ringfence security.txt"


def new_openpgp_key() -> bytes:
    """Return a private key in armour, which signs this file and nothing else."""
    return str(pysequoia.Tsk.generate(_USER)).encode()


def public_part(private: bytes) -> bytes:
    return str(pysequoia.Tsk.from_bytes(private).extract_certificate()).encode()


def security_txt(url: str, *, mail: str = "", now: datetime) -> str:
    """Return the file for an exchange whose pages are at `url`, unsigned; lines as the RFC wants them.

    `mail` is an alias for reports, which comes after the page: what is sent there is sealed by hand or not at all.
    """
    expires = (now.astimezone(UTC) + timedelta(days=EXPIRES_DAYS)).replace(microsecond=0)
    fields = (
        ("Contact", f"{url}/public/report.html"),
        *([("Contact", f"mailto:{mail}")] if mail else []),
        ("Expires", expires.isoformat().replace("+00:00", "Z")),
        ("Encryption", f"{url}/.well-known/security-age.txt"),
        ("Acknowledgments", f"{url}/public/security.html#thanks"),
        ("Preferred-Languages", "en"),
        ("Canonical", f"{url}/.well-known/security.txt"),
        ("Policy", f"{url}/public/security.html"),
    )
    intro = "# Reports are sealed for one role before they leave your machine. How: the Contact page.\n"
    return intro + "".join(f"{name}: {value}\n" for name, value in fields)


def signed(text: str, private: bytes) -> bytes:
    """Return the file with a cleartext signature, as section 2.3 of the RFC says."""
    signer = pysequoia.Tsk.from_bytes(private).signer()
    return bytes(pysequoia.sign(signer, text.encode(), mode=pysequoia.SignatureMode.CLEAR))


def verified(raw: bytes, certificate: bytes) -> str:
    """Return the text that a certificate has signed. Raises ValueError."""
    known = pysequoia.Cert.from_bytes(certificate)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            found = pysequoia.verify(raw, store=lambda names: [known])
        except Exception as error:  # Sequoia's errors have no class of their own
            why = str(error).partition("\n")[0]
            raise ValueError(f"security.txt is not signed by this key: {why}") from error
    return bytes(found.bytes or b"").decode()
