"""Ethereum as custody uses it: which addresses are ours, transactions that pay, and what the node says of them.

All keys are below one that nobody has: `m/1/0` is the treasury's, `m/1/N` that of the deposit address of account N. So
an account's address follows from its number, and everybody derives it for themselves.
"""

from collections.abc import Mapping, Sequence

from coincurve import PublicKey

from ringfence.custody.chains.accounts import (
    ACCOUNTS_AHEAD,
    AccountTransaction,
    BytesError,
    TransactionRefusedError,
)
from ringfence.custody.chains.address_table import AddressTable
from ringfence.custody.chains.ethereum.addresses import address_of, read_address, spelt
from ringfence.custody.chains.ethereum.calls import CallError, movement_of, transfer_data
from ringfence.custody.chains.ethereum.rpc import EthereumRpc, NodeRefusedError
from ringfence.custody.chains.ethereum.transactions import (
    Transaction,
    TransactionError,
    read_unsigned,
    sign_digest,
    signed_bytes,
    transaction_hash,
    unsigned_bytes,
)
from ringfence.custody.wallets.derivation import child_of, derived_key
from ringfence.units.rounding import ceil_div

CLIENTS = "m/1"
GAS_OF_PAYMENT = 21_000
GAS_OF_TOKEN = 65_000
"""About: what a transfer of a token takes is asked of the node when it is built."""
_ABOVE_PERCENT = 125
"""Nodes take a replacement that offers a tenth more; an eighth and a rounding are on the safe side."""


class EthereumRoom(AddressTable[tuple[bytes, bytes]]):
    """See `AccountRoom`."""

    is_fee_exact = False

    def __init__(
        self, rpc: EthereumRpc, *, chain_id: int, public_key: bytes, chain_code: bytes, tokens: Mapping[bytes, str],
        native: str, left: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:  # fmt: skip
        """`tokens`: currency by the contract's address; `left`: keys and chain codes that were used before.

        Raises PathError, AddressError.
        """
        keys = [_step(*one) for one in (*left, (public_key, chain_code))]
        super().__init__(keys, address_at=_address_at, read_address=read_address, ahead=ACCOUNTS_AHEAD)
        self._rpc, self._chain_id, self._tokens = rpc, chain_id, dict(tokens)
        self.native = native
        self._contracts = {currency: contract for contract, currency in self._tokens.items()}

    # ---- bytes

    def read(self, raw: bytes, *, source: str) -> AccountTransaction:
        transaction = _read(raw)
        if transaction.chain_id != self._chain_id:
            raise BytesError(f"it is for chain {transaction.chain_id}, this one is {self._chain_id}")
        try:
            movement = movement_of(transaction, self._tokens, native=self.native)
        except CallError as error:
            raise BytesError(str(error)) from error
        return AccountTransaction(
            source, spelt(movement.to), movement.asset, movement.amount, transaction.fee_max_wei,
            f"{source}:{transaction.nonce}", "transfer" if transaction.data else "",
        )  # fmt: skip

    def to_sign(self, raw: bytes, *, source: str) -> tuple[str, bytes]:
        return f"{CLIENTS}/{self._places[source][1]}", sign_digest(raw)

    def signed(self, raw: bytes, signature: bytes, recovery_id: int, *, source: str) -> tuple[str, bytes]:
        try:
            key = PublicKey.from_signature_and_message(
                signature + bytes((recovery_id,)), sign_digest(raw), hasher=None
            )
            signer = spelt(address_of(key.format()))
        except Exception as error:  # libsecp256k1's errors are bare ones
            raise BytesError("no key has made this signature") from error
        if signer != source:
            raise BytesError(f"{signer} has signed, {source} has to")
        try:
            whole = signed_bytes(_read(raw), signature, recovery_id)
        except TransactionError as error:
            raise BytesError(str(error)) from error
        return f"0x{transaction_hash(whole).hex()}", whole

    def build(self, *, source: str, to: str, asset: str, raw: int, above: bytes = b"") -> bytes:
        receiver, data = read_address(to), b""
        if asset != self.native:
            receiver, data = self._contracts[asset], transfer_data(read_address(to), raw)
        value_wei = raw if asset == self.native else 0
        gas = self._gas(source, receiver, value_wei, data)
        fee = self._rpc.fee()
        priority_wei, most_wei = fee.priority_fee_wei, 2 * fee.base_fee_wei + fee.priority_fee_wei
        if above:
            before = _read(above)
            priority_wei = max(priority_wei, _more(before.priority_fee_per_gas_wei))
            most_wei = max(most_wei, _more(before.fee_per_gas_max_wei))
            nonce = before.nonce
        else:
            nonce = self._rpc.nonce(source, "latest")
        return unsigned_bytes(
            Transaction(
                self._chain_id, nonce, min(priority_wei, most_wei), most_wei, gas, receiver, value_wei, data
            )
        )

    # ---- the node

    def _gas(self, source: str, to: bytes, value_wei: int, data: bytes) -> int:
        """Return how much gas is given to it; the node runs it for that, so that nothing is signed which would fail."""
        try:
            gas = self._rpc.gas_estimate(source, spelt(to), value_wei=value_wei, data=data)
        except NodeRefusedError as error:
            raise TransactionRefusedError(f"it would fail: {error.message}") from error
        # What a contract needs may change until the transaction comes into a block.
        return gas if gas == GAS_OF_PAYMENT else ceil_div(gas * 5, 4)

    def fee_payer(self, source: str) -> str:
        return source

    def fee_raw_of(self, asset: str) -> int:
        fee = self._rpc.fee()
        gas = GAS_OF_PAYMENT if asset == self.native else GAS_OF_TOKEN
        return gas * (2 * fee.base_fee_wei + fee.priority_fee_wei)

    def fee_due_raw(self, transaction: AccountTransaction) -> int:
        """What it may cost at most, as it would be built now: that is what a transaction says of its fee."""
        if transaction.asset == self.native:
            gas = self._gas(transaction.source, read_address(transaction.to), transaction.raw, b"")
        else:
            data = transfer_data(read_address(transaction.to), transaction.raw)
            gas = self._gas(transaction.source, self._contracts[transaction.asset], 0, data)
        fee = self._rpc.fee()
        return gas * (2 * fee.base_fee_wei + fee.priority_fee_wei)

    def objection(self, transaction: AccountTransaction) -> str:
        nonce = int(transaction.place.rpartition(":")[2])
        next_nonce = self._rpc.nonce(transaction.source, "latest")
        if nonce != next_nonce:
            return f"nonce {nonce} of {transaction.source}, the next is {next_nonce}"
        return ""

    def has_expired(self, place: str) -> bool:
        """A nonce that something else has used cannot be told from one that this very payment has used: never."""
        return False

    def balance_raw(self, address: str, asset: str, height: int) -> int:
        if asset == self.native:
            return self._rpc.balance_wei(address, height)
        return self._rpc.token_raw(spelt(self._contracts[asset]), address, height)

    def send(self, raw: bytes) -> None:
        self._rpc.send(raw)


def _step(public_key: bytes, chain_code: bytes) -> tuple[bytes, bytes]:
    """Return the key and the chain code above all of the clients' addresses."""
    key, code = child_of(public_key, chain_code, int(CLIENTS.partition("/")[2]))
    assert key == derived_key(public_key, chain_code, CLIENTS)
    return key, code


def _address_at(parent: tuple[bytes, bytes], number: int) -> str:
    return spelt(address_of(child_of(*parent, number)[0]))


def _read(raw: bytes) -> Transaction:
    try:
        return read_unsigned(raw)
    except TransactionError as error:
        raise BytesError(str(error)) from error


def _more(wei: int) -> int:
    return ceil_div(wei * _ABOVE_PERCENT, 100)
