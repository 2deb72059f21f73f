"""What a co-signer knows by itself. Nothing here comes from whoever asks it to sign."""

from collections.abc import Mapping
from typing import NamedTuple

from ringfence.custody.clients import ClientStanding


class Output(NamedTuple):
    """One output of the very bytes that are to be signed."""

    address: str
    """Canonical; empty if the script has none."""
    amount_sats: int
    owner: str
    """Whose descriptor derives the script, worked out by the co-signer; empty = nobody's of ours."""


class DecodedTransaction(NamedTuple):
    """The transaction as the co-signer has decoded it from the bytes."""

    inputs: tuple[str, ...]
    """Outpoints, `txid:n`."""
    input_owners: tuple[str, ...]
    input_sats: int
    outputs: tuple[Output, ...]
    vsize: int
    sighash_types: tuple[int, ...]
    is_replaceable: bool

    @property
    def fee_sats(self) -> int:
        return self.input_sats - sum(output.amount_sats for output in self.outputs)


class LedgerEntry(NamedTuple):
    """A withdrawal in the co-signer's own replica of the ledger."""

    account: int
    asset: str
    amount_sats: int
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
    amount_sats: int
    inputs: tuple[str, ...]
    """Empty if others have signed it."""


class Unsigned(NamedTuple):
    """A withdrawal of an account without a withdrawal key that is trusted, as long as it is not given back."""

    id: str
    at_ns: int
    amount_sats: int


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
    liabilities_sats: int | None
    assets_sats: int | None
    """What the chain holds for this owner, after the movement."""
    wallet_sats: int | None
    hot_sats: int | None
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
    fee_rate_sats_per_kvb: int | None
    """What a confirmation in time costs, from the co-signer's own node."""
    nominated: frozenset[str] | None
    me: str
    evidence_age_ns: int | None
    """Age of the oldest evidence of the other co-signers' HSMs."""
    is_frozen: bool | None
    """Anybody may freeze; it takes a quorum to go on."""
    last_reconciled_ns: int | None
    """When chain and ledger agreed last; a mismatch makes it None."""
