"""A mail server that catches everything: what the embedded exchange writes to people lies in DIRECTORY/mail.

    python -m ringfence.daemons.mail_catcher DIRECTORY --port PORT

Mail to the security alias goes to the security desk instead, as a real server would pipe it. For development, on
loopback alone; `ringfence mail` shows what has come. A real exchange names its own server in `accounts/mail.json`.

Exit status: 0 asked to stop, 69 the port is taken.
"""

import argparse
import asyncio
import logging
import signal
import sys
import time
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP

from ringfence.assurance.disclosure.sealed import SealedError
from ringfence.daemons import security_intake
from ringfence.files import replace
from ringfence.monitoring import Page, serving, set_up_logs

log = logging.getLogger("ringfence.mail")
EXIT_UNAVAILABLE = 69
FOLDER, HOST = "mail", "127.0.0.1"
_BYTES_MAX = 1 << 20
_KEPT_MAX = 1_000


class Catcher:
    """aiosmtpd's handler: a file a mail, named by the time that it came."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if any(to.lower().startswith(f"{security_intake.ALIAS}@") for to in envelope.rcpt_tos):
            return await self._report(envelope.content)
        self._count += 1
        replace(self._folder / f"{time.time_ns():020d}-{self._count}.eml", envelope.content)
        for path in sorted(self._folder.glob("*.eml"))[:-_KEPT_MAX]:
            path.unlink()
        return "250 caught"

    async def _report(self, content: bytes) -> str:
        try:
            await security_intake.take(self._folder.parent, content)
        except security_intake.IntakeError as error:
            log.error("a report waits at its sender: %s", error)
            return "451 try again later"
        except (SealedError, OSError, ValueError) as error:
            log.error("a report was not taken: %s", error)
            return "554 not taken: see /.well-known/security.txt"
        return "250 taken"


async def run(directory: Path, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    folder = directory / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    catcher = Catcher(folder)
    server = await loop.create_server(
        lambda: SMTP(catcher, hostname="localhost", data_size_limit=_BYTES_MAX, loop=loop), HOST, port
    )
    async with server, serving(directory, Page("mail-catcher")):
        await stop.wait()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="ringfence-mail-catcher", description="catches mail, for development"
    )
    parser.add_argument("directory", type=Path)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    set_up_logs("mail")
    logging.getLogger("mail.log").setLevel(logging.WARNING)
    try:
        asyncio.run(run(options.directory.absolute(), options.port))
    except OSError as error:
        log.critical("cannot listen on %s:%d: %s; mail waits", HOST, options.port, error)
        sys.exit(EXIT_UNAVAILABLE)


if __name__ == "__main__":
    main()
