"""Which signers must sign a batch: drawn by lot from what nobody knew when the batch was sealed.

1. A batch is *sealed*: its digest, the roster's digest, a block height that is yet to come, a beacon round that is yet
   to come where there is a beacon, and a commitment of every signer to a contribution. Nothing may be added later.
2. Block and beacon come to be; the signers reveal. A contribution that is not revealed is replaced by its
   commitment and counts as a strike: withholding changes nothing that the withholder could choose.
3. All of it is hashed into a seed; the seed shuffles the roster. The first two of operations and the first of policy
   are nominated; everybody else is a substitute, in that order, and steps in only after a signed timeout.

Anybody who has the record computes the same. A batch is nominated once for ever: who could have it drawn again would
draw until the quorum suited.

Without a beacon (no network) the seed rests on the block's hash and on the contributions. A miner can give up a block
reward to draw again, and does not know the contributions when he does; all signers together could grind, but
then they are a quorum already.
"""

import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

DIGEST_BYTES = 32
HEIGHTS_AHEAD = 2
"""The block that decides is at least so many above the tip at which a batch is sealed."""
BEACON_SECONDS_AHEAD = 60
ABSENT_MAX = 1
"""So many signers may not have committed when a batch is sealed: a machine that is down must not hold up all coins. It
is in the draw all the same; if it is nominated and not back, a substitute steps in after its time has passed."""
TIMEOUTS_NEEDED = 2
"""So many others must have waited for a signer in vain before a substitute steps in."""
ATTESTING_MAX = 128
"""So many quorums of one block there are for showing control: one that is not whole has a next. With four seats of
five, one in six leaves a given signer out; of so many, none does in one block of 10^10."""
_DOMAIN = b"ringfence nomination 1"


class Role(StrEnum):
    OPERATIONS = "operations"
    POLICY = "policy"


NOMINATED = {Role.OPERATIONS: 2, Role.POLICY: 1}
"""As in the script of the cold wallet: two of operations and one of policy."""


class NominationError(ValueError):
    """There is no valid nomination. Nothing may be signed; the text says what is wrong with the record."""


class Signer(NamedTuple):
    """One place of the roster. `identity` is the public key of its HSM, hexadecimal."""

    name: str
    role: Role
    identity: str
    organisation: str
    site: str


class Roster(NamedTuple):
    signers: tuple[Signer, ...]

    @property
    def digest(self) -> bytes:
        lines = sorted("|".join(signer) for signer in self.signers)
        return hashlib.sha256(b"\n".join(line.encode() for line in lines)).digest()

    @property
    def witnesses_needed(self) -> int:
        """More than half: each witnesses one seal of a batch, so two seals can never have enough."""
        return len(self.signers) // 2 + 1

    def check(self) -> None:
        """Raises NominationError if somebody is in it twice, or if one hand could make up a quorum."""
        for what, values in (
            ("name", [s.name for s in self.signers]), ("identity", [s.identity for s in self.signers]),
        ):  # fmt: skip
            if len(set(values)) != len(values):
                raise NominationError(f"one {what} is on the roster twice")
        if any("|" in text or "\n" in text for signer in self.signers for text in signer):
            raise NominationError("a name on the roster holds a separator")
        for role, needed in NOMINATED.items():
            if sum(signer.role == role for signer in self.signers) <= needed:
                raise NominationError(f"the roster has no spare signer of {role}: {needed} are needed")
        for what, of in (("organisation", 3), ("site", 4)):
            for one in {signer[of] for signer in self.signers}:
                held = [signer.role for signer in self.signers if signer[of] == one]
                if all(held.count(role) >= needed for role, needed in NOMINATED.items()):
                    raise NominationError(f"{what} {one} alone could make up a quorum")


class Sealed(NamedTuple):
    """What is fixed before anybody can know who is drawn."""

    batch: bytes
    """Digest of the batch."""
    roster: bytes
    sealed_height: int
    height: int
    """Of the block whose hash decides."""
    beacon_round: int
    """0 = there is no beacon."""
    commitments: tuple[tuple[str, bytes], ...]
    """By signer's name: SHA-256 of its contribution."""

    @property
    def digest(self) -> bytes:
        parts = [self.batch, self.roster, *(n.to_bytes(8, "big") for n in self[2:5])]
        for name, commitment in sorted(self.commitments):
            parts += [name.encode(), commitment]
        return _hash(b"sealed", parts)


class Nomination(NamedTuple):
    seed: bytes
    quorum: tuple[str, ...]
    substitutes: tuple[str, ...]
    """In order; each steps in for a nominee of its role that has let its time pass."""
    withheld: tuple[str, ...]
    """Who did not reveal what it was committed to: a strike."""


def commitment_of(contribution: bytes) -> bytes:
    return hashlib.sha256(_DOMAIN + b" contribution" + contribution).digest()


def seal(
    roster: Roster, batch: bytes, *, tip: int, beacon_round: int, commitments: Mapping[str, bytes],
    heights_ahead: int = HEIGHTS_AHEAD,
) -> Sealed:  # fmt: skip
    """Seal a batch at a tip of the chain. Raises NominationError if too few have committed, or a stranger has.

    Without heights ahead no block decides that nobody knew: then the contributions alone do.
    """
    roster.check()
    if len(batch) != DIGEST_BYTES:
        raise NominationError(f"a batch's digest has {DIGEST_BYTES} bytes, not {len(batch)}")
    _check_committed(roster, set(commitments))
    return Sealed(
        batch, roster.digest, tip, tip + heights_ahead, beacon_round, tuple(sorted(commitments.items()))
    )


def nominate(
    roster: Roster, sealed: Sealed, *, block_hash: bytes, beacon: bytes, revealed: Mapping[str, bytes],
    heights_ahead: int = HEIGHTS_AHEAD,
) -> Nomination:  # fmt: skip
    """Return who must sign, once block and beacon are there. Raises NominationError.

    `block_hash` is of the block at `sealed.height`, `beacon` the verified randomness of the round or nothing.
    """
    roster.check()
    if roster.digest != sealed.roster:
        raise NominationError("the batch was sealed for another roster")
    if sealed.height < sealed.sealed_height + heights_ahead:
        raise NominationError("the block that decides was known when the batch was sealed")
    if len(dict(sealed.commitments)) < len(sealed.commitments):
        raise NominationError("somebody has committed twice")
    _check_committed(roster, set(dict(sealed.commitments)))
    if len(block_hash) != DIGEST_BYTES or bool(beacon) != bool(sealed.beacon_round):
        raise NominationError("the randomness is not of the block and round that were announced")
    contributions, withheld = [], []
    # In the order of the digest: else who lists them in another order would draw again.
    for name, commitment in sorted(sealed.commitments):
        contribution = revealed.get(name)
        if contribution is None:
            contribution = commitment
            withheld.append(name)
        elif not hmac.compare_digest(commitment_of(contribution), commitment):
            raise NominationError(f"{name} reveals something else than it was committed to")
        contributions.append(contribution)
    seed = _hash(b"seed", [sealed.digest, block_hash, beacon, *contributions])
    order = shuffled(sorted(signer.name for signer in roster.signers), seed)
    roles = {signer.name: signer.role for signer in roster.signers}
    quorum = _first(order, roles)
    substitutes = tuple(name for name in order if name not in quorum)
    return Nomination(seed, tuple(quorum), substitutes, tuple(withheld))


def _check_committed(roster: Roster, names: set[str]) -> None:
    known = {signer.name for signer in roster.signers}
    if names - known:
        raise NominationError(f"a stranger has committed: {', '.join(sorted(names - known))}")
    if len(known - names) > ABSENT_MAX:
        missing = ", ".join(sorted(known - names))
        raise NominationError(f"{missing} have not committed; at most {ABSENT_MAX} may be absent")


def substitute(roster: Roster, nomination: Nomination, late: Sequence[str]) -> tuple[str, ...]:
    """Return the quorum with substitutes in the places of those who let their time pass. Raises NominationError."""
    roles = {signer.name: signer.role for signer in roster.signers}
    waiting = [name for name in nomination.substitutes if name not in late]
    quorum = []
    for name in nomination.quorum:
        if name in late:
            stepping_in = next((other for other in waiting if roles[other] == roles[name]), None)
            if stepping_in is None:
                raise NominationError(f"nobody is left who could step in for {name}")
            waiting.remove(stepping_in)
            name = stepping_in
        quorum.append(name)
    return tuple(quorum)


def seated(roster: Roster, nomination: Nomination, late: Sequence[str], *, seats: int) -> tuple[str, ...]:
    """Return who signs together where more than the nominees have to: the next in the order sit with them.

    Raises NominationError.
    """
    quorum = substitute(roster, nomination, late)
    others = [name for name in nomination.substitutes if name not in quorum and name not in late]
    if len(quorum) + len(others) < seats:
        raise NominationError(f"{len(quorum) + len(others)} are left, {seats} have to sign")
    return (*quorum, *others[: max(seats - len(quorum), 0)])


def attesting(
    roster: Roster, *, block: bytes, snapshot_root: bytes, attempt: int, seats: int
) -> tuple[str, ...]:
    """Return who shows control of coins: drawn by a block that nobody knew when they were listed.

    No contributions are needed, because nothing can move: who has a quorum drawn again gains nothing but other names.
    Raises NominationError.
    """
    if not 0 <= attempt < ATTESTING_MAX:
        raise NominationError(f"quorum {attempt} of a block; there are {ATTESTING_MAX}")
    seed = _hash(b"attestation", [roster.digest, block, snapshot_root, attempt.to_bytes(1, "big")])
    order = shuffled(sorted(signer.name for signer in roster.signers), seed)
    roles = {signer.name: signer.role for signer in roster.signers}
    quorum = _first(order, roles)
    others = [name for name in order if name not in quorum]
    if len(order) < seats:
        raise NominationError(f"{len(order)} are on the roster, {seats} have to sign")
    return (*quorum, *others[: max(seats - len(quorum), 0)])


def _first(order: Sequence[str], roles: Mapping[str, Role]) -> list[str]:
    """Return the first of each role in an order, as many as the script wants."""
    quorum: list[str] = []
    for role, needed in NOMINATED.items():
        quorum += [name for name in order if roles[name] == role][:needed]
    return quorum


def shuffled(names: Sequence[str], seed: bytes) -> list[str]:
    """Return the names in the order that a seed gives: Fisher-Yates, without bias."""
    order, stream = list(names), _stream(seed)
    for last in range(len(order) - 1, 0, -1):
        other = _below(last + 1, stream)
        order[last], order[other] = order[other], order[last]
    return order


def _stream(seed: bytes) -> Iterator[int]:
    block = 0
    while True:
        yield from hashlib.shake_256(seed + block.to_bytes(8, "big")).digest(136)
        block += 1


def _below(limit: int, stream: Iterator[int]) -> int:
    """Return a number below a limit of at most 256; bytes that would favour the low ones are passed over."""
    usable = 256 - 256 % limit
    while (drawn := next(stream)) >= usable:
        pass
    return drawn % limit


def _hash(what: bytes, parts: Sequence[bytes]) -> bytes:
    """Hash parts so that no other parts give the same bytes: each comes with its length."""
    digest = hashlib.sha256(_DOMAIN + b" " + what)
    for part in parts:
        digest.update(len(part).to_bytes(4, "big") + part)
    return digest.digest()
