"""What exchange and custody say to each other: the texts behind the commands that move coins.

| command                     | text    | says                                                             |
|-----------------------------|---------|------------------------------------------------------------------|
| TRANSFER to custody's       | `Wish`  | a withdrawal is asked for; its number is the command's sequence  |
| DEPOSIT, not DEMO           | `Credit`| which output of which chain is credited                          |
| WITHDRAW from custody's     | `Closed`| which withdrawal has left the chain's wallet, in which transaction |
| TRANSFER from custody's     | `Closed`| which withdrawal's coins come back, all or what fees left over   |

A wish locks what it wants to pay and the highest fee that its owner bears; it is closed by what has left (the payment
and its exact share of the network's fee) and by what comes back, which together are what was locked.
"""

from typing import TypeVar

import msgspec

_TEXT_MAX = 128
_BYTES_MAX = 1_024


class FundsError(ValueError):
    """The text is none that moves coins. Nothing is moved for it."""


class Wish(msgspec.Struct, frozen=True, tag="wish"):
    """Amounts in the asset's ledger units."""

    address: str
    amount: int
    fee_max: int
    is_confirmed: bool
    """The second factor was given with the request; otherwise it waits for a confirmation."""
    text: str = ""


class Credit(msgspec.Struct, frozen=True, tag="credit"):
    chain: str
    txid: str
    output: int

    @property
    def outpoint(self) -> str:
        return f"{self.txid}:{self.output}"


class Closed(msgspec.Struct, frozen=True, tag="closed"):
    withdrawal: int
    txid: str = ""
    """Empty if nothing has left."""
    because: str = ""


Said = TypeVar("Said", Wish, Credit, Closed)


def encode(said: Wish | Credit | Closed) -> bytes:
    raw = msgspec.json.encode(said, order="sorted")
    if len(raw) > _BYTES_MAX:
        raise FundsError(f"{len(raw)} bytes are more than {_BYTES_MAX}")
    return raw


def decode(raw: bytes, kind: type[Said]) -> Said:
    """Raises FundsError."""
    if len(raw) > _BYTES_MAX:
        raise FundsError(f"{len(raw)} bytes are more than {_BYTES_MAX}")
    try:
        said = msgspec.json.decode(raw, type=kind)
    except msgspec.MsgspecError as error:
        raise FundsError(f"not a {kind.__name__}: {error}") from error
    if isinstance(said, Wish) and (said.amount <= 0 or said.fee_max < 0 or len(said.text) > _TEXT_MAX):
        raise FundsError(f"a wish of {said.amount} with a fee of {said.fee_max} is none")
    return said
