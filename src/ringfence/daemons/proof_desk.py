"""The prover's desk: what opens an account's leaves of the newest snapshot, for the gateway, which asks for its client.

Over `proofs/desk.sock`, one line of JSON a question: {"account", "currency"} -> an `Answer`, or {"error"}.
"""

import asyncio
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from ringfence.assurance.proofs.claims import Int64s
from ringfence.assurance.proofs.liabilities import Names
from ringfence.assurance.proofs.secrets import account_nonce, snapshot_key, sub_nonce
from ringfence.lines import answering, listen
from ringfence.units.assets import BY_CURRENCY

SOCKET = "desk.sock"
_LINE_BYTES_MAX = 4_096


class Question(msgspec.Struct, frozen=True):
    account: int
    currency: str


class Answer(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """What opens an account's leaves. Amounts in ledger units."""

    account: int
    account_nonce: str
    balance: str
    created: str
    currency: str
    folder: str
    height: int
    leaves: tuple[int, ...]
    """Where they are in the file of format v2: who fetches shards need not fetch all."""
    login: str
    nonce: str
    snapshot: int
    snapshot_key: str
    total: str


class Opened(NamedTuple):
    """The newest snapshot, as its secrets need it."""

    snapshot: int
    folder: str
    height: int
    created: str
    equities: Int64s
    names: Names
    seeds: dict[str, bytes]
    totals: dict[str, str]
    owners: dict[str, Int64s]
    """By currency: account of each leaf that is worth something, sorted, and where it is."""
    places: dict[str, Int64s]


class Desk:
    def __init__(self) -> None:
        self.newest: Opened | None = None

    def answer(self, line: bytes) -> bytes:
        """Answer one line; whatever is wrong with it is said in words."""
        try:
            asked = msgspec.json.decode(line, type=Question)
            return msgspec.json.encode(self._answer(asked))
        except (msgspec.MsgspecError, LookupError) as error:
            return msgspec.json.encode({"error": str(error).strip("'\"")})

    def _answer(self, asked: Question) -> Answer:
        newest = self.newest
        if newest is None or asked.currency not in newest.seeds:
            raise LookupError(f"no snapshot of {asked.currency} was published yet")
        if not 0 < asked.account < newest.equities.shape[1]:
            raise LookupError(f"account {asked.account} was opened after the newest snapshot")
        nonce = account_nonce(newest.names.epoch_key, asked.currency, asked.account)
        owners = newest.owners[asked.currency]
        begin, end = np.searchsorted(owners, (asked.account, asked.account + 1)).tolist()
        leaves = tuple(sorted(newest.places[asked.currency][begin:end].tolist()))
        equity = int(np.maximum(newest.equities[BY_CURRENCY[asked.currency].number, asked.account], 0))
        return Answer(
            account=asked.account, account_nonce=nonce.hex(), balance=str(equity), created=newest.created,
            currency=asked.currency, folder=newest.folder, height=newest.height,
            leaves=leaves, login=newest.names.login(asked.account),
            nonce=sub_nonce(nonce, newest.height, asked.account).hex(),
            snapshot=newest.snapshot,
            snapshot_key=snapshot_key(nonce, newest.seeds[asked.currency], asked.account).hex(),
            total=newest.totals[asked.currency],
        )  # fmt: skip

    async def serve(self, home: Path) -> asyncio.Server:
        """Listen; only this user's processes can ask. Raises OSError."""
        hear = answering(lambda line: msgspec.Raw(self.answer(line)))
        return await listen(home / SOCKET, hear, line_bytes_max=_LINE_BYTES_MAX)
