"""Somebody who owns the exchange's servers, and what he can make the core write down."""

from pathlib import Path

import numpy as np

from ringfence.daemons.admin import Admin, AdminRefused, command
from ringfence.messages.batch import FUNDS, encode_data
from ringfence.messages.commands import Command
from ringfence.messages.funds import Credit, encode
from ringfence.messages.records import COMMAND

_INSTRUCTIONS_MAX = 1_000


async def credit_nothing(directory: Path, amount: int) -> None:
    """Credit coins that never came, with custody's next instruction: its number is tried out."""
    admin = Admin(directory)
    await admin.connect()
    text = encode_data([(FUNDS, encode(Credit("regtest", "ab" * 32, 0)))])
    try:
        for number in range(1, _INSTRUCTIONS_MAX):
            row = command(Command.DEPOSIT, account=1, symbol=0, qty=amount, px=number).tobytes() + text
            try:
                await admin.ask(np.frombuffer(row, COMMAND), operator="mallory")
            except AdminRefused:
                continue
            return
    finally:
        admin.close()
    raise AssertionError("none of the numbers was the next one")
