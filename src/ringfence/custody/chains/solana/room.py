"""Solana as custody uses it: which addresses are ours, messages that pay, and what the node says of them.

One key that nobody has signs everything: its own address is the treasury, and deposit addresses are derived from it so
that it alone moves what lies there (`addresses.py`). A message lives as long as the blockhash in it, some minutes; what
was signed and has not come into a block by then never will.
"""

from collections.abc import Sequence

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ringfence.custody.chains.accounts import (
    ACCOUNTS_AHEAD,
    AccountTransaction,
    BytesError,
    TransactionRefusedError,
)
from ringfence.custody.chains.address_table import AddressTable
from ringfence.custody.chains.solana.addresses import deposit_address, deposit_seed, read_address, spelt
from ringfence.custody.chains.solana.messages import (
    MessageError,
    Payment,
    Sweep,
    read_unsigned,
    signed_bytes,
    unsigned_bytes,
)
from ringfence.custody.chains.solana.rpc import SolanaRpc, txid_of

FEE_LAMPORTS = 5_000
"""Of a message with one signature, without a priority fee."""


class SolanaRoom(AddressTable[bytes]):
    """See `AccountRoom`."""

    is_fee_exact = True

    def __init__(self, rpc: SolanaRpc, *, public_key: bytes, native: str, left: Sequence[bytes] = ()) -> None:
        """`left`: keys that were used before. Raises AddressError."""
        super().__init__(
            (*left, public_key), address_at=_address_at, read_address=read_address, ahead=ACCOUNTS_AHEAD
        )
        self._rpc, self.native = rpc, native

    # ---- bytes

    def read(self, raw: bytes, *, source: str) -> AccountTransaction:
        said = _read(raw)
        if source not in self._places or said.payer != self.key_above(source):
            raise BytesError(f"{spelt(said.payer)} pays for it, which is not above {source}")
        moves = spelt(said.source if isinstance(said, Sweep) else said.payer)
        if moves != source:
            raise BytesError(f"it moves coins of {moves}, not of {source}")
        call = "transferWithSeed" if isinstance(said, Sweep) else "transfer"
        place = f"{spelt(said.payer)}@{spelt(said.blockhash)}"
        return AccountTransaction(
            source, spelt(said.to), self.native, said.lamports, FEE_LAMPORTS, place, call
        )

    def to_sign(self, raw: bytes, *, source: str) -> tuple[str, bytes]:
        return "", raw

    def signed(self, raw: bytes, signature: bytes, recovery_id: int, *, source: str) -> tuple[str, bytes]:
        try:
            Ed25519PublicKey.from_public_bytes(self.key_above(source)).verify(signature, raw)
        except (InvalidSignature, ValueError) as error:
            raise BytesError("the signature is not that of the key above the source") from error
        whole = signed_bytes(_read(raw), signature)
        return txid_of(whole), whole

    def build(self, *, source: str, to: str, asset: str, raw: int, above: bytes = b"") -> bytes:
        """`above`: what was signed before has to have expired. There is nothing here by which one takes its place."""
        if above:
            place = self.read(above, source=source).place
            if not self.has_expired(place):
                raise TransactionRefusedError("what was signed before may still come into a block")
        blockhash, receiver = self._rpc.latest_blockhash().blockhash, read_address(to)
        base, number = self.key_above(source), self._places[source][1]
        if number == 0:
            return unsigned_bytes(Payment(base, receiver, raw, blockhash))
        seed = deposit_seed(base, number)
        return unsigned_bytes(Sweep(base, read_address(source), seed, receiver, raw, blockhash))

    # ---- the node

    def fee_payer(self, source: str) -> str:
        return spelt(self.key_above(source))

    def fee_raw_of(self, asset: str) -> int:
        return FEE_LAMPORTS

    def fee_due_raw(self, transaction: AccountTransaction) -> int:
        """Raises TransactionRefusedError if what would lie at one of the ends is less than an account may have."""
        least = self._rpc.rent_exempt_lamports()
        there = self._rpc.balance_lamports(transaction.to)
        left = self._rpc.balance_lamports(transaction.source) - transaction.raw
        if transaction.source == self.fee_payer(transaction.source):
            left -= FEE_LAMPORTS
        if there + transaction.raw < least:
            raise TransactionRefusedError(f"{transaction.to} would have less than {least} lamports")
        if left and left < least:
            raise TransactionRefusedError(f"{transaction.source} would be left with {left} lamports")
        return FEE_LAMPORTS

    def objection(self, transaction: AccountTransaction) -> str:
        if self.has_expired(transaction.place):
            return "its blockhash is too old, or none of this chain"
        return ""

    def has_expired(self, place: str) -> bool:
        return not self._rpc.is_blockhash_valid(read_address(place.rpartition("@")[2]))

    def balance_raw(self, address: str, asset: str, height: int) -> int:
        """The node knows the newest final block alone: whoever compares sees to it that it is the one at `height`."""
        return self._rpc.balance_lamports(address)

    def send(self, raw: bytes) -> None:
        self._rpc.send(raw)


def _address_at(base: bytes, number: int) -> str:
    return deposit_address(base, number) if number else spelt(base)


def _read(raw: bytes) -> Payment | Sweep:
    try:
        return read_unsigned(raw)
    except MessageError as error:
        raise BytesError(str(error)) from error
