"""The development chain's genesis, and its faucet: coins worth nothing, whose key everybody knows."""

import json

from solders.hash import Hash
from solders.keypair import Keypair

from ringfence.custody.chains.accounts import WrongChainError
from ringfence.custody.chains.solana.addresses import read_address
from ringfence.custody.chains.solana.messages import Payment, signed_bytes, unsigned_bytes
from ringfence.custody.chains.solana.rpc import SolanaRpc

LAMPORTS_PER_SOL = 1_000_000_000
FAUCET_KEY = Keypair.from_seed(b"ringfence development faucet SOL")
FAUCET_ADDRESS = str(FAUCET_KEY.pubkey())
FAUCET_LAMPORTS = 500_000_000 * LAMPORTS_PER_SOL
GENESIS = json.dumps(
    {"chain": "ringfence-solana-development", "version": 1, "accounts": {FAUCET_ADDRESS: FAUCET_LAMPORTS}},
    sort_keys=True, separators=(",", ":"),
).encode()  # fmt: skip
"""All that the chain begins with. Its hash is the chain's name."""
GENESIS_HASH = str(Hash.hash(GENESIS))


class Faucet:
    """Pays on the development chain, and on no other."""

    def __init__(self, rpc: SolanaRpc) -> None:
        """Raises NodeError, WrongChainError."""
        self._rpc = rpc
        found = rpc.genesis_hash()
        if found != GENESIS_HASH:
            raise WrongChainError(f"the faucet pays on the development chain alone, this one is {found}")

    def pay(self, to: str, lamports: int) -> str:
        """Send coins to an address; return the transaction's id. Raises NodeError, AddressError.

        The same payment twice before the next block is one payment: it is the same transaction.
        """
        latest = self._rpc.latest_blockhash("processed")
        return self._rpc.send(faucet_payment(to, lamports, latest.blockhash))


def faucet_payment(to: str, lamports: int, blockhash: bytes) -> bytes:
    """Return a payment of the faucet's, signed. Raises AddressError, MessageError."""
    payment = Payment(bytes(FAUCET_KEY.pubkey()), read_address(to), lamports, blockhash)
    return signed_bytes(payment, bytes(FAUCET_KEY.sign_message(unsigned_bytes(payment))))
