"""Random books of balances and the files that the product makes of them."""

import hashlib
import random
from typing import NamedTuple

import numpy as np

from ringfence.assurance.proofs.claims import Claims, Positions
from ringfence.assurance.proofs.header import Cut
from ringfence.assurance.proofs.liabilities import Coins, Filed, Names, write_asset
from ringfence.assurance.proofs.publisher import Publisher
from ringfence.assurance.proofs.secrets import account_nonce, snapshot_key, sub_nonce
from ringfence.assurance.proofs.verify import Claimant
from ringfence.testing.proof_operator import EPOCH_KEY, publisher_of
from ringfence.units.limits import ASSETS_MAX

_EMPTY = np.zeros(0, np.int64)
HEIGHT, INSURANCE = 840_000, 1


class Book(NamedTuple):
    """Balances by account, and the files."""

    balances: dict[int, int]
    filed: Filed
    publisher: Publisher

    @property
    def venue(self) -> bytes:
        return self.publisher.venue

    def nonce(self, account: int) -> bytes:
        return account_nonce(EPOCH_KEY, "XBt", account)

    def sub_nonce(self, account: int) -> bytes:
        return sub_nonce(self.nonce(account), HEIGHT, account)

    def claimant(self, account: int, *, by: str = "account_nonce", expected: int | None = None) -> Claimant:
        """Return an account's owner with one of the three keys, who expects what the book says."""
        keys = {
            "account_nonce": self.nonce(account), "sub_nonce": self.sub_nonce(account),
            "snapshot_key": snapshot_key(self.nonce(account), self.filed.header.seed, account),
        }  # fmt: skip
        wanted = self.balances[account] if expected is None else expected
        return Claimant(account, f"account-{account}", expected=wanted)._replace(**{by: keys[by]})


def balances_of(seed: int, accounts: int) -> dict[int, int]:
    """Return balances as a venue has them: many empty ones, dust, and a few large ones."""
    dice = random.Random(seed)
    kinds = (lambda: 0, lambda: dice.randrange(1, 1_000), lambda: int(dice.lognormvariate(14.5, 3)))
    found = {n: dice.choices(kinds, (3, 1, 6))[0]() for n in range(1, accounts + 1)}
    found[2] = found[2] or 7
    return {account: min(balance, 2 * 10**12) for account, balance in found.items()}


def cut_of(publisher: Publisher, *, snapshot: int = 1, height: int = HEIGHT) -> Cut:
    return Cut(
        accounts_root="11" * 32, asset="XBt", block_hash="22" * 32, height=height, marks={"XBTUSD": "64000.5"}, scale=8,
        sequence=1_000 + snapshot, snapshot=snapshot, state_root="33" * 32, timestamp="2026-11-24T12:00:00.000Z",
        venue=publisher.venue.hex(),
    )  # fmt: skip


def claims_of(balances: dict[int, int]) -> Claims:
    equities = np.zeros((ASSETS_MAX, max(balances) + 1), np.int64)
    for account, balance in balances.items():
        equities[0, account] = balance
    nothing = (0,) * ASSETS_MAX
    return Claims(
        sequence=1_001, timestamp_ns=0, accounts=len(balances), insurance_account=INSURANCE, equities=equities,
        coins=equities, positions=Positions(_EMPTY, _EMPTY, _EMPTY, _EMPTY), marks={},
        wallets=(sum(balances.values()), *nothing[1:]), unrealised=nothing, pending=nothing, fees=nothing,
    )  # fmt: skip


def book(
    seed: int = 1, *, accounts: int = 30, balances: dict[int, int] | None = None, in_flight: int = 0
) -> Book:
    """Return a book and its files; the same seed gives the same bytes."""
    publisher = publisher_of("book")
    held = balances if balances is not None else balances_of(seed, accounts)
    filed = write_asset(
        0, claims_of(held), cut_of(publisher), names=Names(EPOCH_KEY, ()), previous=bytes(32),
        coins=Coins(sum(held.values()), 0, in_flight), reserves=bytes(32), publisher=publisher,
        shuffle_key=hashlib.sha256(f"shuffle {seed}".encode()).digest(),
    )  # fmt: skip
    return Book(held, filed, publisher)
