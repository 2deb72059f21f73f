"""What a client or a stranger finds out from a liabilities file, in one sentence, and what that does not show."""

from collections.abc import Mapping
from typing import NamedTuple

from ringfence.assurance.proofs import bitmex, porl2
from ringfence.assurance.proofs.errors import DifferentError, ForgedError, InconclusiveError
from ringfence.assurance.proofs.hashes import DIGEST_BYTES, digest
from ringfence.assurance.proofs.header import Header
from ringfence.assurance.proofs.secrets import ACCOUNT_END, login_hash, snapshot_key, sub_nonce, uid_tag
from ringfence.assurance.proofs.tree import SHARD_LEVEL, Progress, UInt64s


class Claimant(NamedTuple):
    """Who looks for their balance, and by what: one of the three keys."""

    account: int
    login: str
    account_nonce: bytes = b""
    snapshot_key: bytes = b""
    """Format v2."""
    sub_nonce: bytes = b""
    """BitMEX's format."""
    expected: int | None = None
    """What the client's own statement says, in ledger units."""


class Verdict(NamedTuple):
    """What was proven of one file. It is only made when nothing was wrong."""

    asset: str
    total: int
    leaves: int
    mine: int | None
    """What was found of the claimant, None if nobody was looked for."""
    places: tuple[int, ...]
    snapshot: int | None
    height: int
    sequence: int | None
    snapshot_root: str
    is_bound: bool
    """Whether the leaves were shown to be nobody else's: BitMEX's nonce of a snapshot alone does not show it."""
    is_signed: bool
    file: porl2.File | None = None


def key_of(text: str, name: str) -> bytes:
    """Return a key from hexadecimal. Raises InconclusiveError: HMAC takes one with zeros behind it for the same."""
    try:
        key = bytes.fromhex(text)
    except ValueError as error:
        raise InconclusiveError(f"{name} is no hexadecimal number") from error
    if len(key) != DIGEST_BYTES:
        raise InconclusiveError(f"{name} has {len(key)} bytes; a key has {DIGEST_BYTES}")
    return key


def verify_porl2(
    raw: bytes, claimant: Claimant | None, *, venue: bytes | None, on_progress: Progress | None = None
) -> Verdict:
    """Check a file in format v2 as a whole, and find the claimant in it. Raises ProofError."""
    file = porl2.decode(raw, venue=venue, on_progress=on_progress)
    cut = file.header.cut
    places = _find_v2(file, claimant, on_progress) if claimant is not None else []
    mine = _sum(file.leaves.values, places, claimant)
    return Verdict(
        cut.asset, int(file.header.figures.total), file.header.figures.leaves, mine, tuple(places), cut.snapshot,
        cut.height, cut.sequence, file.snapshot_root.hex(), is_bound=True, is_signed=venue is not None, file=file,
    )  # fmt: skip


def _find_v2(file: porl2.File, claimant: Claimant, on_progress: Progress | None) -> list[int]:
    return porl2.find(file, _owner_of(file.header, claimant), on_progress)


def _owner_of(header: Header, claimant: Claimant) -> porl2.Owner:
    """Return what opens a claimant's leaves of a snapshot. Raises InconclusiveError."""
    seed = header.seed
    _check_account(claimant.account)
    if claimant.account_nonce:
        key = snapshot_key(claimant.account_nonce, seed, claimant.account)
    elif claimant.snapshot_key:
        key = claimant.snapshot_key
    else:
        raise InconclusiveError(
            "this format needs the account nonce or the snapshot key; BitMEX's nonce opens the other file"
        )
    tag = uid_tag(bytes.fromhex(header.cut.venue), claimant.account, login_hash(claimant.login), seed)
    return porl2.Owner(key, tag)


def verify_shards(
    header: Header, top: bytes, snapshot_root: str, shards: Mapping[int, bytes], claimant: Claimant
) -> Verdict:  # fmt: skip
    """Find the claimant in a few shards of a file in format v2. Raises ProofError.

    `snapshot_root` is the one that the exchange has signed for, in its index. Leaves in other shards are not seen: who
    finds less than was expected has fetched too few, or is owed more than the file says.
    """
    root, total = porl2.root_over(top)
    if header.snapshot_root(root).hex() != snapshot_root or str(total) != header.figures.total:
        raise ForgedError("the nodes over the shards are not under the root that was signed for")
    owner, places, found = _owner_of(header, claimant), [], 0
    for number, raw in shards.items():
        leaves = porl2.read_shard(raw, number, top)
        some = porl2.find_in(leaves, owner, first=number << SHARD_LEVEL)
        found += sum(int(leaves.values[at - (number << SHARD_LEVEL)]) for at in some)
        places += some
    _check_found(found, claimant)
    cut = header.cut
    return Verdict(
        cut.asset, total, header.figures.leaves, found, tuple(places), cut.snapshot, cut.height, cut.sequence,
        snapshot_root, is_bound=True, is_signed=True,
    )  # fmt: skip


def verify_bitmex(
    raw: bytes, claimant: Claimant | None, *, header: Header | None, sidecar: bytes | None,
    on_progress: Progress | None = None,
) -> Verdict:  # fmt: skip
    """Check a file in BitMEX's format as a whole, and find the claimant in it. Raises ProofError.

    With the header it is held against our own format; with the sidecar, whether leaves are the claimant's alone.
    """
    file = bitmex.decode(raw, on_progress)
    if header is not None:
        _check_header(file, raw, header)
    if sidecar is not None and header is not None and digest(sidecar).hex() != header.figures.v1.bind:
        raise ForgedError("the sidecar is not the one that the header names")
    places = _find_v1(file, claimant, on_progress) if claimant is not None else []
    mine = _sum(file.leaves.values, places, claimant)
    is_bound = claimant is not None and bool(claimant.account_nonce)
    if claimant is not None and header is not None and sidecar is not None:
        venue = bytes.fromhex(header.cut.venue)
        tag = uid_tag(venue, claimant.account, login_hash(claimant.login), header.seed)
        bitmex.check_bound(file, sidecar, tag, places)
        is_bound = True
    verdict = Verdict(
        "", file.total, len(file.leaves.values), mine, tuple(places), None, file.height, None, "",
        is_bound=is_bound, is_signed=False,
    )  # fmt: skip
    if header is None:
        return verdict
    cut = header.cut
    return verdict._replace(asset=cut.asset, snapshot=cut.snapshot, sequence=cut.sequence)


def _check_header(file: bitmex.File, raw: bytes, header: Header) -> None:
    facts = (
        ("block height", str(header.cut.height), str(file.height)),
        ("number of leaves", str(header.figures.leaves), str(len(file.leaves.values))),
        ("total", header.figures.total, str(file.total)),
        ("root", header.figures.v1.root, file.root.hex()),
        ("SHA-256 of the file", header.figures.v1.file, digest(raw).hex()),
    )
    for what, said, found in facts:
        if said != found:
            raise ForgedError(f"the header says {said} of the {what}, the file {found}")


def _find_v1(file: bitmex.File, claimant: Claimant, on_progress: Progress | None) -> list[int]:
    _check_account(claimant.account)
    if claimant.account_nonce:
        key = sub_nonce(claimant.account_nonce, file.height, claimant.account)
    elif claimant.sub_nonce:
        key = claimant.sub_nonce
    else:
        raise InconclusiveError("this format needs the account nonce or the snapshot's nonce")
    return bitmex.find(file, key, on_progress)


def _check_account(account: int) -> None:
    if not 0 < account < ACCOUNT_END:
        raise InconclusiveError(f"{account} is no account's number")


def _sum(values: UInt64s, places: list[int], claimant: Claimant | None) -> int | None:
    if claimant is None:
        return None
    found = sum(int(values[at]) for at in places)
    _check_found(found, claimant)
    return found


def _check_found(found: int, claimant: Claimant) -> None:
    """Raises DifferentError: nothing found is no success, unless nothing was expected."""
    if claimant.expected is not None and found != claimant.expected:
        raise DifferentError(
            f"{found} units of account {claimant.account} are in the file, {claimant.expected} were expected"
        )
    if not found and claimant.expected is None:
        raise DifferentError(
            f"nothing of account {claimant.account} is in the file: the account was empty, the key or the login is "
            "wrong, or it was left out. Say what you expect"
        )
