"""What the security role says of a report, signed with its own key: the desk believes nothing else."""

import re
from enum import StrEnum

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ringfence.assurance.disclosure.cases import FOLLOWS, Case, State
from ringfence.assurance.disclosure.sealed import KeyFile, SealedError, check_sealed
from ringfence.assurance.disclosure.severity import BANDS, Band, check_vector

NAME_CHARACTERS_MAX, TITLE_CHARACTERS_MAX, ADVISORY_CHARACTERS_MAX = 60, 120, 8_000
_DOMAIN = b"ringfence security change\0"
_RECIPIENT = re.compile(r"age1[02-9ac-hj-np-z]{58}")
_PUBLIC = re.compile(r"[0-9a-f]{64}")


class ChangeError(ValueError):
    """The change is not made; the text says why, and repeats nothing that is sealed."""


class RoleKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The public half: what reports are sealed for, and whose word counts."""

    name: str
    recipient: str
    public_key: str

    def check(self) -> None:
        """Raises ChangeError."""
        if not _RECIPIENT.fullmatch(self.recipient) or not _PUBLIC.fullmatch(self.public_key):
            raise ChangeError("the new role's keys are none")
        check_text(self.name, "name", NAME_CHARACTERS_MAX)


class What(StrEnum):
    STATE = "state"
    MESSAGE = "message"
    THANK = "thank"
    PUBLISH = "publish"
    ROLE = "role"
    """Another key takes over."""


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    report: str = ""
    number: int
    """So many changes of this report (of the role) came before: none counts twice."""
    what: What
    state: State | None = None
    band: Band | None = None
    vector: str = ""
    duplicate_of: str = ""
    reward_usd: int = 0
    message: str = ""
    name: str = ""
    title: str = ""
    advisory: str = ""
    role: RoleKey | None = None

    @property
    def text(self) -> bytes:
        return _DOMAIN + msgspec.json.encode(self, order="sorted")


class SignedChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    change: Change
    by: str
    signature: str


def role_key_of(key: KeyFile) -> RoleKey:
    return RoleKey(key.name, key.recipient, key.public)


def sign(change: Change, key: KeyFile) -> SignedChange:
    return SignedChange(change, key.name, key.signer.sign(change.text).hex())


def check_signed(signed: SignedChange, role: RoleKey) -> None:
    """Raises ChangeError unless the role has signed."""
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(role.public_key))
        key.verify(bytes.fromhex(signed.signature), signed.change.text)
    except (InvalidSignature, ValueError) as error:
        raise ChangeError("the security role has not signed this") from error
    if signed.by != role.name:
        raise ChangeError("it is signed under another name than the role's")


def check_text(text: str, what: str, characters_max: int, *, lines: bool = False) -> None:
    """Raises ChangeError unless it is a text that can be shown."""
    plain = text.replace("\n", "") if lines else text
    if not text.strip() or len(text) > characters_max or not plain.isprintable():
        raise ChangeError(f"the {what} is empty, cannot be shown, or has over {characters_max} characters")


def check_change(change: Change, case: Case, known: set[str]) -> None:
    """Raises ChangeError unless this may be the next change of a report; `known`: ids of all reports."""
    if change.number != case.changes:
        raise ChangeError("somebody was faster, or it was sent before: look at the report again")
    if change.what == What.STATE:
        _check_state(change, case, known)
    elif change.what == What.MESSAGE:
        try:
            check_sealed(change.message)
        except SealedError as error:
            raise ChangeError(f"the message is not sealed: {error}") from error
    elif change.what == What.THANK:
        check_text(change.name, "name", NAME_CHARACTERS_MAX)
        if case.state not in (State.ACCEPTED, State.FIXED, State.DISCLOSED):
            raise ChangeError("thanks are for reports that were accepted")
    elif change.what == What.PUBLISH:
        check_text(change.title, "title", TITLE_CHARACTERS_MAX)
        check_text(change.advisory, "advisory", ADVISORY_CHARACTERS_MAX, lines=True)
        if case.state not in (State.FIXED, State.DISCLOSED):
            raise ChangeError("what is not fixed is not published")
    else:
        raise ChangeError("that is no change of a report")


def _check_state(change: Change, case: Case, known: set[str]) -> None:
    if change.state is None or change.state not in FOLLOWS[case.state]:
        after = ", ".join(FOLLOWS[case.state]) or "nothing"
        raise ChangeError(f"after {case.state} comes {after}")
    if change.state == State.TRIAGED and change.band is None:
        raise ChangeError("who triages says the band")
    if change.vector:
        try:
            check_vector(change.vector)
        except ValueError as error:
            raise ChangeError(str(error)) from error
    if (change.state == State.DUPLICATE) != bool(change.duplicate_of):
        raise ChangeError("a duplicate, and nothing else, names the report that came first")
    if change.duplicate_of and (change.duplicate_of not in known or change.duplicate_of == case.id):
        raise ChangeError("there is no such report to be a duplicate of")
    band = change.band or case.band
    if change.reward_usd:
        if change.state not in (State.ACCEPTED, State.FIXED) or band is None:
            raise ChangeError("a reward goes with accepted or fixed")
        terms = BANDS[band]
        if not terms.reward_min <= change.reward_usd <= terms.reward_max:
            raise ChangeError(f"the reward for {band} is {terms.reward_min} to {terms.reward_max} USD")
