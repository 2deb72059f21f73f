"""What co-signers sign to show that they can move coins, and what moves none: messages, not payments.

    ringfence proof of reserves 1|venue HEX|asset XBt|block HASH|snapshot SNAPSHOT_ROOT_HEX

Each chain has a form of its own for messages, made so that no node takes it for a transaction:

- Bitcoin, BIP-322. The message is in `to_spend`, a transaction that spends an output which cannot be: it has the form
  of a coinbase without the height that BIP34 wants in front. `to_sign` spends that first, and coins of ours after it;
  each signature is over all inputs (SIGHASH_ALL), so none of them is worth anything without the one that cannot be.
- Ethereum, EIP-191: 0x19 is no first byte of any transaction.
- Solana, off-chain messages: 0xff is no first byte of any.

Source: docs/reference/proof-of-reserves.md; docs/decisions/0018.
Twin: assurance/proofs/reserves/control.py
"""

import hashlib
import re
from collections.abc import Sequence
from typing import NamedTuple

from embit import ec, script
from embit.script import Script
from embit.transaction import Transaction as EmbitTransaction
from embit.transaction import TransactionInput, TransactionOutput

from ringfence.custody.chains.bitcoin.transactions import double_sha256, parse_transaction
from ringfence.custody.chains.ethereum.addresses import keccak_256
from ringfence.custody.quorum.messages import Attest, statement
from ringfence.custody.quorum.multisig import SIGHASH_ALL, MultisigError, digest_of
from ringfence.custody.wallets.coins import Coin

INPUTS_MAX = 64
"""Coins of one attestation."""
ETHEREUM, SOLANA = "eip155:", "solana:"
"""How names of chains begin (CAIP-2)."""
_DIGEST = re.compile(r"[0-9a-f]{64}")
_ASSET = re.compile(r"[A-Za-z]{1,12}")
_TAG = hashlib.sha256(b"BIP0322-signed-message").digest()
_NULL_OUTPUT = 0xFFFFFFFF
_OP_RETURN = b"\x6a"
_SOLANA_DOMAIN = b"\xffsolana offchain"
_SOLANA_BYTES_MAX = 1_212


class AttestationError(ValueError):
    """This is nothing that can be attested. Nothing was signed."""


class Unsigned(NamedTuple):
    """A proof of Bitcoin before its witnesses."""

    raw: bytes
    """`to_sign`."""
    digests: tuple[bytes, ...]
    """What is signed for each input; the first is the message's."""


def message_of(question: Attest) -> str:
    """Return what is signed. Raises AttestationError unless each part is what its name says."""
    for name in ("venue", "block", "snapshot_root"):
        if not _DIGEST.fullmatch(getattr(question, name)):
            raise AttestationError(f"{name} is no digest")
    if not _ASSET.fullmatch(question.asset):
        raise AttestationError("this is the name of no asset")
    return (
        f"ringfence proof of reserves 1|venue {question.venue}|asset {question.asset}"
        f"|block {question.block}|snapshot {question.snapshot_root}"
    )


def subject_of(question: Attest) -> str:
    """Return the name of an attestation: of everything in it but the evidence."""
    coins = ",".join(
        f"{one.outpoint} {one.amount} {one.owner} {one.keychain} {one.index}" for one in question.coins
    )
    parts = (
        question.chain, question.key, question.asset, question.venue, question.block, question.height,
        question.snapshot_root, coins, question.attempt,
    )  # fmt: skip
    return statement(b"attestation", *parts).hex()


# ---- Bitcoin


def to_spend(message: str, challenge: bytes) -> bytes:
    """Return the transaction that holds a message, and that no block can hold."""
    digest = hashlib.sha256(_TAG + _TAG + message.encode()).digest()
    inputs = [TransactionInput(bytes(32), _NULL_OUTPUT, Script(b"\0\x20" + digest), sequence=0)]
    return bytes(EmbitTransaction(0, inputs, [TransactionOutput(0, Script(challenge))], 0).serialize())


def to_sign(
    message: str, challenge: bytes, challenge_code: bytes, coins: Sequence[tuple[Coin, bytes]]
) -> Unsigned:
    """Return a proof of control, without its witnesses. Raises AttestationError.

    challenge: the script whose holder speaks. challenge_code, and beside each coin: the code that is run for it.
    """
    if len(coins) > INPUTS_MAX or len({coin.outpoint for coin, _ in coins}) < len(coins):
        raise AttestationError(f"{len(coins)} coins; at most {INPUTS_MAX}, each once")
    message_id = double_sha256(to_spend(message, challenge))[::-1]
    inputs = [TransactionInput(message_id, 0, sequence=0)]
    inputs += [
        TransactionInput(bytes.fromhex(coin.outpoint.txid), coin.outpoint.vout, sequence=0)
        for coin, _ in coins
    ]
    transaction = EmbitTransaction(0, inputs, [TransactionOutput(0, Script(_OP_RETURN))], 0)
    raw = bytes(transaction.serialize())
    codes = [(challenge_code, 0), *((code, coin.amount_sats) for coin, code in coins)]
    return Unsigned(raw, tuple(_digest(raw, index, *code) for index, code in enumerate(codes)))


def _digest(raw: bytes, index: int, code: bytes, amount_sats: int) -> bytes:
    """Return the digest of an input, if two ways give the same. Raises MultisigError."""
    transaction = EmbitTransaction.parse(raw)
    of_embit = bytes(transaction.sighash_segwit(index, Script(code), amount_sats, SIGHASH_ALL))
    if of_embit != digest_of(parse_transaction(raw), index, code, amount_sats):
        raise MultisigError(f"two ways give different digests of input {index}")
    return of_embit


def hot_code(key: bytes) -> bytes:
    """Return the code that is run for a P2WPKH output."""
    return bytes(script.p2pkh(ec.PublicKey.parse(key)).data)


def with_witnesses(raw: bytes, witnesses: Sequence[Sequence[bytes]]) -> bytes:
    transaction = EmbitTransaction.parse(raw)
    for entry, witness in zip(transaction.vin, witnesses, strict=True):
        entry.witness = script.Witness(list(witness))
    return bytes(transaction.serialize())


# ---- chains of accounts


def ethereum_digest(message: str) -> bytes:
    """Return what a key signs for a message (EIP-191, `personal_sign`)."""
    raw = message.encode()
    return keccak_256(b"\x19Ethereum Signed Message:\n" + str(len(raw)).encode() + raw)


def solana_message(message: str, *, venue: str, signer: bytes) -> bytes:
    """Return the bytes that a key signs: an off-chain message of version 0 in the domain of the venue."""
    raw = message.encode("ascii")
    assert len(signer) == 32
    assert len(raw) <= _SOLANA_BYTES_MAX
    head = _SOLANA_DOMAIN + b"\0" + bytes.fromhex(venue) + b"\0\1" + signer
    return head + len(raw).to_bytes(2, "little") + raw
