"""What comes of liquidation for others: receipts of deleveraging, notices, the insurance fund's balance.

A receipt says publicly who took over how much of what the insurance fund could not carry, under pseudonyms
that only their owners can recognise. A pseudonym is a keyed hash of the account number, under a key that is
derived anew for each receipt, so two receipts cannot be linked.
"""

import hmac
import json
from typing import Any, NamedTuple

from ringfence.exchange.projections.orders import Row
from ringfence.instruments.specification import Instrument
from ringfence.messages.commands import AdlMethod
from ringfence.units.assets import ASSETS
from ringfence.units.time import iso

_METHODS = {AdlMethod.PRO_RATA: "ProRata", AdlMethod.RANKED: "Ranked"}


def pseudonym(secret: bytes, receipt: int, account: int) -> str:
    """Return the name of an account on one receipt, 16 hexadecimal digits."""
    key = hmac.digest(secret, receipt.to_bytes(8, "little"), "sha256")
    return hmac.new(key, account.to_bytes(8, "little"), "sha256").hexdigest()[:16]


class Share(NamedTuple):
    """What one account took over."""

    account: int
    place: int
    qty: int
    value: int


class Receipt:
    """One deleveraging. `number` is that of its ADL_BEGUN event, for ever."""

    def __init__(
        self, *, instrument: Instrument, number: int, sequence: int, timestamp_ns: int, subticks: int,
        shortfall_qty: int, ranked: int, method: int, is_sell: bool,
    ) -> None:  # fmt: skip
        self.instrument, self.number, self.sequence = instrument, number, sequence
        self.timestamp_ns, self.subticks = timestamp_ns, subticks
        self.shortfall_qty, self.ranked, self.method = shortfall_qty, ranked, AdlMethod(method)
        self.is_sell = is_sell
        """The insurance account sold: those who were deleveraged held shorts and bought."""
        self.shares: list[Share] = []

    def row(self, secret: bytes) -> Row:
        ranked = [
            {"pseudonym": pseudonym(secret, self.number, s.account), "place": s.place, "qty": s.qty}
            for s in self.shares
        ]
        return {
            "id": self.number,
            "timestamp": iso(self.timestamp_ns),
            "symbol": self.instrument.symbol,
            "side": "Sell" if self.is_sell else "Buy",
            "price": self.instrument.mark_price(self.subticks),
            "shortfallQty": self.shortfall_qty,
            "takenQty": sum(share.qty for share in self.shares),
            "method": _METHODS[self.method],
            "rankedAccounts": self.ranked,
            "ranked": json.dumps(ranked, separators=(",", ":")),
        }

    def user_rows(self, secret: bytes) -> list[Row]:
        """Return each participant's own row."""
        return [
            {
                "id": self.number,
                "account": share.account,
                "timestamp": iso(self.timestamp_ns),
                "symbol": self.instrument.symbol,
                "side": "Buy" if self.is_sell else "Sell",
                "price": self.instrument.mark_price(self.subticks),
                "pseudonym": pseudonym(secret, self.number, share.account),
                "place": share.place,
                "qty": share.qty,
                "value": share.value,
            }
            for share in self.shares
        ]


class Notice(NamedTuple):
    """Something that happened to an account and that it did not ask for. `number` is the event's."""

    number: int
    account: int
    kind: str
    meta: dict[str, Any]
    timestamp_ns: int

    def row(self) -> Row:
        return {
            "id": self.number,
            "account": self.account,
            "timestamp": iso(self.timestamp_ns),
            "type": self.kind,
            "status": "success",
            "eventMeta": json.dumps(self.meta, separators=(",", ":")),
        }


class FundView(NamedTuple):
    """The insurance fund of one asset at an instant."""

    asset: int
    timestamp_ns: int
    wallet: int

    def row(self) -> Row:
        return {
            "currency": ASSETS[self.asset].currency,
            "timestamp": iso(self.timestamp_ns),
            "walletBalance": self.wallet,
        }
