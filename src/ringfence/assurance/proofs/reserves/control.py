"""`control.json`: that the keys of a list of reserves were in the exchange's hands after a block that nobody had known.

    ringfence proof of reserves 1|venue HEX|asset XBt|block HASH|snapshot SNAPSHOT_ROOT_HEX

HASH is of a block of Bitcoin after the one of the list. Of the coins under scripts it chooses up to 64 by value; their
keys have signed the message. Keys that nobody has have signed it once for each asset. Everything is worked out again
here: what is drawn, what is said, what is signed. Source: docs/reference/proof-of-reserves.md.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from enum import StrEnum
from itertools import accumulate
from typing import NamedTuple

from coincurve import PublicKey
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ringfence.assurance.proofs.errors import ForgedError
from ringfence.assurance.proofs.hashes import named
from ringfence.assurance.proofs.reserves import ethereum, solana
from ringfence.assurance.proofs.reserves.listing import ETH, SOL, XBT, Checked
from ringfence.assurance.proofs.reserves.model import (
    Kind,
    Row,
    check_digest,
    hexadecimal,
    read,
)
from ringfence.assurance.proofs.reserves.transaction import Spent, check_proof

FORMAT = "ringfence control 1"
DRAWS = 64
LATER_MAX = 6
"""The block that is signed for is at most so many after the one of the list: who may choose a later one draws again."""
HEADER_BYTES = 80
_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
_SOLANA = b"\xffsolana offchain"


class Form(StrEnum):
    """How a message is signed."""

    BIP322 = "bip322"
    EIP191 = "eip191"
    SOLANA = "solana"


class Of(StrEnum):
    """Which keys have signed it."""

    SCRIPTS = "scripts"
    HOT = "hot"
    ETHEREUM = "ethereum"
    SOLANA = "solana"


FORMS = {Of.SCRIPTS: Form.BIP322, Of.HOT: Form.BIP322, Of.ETHEREUM: Form.EIP191, Of.SOLANA: Form.SOLANA}


class ProofRow(Row, frozen=True, kw_only=True):
    asset: str
    of: Of
    key: int
    """Which of the chain's keys; 0 on Bitcoin."""
    form: Form
    address: str
    """Who speaks."""
    proof: str
    """BIP-322: the transaction with its witnesses. EIP-191: r|s|v. Solana: the signature. Hexadecimal."""
    signers: tuple[str, ...]
    """Co-signers who took part; of this the signatures say nothing."""


class UncoveredRow(Row, frozen=True, kw_only=True):
    """What no control is shown of, and why."""

    asset: str
    of: Of
    key: int
    because: str


class BlockRow(Row, frozen=True, kw_only=True):
    height: int
    hash: str
    headers: tuple[str, ...]
    """Of the blocks after the list's, up to this one, 80 bytes each."""


class Control(Row, frozen=True, kw_only=True):
    format: str
    venue: str
    snapshot: int
    reserves: str
    """SHA-256 of `reserves.json`."""
    block: BlockRow
    snapshot_roots: dict[str, str]
    """By asset."""
    proofs: tuple[ProofRow, ...]
    uncovered: tuple[UncoveredRow, ...]


class Coin(NamedTuple):
    """A coin that may be drawn."""

    outpoint: str
    amount: int
    script: bytes


class Controlled(NamedTuple):
    """What control is shown of."""

    control: Control
    drawn: tuple[Coin, ...]
    """Coins under scripts whose keys have signed."""
    of: int
    """How many coins there are of these."""
    value: int
    """What those that were drawn hold, in satoshis."""
    uncovered: tuple[str, ...]


def message_of(control: Control, asset: str) -> str:
    return (
        f"ringfence proof of reserves 1|venue {control.venue}|asset {asset}|block {control.block.hash}"
        f"|snapshot {control.snapshot_roots[asset]}"
    )


def coins_of(checked: Checked) -> list[Coin]:
    """Return the coins under scripts that count, in the order in which they are drawn from."""
    found = [
        Coin(coin.outpoint, int(coin.amount), script)
        for script, row in checked.scripts.items()
        if row.kind == Kind.MULTISIG
        for coin in row.coins
    ]
    return sorted(found, key=lambda coin: _place(coin.outpoint))


def sample(coins: Sequence[Coin], block_hash: str) -> tuple[Coin, ...]:
    """Return which coins have to be signed for: all of few, else the owners of 64 satoshis drawn by a block."""
    if len(coins) <= DRAWS:
        return tuple(coins)
    ends = list(accumulate(coin.amount for coin in coins))
    if not ends[-1]:
        return tuple(coins[:DRAWS])
    seed = bytes.fromhex(block_hash)
    drawn = set()
    for number in range(DRAWS):
        digest = named("ringfence reserves sample 1", seed, number.to_bytes(4, "little"))
        drawn.add(bisect_right(ends, int.from_bytes(digest, "big") % ends[-1]))
    return tuple(coins[place] for place in sorted(drawn))


def wanted(checked: Checked, draws: Sequence[Coin]) -> list[tuple[str, Of, int]]:
    """Return what control has to be shown of: asset, kind of key, which one."""
    reserves = checked.reserves
    found: list[tuple[str, Of, int]] = []
    if draws:
        found.append((XBT, Of.SCRIPTS, 0))
    if any(row.kind == Kind.THRESHOLD and row.coins for row in checked.scripts.values()):
        found.append((XBT, Of.HOT, 0))
    if reserves.ethereum is not None:
        held = {(ETH, row.key) for row in reserves.ethereum.accounts if int(row.balance)}
        held |= {
            (token.currency, row.key)
            for row in reserves.ethereum.accounts
            for token in row.tokens
            if int(token.balance)
        }
        found += [(currency, Of.ETHEREUM, key) for currency, key in sorted(held)]
    if reserves.solana is not None:
        keys = {row.key for row in reserves.solana.accounts if int(row.balance)}
        found += [(SOL, Of.SOLANA, key) for key in sorted(keys)]
    return found


def check_control(
    raw: bytes, checked: Checked, listed: bytes, *, snapshot_roots: Mapping[str, str] | None = None
) -> Controlled:
    """Return what control is shown of, if every signature is what it has to be. Raises ForgedError.

    `listed` are the bytes of `reserves.json`; `snapshot_roots`, where they are known from elsewhere, by asset.
    """
    control = read(raw, Control, "control.json")
    reserves = checked.reserves
    if control.format != FORMAT:
        raise ForgedError(f"the format is {control.format[:80]!r}, not {FORMAT}")
    if (control.venue, control.snapshot) != (reserves.venue, reserves.snapshot):
        raise ForgedError("the proof of control is of another exchange or snapshot than the list")
    if check_digest("reserves", control.reserves) != hashlib.sha256(listed).digest():
        raise ForgedError("the proof of control is for another list")
    _check_roots(control, checked, snapshot_roots)
    _check_block(control, checked)
    coins = coins_of(checked)
    draws = sample(coins, control.block.hash)
    told = [(one.asset, one.of, one.key) for one in control.proofs]
    told += [(one.asset, one.of, one.key) for one in control.uncovered]
    needed = wanted(checked, draws)
    if len(set(told)) < len(told):
        raise ForgedError("control of one key is shown or denied twice")
    if set(told) != set(needed):
        lacking = [" ".join(map(str, one)) for one in needed if one not in told]
        beyond = [" ".join(map(str, one)) for one in told if one not in needed]
        raise ForgedError(
            f"neither shown nor named as missing: {', '.join(lacking) or 'nothing'}; "
            f"not in the list: {', '.join(beyond) or 'nothing'}"
        )
    for number, row in enumerate(control.proofs):
        try:
            _check_row(row, control, checked, draws)
        except ForgedError as error:
            raise ForgedError(f"proofs[{number}], {row.of} for {row.asset}: {error}") from error
    is_shown = any(one.of == Of.SCRIPTS for one in control.proofs)
    uncovered = tuple(f"{one.asset}, {one.of} {one.key}: {one.because}" for one in control.uncovered)
    return Controlled(
        control,
        draws if is_shown else (),
        len(coins),
        sum(one.amount for one in draws) if is_shown else 0,
        uncovered,
    )


def _check_roots(control: Control, checked: Checked, known: Mapping[str, str] | None) -> None:
    if set(control.snapshot_roots) != set(checked.reserves.assets):
        raise ForgedError("the roots of the snapshot are not of the assets in the list")
    for asset, root in control.snapshot_roots.items():
        check_digest(f"snapshotRoots.{asset}", root)
        if known is not None and known.get(asset) not in (None, root):
            raise ForgedError(f"{asset}: signed for snapshot {root}, the published one is {known[asset]}")


def _check_block(control: Control, checked: Checked) -> None:
    """Raises ForgedError unless the block comes after the list's, by the headers in between."""
    block, reserves = control.block, checked.reserves
    check_digest("block.hash", block.hash)
    if not control.proofs and not block.headers and (block.height, set(block.hash)) == (0, {"0"}):
        return  # without Bitcoin nobody could have drawn anything
    count = block.height - reserves.height
    if not 1 <= count <= LATER_MAX or len(block.headers) != count:
        raise ForgedError(
            f"block {block.height} with {len(block.headers)} headers, the list is of {reserves.height}"
        )
    parent = bytes.fromhex(reserves.block_hash)[::-1]
    for number, text in enumerate(block.headers):
        header = hexadecimal(f"block.headers[{number}]", text)
        if len(header) != HEADER_BYTES or header[4:36] != parent:
            raise ForgedError(f"block.headers[{number}] does not follow the block before")
        parent = hashlib.sha256(hashlib.sha256(header).digest()).digest()
        if int.from_bytes(parent, "little") > _target(header):
            raise ForgedError(f"block.headers[{number}]: no work was done for it")
    if parent[::-1].hex() != block.hash:
        raise ForgedError(f"the headers lead to block {parent[::-1].hex()}, {block.hash} is named")


def _target(header: bytes) -> int:
    bits = int.from_bytes(header[72:76], "little")
    exponent, mantissa = bits >> 24, bits & 0x7FFFFF
    return mantissa << 8 * (exponent - 3) if exponent >= 3 else mantissa >> 8 * (3 - exponent)


def _check_row(row: ProofRow, control: Control, checked: Checked, draws: Sequence[Coin]) -> None:
    if row.form != FORMS[row.of]:
        raise ForgedError(f"keys of {row.of} do not sign by {row.form}")
    message, proof = message_of(control, row.asset), hexadecimal("proof", row.proof)
    reserves = checked.reserves
    if row.of == Of.SCRIPTS:
        spent = [Spent(one.outpoint, one.amount, checked.vaults[one.script]) for one in draws]
        _check_speaker(row, checked.scripts[draws[0].script].address)
        check_proof(proof, message, spent[0].whose, spent)
    elif row.of == Of.HOT:
        (script,) = (one for one, listed in checked.scripts.items() if listed.kind == Kind.THRESHOLD)
        _check_speaker(row, checked.scripts[script].address)
        check_proof(proof, message, checked.vaults[script], ())
    elif row.of == Of.ETHEREUM:
        assert reserves.ethereum is not None
        treasury = ethereum.address_of(reserves.ethereum.keys[row.key], 0)
        _check_speaker(row, ethereum.spelt(treasury))
        _check_personal(proof, message, treasury)
    else:
        assert reserves.solana is not None
        _check_speaker(row, reserves.solana.keys[row.key])
        _check_off_chain(proof, message, solana.read_address("key", row.address), control.venue)


def _check_speaker(row: ProofRow, address: str) -> None:
    if row.address != address:
        raise ForgedError(f"{address} has to speak, {row.address[:100]} does")


def _check_personal(proof: bytes, message: str, address: bytes) -> None:
    raw = message.encode()
    digest = ethereum.keccak_256(b"\x19Ethereum Signed Message:\n" + str(len(raw)).encode() + raw)
    if len(proof) != 65 or proof[64] not in (27, 28) or int.from_bytes(proof[32:64], "big") > _HALF_ORDER:
        raise ForgedError("the signature is not r|s|v with s in its lower half")
    try:
        key = PublicKey.from_signature_and_message(
            proof[:64] + bytes((proof[64] - 27,)), digest, hasher=None
        ).format(compressed=False)
    except Exception as error:  # libsecp256k1's errors are bare ones
        raise ForgedError("no key has made this signature") from error
    signer = ethereum.keccak_256(key[1:])[-20:]
    if signer != address:
        raise ForgedError(f"{ethereum.spelt(signer)} has signed")


def _check_off_chain(proof: bytes, message: str, key: bytes, venue: str) -> None:
    raw = message.encode()
    said = _SOLANA + b"\0" + bytes.fromhex(venue) + b"\0\1" + key + len(raw).to_bytes(2, "little") + raw
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(proof, said)
    except (InvalidSignature, ValueError) as error:
        raise ForgedError("the signature is not that of the key") from error


def _place(outpoint: str) -> tuple[str, int]:
    txid, _, vout = outpoint.partition(":")
    return txid, int(vout)
