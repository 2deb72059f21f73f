"""From the exchange's feed to custody's replica of the ledger: what each process of custody follows for itself."""

from pathlib import Path
from typing import TypeVar

import numpy as np

from ringfence.custody.ledger import Ledger, Moved
from ringfence.exchange.feed import FeedReader
from ringfence.messages.batch import FUNDS, Batch, decode_slots
from ringfence.messages.commands import (
    ALL_ASSETS,
    AccountParameter,
    AccountSays,
    HaltScope,
    TradingState,
    VenueParameter,
)
from ringfence.messages.events import Event, EventFlag
from ringfence.messages.funds import (
    AccountText,
    Closed,
    Credit,
    FundsError,
    Keyed,
    Listed,
    Unlisted,
    Wish,
    decode,
    decode_of_account,
)
from ringfence.units.assets import ASSETS

_LOOKED_AT = np.array(
    [
        Event.DEPOSITED,
        Event.WITHDRAWN,
        Event.TRANSFERRED,
        Event.VENUE_SET,
        Event.HALT_SET,
        Event.ACCOUNT_SET,
        Event.ACCOUNT_OPENED,
    ],
    np.uint8,
)
_EVERY_ASSET = frozenset(range(len(ASSETS)))
_SAYS = {AccountSays.KEYED: Keyed, AccountSays.LISTED: Listed, AccountSays.UNLISTED: Unlisted}
Text = TypeVar("Text", Wish, Credit, Closed)


class FundsFeed:
    """Follows the feed in a directory and folds it into a ledger."""

    def __init__(self, directory: Path) -> None:
        self.ledger = Ledger()
        self._reader = FeedReader(directory / "feed")

    def catch_up(self, *, below: int | None = None) -> bool:
        """Fold what is there, or what is below a sequence; return whether anything was.

        Raises LedgerGapError, OSError.
        """
        some = False
        while below is None or self._reader.next_sequence < below:
            batch = self._reader.read()
            if batch is None:
                break
            fold_batch(self.ledger, batch)
            some = True
        return some

    def close(self) -> None:
        self._reader.close()


def fold_batch(ledger: Ledger, batch: Batch) -> None:
    """Raises LedgerGapError."""
    events = batch.events[np.isin(batch.events["kind"], _LOOKED_AT)]
    if len(events):
        raw = batch.commands.tobytes()
        for event in events:
            _fold(ledger, batch, raw, event)
    ledger.next_sequence, ledger.timestamp_ns = batch.next_sequence, batch.timestamp_ns


def _fold(ledger: Ledger, batch: Batch, raw: bytes, event: np.void) -> None:
    kind, sequence = int(event["kind"]), int(event["sequence"])
    if kind == Event.VENUE_SET:
        if event["px"] == VenueParameter.CUSTODY_ACCOUNT:
            ledger.custody_account, ledger.instruction_next = int(event["qty"]), 1
        return
    if kind == Event.HALT_SET:
        _halted(ledger, event)
        return
    text = decode_slots(raw, sequence - batch.first_sequence).get(FUNDS, b"")
    moved = _moved(ledger, event, text, sequence, batch.timestamp_ns)
    if moved is not None:
        ledger.fold(moved)


def _moved(ledger: Ledger, event: np.void, text: bytes, sequence: int, timestamp_ns: int) -> Moved | None:
    kind, account, asset, amount = (int(event[name]) for name in ("kind", "account", "symbol", "amount"))
    first = Moved(sequence, timestamp_ns, "demo", account, asset, amount)
    if kind == Event.ACCOUNT_OPENED:
        return first._replace(kind="opened")
    if kind == Event.ACCOUNT_SET:
        if event["px"] != AccountParameter.WITHDRAWALS:
            return None
        return first._replace(kind="says", says=_read_says(text, int(event["qty"])))
    if kind == Event.TRANSFERRED:
        to = int(event["maker_account"])
        if to == ledger.custody_account:
            wish = _read(text, Wish)
            return first._replace(
                kind="wish", wish=wish, text=text.decode(errors="replace") if wish is None else ""
            )
        if account != ledger.custody_account or not ledger.custody_account:
            return None
        closed = _read(text, Closed)
        return first._replace(kind="returned", account=to, withdrawal=closed.withdrawal if closed else 0)
    if int(event["flags"]) & EventFlag.DEMO:
        return first if kind == Event.DEPOSITED else first._replace(amount=-amount)
    if kind == Event.DEPOSITED:
        credit = _read(text, Credit)
        return first._replace(kind="credit", outpoint=credit.outpoint if credit else f"sequence {sequence}")
    closed = _read(text, Closed)
    withdrawal, txid = (closed.withdrawal, closed.txid) if closed else (0, "")
    return first._replace(kind="left", withdrawal=withdrawal, txid=txid)


def _read(text: bytes, kind: type[Text]) -> Text | None:
    try:
        return decode(text, kind)
    except FundsError:
        return None


def _read_says(text: bytes, kind: int) -> AccountText | None:
    """Return what an account says, None if it is not what its command announces: then it counts for nothing."""
    try:
        said = decode_of_account(text)
    except FundsError:
        return None
    return said if type(said) is _SAYS[AccountSays(kind)] else None


def _halted(ledger: Ledger, event: np.void) -> None:
    scope, is_halted = int(event["px"]), int(event["qty"]) != TradingState.RUNNING
    if scope == HaltScope.VENUE:
        ledger.is_venue_halted = int(event["qty"]) == TradingState.HALTED
    elif scope == HaltScope.SIGNERS:
        ledger.signers_halted = is_halted
    elif scope == HaltScope.WITHDRAWALS:
        symbol = int(event["symbol"])
        assets = _EVERY_ASSET if symbol == ALL_ASSETS else frozenset((symbol,))
        ledger.halted_assets = ledger.halted_assets | assets if is_halted else ledger.halted_assets - assets
