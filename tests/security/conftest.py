"""A venue with a key of every kind, for everybody in this folder."""

from collections.abc import Iterator

import msgspec
import pytest

from ringfence.exchange.users.keys import KeyRecord, Permission
from ringfence.testing.venue import Venue, key_of

ACCOUNTS = 4
SUB = ACCOUNTS + 1
"""The number of the first sub-account that is opened; its key is there before it."""
ALICE = key_of(1, Permission.ORDER, Permission.WITHDRAW)
KEYS: dict[str, KeyRecord] = {
    "all": ALICE,
    "disabled": msgspec.structs.replace(ALICE, id="key-off", enabled=False),
    "wrong network": msgspec.structs.replace(ALICE, id="key-elsewhere", cidrs=("10.1.2.0/24",)),
    "read-only": msgspec.structs.replace(ALICE, id="key-read", permissions=()),
    "orderCancel": msgspec.structs.replace(ALICE, id="key-cancel", permissions=(Permission.ORDER_CANCEL,)),
    "order": msgspec.structs.replace(ALICE, id="key-order", permissions=(Permission.ORDER,)),
    "withdraw": msgspec.structs.replace(ALICE, id="key-withdraw", permissions=(Permission.WITHDRAW,)),
    "sub-account": msgspec.structs.replace(ALICE, id="key-sub", account=SUB),
    "somebody else": key_of(2, Permission.ORDER, Permission.WITHDRAW),
    "third": key_of(3, Permission.ORDER, Permission.WITHDRAW),
}


@pytest.fixture(scope="session")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    folder = tmp_path_factory.mktemp("venue")
    with Venue(folder, accounts=ACCOUNTS, keys=list(KEYS.values())) as running:
        yield running
