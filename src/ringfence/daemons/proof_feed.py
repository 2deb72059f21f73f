"""What the prover folds of the feed: the ledger of coins, by what name each account is known, what is listed."""

from pathlib import Path
from typing import Any

import numpy as np

from ringfence.assurance.proofs.claims import Pending
from ringfence.custody.ledger import Ledger
from ringfence.daemons.funds_feed import fold_batch
from ringfence.exchange.feed import FeedReader
from ringfence.instruments.specification import Instrument, decode
from ringfence.messages.batch import ACCOUNT_NAME, SPECIFICATION, Batch, decode_slots
from ringfence.messages.events import Event

_NAMING = np.array([Event.ACCOUNT_OPENED, Event.LISTED], np.uint8)


class ProofFeed:
    """Follows the feed in a directory, up to the sequence that is asked for and no further."""

    def __init__(self, directory: Path) -> None:
        self.ledger = Ledger()
        self.logins: list[str] = [""]
        """By account number; 0 is nobody."""
        self.instruments: dict[int, Instrument] = {}
        self._reader = FeedReader(directory / "feed")

    def catch_up(self, *, below: int) -> bool:
        """Fold everything below a sequence; return whether the feed is as far. Raises LedgerGapError, OSError."""
        while self._reader.next_sequence < below:
            batch = self._reader.read()
            if batch is None:
                return False
            fold_batch(self.ledger, batch)
            self._name(batch)
        return self._reader.next_sequence == below

    def _name(self, batch: Batch) -> None:
        events = batch.events[np.isin(batch.events["kind"], _NAMING)]
        raw = batch.commands.tobytes() if len(events) else b""
        for event in events:
            said = decode_slots(raw, int(event["sequence"]) - batch.first_sequence)
            if event["kind"] == Event.ACCOUNT_OPENED:
                self._opened(event, said)
            elif SPECIFICATION in said:
                instrument = decode(said[SPECIFICATION])
                self.instruments[instrument.number] = instrument

    def _opened(self, event: Any, said: dict[int, bytes]) -> None:
        account = int(event["account"])
        self.logins += [""] * (account + 1 - len(self.logins))
        self.logins[account] = said.get(ACCOUNT_NAME, b"").decode(errors="replace")

    def pending(self) -> list[Pending]:
        """Return the withdrawals of which something is still put aside."""
        return [Pending(one.account, one.asset, one.locked) for one in self.ledger.open().values()]

    def close(self) -> None:
        self._reader.close()
