"""What a co-signer is told once, under the eyes of two people, and believes afterwards."""

import hashlib
from typing import Any

import msgspec

from ringfence.custody.annex import Annex, Signatures
from ringfence.custody.beacon import Beacon
from ringfence.custody.clients import signs
from ringfence.custody.hsm import Baseline
from ringfence.custody.hsm.token import verifies
from ringfence.custody.nomination import Role, Roster, Signer
from ringfence.custody.policy import Policy, PolicyError, SignedPolicy, check_change
from ringfence.custody.quorum.messages import SignedApproval, SignedVeto, statement
from ringfence.custody.wallets.descriptors import Vault
from ringfence.custody.wallets.owners import Owner, Wallets, owner_of
from ringfence.units.assets import BY_CURRENCY, XBT

ASSET = XBT.currency
PEOPLE_NEEDED = 2
_FIRST = "the first version has the number 1 and is signed by two people of different groups"


class ConfigurationError(ValueError):
    """The configuration is not one that a co-signer works with. It does not start."""


class Member(msgspec.Struct, frozen=True):
    """One co-signer as the others know it."""

    name: str
    role: str
    identity: str
    """Public key of its HSM's identity, hexadecimal."""
    organisation: str
    site: str
    serial: str
    model: str
    token_digest: str
    keys_digest: str
    tpm_key: str = ""
    """Public key that signs the quotes of its TPM, PEM; empty without a TPM."""
    tpm_log_base: int = 0
    """What the TPM's counter of the log stood at when there was no line yet."""
    tpm_shares_base: int = 0
    """What its counter of shares stood at when there was none yet."""

    @property
    def baseline(self) -> Baseline:
        return Baseline(
            self.name,
            bytes.fromhex(self.identity),
            self.serial,
            self.model,
            self.token_digest,
            self.keys_digest,
            self.tpm_key,
        )


class Person(msgspec.Struct, frozen=True):
    """Somebody who approves movements or changes of the policy."""

    name: str
    group: str
    public_key: str
    """Ed25519, hexadecimal."""


class PolicyDocument(msgspec.Struct, frozen=True):
    """A version of the policy with the signatures that put it in force."""

    policy: Policy
    announced_ns: int
    signatures: tuple[tuple[str, str], ...]
    """(person, signature), hexadecimal, of `statement("policy", digest, announced_ns)`."""


class Charter(msgspec.Struct, frozen=True):
    """Everything that all co-signers agree on; its digest is the same in each."""

    chain: str
    members: tuple[Member, ...]
    people: tuple[Person, ...]
    vaults: tuple[Vault, ...]
    policies: tuple[PolicyDocument, ...]
    """All versions, oldest first: each has to follow from the one before."""
    follow_from_height: int
    follow_from_block: str
    timeout_s: int = 120
    """After so long a nominee that has not signed is replaced by a substitute."""
    confirmations: int = 1
    """How deep the block that decides a nomination has to lie."""
    beacon: Beacon | None = None
    """Whose round decides as well; None where there is no network: then block and contributions decide."""

    @property
    def digest(self) -> str:
        return hashlib.sha256(b"ringfence charter" + msgspec.json.encode(self, order="sorted")).hexdigest()

    def roster(self) -> Roster:
        return Roster(
            tuple(
                Signer(one.name, Role(one.role), one.identity, one.organisation, one.site)
                for one in self.members
            )
        )

    def member(self, name: str) -> Member:
        """Raises KeyError."""
        for one in self.members:
            if one.name == name:
                return one
        raise KeyError(name)

    def wallets(self, *, lookahead: int = 200) -> Wallets:
        """Raises DescriptorError, ValueError."""
        vaults: dict[Owner, Vault] = {owner_of(vault.owner): vault for vault in self.vaults}
        return Wallets(vaults, lookahead=lookahead)

    def policy(self, *, now_ns: int) -> Policy:
        """Return Bitcoin's, as the charter has it. Raises ConfigurationError if one version does not follow."""
        if not self.policies:
            raise ConfigurationError("there is no policy: nothing may be signed")
        before: Policy | None = None
        for document in self.policies:
            signed = self.signed_policy(document)
            try:
                if before is None:
                    _check_first(signed)
                else:
                    check_change(before, signed, now_ns=now_ns)
            except PolicyError as error:
                raise ConfigurationError(
                    f"version {document.policy.version} of the policy: {error}"
                ) from error
            before = document.policy
        assert before is not None
        return before

    def signed_policy(self, document: PolicyDocument) -> SignedPolicy:
        """Return a version with those who have signed it. Raises ConfigurationError if a signature is none."""
        digest = statement(b"policy", document.policy.digest, document.announced_ns)
        signers = []
        for name, signature in document.signatures:
            person = self.person(name)
            if person is None or not signed_by(person, digest, signature):
                raise ConfigurationError(f"the signature of {name} under the policy is none")
            signers.append((person.name, person.group))
        return SignedPolicy(document.policy, tuple(signers), document.announced_ns)

    def person(self, name: str) -> Person | None:
        return next((one for one in self.people if one.name == name), None)

    def people_of(self, digest: bytes, signatures: Signatures) -> tuple[str, ...]:
        """Return who of the charter has signed a digest; nobody, if they are not two of different groups."""
        groups = {
            person.name: person.group
            for name, signature in signatures
            if (person := self.person(name)) is not None and signed_by(person, digest, signature)
        }
        enough = min(len(groups), len(set(groups.values()))) >= PEOPLE_NEEDED
        return tuple(groups) if enough else ()

    def is_signed(self, signer: str, digest: bytes, signature: str) -> bool:
        """Return whether a co-signer's identity has signed a digest; a signature in hexadecimal."""
        try:
            return verifies(bytes.fromhex(self.member(signer).identity), digest, bytes.fromhex(signature))
        except (KeyError, ValueError):
            return False

    def approvals(self, signed: tuple[SignedApproval, ...]) -> tuple[Any, ...]:
        """Return the approvals that their people have signed; others do not count."""
        found = []
        for one in signed:
            person = self.person(one.approval.person)
            if person is None or person.group != one.approval.group:
                continue
            if signed_by(person, approval_digest(one), one.signature):
                found.append(one.approval)
        return tuple(found)

    def is_veto(self, veto: SignedVeto) -> bool:
        """Return whether somebody whom the charter names has signed it. One is enough."""
        person = self.person(veto.person)
        return person is not None and signed_by(person, veto_digest(veto), veto.signature)


def check_annex(charter: Charter, annex: Annex) -> None:
    """Raises ConfigurationError unless two people have signed an annex that is one."""
    if not charter.people_of(annex.digest, annex.signatures):
        raise ConfigurationError(f"{PEOPLE_NEEDED} people of different groups must sign an annex")
    currencies = [one.currency for one in annex.assets]
    if not currencies or len(set(currencies)) < len(currencies) or set(currencies) - set(BY_CURRENCY):
        raise ConfigurationError("an annex names assets of the ledger, each once")
    if annex.native.contract or not all(one.contract for one in annex.assets[1:]):
        raise ConfigurationError("the first asset of an annex has no contract, the others have one")
    for one in annex.assets:
        if (one.policy.chain, one.policy.asset) != (annex.chain, one.currency) or one.factor < 1:
            raise ConfigurationError(f"the policy of {one.currency} is of another chain or asset")
        try:
            _check_begins(one.policy)
        except PolicyError as error:
            raise ConfigurationError(f"the policy of {one.currency}: {error}") from error


def veto_digest(veto: SignedVeto) -> bytes:
    """Return what a person signs who stops a movement."""
    return statement(b"veto", veto.person, veto.digest, veto.because)


def approval_digest(signed: SignedApproval) -> bytes:
    """Return what a person signs who approves a movement."""
    approval = signed.approval
    return statement(b"approval", approval.person, approval.group, approval.digest, approval.at_ns)


def signed_by(person: Person, digest: bytes, signature: str) -> bool:
    return signs(person.public_key, digest, signature)


def _check_first(signed: SignedPolicy) -> None:
    people, groups = {name for name, _ in signed.signers}, {group for _, group in signed.signers}
    if len(people) < 2 or len(groups) < 2:
        raise PolicyError(_FIRST)
    _check_begins(signed.policy)


def _check_begins(policy: Policy) -> None:
    """Raises PolicyError unless it can be a first version, whoever has signed it."""
    if policy.version != 1:
        raise PolicyError(_FIRST)
    if not policy.tiers or policy.tiers[0].from_amount != 0:
        raise PolicyError("the first tier must begin at 0")
