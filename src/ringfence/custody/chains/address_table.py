"""Addresses of accounts by number, under the key that is used and under those that were used before it."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Key = TypeVar("Key")
"""From which a chain derives addresses: a base, or a key and a chain code."""


class AddressTable(Generic[Key]):
    """The part of an `AccountRoom` that knows which addresses are ours. Number 0 is the treasury."""

    def __init__(
        self, keys: Sequence[Key], *, address_at: Callable[[Key, int], str], read_address: Callable[[str], bytes],
        ahead: int,
    ) -> None:  # fmt: skip
        """`keys`: oldest first, the last is used. `ahead`: how many accounts beyond those told of are known.

        read_address: takes the one spelling of an address. Raises ValueError for any other text.
        """
        self._keys, self._address_at, self._read_address, self._ahead = keys, address_at, read_address, ahead
        self._places: dict[str, tuple[int, int]] = {}
        """By address: under which key it is, and its number."""
        self._addresses: list[str] = []
        """Under the key that is used, by number."""
        self.know(0)
        self.treasury = self._addresses[0]

    def know(self, accounts_end: int) -> None:
        while len(self._addresses) < accounts_end + self._ahead:
            number = len(self._addresses)
            for place, key in enumerate(self._keys):
                address = self._address_at(key, number)
                self._places[address] = (place, number)
            self._addresses.append(address)

    def deposit_address(self, account: int) -> str:
        assert account > 0
        self.know(account + 1)
        return self._addresses[account]

    def number_of(self, address: str) -> int | None:
        found = self._places.get(address)
        return found[1] if found is not None else None

    def key_of(self, address: str) -> int:
        return self._places[address][0] - len(self._keys) + 1

    def key_above(self, address: str) -> Key:
        """Return from which key an address of ours is derived."""
        return self._keys[self._places[address][0]]

    def is_address(self, text: str) -> bool:
        try:
            return bool(self._read_address(text))
        except ValueError:
            return False
