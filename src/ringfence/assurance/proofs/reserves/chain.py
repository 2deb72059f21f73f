"""A list of reserves against the chain: against all coins at its block, or against nodes that are asked.

Nothing is asked of the exchange. A node is never taken back to an earlier block for it.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple, Protocol

from ringfence.assurance.proofs.errors import ForgedError, InconclusiveError
from ringfence.assurance.proofs.reserves.listing import SOL, Checked
from ringfence.assurance.proofs.reserves.model import COUNTED
from ringfence.custody.chains.bitcoin.utxo_snapshot import FoundCoin, Header, SnapshotError, SnapshotReader


class Found(NamedTuple):
    """What the chain has."""

    coins: int
    """Listed ones that are there."""
    more: int
    """Satoshis at listed scripts that the list does not have: no harm."""


OnProgress = Callable[[int, int], None]


def check_dump(path: Path, checked: Checked, *, on_progress: OnProgress | None = None) -> Found:
    """Hold a list against a file of all coins (`dumptxoutset`).

    Raises ForgedError for a coin that is not there, InconclusiveError for a file that cannot say, OSError.
    """
    try:
        with path.open("rb") as file:
            reader = SnapshotReader(file)
            _check_header(reader.header, checked)
            scripts = {*checked.scripts, *checked.custodial}
            return check_coins(reader.coins(scripts, on_progress=on_progress), checked)
    except SnapshotError as error:
        raise InconclusiveError(f"{path.name}: {error}") from error


def _check_header(header: Header, checked: Checked) -> None:
    reserves = checked.reserves
    if reserves.bitcoin is None or header.network != reserves.bitcoin.network:
        raise InconclusiveError(f"the coins are of the network {header.network}, the list is not")
    if header.block_hash != reserves.block_hash:
        raise InconclusiveError(
            f"the coins are those at block {header.block_hash}, the list is of {reserves.block_hash}"
        )


def check_coins(found: Iterable[FoundCoin], checked: Checked) -> Found:
    """Hold a list against the coins that a chain has at its block. Raises ForgedError, which names the row."""
    there = {str(one.outpoint): one for one in found}
    of_script: dict[bytes, int] = {}
    for one in there.values():
        of_script[one.output.script] = of_script.get(one.output.script, 0) + one.output.amount_sats
    listed = 0
    assert checked.reserves.bitcoin is not None
    for number, row in enumerate(checked.reserves.bitcoin.scripts):
        script = bytes.fromhex(row.script)
        if script not in checked.scripts:
            continue  # of a form that is not judged: a doubt already
        for coin in row.coins:
            is_there = there.get(coin.outpoint)
            if is_there is None or is_there.output.script != script:
                raise ForgedError(
                    f"bitcoin.scripts[{number}]: the chain has no coin {coin.outpoint} at {row.address}"
                )
            if is_there.output.amount_sats != int(coin.amount):
                raise ForgedError(
                    f"bitcoin.scripts[{number}]: coin {coin.outpoint} holds {is_there.output.amount_sats} satoshis, "
                    f"{coin.amount} are listed"
                )
            listed += 1
    for script, balance in checked.custodial.items():
        if of_script.get(script, 0) < balance:
            raise ForgedError(
                f"bitcoin.custodial: {of_script.get(script, 0)} satoshis are at {script.hex()}, {balance} are listed"
            )
    claimed = sum(int(row.balance) for row in checked.scripts.values() if row.kind in COUNTED)
    has = sum(of_script.get(script, 0) for script, row in checked.scripts.items() if row.kind in COUNTED)
    return Found(listed, has - claimed)


class EthereumNode(Protocol):
    def block_hash(self, height: int) -> str | None:
        """Return the hash of the chain's block at a height, None if there is none."""
        ...


class SolanaNode(Protocol):
    def balance(self, address: str) -> int:
        """Return the lamports at an address now."""
        ...


def check_ethereum(node: EthereumNode, checked: Checked) -> None:
    """Raises ForgedError unless the chain has the block that the balances were proven against."""
    listed = checked.reserves.ethereum
    assert listed is not None
    found = node.block_hash(listed.height)
    if found is None:
        raise InconclusiveError(f"the node of {listed.chain} has no block {listed.height} yet")
    if found.removeprefix("0x") != listed.block_hash:
        raise ForgedError(
            f"block {listed.height} of {listed.chain} is {found}, 0x{listed.block_hash} is listed"
        )


def check_solana(node: SolanaNode, checked: Checked) -> None:
    """Raises InconclusiveError where less than counts lies at the addresses now.

    Solana's nodes know no balances of the past; what has gone from one address of the list to another is still there.
    """
    listed = checked.reserves.solana
    assert listed is not None
    has = sum(node.balance(row.address) for row in listed.accounts)
    counts = int(checked.reserves.assets[SOL].total)
    if has < counts:
        raise InconclusiveError(
            f"{has} lamports are at the addresses now, {counts} were counted at slot {listed.slot}"
        )
