"""`ringfence operator`: what only the venue may do. Each action has its operator's name in the journal."""

import sys
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from ringfence.cli.asking import ask, carry_out, number_of
from ringfence.cli.up import DIRECTORY

if TYPE_CHECKING:
    from ringfence.messages.batch import Records

app = App(name="operator", help="Admin commands; each needs --operator NAME, which goes into the journal.")
_RESEAL_SECONDS = 600.0
Operator = Annotated[str, Parameter(help="Who does this: it stands in the hash-chained journal for ever.")]


def _carry_out(directory: Path, operator: str, records: "Records", done: str) -> None:
    """Send commands to the running core and say what came of them."""
    print(f"{done}; sequence {carry_out(directory, operator, records)}, operator {operator}")


@app.command
def open_account(*, name: str, operator: Operator, directory: Path = DIRECTORY) -> None:
    """Open the next account and print its number."""
    from ringfence.daemons import founding
    from ringfence.daemons.admin import AdminRefused

    try:
        # The engine opens only the next number, and names it when it is asked for another.
        ask(directory, operator, founding.open_account(0, name))
    except AdminRefused as error:
        account = error.figure
    records = founding.open_account(account, name)
    _carry_out(directory, operator, records, f"account {account} is open for {name}")


@app.command
def credit(
    *,
    account: int,
    asset: Annotated[str, Parameter(help="XBt, USDt, Gwei ... : the smallest unit of a coin.")],
    amount: Annotated[str, Parameter(help="Whole units of the asset: 100000000 XBt are one bitcoin.")],
    operator: Operator,
    directory: Path = DIRECTORY,
) -> None:
    """Credit demo coins to an account; the ledger marks them as backed by no chain."""
    from ringfence.daemons import founding
    from ringfence.units.assets import BY_CURRENCY

    if asset not in BY_CURRENCY:
        sys.exit(f"--asset is one of {', '.join(BY_CURRENCY)}; nothing was sent")
    records = founding.credit(account, BY_CURRENCY[asset], _whole(amount))
    _carry_out(directory, operator, records, f"account {account} has {amount} {asset} more, DEMO")


def _whole(text: str) -> int:
    try:
        value = Decimal(text.replace("_", ""))
        if value != int(value) or not 0 < value < 2**62:
            raise ValueError
    except (InvalidOperation, ValueError, OverflowError):
        sys.exit(f"--amount {text!r} is no whole positive number; nothing was sent")
    return int(value)


@app.command
def close_market(symbol: str, *, operator: Operator, directory: Path = DIRECTORY) -> None:
    """Close a market: no new orders and no amendments, cancels still work; orders in the book stay.

    This is for listing and maintenance. When a number may be wrong, use `ringfence halt now`.
    """
    from ringfence.daemons.admin import command
    from ringfence.messages.commands import Command, InstrumentState

    number = number_of(directory, symbol)
    records = command(Command.SET_STATE, symbol=number, qty=InstrumentState.CLOSED)
    _carry_out(directory, operator, records, f"{symbol} is closed")


@app.command
def open_market(symbol: str, *, operator: Operator, directory: Path = DIRECTORY) -> None:
    """Open a market that was closed."""
    from ringfence.daemons.admin import command
    from ringfence.messages.commands import Command, InstrumentState

    number = number_of(directory, symbol)
    records = command(Command.SET_STATE, symbol=number, qty=InstrumentState.OPEN)
    _carry_out(directory, operator, records, f"{symbol} is open")


@app.command
def settle(symbol: str, *, operator: Operator, directory: Path = DIRECTORY) -> None:
    """End a contract before its time: orders are cancelled, positions closed at the last index price."""
    from ringfence.daemons.admin import command
    from ringfence.messages.commands import Command

    number = number_of(directory, symbol)
    _carry_out(directory, operator, command(Command.SETTLE, symbol=number), f"{symbol} is settled")


@app.command
def restrict(*, account: int, operator: Operator, directory: Path = DIRECTORY) -> None:
    """Let an account place no more orders; it can still cancel, and its open orders stay."""
    _set_restricted(directory, operator, account, restricted=True)


@app.command
def unrestrict(*, account: int, operator: Operator, directory: Path = DIRECTORY) -> None:
    """Let a restricted account trade again."""
    _set_restricted(directory, operator, account, restricted=False)


def _set_restricted(directory: Path, operator: str, account: int, *, restricted: bool) -> None:
    from ringfence.daemons.admin import command
    from ringfence.messages.commands import AccountParameter, Command

    parameter = AccountParameter.TRADING_DISABLED
    records = command(Command.CONFIGURE_ACCOUNT, account=account, type=parameter, qty=int(restricted))
    done = f"account {account} {'is restricted' if restricted else 'may trade again'}"
    _carry_out(directory, operator, records, done)


@app.command
def rotate_accounts_key(*, operator: Operator, directory: Path = DIRECTORY) -> None:
    """Replace the key that the private parts of the accounts' log are sealed with, and destroy the old one.

    What counts is sealed anew, in new lines of the log; what was sealed before nobody can open any more. The account
    desk does it while it runs. Killed in between, run it once more. Copies of the old key are not reached by this.
    """
    import asyncio

    from ringfence.exchange.users.founding import KEY, home_of, socket_of
    from ringfence.lines import NoAnswerError
    from ringfence.lines import ask as ask_desk

    question = {"ask": "rotateKey", "operator": operator}
    try:
        said = asyncio.run(ask_desk(socket_of(directory), question, seconds=_RESEAL_SECONDS))
    except NoAnswerError as error:
        sys.exit(
            f"the account desk did not answer: {error}. Start it and run this once more; until it succeeds the old "
            f"key and the next one stay in {home_of(directory)}"
        )
    if "refused" in said:
        sys.exit(f"{said['refused'][1]}; run this once more")
    print(
        f"key {said['value']['key']} is in force, the one before is destroyed; copy {home_of(directory) / KEY} anew"
    )
