"""Founding: what a new venue lists, who has an account, and the first marks, as admin commands.

Every step leaves one event that names it. A founding that was interrupted looks at the events that
are there and goes on with the steps that left none, so it can be repeated as often as one likes.
`founded.json` says that it is complete and what the price feed and the bots need to know.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ringfence.assurance.halting import (
    People,
    Role,
    new_private_key,
    person_of,
    read_private_key,
    write_private_key,
)
from ringfence.configuration import read_configuration
from ringfence.daemons import configuring
from ringfence.daemons.admin import Admin, command
from ringfence.daemons.venue import BOTS, CUSTODY, INSURANCE, JUDGES, Venue
from ringfence.exchange.feed import FeedReader
from ringfence.exchange.index_prices.sources.walk import SEED, index_units
from ringfence.exchange.users.keys import KeyLimits, KeyRecord, Permission, keys_of, new_record
from ringfence.instruments.catalogue import start_instruments
from ringfence.instruments.fee_tiers import venue_discounts
from ringfence.instruments.listing import listing_commands
from ringfence.instruments.specification import Instrument, decode
from ringfence.messages.batch import (
    ACCOUNT_NAME,
    PEOPLE_LIST,
    SIGNATURES,
    SPECIFICATION,
    Records,
    decode_data,
    encode_data,
)
from ringfence.messages.commands import Command, OrderFlag, VenueParameter
from ringfence.messages.events import Event
from ringfence.messages.halts import Scheme, Signature, encode_signatures
from ringfence.messages.records import COMMAND
from ringfence.units.assets import USDT, XBT, Asset
from ringfence.units.limits import MARK_SUBTICKS
from ringfence.units.rounding import round_div
from ringfence.units.time import NS_PER_MINUTE

OPERATOR = "ringfence up"
RISK_TIERS = 10
DEMO_COINS: tuple[tuple[Asset, int], ...] = ((XBT, 10 * 10**XBT.scale), (USDT, 1_000_000 * 10**USDT.scale))
BOT_COINS: tuple[tuple[Asset, int], ...] = (
    (XBT, 10_000 * 10**XBT.scale), (USDT, 1_000_000_000 * 10**USDT.scale),
)  # fmt: skip
FUND_COINS: tuple[tuple[Asset, int], ...] = ((XBT, 10 * 10**XBT.scale), (USDT, 1_000_000 * 10**USDT.scale))
WIDE_LIMITS = KeyLimits(requests_per_minute=6_000, orders_per_second=200)
DEMO_PEOPLE = {"demo-operations": Role.OPERATIONS, "demo-risk": Role.RISK}
CANCEL_ONLY_NS = 5 * NS_PER_MINUTE
_SLOTS_PER_REQUEST = 2_000
_ASKING_SECONDS = 60


Done = tuple[int, int, int, int]
"""What an event is known by: its kind, and the account, symbol and parameter that it names."""


class Step(NamedTuple):
    done: Done
    commands: Records


def names(accounts: int) -> list[str]:
    """Return the names of the demo traders: demo-1, demo-2 ..."""
    return [f"demo-{number}" for number in range(1, accounts + 1)]


def steps(
    instruments: list[Instrument],
    traders: dict[str, int],
    bots: dict[str, int],
    insurance: int,
    people: People,
    custody: int,
) -> Iterator[Step]:
    """Yield every step of founding in order, each with the event that shows it was taken."""
    tiers = VenueParameter.RISK_TIERS_MAX
    yield Step((Event.VENUE_SET, 0, 0, tiers), command(Command.CONFIGURE_VENUE, type=tiers, qty=RISK_TIERS))
    for parameter, percent in venue_discounts():
        discount = command(Command.CONFIGURE_VENUE, type=parameter, qty=percent)
        yield Step((Event.VENUE_SET, 0, 0, parameter), discount)
    yield Step((Event.VENUE_SET, 0, 0, VenueParameter.PEOPLE), put_in_force(people))
    pause = VenueParameter.CANCEL_ONLY_NS
    yield Step(
        (Event.VENUE_SET, 0, 0, pause), command(Command.CONFIGURE_VENUE, type=pause, qty=CANCEL_ONLY_NS)
    )
    for instrument in instruments:
        yield from _listing_steps(instrument)
    for accounts, coins in ((traders, DEMO_COINS), (bots, BOT_COINS), ({INSURANCE: insurance}, FUND_COINS)):
        for name, account in accounts.items():
            yield Step((Event.ACCOUNT_OPENED, account, 0, 0), open_account(account, name))
            for asset, amount in coins:
                yield Step((Event.DEPOSITED, account, asset.number, 0), credit(account, asset, amount))
    # From here on accounts that are short of margin are liquidated.
    fund = VenueParameter.INSURANCE_ACCOUNT
    yield Step((Event.VENUE_SET, 0, 0, fund), command(Command.CONFIGURE_VENUE, type=fund, qty=insurance))
    if custody:
        yield Step((Event.ACCOUNT_OPENED, custody, 0, 0), open_account(custody, CUSTODY))
        own = VenueParameter.CUSTODY_ACCOUNT
        yield Step((Event.VENUE_SET, 0, 0, own), command(Command.CONFIGURE_VENUE, type=own, qty=custody))


def _listing_steps(instrument: Instrument) -> Iterator[Step]:
    number = instrument.number
    rows = listing_commands(instrument)
    starts = np.flatnonzero(rows["kind"] != Command.DATA).tolist()
    for begin, end in zip(starts, [*starts[1:], len(rows)], strict=True):
        kind = Command(int(rows[begin]["kind"]))
        if kind == Command.LIST:
            done = (Event.LISTED, 0, number, 0)
        elif kind == Command.CONFIGURE:
            done = (Event.INSTRUMENT_SET, 0, number, int(rows[begin]["type"]))
        else:
            # Its first mark comes before it opens: no order ever finds a market without one.
            if instrument.is_contract:
                mark = first_mark(instrument, at_ns=time.time_ns())
                yield Step((Event.MARKED, 0, number, 0), command(Command.MARK, symbol=number, qty=mark))
            done = (Event.STATE_SET, 0, number, 0)
        yield Step(done, rows[begin:end])


def first_mark(instrument: Instrument, *, at_ns: int) -> int:
    """Return a contract's mark in subticks before its index has a price: simulated, without a basis.

    Nobody holds a position then, and the first index price replaces it.
    """
    units = index_units(instrument.underlying, seed=SEED, at_ns=at_ns)
    subticks = round_div(units, instrument.index_units_per_subtick)
    return min(max(subticks, MARK_SUBTICKS), instrument.px_ticks_max * MARK_SUBTICKS)


def put_in_force(people: People, signatures: list[Signature] | None = None) -> Records:
    """Return the command that puts a list of those who may lift a halt in force; the first needs no signatures."""
    texts = [(PEOPLE_LIST, people.encode())]
    if signatures:
        texts.append((SIGNATURES, encode_signatures(signatures)))
    said = np.frombuffer(encode_data(texts), COMMAND)
    number = people.number
    return np.concatenate([command(Command.CONFIGURE_VENUE, type=VenueParameter.PEOPLE, qty=number), said])


def ensure_people(directory: Path) -> People:
    """Return the first people of a venue, making the keys that are not there.

    The judges' keys stay here. The people's are for trying the exchange out, both on one machine and without a
    passphrase; a venue that holds anything of worth replaces them (docs/operating/halts.md).
    """
    people = []
    for folder, name, role in (
        *(("judges", judge, Role.JUDGE) for judge in JUDGES),
        *(("people", name, role) for name, role in DEMO_PEOPLE.items()),
    ):
        path = directory / folder / f"{name}.pem"
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            write_private_key(path, new_private_key(Scheme.ED25519), passphrase=None)
        people.append(person_of(name, role, read_private_key(path, passphrase=None)))
    return People(tuple(people))


def open_account(account: int, name: str) -> Records:
    """Return the command that opens an account, with its name."""
    said = np.frombuffer(encode_data([(ACCOUNT_NAME, name.encode())]), COMMAND)
    return np.concatenate([command(Command.OPEN_ACCOUNT, account=account), said])


def credit(account: int, asset: Asset, amount: int) -> Records:
    """Return the command that credits demo coins: the ledger marks them as backed by no chain."""
    return command(
        Command.DEPOSIT, account=account, symbol=asset.number, qty=amount, flags=int(OrderFlag.DEMO)
    )


_FIELDS: dict[int, tuple[str | None, str | None, str | None]] = {
    Event.VENUE_SET: (None, None, "px"), Event.LISTED: (None, "symbol", None),
    Event.INSTRUMENT_SET: (None, "symbol", "px"), Event.STATE_SET: (None, "symbol", None),
    Event.MARKED: (None, "symbol", None), Event.ACCOUNT_OPENED: ("account", None, None),
    Event.DEPOSITED: ("account", "symbol", None),
}  # fmt: skip


class Past(NamedTuple):
    """What the feed of an exchange says was founded already."""

    done: set[Done]
    accounts: dict[str, int]
    accounts_opened: int
    instruments: dict[int, Instrument]


def look_back(directory: Path, *, below: int) -> Past:
    """Read what the feed holds below a sequence."""
    done: set[Done] = set()
    accounts: dict[str, int] = {}
    instruments: dict[int, Instrument] = {}
    opened = 0
    reader = FeedReader(directory / "feed")
    try:
        while reader.next_sequence < below and (batch := reader.read()) is not None:
            for event in batch.events:
                fields = _FIELDS.get(int(event["kind"]))
                if fields is None:
                    continue
                account, symbol, parameter = (int(event[name]) if name else 0 for name in fields)
                done.add((int(event["kind"]), account, symbol, parameter))
                if event["kind"] not in (Event.ACCOUNT_OPENED, Event.LISTED):
                    continue
                said = decode_data(batch.commands, int(event["sequence"]) - batch.first_sequence)
                if event["kind"] == Event.LISTED:
                    instruments[symbol] = decode(said[SPECIFICATION])
                else:
                    opened = account
                    if ACCOUNT_NAME in said:
                        accounts[said[ACCOUNT_NAME].decode()] = account
    finally:
        reader.close()
    return Past(done, accounts, opened, instruments)


async def found(directory: Path, *, accounts: int, custody: bool) -> Venue:
    """Found the venue in a directory whose core is running, or finish what was begun.

    Raises SettingsError, AdminRefused if the exchange does not take a step, AdminTimeout, OSError.
    """
    admin = Admin(directory)
    await admin.connect()
    try:
        past = look_back(directory, below=admin.next_sequence)
        wanted = [*names(accounts), *BOTS, INSURANCE, *((CUSTODY,) if custody else ())]
        number = past.accounts_opened
        numbers: dict[str, int] = {}
        for name in wanted:
            if name not in past.accounts:
                number += 1
            numbers[name] = past.accounts.get(name, number)
        now = time.time_ns()
        listed = tuple(past.instruments.get(i.number, i) for i in start_instruments(now))
        venue = Venue(
            founded_ns=now, instruments=listed,
            traders={name: numbers[name] for name in names(accounts)}, bots={name: numbers[name] for name in BOTS},
            insurance=numbers[INSURANCE], custody=numbers.get(CUSTODY, 0),
        )  # fmt: skip
        # While there is no list of people nobody has a role yet: from then on an operator puts settings in force.
        is_first = (Event.VENUE_SET, 0, 0, VenueParameter.PEOPLE) not in past.done
        missing = [configuring.put_in_force(read_configuration(directory).text)] if is_first else []
        missing += [
            step.commands
            for step in steps(
                list(venue.instruments),
                venue.traders,
                venue.bots,
                venue.insurance,
                ensure_people(directory),
                venue.custody,
            )
            if step.done not in past.done
        ]
        for request in _requests(missing):
            await admin.ask(request, operator=OPERATOR, seconds=_ASKING_SECONDS)
    finally:
        admin.close()
    return venue


def _requests(parts: list[Records]) -> Iterator[Records]:
    """Yield the commands in as few requests as fit: one, unless there are hundreds of accounts."""
    held: list[Records] = []
    slots = 0
    for part in parts:
        if held and slots + len(part) > _SLOTS_PER_REQUEST:
            yield np.concatenate(held)
            held, slots = [], 0
        held.append(part)
        slots += len(part)
    if held:
        yield np.concatenate(held)


# ---- keys


def ensure_keys(directory: Path, venue: Venue) -> tuple[KeyRecord, ...]:
    """Return the keys of a venue's demo traders and bots, making those that are not there."""
    with keys_of(directory).changing() as held:
        known = {record.name for record in held}
        held += [record for record in _start_keys(venue) if record.name not in known]
    return tuple(held)


def _start_keys(venue: Venue) -> Iterator[KeyRecord]:
    for index, (name, account) in enumerate(venue.traders.items()):
        yield new_key(account, name, (Permission.ORDER, Permission.WITHDRAW))
        if index == 0:
            yield new_key(account, f"{name} order only", (Permission.ORDER,))
            yield new_key(account, f"{name} read only", ())
    for name, account in venue.bots.items():
        yield new_key(account, name, (Permission.ORDER,))


def new_key(
    account: int,
    name: str,
    permissions: tuple[Permission, ...],
    *,
    cidrs: tuple[str, ...] = (),
    limits: KeyLimits = WIDE_LIMITS,
) -> KeyRecord:
    """Return a fresh key whose id and secret begin with a letter or digit: a shell takes no `-` for them."""
    while True:
        record = new_record(
            account, name=name, permissions=permissions, cidrs=cidrs, created_ns=time.time_ns(), limits=limits
        )
        if record.id[0].isalnum() and record.secret[0].isalnum():
            return record
