"""The concrete parts of chains of accounts, for every process that follows one: from an annex to node, room, follower.

`custody/nodes.json` says where the nodes are: {"eip155:31337": "http://127.0.0.1:8545/", ...}. In production each
co-signer, the coordinator and the auditor have a file and a node of their own.
"""

from pathlib import Path
from typing import NamedTuple

import msgspec

from ringfence.custody.annex import HOT_SUFFIX, Annex
from ringfence.custody.chains.accounts import (
    AccountFollower,
    AccountRoom,
    NodeBehindError,
    NodeError,
    TooDeepError,
    WrongChainError,
)
from ringfence.custody.chains.ethereum.addresses import AddressError, read_address
from ringfence.custody.chains.ethereum.blocks import EthereumBlocks
from ringfence.custody.chains.ethereum.room import EthereumRoom
from ringfence.custody.chains.ethereum.rpc import EthereumRpc
from ringfence.custody.chains.solana.blocks import SolanaBlocks
from ringfence.custody.chains.solana.room import SolanaRoom
from ringfence.custody.chains.solana.rpc import SolanaRpc
from ringfence.custody.cosigner.config import Charter, ConfigurationError, check_annex

ETHEREUM, SOLANA = "eip155", "solana"
SCHEMES = {ETHEREUM: "ecdsa-secp256k1", SOLANA: "ed25519"}
"""What keys of a chain sign with, by its namespace in CAIP-2."""
TROUBLES = (NodeError, NodeBehindError, WrongChainError, TooDeepError)
"""What following a chain may raise: said once, and tried again."""
_GENESIS_CHARACTERS = 32


class AccountChain(NamedTuple):
    """One chain, from one node."""

    annex: Annex
    room: AccountRoom
    follower: AccountFollower


def read_nodes(directory: Path) -> dict[str, str]:
    """Return where the nodes of a venue are, by chain; nothing if there is no file. Raises ValueError."""
    path = directory / "custody" / "nodes.json"
    if not path.exists():
        return {}
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except (OSError, msgspec.MsgspecError) as error:
        raise ValueError(f"nodes.json cannot be read: {error}") from error


def name_of(chain: str) -> str:
    """Return what the first key of a chain is called, and the file of its annex."""
    return "bitcoin-hot" if chain.endswith(HOT_SUFFIX) else chain.partition(":")[0]


def annex_path(directory: Path, chain: str) -> Path:
    folder = directory / "custody" / "annexes"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder / f"{name_of(chain)}.json"


def read_annexes(directory: Path, charter: Charter) -> list[Annex]:
    """Return the annexes that people have signed, as they lie beside the charter. Raises ConfigurationError."""
    found = []
    for path in sorted((directory / "custody" / "annexes").glob("*.json")):
        try:
            annex = msgspec.json.decode(path.read_bytes(), type=Annex)
        except (OSError, msgspec.MsgspecError) as error:
            raise ConfigurationError(f"{path.name} cannot be read: {error}") from error
        check_annex(charter, annex)
        found.append(annex)
    return found


def connect(annex: Annex, nodes: dict[str, str]) -> AccountChain:
    """Return what follows an annex's chain; nothing is asked of the node yet. Raises ConfigurationError."""
    namespace, _, reference = annex.chain.partition(":")
    url = nodes.get(annex.chain)
    if url is None:
        raise ConfigurationError(f"nodes.json names no node of {annex.chain}")
    try:
        key, native = bytes.fromhex(annex.public_key), annex.native.currency
        room: AccountRoom
        if namespace == ETHEREUM:
            tokens = {read_address(one.contract): one.currency for one in annex.assets[1:]}
            rpc, chain_id = EthereumRpc(url), int(reference)
            room = EthereumRoom(
                rpc, chain_id=chain_id, public_key=key, chain_code=bytes.fromhex(annex.chain_code), tokens=tokens,
                native=native,
                left=[(bytes.fromhex(one.public_key), bytes.fromhex(one.chain_code)) for one in annex.left],
            )  # fmt: skip
            source = EthereumBlocks(rpc, chain_id=chain_id, tokens=tokens, native=native)
            return AccountChain(annex, room, _follower(annex, room, source))
        if namespace == SOLANA:
            solana = SolanaRpc(url)
            room = SolanaRoom(
                solana,
                public_key=key,
                native=native,
                left=[bytes.fromhex(one.public_key) for one in annex.left],
            )
            return AccountChain(
                annex, room, _follower(annex, room, SolanaBlocks(solana, genesis=reference, native=native))
            )
    except (ValueError, AddressError) as error:
        raise ConfigurationError(f"the annex of {annex.chain} cannot be used: {error}") from error
    raise ConfigurationError(f"chains of {namespace!r} are not known here")


def _follower(annex: Annex, room: AccountRoom, source: EthereumBlocks | SolanaBlocks) -> AccountFollower:
    return AccountFollower(
        source, lambda address: room.number_of(address) is not None, native=room.native,
        height=annex.follow_from_height, digest=annex.follow_from_block,
    )  # fmt: skip
