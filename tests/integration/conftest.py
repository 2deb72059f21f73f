"""One venue for the tests of this folder: real core, history and gateway."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from ringfence.exchange.users.keys import KeyRecord, Permission
from ringfence.testing.client import Client
from ringfence.testing.venue import Venue, key_of

ACCOUNTS = 8


def _keys() -> list[KeyRecord]:
    return [
        *(key_of(n) for n in range(1, ACCOUNTS + 1)),
        msgspec.structs.replace(key_of(1), id="key-read", permissions=()),
        msgspec.structs.replace(key_of(1), id="key-cancel", permissions=(Permission.ORDER_CANCEL,)),
        msgspec.structs.replace(key_of(1), id="key-off", enabled=False),
        msgspec.structs.replace(key_of(1), id="key-elsewhere", cidrs=("10.1.2.0/24",)),
        msgspec.structs.replace(key_of(1), id="key-nobody", account=4711),
    ]


@pytest.fixture(scope="session")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    folder: Path = tmp_path_factory.mktemp("venue")
    with Venue(folder, accounts=ACCOUNTS, keys=_keys()) as running:
        yield running


@pytest.fixture
def alice(venue: Venue) -> Client:
    return Client(venue.port, 1)


@pytest.fixture
def bob(venue: Venue) -> Client:
    return Client(venue.port, 2)


@pytest.fixture
def anyone(venue: Venue) -> Client:
    return Client(venue.port, None)
