"""Deposit addresses: which account has which, in a file that is only ever added to.

An address is derived by two libraries before it is shown, and its line is on the disk before it is returned: an
address that is shown and forgotten is a deposit that nobody is credited for.
"""

import json
import os
from pathlib import Path
from typing import NamedTuple

from ringfence.custody.wallets.descriptors import Keychain
from ringfence.custody.wallets.owners import Owner, Wallets

GAP_MAX = 200
"""Addresses in a row that nothing was paid to. A restored wallet looks no further than this beyond the last one
that something was; an account that asks again gets the one it has."""


class AddressBookError(Exception):
    """The file of addresses is not what was written. No address was given out: restore the file."""


class GapError(Exception):
    """Too many addresses in a row are unused. None was given out; the account may have an old one again."""


class Address(NamedTuple):
    """An address and the account that it is of."""

    account: int
    number: int
    text: str
    script: bytes


class AddressBook:
    """Addresses of the clients' wallet by account."""

    def __init__(self, path: Path, wallets: Wallets, *, gap_max: int = GAP_MAX) -> None:
        """Read the file and derive every address again. Raises AddressBookError, DerivationError."""
        self._wallets, self._gap_max = wallets, gap_max
        self._deriver = wallets.derivers[Owner.CLIENTS]
        self._addresses: list[Address] = []
        self._by_script: dict[bytes, Address] = {}
        self._newest: dict[int, Address] = {}
        self._used_end = 0
        """After the last address that something was paid to."""
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            # A crash has cut the last line short; nobody was told of it.
            os.ftruncate(self._file, len(whole))
        for line in whole.splitlines():
            self._read(line)

    def __len__(self) -> int:
        """Return how many addresses were given out."""
        return len(self._addresses)

    def address_of(self, account: int, *, fresh: bool = False) -> Address:
        """Return an account's address, a new one if it has none or wants one. Raises GapError."""
        held = self._newest.get(account)
        if held is not None and not fresh:
            return held
        index = len(self._addresses)
        if index - self._used_end >= self._gap_max:
            raise GapError(f"{self._gap_max} addresses in a row are unused")
        script = self._deriver.script(Keychain.RECEIVE, index)
        address = Address(account, index, self._deriver.address(script), script)
        line = json.dumps({"index": index, "account": account, "address": address.text}) + "\n"
        os.write(self._file, line.encode())
        os.fdatasync(self._file)
        self._keep(address)
        return address

    def account_of(self, script: bytes) -> Address | None:
        """Return whose address a script is, None if it is none of ours that was given out."""
        return self._by_script.get(script)

    def note_used(self, script: bytes) -> None:
        """Something was paid to an address: those after it are within the gap again."""
        address = self._by_script.get(script)
        if address is not None:
            self._used_end = max(self._used_end, address.number + 1)

    def close(self) -> None:
        os.close(self._file)

    def _read(self, line: bytes) -> None:
        index = len(self._addresses)
        try:
            found = json.loads(line)
            account, text, said = int(found["account"]), str(found["address"]), int(found["index"])
        except (ValueError, KeyError, TypeError) as error:
            raise AddressBookError(f"line {index + 1} of the addresses cannot be read") from error
        script = self._deriver.script(Keychain.RECEIVE, index)
        if said != index or self._deriver.address(script) != text:
            raise AddressBookError(f"line {index + 1} has an address that our descriptor does not derive")
        self._keep(Address(account, index, text, script))

    def _keep(self, address: Address) -> None:
        self._addresses.append(address)
        self._newest[address.account] = address
        self._by_script[address.script] = address
        self._wallets.extend(Owner.CLIENTS, Keychain.RECEIVE, len(self._addresses))
