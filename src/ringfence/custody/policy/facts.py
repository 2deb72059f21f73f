"""What a co-signer knows by itself. Nothing here comes from whoever asks it to sign."""

from collections.abc import Mapping
from typing import NamedTuple

from ringfence.custody.clients import ClientStanding


class Output(NamedTuple):
    """One payment in the very bytes that are to be signed."""

    address: str
    """Canonical; empty if the script has none."""
    amount: int
    owner: str
    """Whose wallet the address is of, worked out by the co-signer; empty = nobody's of ours."""


class DecodedTransaction(NamedTuple):
    """The transaction as the co-signer has decoded it from the bytes."""

    inputs: tuple[str, ...]
    """What it uses up, so that no other transaction can: outpoints, `txid:n`; on chains of accounts the sender with its
    nonce, `address:n`, or with what limits its life, `address@blockhash`."""
    input_owners: tuple[str, ...]
    outputs: tuple[Output, ...]
    fee: int
    """The most that the network can take for it, in the ledger unit of `fee_asset`, rounded up."""
    fee_asset: str
    calls: tuple[str, ...]
    """By name, what it makes programs of the chain do; empty where coins simply move."""
    sighash_types: tuple[int, ...] = ()


class LedgerEntry(NamedTuple):
    """A withdrawal in the co-signer's own replica of the ledger."""

    account: int
    asset: str
    amount: int
    destination: str
    state: str
    """`locked`: the coins are set aside and unpaid; anything else is no reason to pay."""


class Signed(NamedTuple):
    """What was signed before: by this co-signer, from its own log, or by others, from ledger and chain."""

    at_ns: int
    intent: str
    """Digest."""
    id: str
    account: int
    destination: str
    amount: int
    inputs: tuple[str, ...]
    """Empty if others have signed it."""


class Unsigned(NamedTuple):
    """A withdrawal of an account without a withdrawal key that is trusted, as long as it is not given back."""

    id: str
    at_ns: int
    amount: int


class ClientFacts(NamedTuple):
    """What the ledger says of clients; the fields are those of Facts."""

    clients: Mapping[str, ClientStanding]
    unsigned: tuple[Unsigned, ...]


class Facts(NamedTuple):
    """Everything that a decision rests on beside the intent; a fact that is not known is None, and denies."""

    now_ns: int
    transaction: DecodedTransaction | None
    ledger: Mapping[str, LedgerEntry] | None
    """By withdrawal id."""
    liabilities: int | None
    held: int | None
    """What the chain holds for this owner, after the movement."""
    wallet: int | None
    hot: int | None
    """What the hot wallet holds now."""
    signed: tuple[Signed, ...] | None
    clients: Mapping[str, ClientStanding] | None
    """By id of a withdrawal: how its client stood to it when it was asked for."""
    unsigned: tuple[Unsigned, ...] | None
    held_accounts: frozenset[int] | None
    """Accounts on which somebody or something has put a hold."""
    own_addresses: frozenset[str] | None
    screened: Mapping[str, bool] | None
    """By destination: whether the screening service has nothing against it."""
    fee_due: int | None
    """What such a transaction costs now by the co-signer's own node, in the ledger unit that fees are taken in."""
    company_fees: int | None
    """What lies beside the clients' coins for fees that no client pays, in the same unit."""
    dead: frozenset[str] | None
    """Inputs of what was signed before that can never be used any more: the chain has left them behind."""
    nominated: frozenset[str] | None
    me: str
    evidence_age_ns: int | None
    """Age of the oldest evidence of the other co-signers' HSMs."""
    is_frozen: bool | None
    """Anybody may freeze; it takes a quorum to go on."""
    last_reconciled_ns: int | None
    """When chain and ledger agreed last; a mismatch makes it None."""
