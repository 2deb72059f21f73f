"""Connects development chains to custody: a key that nobody has, an annex that people sign, money for fees.

In production people do each of these by themselves, where their keys are; here they lie in DIRECTORY/custody. What was
cut short goes on at the next start: a key that is there is taken, and an annex that was drafted is signed no other way.
"""

import asyncio
import secrets
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from ringfence.custody.annex import HOT_SUFFIX, Annex, AnnexAsset
from ringfence.custody.chains.accounts import Tip
from ringfence.custody.chains.bitcoin.regtest import faucet as bitcoin_faucet
from ringfence.custody.chains.bitcoin.rpc import BitcoinRpc, Endpoint
from ringfence.custody.chains.bitcoin.transactions import Output
from ringfence.custody.chains.ethereum import faucet as ethereum_faucet
from ringfence.custody.chains.ethereum.addresses import spelt
from ringfence.custody.chains.ethereum.blocks import WEI_PER_GWEI, EthereumBlocks
from ringfence.custody.chains.ethereum.devnet import CHAIN_ID, USDT_ADDRESS
from ringfence.custody.chains.ethereum.rpc import EthereumRpc
from ringfence.custody.chains.solana import faucet as solana_faucet
from ringfence.custody.chains.solana.blocks import SolanaBlocks
from ringfence.custody.chains.solana.rpc import SolanaRpc
from ringfence.custody.cosigner.config import Charter
from ringfence.custody.cosigner.mpc import least_threshold
from ringfence.custody.demonstration import PEOPLE, first_policy, hot_policy
from ringfence.custody.quorum.hot import hot_key, hot_script
from ringfence.custody.quorum.messages import Attach, Standing
from ringfence.custody.quorum.mpc.engine import Scheme
from ringfence.custody.quorum.mpc.keys import KeyRecord, Order, SignedOrder, What
from ringfence.daemons.account_chains import (
    ETHEREUM,
    SCHEMES,
    SOLANA,
    annex_path,
    connect,
    name_of,
    read_nodes,
)
from ringfence.daemons.ceremonies import ask_all, check_all, hold, read_transcript, transcript_path
from ringfence.daemons.custody_founding import person_key, read_charter
from ringfence.daemons.custody_ports import read_ports
from ringfence.files import replace
from ringfence.ports import HOST
from ringfence.units.assets import ETH, SOL, USDT, XBT

ETHEREUM_CHAIN = f"{ETHEREUM}:{CHAIN_ID}"
SOLANA_CHAIN = f"{SOLANA}:{solana_faucet.GENESIS_HASH[:32]}"
_FEES_WEI, _FEES_LAMPORTS, _FEES_SATS = 10**18, 10**9, 10**6
"""What the company pays in for fees at first."""
_DOORS_SECONDS = 120.0
_FEE_MAX_GWEI, _FEE_MAX_LAMPORTS = 10_000_000, 100_000


async def found(directory: Path, on_progress: Callable[[str], None]) -> None:
    """Connect every chain of `nodes.json` that has no annex yet.

    Raises CeremonyError, FoundingError, NodeError, OSError, ValueError.
    """
    charter = read_charter(directory)
    await _until_cosigners_answer(directory)
    for chain, url in (read_nodes(directory) | {charter.chain + HOT_SUFFIX: ""}).items():
        path = annex_path(directory, chain)
        if path.exists():
            continue
        on_progress(f"{chain}: a key that nobody has")
        record = await _key(directory, charter, chain)
        annex = _draft(directory, chain, url, record)
        answers = await ask_all(directory, Attach(msgspec.json.encode(annex).decode()))
        check_all(answers, Standing, f"{chain} is not connected at all of them: start again")
        replace(path, msgspec.json.format(msgspec.json.encode(annex)))
        _pay_fees(directory, annex, url)
        _draft_path(directory, chain).unlink(missing_ok=True)
        on_progress(f"{chain}: {', '.join(one.currency for one in annex.assets)} come and go")


async def _until_cosigners_answer(directory: Path) -> None:
    """Return as soon as each has opened its door, or when it is late: then the ceremony says who is missing."""
    until = time.monotonic() + _DOORS_SECONDS
    for port in read_ports(directory).cosigners.values():
        while time.monotonic() < until:
            try:
                _, writer = await asyncio.open_connection(HOST, port)
            except OSError:
                await asyncio.sleep(0.2)
            else:
                writer.close()
                break


def is_connected(directory: Path) -> bool:
    """Return whether every chain of `nodes.json` has its annex."""
    wanted = [*read_nodes(directory), read_charter(directory).chain + HOT_SUFFIX]
    return all(annex_path(directory, chain).exists() for chain in wanted)


def _draft_path(directory: Path, chain: str) -> Path:
    return annex_path(directory, chain).with_suffix(".draft")


async def _key(directory: Path, charter: Charter, chain: str) -> KeyRecord:
    name = name_of(chain)
    if transcript_path(directory, name).exists():
        return read_transcript(transcript_path(directory, name)).record
    parties = tuple(one.name for one in charter.members)
    scheme, nonce = Scheme(SCHEMES.get(name, SCHEMES[ETHEREUM])), secrets.token_hex(16)
    order = Order(What.CREATE, name, scheme, 1, least_threshold(charter), parties, "", nonce, time.time_ns())
    people = directory / "custody" / "people"
    signatures = tuple((who, person_key(people, who).sign(order.digest).hex()) for who in PEOPLE)
    return await hold(directory, charter, SignedOrder(order, signatures), None)


def _draft(directory: Path, chain: str, url: str, record: KeyRecord) -> Annex:
    """Return the annex, as it was drafted if it was: another one would name another block to begin from."""
    path = _draft_path(directory, chain)
    if path.exists():
        return msgspec.json.decode(path.read_bytes(), type=Annex)
    tip, assets = _assets(chain, url)
    bare = Annex(
        chain,
        record.name,
        record.public_key,
        record.chain_code,
        record.threshold,
        assets,
        tip.height,
        tip.digest,
    )
    people = directory / "custody" / "people"
    signatures = tuple((who, person_key(people, who).sign(bare.digest).hex()) for who in PEOPLE)
    annex = msgspec.structs.replace(bare, signatures=signatures)
    replace(path, msgspec.json.encode(annex))
    return annex


def _assets(chain: str, url: str) -> tuple[Tip, tuple[AnnexAsset, ...]]:
    if chain.endswith(HOT_SUFFIX):
        return Tip(0, ""), (AnnexAsset(XBT.currency, "", 1, hot_policy(chain)),)
    if chain == SOLANA_CHAIN:
        policy = first_policy(SOL, chain=chain, coins=500, fee_max=_FEE_MAX_LAMPORTS)
        tip = SolanaBlocks(SolanaRpc(url), genesis=chain.partition(":")[2]).tip()
        return tip, (AnnexAsset(SOL.currency, "", 1, policy),)
    ether = first_policy(ETH, chain=chain, coins=30, fee_max=_FEE_MAX_GWEI)
    dollars = first_policy(USDT, chain=chain, coins=100_000, fee_max=_FEE_MAX_GWEI)
    blocks = EthereumBlocks(EthereumRpc(url), chain_id=CHAIN_ID, tokens={}, native=ETH.currency)
    return blocks.tip(), (
        AnnexAsset(ETH.currency, "", WEI_PER_GWEI, ether),
        AnnexAsset(USDT.currency, spelt(USDT_ADDRESS), 1, dollars),
    )


def _pay_fees(directory: Path, annex: Annex, url: str) -> None:
    """Pay in what sweeps, tokens and refills cost, from the faucet: in the company's name."""
    if annex.is_hot:
        rpc = BitcoinRpc(Endpoint(HOST, read_ports(directory).node, directory / "bitcoin" / ".cookie"))
        script = hot_script(hot_key(annex.public_key, annex.chain_code))
        bitcoin_faucet.Faucet(rpc).pay([Output(_FEES_SATS, script)])
        return
    treasury = connect(annex, read_nodes(directory)).room.treasury
    if annex.chain == SOLANA_CHAIN:
        solana_faucet.Faucet(SolanaRpc(url)).pay(treasury, _FEES_LAMPORTS)
        return
    node = EthereumRpc(url)
    ethereum_faucet.Faucet(node).pay_wei(treasury, _FEES_WEI)
    node.mine()
