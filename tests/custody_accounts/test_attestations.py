"""Keys that nobody has show that they are there, by messages that no chain takes for transactions."""

import asyncio
import base64

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from eth_account import Account
from eth_account.messages import encode_defunct

from ringfence.custody.chains.accounts import NodeError
from ringfence.custody.coordinator.attesting import Collected, NotAttestedError, collect
from ringfence.custody.cosigner.joining import FAILURES_OF_ATTESTING_MAX
from ringfence.custody.quorum.attestation import ethereum_digest, message_of, solana_message, subject_of
from ringfence.custody.quorum.messages import Attest, Freeze, Join, JointSignature, Refusal
from ringfence.testing.account_custody import ETHEREUM, SOLANA, AccountCustody, assert_refused
from tests.custody_accounts.conftest import Found

VENUE, ROOT = "ab" * 32, "cd" * 32


def question_of(custody: AccountCustody, chain: str, asset: str) -> Attest:
    height = custody.node.rpc.block_count()
    return Attest(
        chain=chain, key=custody.annexes[chain].key, asset=asset, venue=VENUE, height=height,
        block=custody.node.rpc.block_hash(height), snapshot_root=ROOT,
    )  # fmt: skip


def collected(custody: AccountCustody, question: Attest, run: int = 1) -> Collected:
    roster = custody.hardware.charter.roster()
    return asyncio.run(collect(custody.ask, roster, question, seats=4, run=run))


def test_the_treasury_of_ethereum_signs_what_a_wallet_would_and_no_node_takes_it(found: Found) -> None:
    custody = found(ETHEREUM)
    custody.mine()
    got = collected(custody, question_of(custody, ETHEREUM, "Gwei"))
    message = message_of(got.question)
    ((signature, recovery_id),) = got.joint
    whole = bytes.fromhex(signature) + bytes((27 + recovery_id,))
    # What everybody's wallet says of it.
    treasury = custody.rails[ETHEREUM].room.treasury
    assert Account.recover_message(encode_defunct(text=message), signature=whole) == treasury
    # What was signed is no transaction, with the signature in whatever place.
    signed = b"\x19Ethereum Signed Message:\n" + str(len(message)).encode() + message.encode()
    for raw in (signed, signed + whole, whole + signed):
        with pytest.raises(NodeError):
            custody.ethereum.call("eth_sendRawTransaction", f"0x{raw.hex()}")
    # And nothing of it is a payment: the nonce stands where it stood.
    assert custody.ethereum.nonce(treasury, "pending") == 0


def test_solanas_key_signs_an_off_chain_message_that_no_node_takes(found: Found) -> None:
    custody = found(SOLANA)
    custody.mine()
    got = collected(custody, question_of(custody, SOLANA, "LAMPORT"))
    key = bytes.fromhex(custody.annexes[SOLANA].public_key)
    said = solana_message(message_of(got.question), venue=VENUE, signer=key)
    ((signature, _),) = got.joint
    Ed25519PublicKey.from_public_bytes(key).verify(bytes.fromhex(signature), said)
    assert said[0] == 0xFF
    for raw in (b"\1" + bytes.fromhex(signature) + said, said):
        with pytest.raises(NodeError):
            custody.solana.call("sendTransaction", base64.b64encode(raw).decode(), {"encoding": "base64"})


def test_tokens_have_an_attestation_of_their_own(found: Found) -> None:
    custody = found(ETHEREUM)
    custody.mine()
    ether = collected(custody, question_of(custody, ETHEREUM, "Gwei"))
    token = collected(custody, question_of(custody, ETHEREUM, "USDt"))
    assert ether.joint != token.joint
    assert "asset USDt" in message_of(token.question)
    # Asked again, nobody signs again: what was signed is told.
    assert collected(custody, question_of(custody, ETHEREUM, "USDt")).joint == token.joint


def test_what_a_key_does_not_attest(found: Found) -> None:
    custody = found(ETHEREUM)
    custody.mine()
    question = question_of(custody, ETHEREUM, "Gwei")
    for changes, words in (
        ({"key": "solana"}, "under a key"),
        ({"key": ""}, "under a key"),
        ({"asset": "LAMPORT"}, "names no"),
        ({"chain": SOLANA}, "names"),
        ({"block": "11" * 32}, "of this node is"),
    ):
        with pytest.raises(NotAttestedError, match=words):
            collected(custody, msgspec.structs.replace(question, **changes))


def test_a_yes_is_for_one_message_and_only_of_those_who_were_drawn(found: Found) -> None:
    custody = found(ETHEREUM)
    custody.mine()
    question = question_of(custody, ETHEREUM, "Gwei")
    got = collected(custody, question)
    other = subject_of(msgspec.structs.replace(question, snapshot_root="ef" * 32))
    for one in custody.cosigners.values():
        assert_refused(one.answer(Join(other, 9)), "join", "has not said yes")
        told = one.answer(Join(subject_of(got.question), 9), is_coordinator=False)
        assert isinstance(told, Refusal)
    for name in set(custody.cosigners) - set(got.quorum):
        assert_refused(
            custody.cosigners[name].answer(Join(subject_of(got.question), 9)), "join", "has not said yes"
        )
        assert subject_of(got.question) not in custody.cosigners[name].memory.consents


def test_a_consent_names_no_movement_and_signs_this_digest_alone(found: Found) -> None:
    custody = found(ETHEREUM)
    custody.mine()
    got = collected(custody, question_of(custody, ETHEREUM, "Gwei"))
    for name in got.quorum:
        one = custody.cosigners[name]
        one.restart()
        consent = one.memory.consents[subject_of(got.question)]
        assert (consent.intents, consent.of_chain, consent.path) == ((), ETHEREUM, "m/1/0")
        assert consent.messages == (ethereum_digest(message_of(got.question)).hex(),)
        assert not one.memory.signed


def test_who_is_frozen_joins_nothing(found: Found) -> None:
    custody = found(ETHEREUM)
    custody.mine()
    question = question_of(custody, ETHEREUM, "Gwei")
    for one in custody.cosigners.values():
        one.answer(Freeze("looking"))
    with pytest.raises(NotAttestedError, match=r"refuses \(frozen\): looking"):
        collected(custody, question)


def test_who_freezes_after_its_yes_does_not_join(found: Found) -> None:
    custody = found(ETHEREUM)
    custody.mine()

    def before(what: str) -> None:
        if what == "ask Join":
            for one in custody.cosigners.values():
                one.cosigner.answer(Freeze("looking"), is_coordinator=False)

    custody.before_effect = before
    with pytest.raises(NotAttestedError, match="looking"):
        collected(custody, question_of(custody, ETHEREUM, "Gwei"))
    assert not any(isinstance(told, JointSignature) for _, _, told in custody.heard)


def test_runs_that_have_failed_are_left_for_payments(found: Found) -> None:
    """Five that fail in a row let a key rest, and payments with it: attestations never make them five."""
    custody = found(ETHEREUM)
    custody.mine()
    for one in custody.cosigners.values():
        one.party._memory.failures[custody.annexes[ETHEREUM].key] = FAILURES_OF_ATTESTING_MAX
    with pytest.raises(NotAttestedError, match="what is left of them is for payments"):
        collected(custody, question_of(custody, ETHEREUM, "Gwei"))
    joins = [asked for _, asked, _ in custody.heard if isinstance(asked, Join)]
    assert len(joins) == 4  # one quorum was asked, and no other after it


def test_one_that_is_away_is_drawn_around(found: Found) -> None:
    custody = found(ETHEREUM)
    custody.mine()
    for away in ("ops-1", "policy-2"):
        custody.down = {away}
        got = collected(custody, question_of(custody, ETHEREUM, "Gwei"), run=3)
        assert away not in got.quorum
    custody.down = {"ops-1", "ops-2"}
    with pytest.raises(NotAttestedError, match="does not answer"):
        collected(custody, question_of(custody, ETHEREUM, "USDt"), run=4)
