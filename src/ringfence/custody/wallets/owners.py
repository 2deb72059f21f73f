"""Whose is a script: the clients', the insurance fund's, the company's, or not ours at all."""

from enum import IntEnum
from typing import NamedTuple

import bdkpython

from ringfence.custody.wallets.descriptors import Deriver, DescriptorError, Keychain, parse_cold

LOOKAHEAD = 200
"""Scripts that are known beyond the last one given out, 1.5 ms each: a file of addresses that was restored may lack
the newest."""


class Owner(IntEnum):
    """Whose coins a wallet holds. Coins of two owners are never in one transaction."""

    CLIENTS = 1
    INSURANCE_FUND = 2
    COMPANY = 3


class Mine(NamedTuple):
    """Where a script of ours stands."""

    owner: Owner
    keychain: Keychain
    number: int


class Wallets:
    """The descriptors of all owners, and every script of them so far."""

    def __init__(
        self, descriptors: dict[Owner, str], network: bdkpython.Network, *, lookahead: int = LOOKAHEAD
    ) -> None:
        """Raises DescriptorError, also if two owners share a key: then they share their coins."""
        seen: set[str] = set()
        for descriptor in descriptors.values():
            policy = parse_cold(descriptor)
            keys = {key.partition("]")[2] for key in (*policy.operations, *policy.policy, *policy.recovery)}
            if keys & seen:
                raise DescriptorError("two owners share a key")
            seen |= keys
        self.network = network
        self.descriptors = dict(descriptors)
        self.derivers = {owner: Deriver(text, network) for owner, text in descriptors.items()}
        self._lookahead = lookahead
        self._known: dict[bytes, Mine] = {}
        self._ends: dict[tuple[Owner, Keychain], int] = {}
        for owner in descriptors:
            for keychain in Keychain:
                self.extend(owner, keychain, 0)

    def classify(self, script: bytes) -> Mine | None:
        """Return whose a script is, None if it is not ours as far as has been looked."""
        return self._known.get(script)

    def scripts(self, owner: Owner) -> list[bytes]:
        """Return every known script of an owner."""
        return [script for script, mine in self._known.items() if mine.owner == owner]

    def extend(self, owner: Owner, keychain: Keychain, used: int) -> None:
        """Say that the first `used` scripts are given out, so that those after them are known too."""
        begin = self._ends.get((owner, keychain), 0)
        end = max(begin, used + self._lookahead)
        derive = self.derivers[owner].script_again
        for index in range(begin, end):
            self._known[derive(keychain, index)] = Mine(owner, keychain, index)
        self._ends[owner, keychain] = end
