"""Somebody who owns the exchange's servers, and what he can make the core write down."""

import asyncio
from pathlib import Path

from ringfence.exchange.feed import CoreClient
from ringfence.messages.batch import FUNDS, encode_data
from ringfence.messages.commands import Command
from ringfence.messages.funds import Credit, Wish, encode
from ringfence.testing.play import command
from ringfence.units.assets import XBT

_INSTRUCTIONS_MAX = 100
_SECONDS = 0.2


async def credit_nothing(directory: Path, amount: int, *, asset: int = XBT.number) -> None:
    """Credit coins that never came, once: only custody's next number is taken, so they are tried from above."""
    text = encode_data([(FUNDS, encode(Credit("regtest", "ab" * 32, 0)))])
    rows = (
        command(Command.DEPOSIT, account=1, symbol=asset, qty=amount, px=number)
        for number in range(_INSTRUCTIONS_MAX, 0, -1)
    )
    await _write(directory, [row.tobytes() + text for row in rows])


async def forge_wish(directory: Path, account: int, custody: int, wish: Wish) -> None:
    """Ask for a withdrawal in the name of a client, who knows nothing of it."""
    text = encode_data([(FUNDS, encode(wish))])
    row = command(Command.TRANSFER, account=account, handle=custody, qty=wish.amount + wish.fee_max)
    await _write(directory, [row.tobytes() + text])


async def _write(directory: Path, commands: list[bytes]) -> None:
    client = CoreClient(directory / "core.sock", lambda sequence: None)
    await client.connect()
    try:
        for raw in commands:
            client.submit(raw)
        while client.pending_bytes:
            await asyncio.sleep(_SECONDS / 10)
        await asyncio.sleep(_SECONDS)
    finally:
        client.close()
