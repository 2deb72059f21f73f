"""The account desk: people who sign in, what they set for themselves, and the mail that we write to them.

    python -m ringfence.daemons.account_desk DIRECTORY --url URL

Passwords, seeds and sessions are in this process and in no other; the gateway, which strangers reach, asks it over
`accounts/desk.sock`, one line of JSON a question. Mail goes to the server of `accounts/mail.json`.

Exit status: 0 asked to stop, 66 the log, its key or the mail's configuration is not what it must be, 74 the disk or
the database of the log failed.
"""

import argparse
import asyncio
import logging
import signal
import smtplib
import sys
import time
from pathlib import Path

from ringfence.chained_log import LogError
from ringfence.configuration import (
    EXIT_CONFIG,
    Rates,
    SettingsError,
    check_in_force,
    number_in_force,
    read_configuration,
)
from ringfence.daemons.broken_logs import EXIT_AWAY, until_broken
from ringfence.daemons.measures.people import serving_accounts
from ringfence.database.addresses import DatabaseAwayError
from ringfence.database.stores import USERS, log_lines
from ringfence.exchange.users.desk import AccountDesk
from ringfence.exchange.users.founding import KEY, home_of, read_mail_config, socket_of
from ringfence.exchange.users.house import House
from ringfence.exchange.users.keys import keys_of
from ringfence.exchange.users.mail import MailConfig, Outbox, deliver
from ringfence.exchange.users.passkeys import site_of
from ringfence.exchange.users.sealing import SealError, open_seal
from ringfence.exchange.users.throttle import Throttle
from ringfence.exchange.users.userbook import Userbook
from ringfence.lines import answering, listen
from ringfence.monitoring.logs import set_up_logs

log = logging.getLogger("ringfence.accounts")
EXIT_INPUT = 66
_LINE_BYTES_MAX = 1 << 20
_DELIVER_SECONDS, _LATER_SECONDS = 0.1, 10.0


async def keep_delivering(config: MailConfig, outbox: Outbox) -> None:
    """Give away what waits, as soon as it waits; a server that is away is asked again."""
    while True:
        pause = _DELIVER_SECONDS
        paths = outbox.waiting()
        if paths:
            try:
                await asyncio.to_thread(deliver, config, paths)
            except (OSError, smtplib.SMTPException) as error:
                log.error("%d mails wait: %s", len(paths), error)
                pause = _LATER_SECONDS
        await asyncio.sleep(pause)


async def run(directory: Path, url: str, rates: Rates) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    home, config = home_of(directory), read_mail_config(directory)
    lines = log_lines(directory, USERS)
    book = Userbook(lines, open_seal(home / KEY), time.time_ns)
    site = site_of(url)
    outbox = Outbox(home, config.sender)
    throttle = Throttle(rates)
    house = House(book, outbox, throttle, site, url=site.origins[0], now_ns=time.time_ns)
    desk = AccountDesk(house, keys_of(directory), key=home / KEY)
    log.info("%d users, passkeys for %s", len(book.users), site.rp_id)
    server = await listen(socket_of(directory), answering(desk.answer), line_bytes_max=_LINE_BYTES_MAX)
    delivering = asyncio.create_task(keep_delivering(config, outbox))
    async with server, serving_accounts(directory, house):
        is_broken = await until_broken(lambda: book.is_broken, stop)
    delivering.cancel()
    house.close()
    if is_broken:
        log.critical("a line of the log may not be durable; ending, to read anew what is")
    return EXIT_AWAY if is_broken else 0


def main() -> None:
    parser = argparse.ArgumentParser(prog="ringfence-account-desk", description="people who sign in")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--url", required=True, help="where clients see the exchange")
    options = parser.parse_args()
    set_up_logs("accounts")
    directory: Path = options.directory.absolute()
    try:
        written = read_configuration(directory)
        check_in_force(written, in_force=number_in_force(directory))
    except SettingsError as error:
        log.critical("%s; nobody can sign in", error)
        sys.exit(EXIT_CONFIG)
    try:
        sys.exit(asyncio.run(run(directory, options.url, written.settings.accounts)))
    except DatabaseAwayError as error:
        log.critical("%s; nobody can sign in until it is back", error)
        sys.exit(EXIT_AWAY)
    except (LogError, SealError, OSError, ValueError) as error:
        log.critical("%s; nobody can sign in", error)
        sys.exit(EXIT_INPUT)


if __name__ == "__main__":
    main()
