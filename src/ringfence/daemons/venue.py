"""`founded.json`: what was founded, for those who serve it."""

from pathlib import Path

import msgspec

from ringfence.files import replace
from ringfence.instruments.specification import Instrument

BOTS = ("bot-maker", "bot-taker")
"""The names of the bots' accounts and keys."""
JUDGES = ("shadow", "auditor")
"""The judges, by the names of their processes; their keys are on the list of people."""
INSURANCE = "insurance fund"
"""The name of the account whose wallets are the insurance funds. It has no key: the engine trades for it."""


CUSTODY = "custody"
"""The name of the account that holds the coins of withdrawals under way. It has no key."""


class Venue(msgspec.Struct, frozen=True, kw_only=True):
    """Accounts by name, and the instruments as they were listed."""

    founded_ns: int
    instruments: tuple[Instrument, ...]
    traders: dict[str, int]
    bots: dict[str, int]
    insurance: int
    """Account number of the insurance fund."""
    custody: int = 0
    """Account number of custody, 0 if there is none: then coins are for demonstration alone."""


def read_venue(directory: Path) -> Venue | None:
    """Return what was founded, None before it is complete. Raises ValueError if the file is damaged."""
    try:
        return msgspec.json.decode((directory / "founded.json").read_bytes(), type=Venue)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise ValueError(f"founded.json cannot be read: {error}. Delete it: it is made again.") from error


def write_venue(directory: Path, venue: Venue) -> None:
    """Say that the venue is founded; written last, after the keys."""
    replace(directory / "founded.json", msgspec.json.format(msgspec.json.encode(venue)))
