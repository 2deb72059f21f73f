"""Coins for the asking on the development chains of a venue, whichever they are of."""

from pathlib import Path

from embit.script import address_to_scriptpubkey

from ringfence.custody.chains.bitcoin.regtest import faucet as bitcoin
from ringfence.custody.chains.bitcoin.rpc import BitcoinRpc, Endpoint
from ringfence.custody.chains.bitcoin.transactions import Output
from ringfence.custody.chains.ethereum import faucet as ethereum
from ringfence.custody.chains.ethereum.blocks import WEI_PER_GWEI
from ringfence.custody.chains.ethereum.rpc import EthereumRpc
from ringfence.custody.chains.solana import faucet as solana
from ringfence.custody.chains.solana.rpc import SolanaRpc
from ringfence.daemons.account_chains import read_nodes
from ringfence.daemons.chain_founding import ETHEREUM_CHAIN, SOLANA_CHAIN
from ringfence.daemons.custody_ports import read_ports
from ringfence.ports import HOST
from ringfence.units.assets import ETH, SOL, USDT, XBT


def pay(directory: Path, currency: str, address: str, amount: int) -> str:
    """Return the id of a payment of so many of a currency's smallest unit.

    Raises NodeError, BitcoinError, OSError, ValueError; AssertionError on a chain that is none for development.
    """
    if currency == XBT.currency:
        rpc = BitcoinRpc(Endpoint(HOST, read_ports(directory).node, directory / "bitcoin" / ".cookie"))
        script = bytes(address_to_scriptpubkey(address).data)
        return bitcoin.Faucet(rpc).pay([Output(amount, script)]).txid
    nodes = read_nodes(directory)
    if currency == SOL.currency and SOLANA_CHAIN in nodes:
        return solana.Faucet(SolanaRpc(nodes[SOLANA_CHAIN])).pay(address, amount)
    if ETHEREUM_CHAIN in nodes:
        of_ethereum = ethereum.Faucet(EthereumRpc(nodes[ETHEREUM_CHAIN]))
        if currency == ETH.currency:
            return of_ethereum.pay_wei(address, amount * WEI_PER_GWEI)
        if currency == USDT.currency:
            return of_ethereum.pay_token(address, amount)
    raise ValueError(f"no development chain of {currency} runs here")
