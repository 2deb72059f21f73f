"""Reports that come as mail: what is sealed in them is taken as it is, what is not is sealed at once.

A mail that was not sealed has been read by every server on its way; what we can still do is keep it from everybody
here but the role.
"""

import email
import email.policy
import re
from email.headerregistry import Address
from email.message import EmailMessage
from typing import NamedTuple

from ringfence.assurance.disclosure.sealed import SEALED_BYTES_MAX, SealedError, check_sealed, seal

_ARMOUR = re.compile(r"-----BEGIN AGE ENCRYPTED FILE-----.*?-----END AGE ENCRYPTED FILE-----", re.DOTALL)
_PLAIN_BYTES_MAX = SEALED_BYTES_MAX * 2 // 3


class ByMail(NamedTuple):
    """What a mail comes to."""

    sealed: list[str]
    """age files in armour."""
    answer_to: str
    """Empty if nobody is to be answered: a machine has written it, or it does not say who has."""


def read(raw: bytes, *, recipient: str) -> ByMail:
    """Return the reports in a mail. Raises SealedError if it is too long to be kept."""
    message = email.message_from_bytes(raw, policy=email.policy.default)
    found = [armour for text in _texts(message) for armour in _ARMOUR.findall(text) if _is_sealed(armour)]
    if not found:
        if len(raw) > _PLAIN_BYTES_MAX:
            raise SealedError(f"a report by mail has at most {_PLAIN_BYTES_MAX} bytes")
        found = [seal(raw, [recipient])]
    return ByMail(found, _answer_to(message))


def _texts(message: EmailMessage) -> list[str]:
    """Return the mail's own text and its files that are text; `.age` files are attached as either."""
    texts = []
    for part in message.walk():
        if part.is_multipart():
            continue
        content = part.get_payload(decode=True)
        if isinstance(content, bytes):
            texts.append(content.decode("ascii", "replace").replace("\r\n", "\n"))
    return texts


def _is_sealed(armour: str) -> bool:
    try:
        check_sealed(armour)
    except SealedError:
        return False
    return True


def _answer_to(message: EmailMessage) -> str:
    if str(message.get("Auto-Submitted", "no")).lower() != "no" or message.get("List-Id"):
        return ""
    header = message.get("Reply-To") or message.get("From")
    addresses: list[Address] = list(getattr(header, "addresses", ()))
    return addresses[0].addr_spec if len(addresses) == 1 else ""
