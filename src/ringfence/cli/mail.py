"""`ringfence mail`: what the embedded exchange has written to people, instead of a mailbox."""

import email
import email.policy
import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from ringfence.cli.up import DIRECTORY


def mail(
    *, count: int = 3, to: str = "", directory: Path = DIRECTORY, json: Annotated[bool, Parameter("--json")] = False
) -> None:  # fmt: skip
    """Show the newest mails that the catcher of the embedded exchange holds, newest last.

    Parameters
    ----------
    count
        How many.
    to
        Only those to this address.
    directory
        Where the exchange's files are.
    json
        As JSON, for machines.
    """
    import msgspec

    from ringfence.daemons.mail_catcher import FOLDER

    folder = directory / FOLDER
    if not folder.is_dir():
        sys.exit(f"no mail is caught in {directory}; a server of your own is named in accounts/mail.json")
    rows = [_row(path) for path in sorted(folder.glob("*.eml"))]
    rows = [row for row in rows if not to or row["to"] == to][-count:]
    if json:
        print(msgspec.json.encode(rows).decode())
        return
    for row in rows:
        print(f"{row['date']}  to {row['to']}\n{row['subject']}\n\n{row['text'].strip()}\n")
    if not rows:
        print("no mail yet")


def _row(path: Path) -> dict[str, Any]:
    message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    body = message.get_body()
    text = body.get_content() if body is not None else ""
    return {
        "to": str(message["to"]),
        "date": str(message["date"]),
        "subject": str(message["subject"]),
        "text": text,
    }
