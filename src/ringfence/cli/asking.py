"""What commands of the command line share that ask a running core."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ringfence.messages.batch import Records


def carry_out(directory: Path, operator: str, records: "Records") -> int:
    """Send commands to the running core and return the sequence when they are durable; exits with the reason."""
    from ringfence.daemons.admin import AdminRefused

    try:
        return ask(directory, operator, records)
    except AdminRefused as error:
        sys.exit(f"refused, nothing has changed: {error}")


def ask(directory: Path, operator: str, records: "Records") -> int:
    """Return the sequence of a command when it is durable. Raises AdminRefused."""
    from ringfence.daemons.admin import Admin, AdminTimeout

    async def talk() -> int:
        admin = Admin(directory)
        await admin.connect()
        try:
            events = await admin.ask(records, operator=operator)
        finally:
            admin.close()
        return int(events["sequence"][0])

    try:
        return asyncio.run(talk())
    except AdminTimeout as error:
        sys.exit(f"{error}; look at the journal before you try again")
    except ValueError as error:
        sys.exit(f"{error}; nothing was sent")
    except OSError as error:
        sys.exit(f"no exchange core answers in {directory}: {error}")


def number_of(directory: Path, symbol: str) -> int:
    """Return the number of a listed instrument; exits if there is none."""
    from ringfence.daemons.venue import read_venue

    try:
        venue = read_venue(directory)
    except ValueError as error:
        sys.exit(str(error))
    for instrument in venue.instruments if venue else ():
        if instrument.symbol == symbol:
            return instrument.number
    sys.exit(f"{symbol} is not listed; nothing was sent")
