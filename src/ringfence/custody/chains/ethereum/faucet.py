"""Coins for the asking, on development chains alone: paid from a key that everybody knows."""

from coincurve import PrivateKey

from ringfence.custody.chains.accounts import WrongChainError
from ringfence.custody.chains.ethereum.addresses import read_address, spelt
from ringfence.custody.chains.ethereum.devnet import CHAIN_ID, DEVELOPER, DEVELOPMENT_KEY, USDT_ADDRESS
from ringfence.custody.chains.ethereum.rpc import EthereumRpc
from ringfence.custody.chains.ethereum.transactions import (
    Transaction,
    sign_digest,
    signed_bytes,
    unsigned_bytes,
)

MINT = bytes.fromhex("40c10f19")
"""mint(address,uint256)"""
_WORD_BYTES = 32


def signed(transaction: Transaction, key: bytes) -> bytes:
    """Return what is sent, signed with a key that lies open in memory: never one that is worth anything."""
    signature: bytes = PrivateKey(key).sign_recoverable(sign_digest(unsigned_bytes(transaction)), hasher=None)
    return signed_bytes(transaction, signature[:64], signature[64])


class Faucet:
    """Whoever asks gets coins; they are worth nothing. Nothing is mined here."""

    def __init__(self, rpc: EthereumRpc) -> None:
        """Raises NodeError, and WrongChainError on any chain but the development chain."""
        if (found := rpc.chain_id()) != CHAIN_ID:
            raise WrongChainError(f"chain {found} is no development chain: nobody pays for nothing there")
        self._rpc = rpc

    def pay_wei(self, to: str, amount_wei: int) -> str:
        """Send ETH; return the transaction's id. Raises NodeError."""
        return self._send(read_address(to), amount_wei, b"")

    def pay_token(self, to: str, raw: int) -> str:
        """Make dollars out of nothing at an address; return the transaction's id. Raises NodeError."""
        data = MINT + read_address(to).rjust(_WORD_BYTES, b"\0") + raw.to_bytes(_WORD_BYTES, "big")
        return self._send(USDT_ADDRESS, 0, data)

    def _send(self, to: bytes, value_wei: int, data: bytes) -> str:
        fee = self._rpc.fee()
        transaction = Transaction(
            chain_id=CHAIN_ID,
            nonce=self._rpc.nonce(spelt(DEVELOPER), "pending"),
            priority_fee_per_gas_wei=fee.priority_fee_wei,
            fee_per_gas_max_wei=2 * fee.base_fee_wei + fee.priority_fee_wei,
            gas_limit=self._rpc.gas_estimate(spelt(DEVELOPER), spelt(to), value_wei=value_wei, data=data),
            to=to,
            value_wei=value_wei,
            data=data,
        )
        return self._rpc.send(signed(transaction, DEVELOPMENT_KEY))
