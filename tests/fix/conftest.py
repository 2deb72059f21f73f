"""One venue with a FIX gateway for the tests of this folder, and clients whose sessions are closed behind them."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from ringfence.exchange.users.keys import Permission
from ringfence.testing.client import Client
from ringfence.testing.fix import FixClient
from ringfence.testing.venue import Venue, key_of

ACCOUNTS = 6
_names = itertools.count(1)


@pytest.fixture(scope="session")
def fix_venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    keys = [
        *(key_of(n) for n in range(1, ACCOUNTS + 1)),
        msgspec.structs.replace(key_of(1), id="key-read", permissions=()),
        msgspec.structs.replace(key_of(1), id="key-cancel", permissions=(Permission.ORDER_CANCEL,)),
        msgspec.structs.replace(key_of(1), id="key-off", enabled=False),
        msgspec.structs.replace(key_of(1), id="key-elsewhere", cidrs=("10.1.2.0/24",)),
        msgspec.structs.replace(key_of(1), id="key-nobody", account=4711),
    ]
    with Venue(tmp_path_factory.mktemp("fix"), accounts=ACCOUNTS, keys=keys, fix=True) as running:
        yield running


Make = Callable[..., FixClient]


@pytest.fixture
def make(fix_venue: Venue) -> Iterator[Make]:
    """Return what makes a client of an account; each has a CompID of its own unless it is told one."""
    made: list[FixClient] = []

    def client(account: int = 1, **more: Any) -> FixClient:
        more.setdefault("sender", f"T{next(_names)}")
        found = FixClient(fix_venue.fix_port, account, **more)
        made.append(found)
        return found

    yield client
    for found in made:
        found.close()
    for account in range(1, ACCOUNTS + 1):
        Client(fix_venue.port, account).call("DELETE", "/order/all")
