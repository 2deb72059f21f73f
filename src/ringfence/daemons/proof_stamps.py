"""Puts digests where we cannot take them back: OpenTimestamps calendars, or a transaction on a development chain.

proofs/private/stamps.json   what waits for a block
"""

import logging
from pathlib import Path
from typing import NamedTuple

import msgspec

from ringfence.assurance.proofs.stamps import anchor_script, stamp_from_block, stamp_from_calendar
from ringfence.commitments import AnchorError, OpenTimestampsAnchor
from ringfence.custody.chains.bitcoin.regtest.faucet import Faucet
from ringfence.custody.chains.bitcoin.rpc import BitcoinError, BitcoinRpc
from ringfence.custody.chains.bitcoin.transactions import Output
from ringfence.files import replace

log = logging.getLogger("ringfence.prover")
_BLOCKS_LOOKED_AT = 144


class _Waiting(msgspec.Struct, frozen=True):
    """A digest in a transaction that no block has yet."""

    name: str
    digest: str
    txid: str
    height: int
    """Of the chain when it was sent."""


class Stamp(NamedTuple):
    name: str
    content: bytes


class Stamper:
    def __init__(self, path: Path, *, calendars: tuple[str, ...], rpc: BitcoinRpc | None) -> None:
        """Raises OSError, ValueError. Without calendars, a development chain whose coins are free takes the digests."""
        self._path, self._rpc = path, rpc
        self._tip_seen = 0
        """Up to which height there is nothing new: what waits is asked for at every look of the prover."""
        self._calendars = [OpenTimestampsAnchor(one) for one in calendars]
        try:
            self._waiting = msgspec.json.decode(path.read_bytes(), type=list[_Waiting])
        except FileNotFoundError:
            self._waiting = []

    def submit(self, name: str, digest: bytes) -> list[Stamp]:
        """Hand a digest on; return the stamps that are there at once. What goes wrong is logged and tried next time."""
        if self._calendars:
            return self._ask_calendars(name, digest)
        if self._rpc is not None:
            self._send(self._rpc, name, digest)
        return []

    def _ask_calendars(self, name: str, digest: bytes) -> list[Stamp]:
        for calendar in self._calendars:
            try:
                return [Stamp(name, stamp_from_calendar(digest, calendar.submit(digest)))]
            except AnchorError as error:
                log.error("no stamp of %s: %s", name, error)
        return []

    def _send(self, rpc: BitcoinRpc, name: str, digest: bytes) -> None:
        try:
            if rpc.chain_info().chain != "regtest":
                return
            height = rpc.block_count()
            sent = Faucet(rpc).pay([Output(0, anchor_script(digest))])
        except (BitcoinError, ValueError) as error:
            log.error("no stamp of %s: %s", name, error)
            return
        self._waiting.append(_Waiting(name, digest.hex(), sent.txid, height))
        self._save()

    def collect(self) -> list[Stamp]:
        """Return the stamps whose blocks have come. Raises BitcoinError."""
        found: list[Stamp] = []
        if self._rpc is None or not self._waiting:
            return found
        tip = self._rpc.block_count()
        if tip == self._tip_seen:
            return found
        for one in list(self._waiting):
            stamp = self._look(self._rpc, one, tip)
            if stamp is not None:
                found.append(stamp)
            if stamp is not None or tip - one.height > _BLOCKS_LOOKED_AT:
                self._waiting.remove(one)
                self._save()
        self._tip_seen = tip
        return found

    def _look(self, rpc: BitcoinRpc, one: _Waiting, tip: int) -> Stamp | None:
        for height in range(one.height + 1, tip + 1):
            block = rpc.block(rpc.block_hash(height))
            if any(transaction.txid == one.txid for transaction in block.transactions):
                content = stamp_from_block(bytes.fromhex(one.digest), block.raw, height)
                return None if content is None else Stamp(one.name, content)
        return None

    def _save(self) -> None:
        replace(self._path, msgspec.json.encode(self._waiting))
