"""What exchange and custody say to each other: the texts behind the commands that move coins.

| command                     | text    | says                                                             |
|-----------------------------|---------|------------------------------------------------------------------|
| TRANSFER to custody's       | `Wish`  | a withdrawal is asked for; its number is the command's sequence  |
| DEPOSIT, not DEMO           | `Credit`| which output of which chain is credited                          |
| WITHDRAW from custody's     | `Closed`| which withdrawal has left the chain's wallet, in which transaction |
| TRANSFER from custody's     | `Closed`| which withdrawal's coins come back, all or what fees left over   |
| CONFIGURE_ACCOUNT           | `Keyed` | with which key the account signs what it wants to withdraw       |
|                             | `Listed`, `Unlisted` | where the account's coins may go, and no longer     |

A wish locks what it wants to pay and the highest fee that its owner bears; it is closed by what has left (the payment
and its exact share of the network's fee) and by what comes back, which together are what was locked.

A client who has a key signs the text that `to_be_signed` returns, for people to read; whoever forwards it can neither
change nor repeat it, since the nonce only goes up.
"""

from typing import Any, TypeVar

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
    nonce: int = 0
    """Higher than any that the account has signed before; 0 = not signed."""
    signature: str = ""
    """Ed25519 by the account's key, hexadecimal."""


class Keyed(msgspec.Struct, frozen=True, tag="keyed"):
    """From now on the account's withdrawals need the signature of this key."""

    public_key: str
    """Ed25519, hexadecimal."""
    nonce: int
    signature: str = ""
    """By the new key itself: somebody has it."""
    consent: str = ""
    """By the key before it. Without it the new one waits, and the old one may say no."""


class Listed(msgspec.Struct, frozen=True, tag="listed"):
    """An address that the account's coins may go to."""

    address: str
    nonce: int = 0
    signature: str = ""
    name: str = ""


class Unlisted(msgspec.Struct, frozen=True, tag="unlisted"):
    """One that they may no longer go to. Nobody has to sign what only forbids."""

    address: str


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


AccountText = Keyed | Listed | Unlisted
Said = TypeVar("Said", Wish, Credit, Closed, Keyed, Listed, Unlisted)


def to_be_signed(said: Wish | Keyed | Listed, *, account: int, currency: str = "") -> bytes:
    """Return the text below which an account's key signs. Whole numbers, in the currency's smallest unit."""
    if isinstance(said, Wish):
        what = "pay"
        lines = {"currency": currency, "to": said.address, "amount": said.amount, "fee at most": said.fee_max}
    elif isinstance(said, Listed):
        what, lines = "allow an address", {"address": said.address}
    else:
        what, lines = "set the withdrawal key", {"key": said.public_key}
    words: dict[str, object] = {"account": account, **lines, "nonce": said.nonce}
    text = "\n".join([f"Ringfence: {what}", *(f"{name}: {value}" for name, value in words.items())])
    return text.encode()


def encode(said: Wish | Credit | Closed | AccountText) -> bytes:
    raw = msgspec.json.encode(said, order="sorted")
    if len(raw) > _BYTES_MAX:
        raise FundsError(f"{len(raw)} bytes are more than {_BYTES_MAX}")
    return raw


def decode_of_account(raw: bytes) -> AccountText:
    """Return what an account says of its withdrawals. Raises FundsError."""
    said: AccountText = _decode(raw, AccountText)
    return said


def _decode(raw: bytes, kind: Any) -> Any:
    if len(raw) > _BYTES_MAX:
        raise FundsError(f"{len(raw)} bytes are more than {_BYTES_MAX}")
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.MsgspecError as error:
        raise FundsError(f"not a {getattr(kind, '__name__', 'text of an account')}: {error}") from error


def decode(raw: bytes, kind: type[Said]) -> Said:
    """Raises FundsError."""
    said: Said = _decode(raw, kind)
    if isinstance(said, Wish) and (said.amount <= 0 or said.fee_max < 0 or len(said.text) > _TEXT_MAX):
        raise FundsError(f"a wish of {said.amount} with a fee of {said.fee_max} is none")
    return said
