"""`ringfence mail`: what the embedded exchange has written to people, instead of a mailbox."""

import sys
from pathlib import Path
from typing import Annotated

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
    from ringfence.exchange.users.mail import read_mail

    folder = directory / FOLDER
    if not folder.is_dir():
        sys.exit(f"no mail is caught in {directory}; a server of your own is named in accounts/mail.json")
    mails = [read_mail(path) for path in sorted(folder.glob("*.eml"))]
    mails = [one for one in mails if not to or one.to == to][-count:]
    if json:
        print(msgspec.json.encode([one._asdict() for one in mails]).decode())
        return
    for one in mails:
        print(f"{one.date}  to {one.to}\n{one.subject}\n\n{one.text.strip()}\n")
    if not mails:
        print("no mail yet")
