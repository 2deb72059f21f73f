"""Mail to the security alias, handed to the security desk: who writes gets the receipts back.

A mail server pipes a mail into `ringfence security intake`; the embedded exchange's catcher does the same by itself.
"""

import logging
from pathlib import Path

from ringfence import lines
from ringfence.assurance.disclosure import by_mail
from ringfence.daemons.security_desk import SOCKET, home_of
from ringfence.exchange.users.founding import home_of as accounts_of
from ringfence.exchange.users.founding import read_mail_config
from ringfence.exchange.users.mail import Outbox, address_of

log = logging.getLogger(__name__)
ALIAS = "security"
_SECONDS = 10.0
_REPORTS_MAX = 5


class IntakeError(Exception):
    """The mail was not taken; whoever handed it over should try again, or tell its sender."""


def alias_of(directory: Path) -> str:
    """Return where reports may be sent by mail. Raises OSError, ValueError."""
    return f"{ALIAS}@{read_mail_config(directory).sender.partition('@')[2]}"


async def take(directory: Path, raw: bytes) -> list[str]:
    """Hand a mail's reports to the desk; return their ids. Raises IntakeError, SealedError, OSError, ValueError."""
    desk = home_of(directory) / SOCKET
    try:
        public = await lines.ask(desk, {"ask": "public"}, seconds=_SECONDS)
        found = by_mail.read(raw, recipient=public["recipient"])
        receipts = []
        for sealed in found.sealed[:_REPORTS_MAX]:
            said = await lines.ask(desk, {"ask": "report", "sealed": sealed}, seconds=_SECONDS)
            if "error" in said:
                raise IntakeError(said["error"])
            receipts.append((said["id"], said["secret"]))
    except lines.NoAnswerError as error:
        raise IntakeError(f"the security desk does not answer: {error}") from error
    to = address_of(found.answer_to)
    if to is not None:
        _acknowledge(directory, to, receipts)
    return [name for name, _ in receipts]


def _acknowledge(directory: Path, to: str, receipts: list[tuple[str, str]]) -> None:
    config = read_mail_config(directory)
    shown = "\n".join(f"    id {name}\n    secret {secret}" for name, secret in receipts)
    Outbox(accounts_of(directory), config.sender).put(
        to=to, subject="Your report was received", anti_phishing="",
        text="Thank you. Only the security role can read what you have sent. A person acknowledges it within a day.\n\n"
        f"With this you see how far it is, at /public/report.html:\n\n{shown}\n",
    )  # fmt: skip
