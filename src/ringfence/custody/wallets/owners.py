"""Whose is a script: the clients', the insurance fund's, the company's, or not ours at all."""

from enum import IntEnum
from typing import NamedTuple

import bdkpython

from ringfence.custody.wallets.descriptors import Deriver, DescriptorError, Keychain, Vault

LOOKAHEAD = 200
"""Scripts that are known beyond the last one given out, as far as there are keys: a file of addresses that was
restored may lack the newest."""
NETWORKS = {
    "main": bdkpython.Network.BITCOIN, "testnet": bdkpython.Network.TESTNET, "signet": bdkpython.Network.SIGNET,
    "regtest": bdkpython.Network.REGTEST,
}  # fmt: skip


class Owner(IntEnum):
    """Whose coins a wallet holds. Coins of two owners are never in one transaction."""

    CLIENTS = 1
    INSURANCE = 2
    COMPANY = 3

    @property
    def text(self) -> str:
        """As intents, vaults and the labels of keys have it."""
        return self.name.lower()


def owner_of(text: str) -> Owner:
    """Return whom a text names. Raises ValueError."""
    for owner in Owner:
        if owner.text == text:
            return owner
    raise ValueError(f"{text!r} owns nothing here")


HOT = -1
"""Number of the hot wallet's one script among the clients' change: what comes back to it is nobody's deposit."""


class Mine(NamedTuple):
    """Where a script of ours stands."""

    owner: Owner
    keychain: Keychain
    number: int

    @property
    def is_hot(self) -> bool:
        """Whether a key signs for it that nobody has, and no script says who."""
        return self.number == HOT


class Wallets:
    """The vaults of all owners, and every script of them so far."""

    def __init__(self, vaults: dict[Owner, Vault], *, lookahead: int = LOOKAHEAD) -> None:
        """Raises DescriptorError, also if two owners share a key: then they share their coins."""
        seen: set[str] = set()
        for owner, vault in vaults.items():
            if vault.owner != owner.text:
                raise DescriptorError(f"the vault of {owner.text} says that it is of {vault.owner}")
            pools = (*vault.operations, *vault.policy)
            keys = {key for pool in pools for keychain in Keychain for key in pool.keys(keychain)}
            keys |= set(vault.recovery)
            if keys & seen:
                raise DescriptorError("two owners share a key")
            seen |= keys
        names = {vault.network for vault in vaults.values()}
        if len(names) != 1 or not names <= set(NETWORKS):
            raise DescriptorError(
                f"vaults of {', '.join(sorted(names)) or 'no network'} are none of one network"
            )
        self.network_name = names.pop()
        self.network = NETWORKS[self.network_name]
        self.vaults = dict(vaults)
        self.hot: bytes | None = None
        """The script of the hot wallet, if there is one."""
        self.derivers = {owner: Deriver(vault, self.network) for owner, vault in vaults.items()}
        self._lookahead = lookahead
        self._known: dict[bytes, Mine] = {}
        self._ends: dict[tuple[Owner, Keychain], int] = {}
        for owner in vaults:
            for keychain in Keychain:
                self.extend(owner, keychain, 0)

    def classify(self, script: bytes) -> Mine | None:
        """Return whose a script is, None if it is not ours as far as has been looked."""
        return self._known.get(script)

    def add_hot(self, script: bytes) -> None:
        """Know the hot wallet: its coins are the clients', beside those of their vault."""
        self.hot = script
        self._known[script] = Mine(Owner.CLIENTS, Keychain.CHANGE, HOT)

    def scripts(self, owner: Owner) -> list[bytes]:
        """Return every known script of an owner."""
        return [script for script, mine in self._known.items() if mine.owner == owner]

    def extend(self, owner: Owner, keychain: Keychain, used: int) -> None:
        """Say that the first `used` scripts are given out, so that those after them are known too."""
        begin = self._ends.get((owner, keychain), 0)
        end = max(begin, min(used + self._lookahead, self.vaults[owner].size(keychain)))
        derive = self.derivers[owner].script_again
        for index in range(begin, end):
            self._known[derive(keychain, index)] = Mine(owner, keychain, index)
        self._ends[owner, keychain] = end
