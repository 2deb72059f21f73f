"""Has the co-signers show that they can move what a list of reserves names, after a block that nobody had known.

Nothing that is asked for here can be a payment (docs/decisions/0018). Co-signers are asked directly, over the
coordinator's line.
"""

import asyncio
import hashlib
import time
from collections.abc import Mapping
from pathlib import Path

from ringfence.assurance.proofs.errors import ProofError
from ringfence.assurance.proofs.hashes import canonical
from ringfence.assurance.proofs.reserves import ethereum
from ringfence.assurance.proofs.reserves.control import (
    FORMAT,
    FORMS,
    LATER_MAX,
    BlockRow,
    Coin,
    Control,
    Of,
    ProofRow,
    UncoveredRow,
    check_control,
    coins_of,
    sample,
    wanted,
)
from ringfence.assurance.proofs.reserves.listing import Checked, check_listing
from ringfence.assurance.proofs.reserves.making import NO_BLOCK
from ringfence.assurance.proofs.reserves.model import Kind
from ringfence.custody.annex import Annex
from ringfence.custody.chains.bitcoin.regtest.faucet import ADDRESS
from ringfence.custody.chains.bitcoin.rpc import BitcoinError, BitcoinRpc, Endpoint
from ringfence.custody.coordinator.attesting import Collected, NotAttestedError, collect
from ringfence.custody.cosigner.config import Charter, ConfigurationError
from ringfence.custody.hsm.token import der
from ringfence.custody.nomination import NOMINATED
from ringfence.custody.quorum.attestation import hot_code, message_of, to_sign, with_witnesses
from ringfence.custody.quorum.hot import hot_key, hot_script
from ringfence.custody.quorum.messages import Attest, ShownCoin
from ringfence.custody.quorum.multisig import SIGHASH_ALL
from ringfence.custody.quorum.wire import Asked, Told
from ringfence.custody.wallets.coins import Coin as ChainCoin
from ringfence.custody.wallets.coins import Outpoint
from ringfence.custody.wallets.descriptors import satisfied
from ringfence.custody.wallets.owners import Mine, Wallets
from ringfence.daemons.account_chains import ETHEREUM, SOLANA, read_annexes
from ringfence.daemons.cosigner_client import CosignerClient
from ringfence.daemons.custody_founding import FoundingError, read_charter
from ringfence.daemons.custody_ports import read_ports
from ringfence.daemons.reserves import ReservesUnavailableError
from ringfence.ports import HOST

LATER = 1
"""The block that draws is so many after the list's."""
BLOCK_SECONDS = 7_200.0
"""So long a block is waited for."""
_ASKING_SECONDS = 90.0
_POLL_SECONDS = 1.0
_WAITS_SECONDS = (2.0, 10.0, 30.0)


class ControlError(Exception):
    """Control was not shown. Nothing was moved or could be."""


class BlockLateError(ControlError):
    """The block that draws did not come in time, or the list's has left the chain: list the reserves anew."""


class ControlRefusedError(ControlError):
    """Co-signers did not sign: the text names each, and what it said."""


async def prove_control(
    directory: Path, *, reserves: bytes, snapshot_roots: Mapping[str, str], later: int = LATER,
    block_seconds: float = BLOCK_SECONDS, is_partial: bool = False,
) -> bytes:  # fmt: skip
    """Return `control.json` for a list of reserves. On a development chain a block is asked for.

    Raises ControlRefusedError (unless it may be partial: then what is refused is named in the file), BlockLateError,
    ReservesUnavailableError, ProofError for a list that is none, and ValueError for roots that are not of its assets.
    """
    checked = check_listing(reserves)
    if set(snapshot_roots) != set(checked.reserves.assets) or not 1 <= later <= LATER_MAX:
        raise ValueError(
            f"roots are of {sorted(snapshot_roots)}, the list has {sorted(checked.reserves.assets)}"
        )
    if checked.reserves.bitcoin is None:
        return _without_chains(reserves, checked, snapshot_roots)
    try:
        prover = _Prover(directory, checked, snapshot_roots)
    except (FoundingError, ConfigurationError, OSError, ValueError) as error:
        raise ReservesUnavailableError(f"{type(error).__name__}: {error}") from error
    try:
        block = await prover.block(later, block_seconds)
        raw = canonical(await prover.prove(reserves, block, is_partial=is_partial))
    except BitcoinError as error:
        raise ReservesUnavailableError(f"the Bitcoin node: {error}") from error
    finally:
        prover.close()
    try:
        check_control(raw, checked, reserves)
    except ProofError as error:
        raise ControlError(f"what the co-signers have signed does not prove it: {error}") from error
    return raw


def _without_chains(reserves: bytes, checked: Checked, snapshot_roots: Mapping[str, str]) -> bytes:
    empty = Control(
        format=FORMAT, venue=checked.reserves.venue, snapshot=checked.reserves.snapshot,
        reserves=hashlib.sha256(reserves).hexdigest(), block=BlockRow(height=0, hash=NO_BLOCK, headers=()),
        snapshot_roots=dict(snapshot_roots), proofs=(), uncovered=(),
    )  # fmt: skip
    return canonical(empty)


class _Prover:
    """One list, one block, everybody who is asked."""

    def __init__(self, directory: Path, checked: Checked, snapshot_roots: Mapping[str, str]) -> None:
        """Raises FoundingError, ConfigurationError, OSError, ValueError."""
        self._checked, self._roots = checked, dict(snapshot_roots)
        self._charter: Charter = read_charter(directory)
        self._annexes: list[Annex] = read_annexes(directory, self._charter)
        self._wallets: Wallets = self._charter.wallets(lookahead=10**9)
        ports = read_ports(directory)
        self._rpc = BitcoinRpc(Endpoint(HOST, ports.node, directory / "bitcoin" / ".cookie"))
        addresses = {name: (HOST, port) for name, port in ports.cosigners.items()}
        self._client = CosignerClient(directory / "custody", addresses)

    def close(self) -> None:
        self._rpc.close()

    async def _ask(self, name: str, question: Asked) -> Told | None:
        return await self._client.ask(name, question, seconds=_ASKING_SECONDS)

    # ---- the block

    async def block(self, later: int, seconds: float) -> BlockRow:
        """Return the block that draws, once it is there. Raises BlockLateError, BitcoinError."""
        reserves, until = self._checked.reserves, time.monotonic() + seconds
        while self._rpc.block_count() < reserves.height + later:
            self._check_is_there()
            if self._charter.chain == "regtest":
                # Nobody mines a development chain where nothing waits; an empty block does no harm.
                self._rpc.generate(1, ADDRESS)
                continue
            if time.monotonic() > until:
                raise BlockLateError(f"block {reserves.height + later} has not come in {seconds:.0f} s")
            await asyncio.sleep(_POLL_SECONDS)
        self._check_is_there()
        heights = range(reserves.height + 1, reserves.height + later + 1)
        hashes = [self._rpc.block_hash(height) for height in heights]
        headers = tuple(str(self._rpc.call("getblockheader", one, False)) for one in hashes)
        return BlockRow(height=heights[-1], hash=hashes[-1], headers=headers)

    def _check_is_there(self) -> None:
        reserves = self._checked.reserves
        if self._rpc.block_hash(reserves.height) != reserves.block_hash:
            raise BlockLateError(f"block {reserves.block_hash} of the list has left the chain")

    # ---- signatures

    async def prove(self, raw: bytes, block: BlockRow, *, is_partial: bool) -> Control:
        """Raises ControlRefusedError."""
        reserves = self._checked.reserves
        draws = sample(coins_of(self._checked), block.hash)
        proofs: list[ProofRow] = []
        uncovered: list[UncoveredRow] = []
        for asset, of, key in wanted(self._checked, draws):
            try:
                proofs.append(await self._row(asset, of, key, block, draws))
            except NotAttestedError as error:
                if not is_partial:
                    raise ControlRefusedError(f"{asset}, {of} {key}: {error}") from error
                uncovered.append(UncoveredRow(asset=asset, of=of, key=key, because=_ascii(str(error))))
        return Control(
            format=FORMAT, venue=reserves.venue, snapshot=reserves.snapshot,
            reserves=hashlib.sha256(raw).hexdigest(), block=block, snapshot_roots=self._roots, proofs=tuple(proofs),
            uncovered=tuple(uncovered),
        )  # fmt: skip

    async def _row(self, asset: str, of: Of, key: int, block: BlockRow, draws: tuple[Coin, ...]) -> ProofRow:
        chain, name, annex = self._charter.chain, "", None
        coins: tuple[ShownCoin, ...] = ()
        if of == Of.SCRIPTS:
            coins = tuple(self._shown(coin) for coin in draws)
        else:
            annex = self._annex_of(of)
            chain, name = annex.chain, annex.keys[key].key
        question = Attest(
            chain=chain, key=name, asset=asset, venue=self._checked.reserves.venue, block=block.hash,
            height=block.height, snapshot_root=self._roots[asset], coins=coins,
        )  # fmt: skip
        seats = annex.threshold if annex is not None else sum(NOMINATED.values())
        found = await self._collected(question, seats)
        address, proof = self._proof(of, key, found, draws)
        return ProofRow(
            asset=asset,
            of=of,
            key=key,
            form=FORMS[of],
            address=address,
            proof=proof.hex(),
            signers=found.quorum,
        )

    async def _collected(self, question: Attest, seats: int) -> Collected:
        """Ask again where a co-signer's own node may only be a block behind. Raises NotAttestedError."""
        for wait_seconds in _WAITS_SECONDS:
            try:
                return await self._collect(question, seats)
            except NotAttestedError as error:
                if not error.is_for_now:
                    raise
            await asyncio.sleep(wait_seconds)
        return await self._collect(question, seats)

    async def _collect(self, question: Attest, seats: int) -> Collected:
        return await collect(self._ask, self._charter.roster(), question, seats=seats, run=int(time.time()))

    def _annex_of(self, of: Of) -> Annex:
        def fits(annex: Annex) -> bool:
            if of == Of.HOT:
                return annex.is_hot
            return annex.chain.startswith(f"{ETHEREUM if of == Of.ETHEREUM else SOLANA}:")

        found = next((annex for annex in self._annexes if fits(annex)), None)
        if found is None:
            raise NotAttestedError({"custody": f"no annex of {of} is there any more"})
        return found

    def _mine(self, script: bytes) -> Mine:
        mine = self._wallets.classify(script)
        if mine is None:
            raise NotAttestedError({"custody": f"script {script.hex()} is not in the charter"})
        return mine

    def _shown(self, coin: Coin) -> ShownCoin:
        mine = self._mine(coin.script)
        return ShownCoin(coin.outpoint, coin.amount, mine.owner.text, int(mine.keychain), mine.number)

    def _proof(self, of: Of, key: int, found: Collected, draws: tuple[Coin, ...]) -> tuple[str, bytes]:
        """Return who speaks, and the proof."""
        reserves = self._checked.reserves
        if of == Of.SCRIPTS:
            return self._checked.scripts[draws[0].script].address, self._of_scripts(found, draws)
        signature, recovery_id = bytes.fromhex(found.joint[0][0]), found.joint[0][1]
        if of == Of.HOT:
            annex = self._annex_of(of)
            public = hot_key(annex.public_key, annex.chain_code)
            unsigned = to_sign(message_of(found.question), hot_script(public), hot_code(public), ())
            witness = [der(signature) + bytes((SIGHASH_ALL,)), public]
            (row,) = (one for one in self._checked.scripts.values() if one.kind == Kind.THRESHOLD)
            return row.address, with_witnesses(unsigned.raw, [witness])
        if of == Of.ETHEREUM:
            assert reserves.ethereum is not None
            treasury = ethereum.spelt(ethereum.address_of(reserves.ethereum.keys[key], 0))
            return treasury, signature + bytes((27 + recovery_id,))
        assert reserves.solana is not None
        return reserves.solana.keys[key], signature

    def _of_scripts(self, found: Collected, draws: tuple[Coin, ...]) -> bytes:
        mine = [self._mine(coin.script) for coin in draws]
        derivers = [self._wallets.derivers[one.owner] for one in mine]
        scripts = [
            deriver.witness_script(one.keychain, one.number)
            for deriver, one in zip(derivers, mine, strict=True)
        ]
        coins = [
            (ChainCoin(_outpoint(coin.outpoint), coin.amount, coin.script), script)
            for coin, script in zip(draws, scripts, strict=True)
        ]
        unsigned = to_sign(message_of(found.question), draws[0].script, scripts[0], coins)
        witnesses = []
        for place, (one, deriver, script) in enumerate(
            zip((mine[0], *mine), (derivers[0], *derivers), (scripts[0], *scripts), strict=True)
        ):
            signed = dict(part.signatures[place] for part in found.parts if place < len(part.signatures))
            by_key = {bytes.fromhex(public): bytes.fromhex(raw) for public, raw in signed.items()}
            witnesses.append(satisfied(deriver.keys(one.keychain, one.number), by_key, script))
        return with_witnesses(unsigned.raw, witnesses)


def _outpoint(text: str) -> Outpoint:
    txid, _, vout = text.partition(":")
    return Outpoint(txid, int(vout))


def _ascii(text: str) -> str:
    return text.encode("ascii", "replace").decode()[:500]
