"""What the accounts themselves have said of their withdrawals: keys and lists of addresses, as the feed tells it.

An account without a key is taken at the gateway's word. One with a key is not: nothing that its key has not signed
counts, whoever wrote it into the journal.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ringfence.messages.funds import AccountText, Keyed, Listed, Wish, to_be_signed
from ringfence.units.time import NS_PER_DAY

OBJECTION_NS = 7 * NS_PER_DAY
"""How long the holder of a key may object to another one that it has not consented to, and how long an account's first
key is not trusted: nobody has consented to it but the gateway."""


class Address(NamedTuple):
    """One line of an account's address book."""

    number: int
    name: str
    since_ns: int


class ClientStanding(NamedTuple):
    """How a client stood to a withdrawal when it was asked for. What is said later neither helps nor delays it."""

    is_signed: bool | None
    """Whether the account's key has signed it; None if it had none."""
    is_trusted: bool
    """Whether the key has stood long enough, or was consented to: whoever owns the gateway can name a first one."""
    listed_since_ns: int | None
    """Since when the destination is on the account's list; None if it is not."""
    key_changed_ns: int | None


@dataclass
class Client:
    """One account. Times in nanoseconds of the feed."""

    key: str = ""
    """In force, hexadecimal; empty = the account has never named one."""
    changed_ns: int | None = None
    """When the key in force came into force."""
    trusted_ns: int = 0
    """From when on its signature is enough."""
    pending_key: str = ""
    """Named without the consent of the key in force."""
    pending_since_ns: int = 0
    nonce: int = 0
    """The highest that was signed."""
    listed: dict[str, Address] = field(default_factory=dict)
    """By address as it is written."""
    listed_ever: int = 0
    """From the first address on, only what is listed counts; also when nothing is left of the list."""

    @property
    def has_list(self) -> bool:
        return self.listed_ever > 0

    def key_at(self, now_ns: int) -> str:
        """Return the key in force: one that nobody has objected to is, in the end."""
        self._let_pass(now_ns)
        return self.key

    def _let_pass(self, now_ns: int) -> None:
        if self.pending_key and now_ns - self.pending_since_ns >= OBJECTION_NS:
            self._set(self.pending_key, self.pending_since_ns + OBJECTION_NS)

    def _set(self, key: str, now_ns: int) -> None:
        self.key, self.changed_ns, self.pending_key = key, now_ns, ""


class Clients:
    """All accounts that have said something; a fold over the feed."""

    def __init__(self) -> None:
        self._of: dict[int, Client] = {}

    def of(self, account: int) -> Client:
        """Return what is known of an account."""
        return self._of.setdefault(account, Client())

    def take(self, account: int, said: AccountText, now_ns: int) -> str:
        """Fold what an account has said; return why it does not count, empty if it does."""
        client = self.of(account)
        why = self.objection(account, said, now_ns)
        if why:
            return why
        if isinstance(said, Keyed):
            client.nonce = said.nonce
            if not client.key:
                client.trusted_ns = now_ns + OBJECTION_NS
            if not client.key or said.consent:
                client._set(said.public_key, now_ns)
            else:
                client.pending_key, client.pending_since_ns = said.public_key, now_ns
        elif isinstance(said, Listed):
            client.nonce = max(client.nonce, said.nonce)
            if said.address not in client.listed:
                client.listed_ever += 1
                client.listed[said.address] = Address(client.listed_ever, said.name, now_ns)
        else:
            client.listed.pop(said.address, None)
        return ""

    def objection(self, account: int, said: AccountText, now_ns: int) -> str:
        """Return why what an account says would not count, empty if it would."""
        client = self.of(account)
        key = client.key_at(now_ns)
        if isinstance(said, Keyed):
            text = to_be_signed(said, account=account)
            if said.nonce <= client.nonce:
                return _old_nonce(client)
            if not signs(said.public_key, text, said.signature):
                return "the new key has not signed that it is wanted"
            if said.consent and not signs(key, text, said.consent):
                return "the key in force has not signed this consent"
            return ""
        if isinstance(said, Listed) and key:
            return self._unsigned(client, key, said, to_be_signed(said, account=account))
        return ""

    def wish(self, account: int, wish: Wish, now_ns: int, *, currency: str) -> ClientStanding:
        """Fold a withdrawal that is asked for; return how the client stands to it."""
        client = self.of(account)
        key = client.key_at(now_ns)
        is_signed = None
        if key:
            text = to_be_signed(wish, account=account, currency=currency)
            is_signed = not self._unsigned(client, key, wish, text)
            if is_signed:
                client.nonce = wish.nonce
        # Who has no list puts an address on it by asking for a withdrawal to it.
        line = client.listed.get(wish.address)
        since_ns = line.since_ns if line is not None else None if client.has_list else now_ns
        is_trusted = bool(key) and now_ns >= client.trusted_ns
        return ClientStanding(is_signed, is_trusted, since_ns, client.changed_ns)

    def doubt(self, account: int, wish: Wish, now_ns: int, *, currency: str) -> str:
        """Return why a withdrawal would not be paid if it was asked for like this, empty if nothing is against it."""
        client = self.of(account)
        key = client.key_at(now_ns)
        if key:
            text = to_be_signed(wish, account=account, currency=currency)
            if why := self._unsigned(client, key, wish, text):
                return why
        if client.has_list and wish.address not in client.listed:
            return f"{wish.address} is not in the address book of account {account}"
        return ""

    @staticmethod
    def _unsigned(client: Client, key: str, said: Wish | Listed, text: bytes) -> str:
        if not said.signature:
            return "the account's withdrawal key has to sign this, and has not"
        if said.nonce <= client.nonce:
            return _old_nonce(client)
        if not signs(key, text, said.signature):
            return "the signature is not that of the account's withdrawal key below this very text"
        return ""


def _old_nonce(client: Client) -> str:
    return f"the nonce has to be above {client.nonce}"


def signs(public_key: str, text: bytes, signature: str) -> bool:
    """Return whether an Ed25519 signature is a key's below a text; both hexadecimal."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key)).verify(bytes.fromhex(signature), text)
    except (ValueError, InvalidSignature):
        return False
    return True
