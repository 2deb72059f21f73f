"""What a co-signer checks before it shows that it can move coins.

It is told which coins, for which message, and builds every byte that it signs itself: a form that is no transaction of
its chain (`quorum/attestation.py`). So whoever asks, and whatever they ask for, gets nothing that a node would take.
"""

from typing import NamedTuple

from ringfence.custody.annex import Annex
from ringfence.custody.chains.bitcoin.rpc import BitcoinError
from ringfence.custody.cosigner.checks import OfShare, OfToken, RefusalError
from ringfence.custody.cosigner.config import ASSET, Charter
from ringfence.custody.cosigner.facts import Node
from ringfence.custody.cosigner.memory import Memory
from ringfence.custody.nomination import NOMINATED, NominationError, attesting
from ringfence.custody.quorum.attestation import (
    ETHEREUM,
    SOLANA,
    AttestationError,
    ethereum_digest,
    hot_code,
    message_of,
    solana_message,
    subject_of,
    to_sign,
)
from ringfence.custody.quorum.hot import PATH, hot_key, hot_script
from ringfence.custody.quorum.messages import Attest, ShownCoin
from ringfence.custody.quorum.multisig import MultisigError
from ringfence.custody.wallets.coins import COIN_SATS_MAX, Coin, Outpoint
from ringfence.custody.wallets.descriptors import Keychain
from ringfence.custody.wallets.owners import Mine, Wallets, owner_of
from ringfence.units.time import NS_PER_HOUR

PER_HOUR_MAX = 600
"""A venue that publishes each minute asks less often; a token that signs all day wears out."""
RECENT_BLOCKS_MAX = 12
"""An older block proves nothing of today."""
TREASURY_PATH = "m/1/0"
"""Of the treasury of Ethereum below the shared key. Its private key and the public key above it give every other one
below, as BIP32 has it without hardening: who can sign with it can sign at every deposit address."""


class Prepared(NamedTuple):
    """What is signed for an attestation, worked out by the co-signer itself."""

    subject: str
    message: str
    quorum: tuple[str, ...]
    to_sign: tuple[OfToken, ...] | OfShare


def check_rate(memory: Memory, *, now_ns: int) -> None:
    """Raises RefusalError if it has shown control often enough for an hour."""
    recent = sum(1 for at_ns in memory.attested_ns[-PER_HOUR_MAX:] if now_ns - at_ns < NS_PER_HOUR)
    if recent >= PER_HOUR_MAX:
        raise RefusalError("attest", f"{recent} attestations in an hour are enough", is_for_now=True)


def prepare(
    question: Attest, charter: Charter, annexes: dict[str, Annex], wallets: Wallets, node: Node, *, me: str
) -> Prepared:
    """Return what to sign, if this co-signer was drawn for it. Raises RefusalError."""
    try:
        message = message_of(question)
        _check_block(question, node)
        annex = annexes.get(question.chain)
        seats = annex.threshold if annex is not None else sum(NOMINATED.values())
        quorum = attesting(
            charter.roster(), block=bytes.fromhex(question.block), attempt=question.attempt, seats=seats,
            snapshot_root=bytes.fromhex(question.snapshot_root),
        )  # fmt: skip
        if me not in quorum:
            raise RefusalError("attest", f"{me} is not drawn by this block; {', '.join(quorum)} are")
        signs = (
            _of_scripts(question, message, charter, wallets)
            if annex is None
            else _of_key(question, message, annex)
        )
    except (AttestationError, NominationError, MultisigError) as error:
        raise RefusalError("attest", str(error)) from error
    return Prepared(subject_of(question), message, quorum, signs)


def _check_block(question: Attest, node: Node) -> None:
    """Raises RefusalError unless the own node has the block at its height, not far below its tip."""
    try:
        tip = node.block_count()
        found = node.block_hash(question.height) if 0 <= question.height <= tip else None
    except BitcoinError as error:
        raise RefusalError("node", f"the node does not answer: {error}", is_for_now=True) from error
    if found is None:
        raise RefusalError(
            "attest", f"block {question.height} is not there; this node is at {tip}", is_for_now=True
        )
    if found != question.block:
        raise RefusalError("attest", f"block {question.height} of this node is {found}")
    if tip - question.height > RECENT_BLOCKS_MAX:
        raise RefusalError("attest", f"block {question.height} is old: this node is at {tip}")


def _of_scripts(question: Attest, message: str, charter: Charter, wallets: Wallets) -> tuple[OfToken, ...]:
    if (question.chain, question.key, question.asset) != (charter.chain, "", ASSET):
        raise RefusalError(
            "attest", f"neither charter nor annex names {question.asset!r} on {question.chain!r}"
        )
    if not question.coins:
        raise RefusalError("attest", "no coin is named")
    mine = [_whose(one, wallets) for one in question.coins]
    codes = [wallets.derivers[one.owner].witness_script(one.keychain, one.number) for one in mine]
    scripts = [wallets.derivers[one.owner].script_again(one.keychain, one.number) for one in mine]
    coins = [_coin(one, script) for one, script in zip(question.coins, scripts, strict=True)]
    unsigned = to_sign(message, scripts[0], codes[0], list(zip(coins, codes, strict=True)))
    return tuple(OfToken(*one) for one in zip((mine[0], *mine), unsigned.digests, strict=True))


def _whose(one: ShownCoin, wallets: Wallets) -> Mine:
    """Return where a script stands, if it is one of ours. Raises RefusalError."""
    try:
        owner, keychain = owner_of(one.owner), Keychain(one.keychain)
        size = wallets.vaults[owner].size(keychain)
    except (ValueError, KeyError) as error:
        raise RefusalError("attest", f"{one.outpoint} is of no wallet of ours") from error
    if not 0 <= one.index < size:
        raise RefusalError("attest", f"{one.outpoint}: {one.owner} has no script {one.index} that is ours")
    return Mine(owner, keychain, one.index)


def _coin(one: ShownCoin, script: bytes) -> Coin:
    txid, _, vout = one.outpoint.partition(":")
    try:
        outpoint = Outpoint(bytes.fromhex(txid).hex(), int(vout))
    except ValueError as error:
        raise RefusalError("attest", f"{one.outpoint[:80]!r} is no outpoint") from error
    if (
        len(txid) != 64
        or str(outpoint) != one.outpoint
        or not 0 <= outpoint.vout < 2**32
        or not 0 <= one.amount <= COIN_SATS_MAX
    ):
        raise RefusalError("attest", f"{one.outpoint[:80]!r} is no outpoint, or {one.amount} is no amount")
    return Coin(outpoint, one.amount, script)


def _of_key(question: Attest, message: str, annex: Annex) -> OfShare:
    key = next((one for one in annex.keys if one.key == question.key), None)
    if key is None or question.asset not in {one.currency for one in annex.assets}:
        raise RefusalError("attest", f"the annex names no {question.asset!r} under a key {question.key!r}")
    if question.coins:
        raise RefusalError("attest", "a key that nobody has speaks for itself: no coins are named")
    if annex.is_hot:
        public = hot_key(key.public_key, key.chain_code)
        unsigned = to_sign(message, hot_script(public), hot_code(public), ())
        return OfShare(PATH, unsigned.digests, key.key)
    if annex.chain.startswith(ETHEREUM):
        return OfShare(TREASURY_PATH, (ethereum_digest(message),), key.key)
    if annex.chain.startswith(SOLANA):
        signer = bytes.fromhex(key.public_key)
        return OfShare("", (solana_message(message, venue=question.venue, signer=signer),), key.key)
    raise RefusalError("attest", f"how messages are signed on {annex.chain} is not known here")
