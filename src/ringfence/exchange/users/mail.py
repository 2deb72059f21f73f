"""What we write to people: plain text, one recipient, nothing that they have typed but their own code.

A mail waits as a file until a server has taken it: a server that is away, or a process that is killed, loses none.
"""

import email
import email.policy
import re
import secrets
import smtplib
import ssl
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from pathlib import Path
from typing import NamedTuple

import msgspec

from ringfence.files import replace

_SECONDS = 20.0
_ADDRESS = re.compile(r"[a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63}){1,8}")
_ADDRESS_CHARACTERS_MAX = 254
OUTBOX = "outbox"


class MailConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`accounts/mail.json`: whom mail is given to."""

    host: str
    port: int
    sender: str
    security: str = "tls"
    """`tls` from the first byte, `starttls`, or `none`, which is for a catcher on this machine alone."""
    username: str = ""
    password_file: str = ""
    """The password's file: never the password."""

    @property
    def is_caught(self) -> bool:
        """Whether mail stays on this machine, for development."""
        return self.security == "none"


def address_of(text: str) -> str | None:
    """Return an address of mail as we keep it, None if it is none."""
    lowered = text.strip().lower()
    is_one = len(lowered) <= _ADDRESS_CHARACTERS_MAX and _ADDRESS.fullmatch(lowered)
    return lowered if is_one else None


def hidden(address: str) -> str:
    """Return an address so that its owner knows it and nobody else learns it."""
    name, _, host = address.partition("@")
    return f"{name[0]}***@{host}"


class Mail(NamedTuple):
    """A mail as a person reads it."""

    to: str
    subject: str
    date: str
    text: str


def read_mail(path: Path) -> Mail:
    """Return a mail that was written into a file. Raises OSError."""
    message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    body = message.get_body()
    text = "" if body is None else str(body.get_content())
    return Mail(str(message["to"]), str(message["subject"]), str(message["date"]), text)


class Outbox:
    """The folder in which mail waits. `put` is durable when it returns."""

    def __init__(self, home: Path, sender: str) -> None:
        self._folder, self._sender = home / OUTBOX, sender
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def put(self, *, to: str, subject: str, text: str, anti_phishing: str) -> None:
        """Raises OSError."""
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = self._sender, to, subject
        now = datetime.now(UTC)
        mail["Date"], mail["Message-ID"] = (
            format_datetime(now),
            make_msgid(domain=self._sender.partition("@")[2]),
        )
        mail["Auto-Submitted"] = "auto-generated"
        code = f"Your anti-phishing code: {anti_phishing}\n\n" if anti_phishing else ""
        mail.set_content(f"{code}{text}\n-- \nRingfence. We never ask for passwords, codes or keys.\n")
        name = f"{now:%Y%m%dT%H%M%S%f}-{secrets.token_hex(4)}.eml"
        replace(self._folder / name, mail.as_bytes())

    def waiting(self) -> list[Path]:
        return sorted(self._folder.glob("*.eml"))


def deliver(config: MailConfig, paths: list[Path]) -> None:
    """Give mails to the server, oldest first; one that it has taken is deleted.

    Raises OSError, smtplib.SMTPException: those that are left wait.
    """
    with _connection(config) as server:
        for path in paths:
            mail = path.read_bytes()
            headers, _, _ = mail.partition(b"\n\n")
            to = re.search(rb"^To: (.+)$", headers, re.MULTILINE)
            assert to is not None
            server.sendmail(config.sender, [to[1].decode()], mail)
            path.unlink()


def _connection(config: MailConfig) -> smtplib.SMTP:
    if config.security == "tls":
        server: smtplib.SMTP = smtplib.SMTP_SSL(
            config.host, config.port, timeout=_SECONDS, context=ssl.create_default_context()
        )
    else:
        server = smtplib.SMTP(config.host, config.port, timeout=_SECONDS)
        if config.security == "starttls":
            server.starttls(context=ssl.create_default_context())
    if config.username:
        server.login(config.username, Path(config.password_file).read_text().strip())
    return server
