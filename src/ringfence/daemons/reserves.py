"""Lists the reserves of a venue from its nodes: what lies at every script and address of its own, at one block each.

It reads custody's charter and annexes, a node of each chain, and the feed; it holds no key and asks nobody who does.
Control of the keys is shown afterwards (`control.py`).
"""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import rlp

from ringfence.assurance.proofs.errors import ForgedError
from ringfence.assurance.proofs.reserves import ethereum as proofs
from ringfence.assurance.proofs.reserves.bitmex import yaml_of
from ringfence.assurance.proofs.reserves.listing import check_listing
from ringfence.assurance.proofs.reserves.making import NO_BLOCK, reserves_of
from ringfence.assurance.proofs.reserves.model import (
    FACTORS,
    AccountRow,
    Bitcoin,
    CoinRow,
    ContractRow,
    Ethereum,
    Kind,
    ScriptRow,
    Solana,
    SolanaRow,
    TokenRow,
    VaultRow,
)
from ringfence.custody.annex import Annex
from ringfence.custody.chains.accounts import NodeError
from ringfence.custody.chains.bitcoin.company import company_money
from ringfence.custody.chains.bitcoin.follow import Follower, TooDeepError
from ringfence.custody.chains.bitcoin.rpc import BitcoinError, BitcoinRpc, Endpoint
from ringfence.custody.chains.bitcoin.transactions import EMBIT_NETWORKS, address_of
from ringfence.custody.chains.bitcoin.watch import NodeBehindError, Watch, WrongChainError
from ringfence.custody.chains.ethereum.addresses import read_address
from ringfence.custody.chains.ethereum.rpc import EthereumRpc
from ringfence.custody.chains.solana.addresses import deposit_seed, spelt
from ringfence.custody.cosigner.config import Charter, ConfigurationError
from ringfence.custody.explained import explain
from ringfence.custody.ledger import Ledger, LedgerGapError
from ringfence.custody.quorum.hot import hot_key, hot_script
from ringfence.custody.wallets.coins import Coin
from ringfence.custody.wallets.derivation import extended_key
from ringfence.custody.wallets.descriptors import Keychain
from ringfence.custody.wallets.owners import Owner, Wallets
from ringfence.daemons.account_chains import (
    ETHEREUM,
    SOLANA,
    TROUBLES,
    AccountChain,
    connect,
    read_annexes,
    read_nodes,
)
from ringfence.daemons.custody_founding import FoundingError, read_charter
from ringfence.daemons.custody_ports import read_ports
from ringfence.daemons.funds_feed import FundsFeed
from ringfence.ports import HOST
from ringfence.units.assets import XBT

_ALL = 10**9
"""Every script that there are keys for."""
_ATTEMPTS = 5
_HASHED_BYTES = 32
_KINDS = {Owner.CLIENTS: Kind.MULTISIG, Owner.INSURANCE: Kind.INSURANCE, Owner.COMPANY: Kind.COMPANY}
_HEADER = (
    "parentHash", "sha3Uncles", "miner", "stateRoot", "transactionsRoot", "receiptsRoot", "logsBloom", "difficulty",
    "number", "gasLimit", "gasUsed", "timestamp", "extraData", "mixHash", "nonce", "baseFeePerGas", "withdrawalsRoot",
    "blobGasUsed", "excessBlobGas", "parentBeaconBlockRoot", "requestsHash",
)  # fmt: skip
"""Fields of a header in the order in which they are hashed; later ones came with later forks."""
_NUMBERS = {
    "difficulty", "number", "gasLimit", "gasUsed", "timestamp", "baseFeePerGas", "blobGasUsed", "excessBlobGas"
}  # fmt: skip


class ReservesUnavailableError(Exception):
    """A node, the feed or custody's files do not say what has to be listed. Nothing was listed: ask again later."""


class ListedReserves(NamedTuple):
    """What lies on the chains, at one block of each."""

    reserves: bytes
    """`reserves.json`."""
    yaml: bytes
    """`reserves.yaml`."""
    totals: dict[str, int]
    """By asset, in ledger units: what counts."""
    in_flight: dict[str, int]
    """By asset, in ledger units: deposits that a chain has and that are credited to nobody yet."""
    paid_ahead: dict[str, int]
    """By asset, in ledger units: what payments have taken from a chain of accounts that the ledger has not closed."""
    height: int
    """Of Bitcoin; 0 without custody."""
    block_hash: str


async def list_reserves(directory: Path, *, snapshot: int, below: int | None = None) -> ListedReserves:
    """List the reserves of a venue, as its nodes have them now. Raises ReservesUnavailableError.

    below: hold deposits against the ledger as it was below a sequence, that of the cut.
    """
    return await asyncio.to_thread(_list, directory, snapshot, below)


class _Part(NamedTuple):
    """What came of one chain."""

    fee_money: dict[str, int]
    """In the chain's smallest unit."""
    in_flight: dict[str, int]
    paid_ahead: dict[str, int]


def _list(directory: Path, snapshot: int, below: int | None) -> ListedReserves:
    venue = _venue_of(directory)
    if not (directory / "custody" / "charter.json").exists():
        raw = reserves_of(
            venue=venue, snapshot=snapshot, height=0, block_hash=NO_BLOCK, bitcoin=None, ethereum=None, solana=None,
            fee_money={},
        )  # fmt: skip
        return _listed(raw, [])
    try:
        charter = read_charter(directory)
        annexes = read_annexes(directory, charter)
        ledger = _ledger_of(directory, below)
        height, block_hash, bitcoin, part = _bitcoin(directory, charter, annexes, ledger)
        parts, ether, sol = [part], None, None
        nodes = read_nodes(directory)
        for annex in annexes:
            if annex.chain.startswith(f"{ETHEREUM}:"):
                ether, part = _ethereum(annex, nodes, ledger)
                parts.append(part)
            elif annex.chain.startswith(f"{SOLANA}:"):
                sol, part = _solana(annex, nodes, ledger)
                parts.append(part)
    except (
        *TROUBLES, BitcoinError, NodeBehindError, WrongChainError, TooDeepError, ConfigurationError, FoundingError,
        LedgerGapError, ForgedError, OSError, ValueError, KeyError,
    ) as error:  # fmt: skip
        raise ReservesUnavailableError(f"{type(error).__name__}: {error}") from error
    fee_money = {currency: raw for one in parts for currency, raw in one.fee_money.items()}
    raw = reserves_of(
        venue=venue, snapshot=snapshot, height=height, block_hash=block_hash, bitcoin=bitcoin, ethereum=ether,
        solana=sol, fee_money=fee_money,
    )  # fmt: skip
    return _listed(raw, parts)


def _listed(raw: bytes, parts: Iterable[_Part]) -> ListedReserves:
    """Return a list as strangers will find it. Raises ReservesUnavailableError if they would not believe it."""
    try:
        reserves = check_listing(raw).reserves
    except ForgedError as error:
        raise ReservesUnavailableError(f"what the nodes say does not prove itself: {error}") from error
    in_flight = dict.fromkeys(reserves.assets, 0)
    ahead = dict.fromkeys(reserves.assets, 0)
    for part in parts:
        in_flight |= part.in_flight
        ahead |= part.paid_ahead
    totals = {currency: int(asset.total) for currency, asset in reserves.assets.items()}
    return ListedReserves(
        raw, yaml_of(reserves), totals, in_flight, ahead, reserves.height, reserves.block_hash
    )


def _venue_of(directory: Path) -> str:
    try:
        return (directory / "roots" / "venue.pub").read_text().strip()
    except OSError as error:
        raise ReservesUnavailableError(f"the exchange's public key cannot be read: {error}") from error


def _ledger_of(directory: Path, below: int | None) -> Ledger:
    feed = FundsFeed(directory)
    try:
        feed.catch_up(below=below)
        return feed.ledger
    finally:
        feed.close()


# ---- Bitcoin


def _bitcoin(
    directory: Path, charter: Charter, annexes: list[Annex], ledger: Ledger
) -> tuple[int, str, Bitcoin, _Part]:
    wallets = charter.wallets(lookahead=_ALL)
    company = company_money(wallets)
    hot = ""
    for annex in annexes:
        if annex.is_hot:
            wallets.add_hot(hot_script(hot_key(annex.public_key, annex.chain_code)))
            company.hot = wallets.hot
            hot = _extended(annex.public_key, annex.chain_code, charter.vaults[0].network)
    rpc = BitcoinRpc(Endpoint(HOST, read_ports(directory).node, directory / "bitcoin" / ".cookie"))
    try:
        follower = Follower(
            lambda script: wallets.classify(script) is not None,
            height=charter.follow_from_height, digest=charter.follow_from_block,
        )  # fmt: skip
        watch = Watch(rpc, follower, chain=charter.chain)
        company.take(watch.poll())
        while follower.height < rpc.block_count():
            company.take(watch.poll())
    finally:
        rpc.close()
    coins = list(follower.confirmed_coins())
    network = charter.vaults[0].network
    of_script: dict[bytes, list[Coin]] = {}
    for coin in coins:
        of_script.setdefault(coin.script, []).append(coin)
    rows = [_script_row(wallets, script, held, hot) for script, held in sorted(of_script.items())]
    vaults = tuple(
        VaultRow(kind=_KINDS[owner], recovery=vault.recovery, recovery_blocks=vault.recovery_blocks)
        for owner, vault in wallets.vaults.items()
    )
    listed = Bitcoin(network=network, vaults=vaults, hot=hot, scripts=tuple(rows), custodial=())
    in_flight = sum(
        coin.amount_sats
        for coin in coins
        if _is_deposit(wallets, coin) and str(coin.outpoint) not in ledger.credited
    )
    part = _Part({XBT.currency: max(company.sats, 0)}, {XBT.currency: in_flight}, {XBT.currency: 0})
    return follower.height, follower.tip, listed, part


def _is_deposit(wallets: Wallets, coin: Coin) -> bool:
    mine = wallets.classify(coin.script)
    return mine is not None and mine.owner == Owner.CLIENTS and mine.keychain == Keychain.RECEIVE


def _script_row(wallets: Wallets, script: bytes, coins: list[Coin], hot: str) -> ScriptRow:
    mine = wallets.classify(script)
    assert mine is not None
    if mine.is_hot:
        kind, descriptor = Kind.THRESHOLD, f"wpkh({hot}/1/0)"
    else:
        kind = _KINDS[mine.owner]
        descriptor = wallets.derivers[mine.owner].published(mine.keychain, mine.number)
    ordered = sorted(coins, key=lambda coin: coin.outpoint)
    return ScriptRow(
        kind=kind, descriptor=descriptor, address=address_of(script, EMBIT_NETWORKS[wallets.network_name]) or "",
        script=script.hex(), balance=str(sum(coin.amount_sats for coin in ordered)),
        coins=tuple(CoinRow(outpoint=str(coin.outpoint), amount=str(coin.amount_sats)) for coin in ordered),
    )  # fmt: skip


def _extended(public_key: str, chain_code: str, network: str) -> str:
    return extended_key(bytes.fromhex(public_key), bytes.fromhex(chain_code), network)


# ---- chains of accounts


def _followed(chain: AccountChain, ledger: Ledger) -> None:
    """Follow a chain to its tip. Raises what following may raise."""
    chain.room.know(ledger.accounts_end)
    chain.follower.poll()
    while chain.follower.is_behind:
        chain.follower.poll()


def _addresses(chain: AccountChain) -> list[str]:
    """Return the treasury, and every other address of ours at which something lies."""
    follower = chain.follower
    found = {address for one in chain.annex.assets for address, _ in follower.balances(one.currency)} - {
        chain.room.treasury
    }
    return [chain.room.treasury, *sorted(found)]


def _key_of(chain: AccountChain, address: str) -> int:
    return len(chain.annex.keys) - 1 + chain.room.key_of(address)


def _part_of(chain: AccountChain, ledger: Ledger) -> _Part:
    part = _Part({}, {}, {})
    for one in chain.annex.assets:
        factor = FACTORS[one.currency]
        found = explain(chain.follower, chain.room, ledger, one.currency, factor=one.factor)
        part.fee_money[one.currency] = max(found.company, 0)
        part.in_flight[one.currency] = max(found.uncredited, 0) // factor
        part.paid_ahead[one.currency] = max(found.unclosed, 0) // factor
    return part


def _ethereum(annex: Annex, nodes: dict[str, str], ledger: Ledger) -> tuple[Ethereum, _Part]:
    chain = connect(annex, nodes)
    rpc = EthereumRpc(nodes[annex.chain])
    try:
        for _ in range(_ATTEMPTS):
            _followed(chain, ledger)
            listed = _proven(chain, rpc)
            if listed is not None:
                return listed, _part_of(chain, ledger)
    finally:
        rpc.close()
    raise NodeError(f"{annex.chain} goes on faster than it can be looked at")


def _proven(chain: AccountChain, rpc: EthereumRpc) -> Ethereum | None:
    """Return every balance with its proof at the newest block; None if that is another by now.

    Raises NodeError, ForgedError if the node's proofs are none.
    """
    annex, height = chain.annex, chain.follower.height
    header = _header_of(rpc.call("eth_getBlockByNumber", hex(height), False))
    contracts = tuple(ContractRow(currency=one.currency, address=one.contract) for one in annex.assets[1:])
    layouts = {one.currency: proofs.LAYOUTS.get((annex.chain, one.address)) for one in contracts}
    nodes: set[bytes] = set()
    told: list[tuple[str, dict[str, int]]] = []
    known = [one for one in contracts if layouts[one.currency] is not None]
    for one in known:
        nodes |= _nodes(rpc.call("eth_getProof", one.address, [], hex(height)), "accountProof")
    for address in _addresses(chain):
        tokens = {one.currency: rpc.token_raw(one.address, address, height) for one in contracts}
        nodes |= _nodes(rpc.call("eth_getProof", address, [], hex(height)), "accountProof")
        for one in known:
            layout = layouts[one.currency]
            if layout is not None and tokens[one.currency]:
                place = f"0x{layout.place(read_address(address)).hex()}"
                proof = rpc.call("eth_getProof", one.address, [place], hex(height))
                nodes |= _nodes(proof["storageProof"][0], "proof")
        told.append((address, tokens))
    if proofs.read_header(header).digest.hex() != chain.follower.tip.removeprefix("0x"):
        return None
    return Ethereum(
        chain=annex.chain, height=height, block_hash=proofs.read_header(header).digest.hex(), header=header.hex(),
        keys=tuple(_extended(one.public_key, one.chain_code, "main") for one in annex.keys), contracts=contracts,
        accounts=tuple(_account_row(chain, rpc, *one) for one in told), nodes=tuple(sorted(one.hex() for one in nodes)),
    )  # fmt: skip


def _account_row(chain: AccountChain, rpc: EthereumRpc, address: str, tokens: dict[str, int]) -> AccountRow:
    number = chain.room.number_of(address)
    assert number is not None
    return AccountRow(
        key=_key_of(chain, address), number=number, address=address,
        balance=str(rpc.balance_wei(address, chain.follower.height)),
        tokens=tuple(TokenRow(currency=one, balance=str(raw)) for one, raw in tokens.items() if raw),
    )  # fmt: skip


def _nodes(told: Any, name: str) -> set[bytes]:
    """Return the nodes of a proof that are found by their hash; that of an empty trie is no node.

    A node of less than 32 bytes stands within the one above it, and nodes tell it once more by itself; the root of a
    trie is hashed however small it is.
    """
    try:
        nodes = [bytes.fromhex(one.removeprefix("0x")) for one in told[name]]
        return {*nodes[:1], *(one for one in nodes[1:] if len(one) >= _HASHED_BYTES)} - {b"\x80"}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise NodeError(f"eth_getProof: an answer that cannot be read: {error!r:.200}") from error


def _header_of(told: Any) -> bytes:
    """Return a header as it is hashed. Raises NodeError if its hash is another than the node says."""
    try:
        fields = [
            _number(told[name]) if name in _NUMBERS else bytes.fromhex(told[name].removeprefix("0x"))
            for name in _HEADER
            if told.get(name) is not None
        ]
        raw = bytes(rlp.encode(fields))
        if proofs.keccak_256(raw).hex() != told["hash"].removeprefix("0x"):
            raise NodeError(f"block {told['hash']} has fields that are not known here: its hash is another")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise NodeError(f"eth_getBlockByNumber: an answer that cannot be read: {error!r:.200}") from error
    return raw


def _number(text: str) -> bytes:
    value = int(text, 16)
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def _solana(annex: Annex, nodes: dict[str, str], ledger: Ledger) -> tuple[Solana, _Part]:
    chain = connect(annex, nodes)
    follower, room = chain.follower, chain.room
    for _ in range(_ATTEMPTS):
        _followed(chain, ledger)
        slot, blockhash = follower.height, follower.tip
        balances = {one: room.balance_raw(one, room.native, slot) for one in _addresses(chain)}
        # The node tells balances of its newest final block alone: it has to be the same before and after.
        follower.poll()
        is_still = all(follower.balance(one, room.native) == raw for one, raw in balances.items())
        if is_still:
            rows = tuple(_solana_row(chain, one, raw) for one, raw in balances.items())
            keys = tuple(spelt(bytes.fromhex(one.public_key)) for one in annex.keys)
            return Solana(
                chain=annex.chain, slot=slot, blockhash=blockhash, keys=keys, accounts=rows
            ), _part_of(chain, ledger)
    raise NodeError(f"{annex.chain} goes on faster than it can be looked at")


def _solana_row(chain: AccountChain, address: str, raw: int) -> SolanaRow:
    key, number = _key_of(chain, address), chain.room.number_of(address)
    assert number is not None
    seed = deposit_seed(bytes.fromhex(chain.annex.keys[key].public_key), number) if number else ""
    return SolanaRow(key=key, seed=seed, address=address, balance=str(raw))
