"""Showing control of coins: what co-signers sign for it moves nothing, and they sign nothing else."""

import asyncio

import msgspec
import pytest
from embit.transaction import Transaction as EmbitTransaction

from ringfence.custody.chains.bitcoin.kernel import failing_input
from ringfence.custody.chains.bitcoin.regtest import mining
from ringfence.custody.chains.bitcoin.rpc import NodeRefusedError
from ringfence.custody.chains.bitcoin.transactions import Output, double_sha256
from ringfence.custody.coordinator.attesting import Collected, NotAttestedError, collect
from ringfence.custody.cosigner.attesting import PER_HOUR_MAX, RECENT_BLOCKS_MAX
from ringfence.custody.nomination import ATTESTING_MAX, attesting
from ringfence.custody.quorum.attestation import (
    AttestationError,
    Unsigned,
    message_of,
    to_sign,
    to_spend,
    with_witnesses,
)
from ringfence.custody.quorum.messages import Attest, Attested, Freeze, Refusal, ShownCoin
from ringfence.custody.wallets.coins import Coin, Outpoint
from ringfence.custody.wallets.descriptors import Keychain, satisfied
from ringfence.custody.wallets.owners import Owner
from ringfence.testing.bitcoin import NOBODY
from ringfence.testing.custody import Custody
from ringfence.units.time import NS_PER_HOUR

VENUE, ROOT = "ab" * 32, "cd" * 32


@pytest.fixture
def funded(custody: Custody) -> Custody:
    for account, sats in ((1, 5_000_000), (2, 7_000_000), (1, 30_000)):
        custody.deposit(account, sats)
    custody.mine()
    return custody


def coins_of(custody: Custody) -> list[Coin]:
    return sorted(custody.view.follower.confirmed_coins())


def question_of(custody: Custody, **changes: object) -> Attest:
    custody.view.look()
    shown = []
    for coin in coins_of(custody):
        mine = custody.hardware.wallets.classify(coin.script)
        assert mine is not None
        shown.append(
            ShownCoin(str(coin.outpoint), coin.amount_sats, mine.owner.text, mine.keychain, mine.number)
        )
    height = custody.node.rpc.block_count()
    made = Attest(
        chain="regtest", asset="XBt", venue=VENUE, block=custody.node.rpc.block_hash(height), height=height,
        snapshot_root=ROOT, coins=tuple(shown),
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


def collected(custody: Custody, question: Attest) -> Collected:
    return asyncio.run(collect(custody.ask, custody.charter.roster(), question, seats=3, run=1))


def unsigned_of(custody: Custody, question: Attest) -> tuple[Unsigned, list[Output]]:
    """Return what has to be signed, and what its inputs spend."""
    wallets = custody.hardware.wallets
    pairs, codes = [], []
    for one in question.coins:
        deriver, keychain = wallets.derivers[Owner.CLIENTS], Keychain(one.keychain)
        txid, _, vout = one.outpoint.partition(":")
        script = deriver.script_again(keychain, one.index)
        pairs.append(
            (Coin(Outpoint(txid, int(vout)), one.amount, script), deriver.witness_script(keychain, one.index))
        )
        codes.append(script)
    unsigned = to_sign(message_of(question), codes[0], pairs[0][1], pairs)
    return unsigned, [Output(0, codes[0]), *(Output(coin.amount_sats, coin.script) for coin, _ in pairs)]


def proof_of(custody: Custody, found: Collected) -> bytes:
    unsigned, _ = unsigned_of(custody, found.question)
    deriver = custody.hardware.wallets.derivers[Owner.CLIENTS]
    witnesses = []
    for place in range(len(unsigned.digests)):
        one = found.question.coins[max(place - 1, 0)]
        signed = {
            bytes.fromhex(part.signatures[place][0]): bytes.fromhex(part.signatures[place][1])
            for part in found.parts
        }
        keys, script = (
            deriver.keys(Keychain(one.keychain), one.index),
            deriver.witness_script(Keychain(one.keychain), one.index),
        )
        witnesses.append(satisfied(keys, signed, script))
    return with_witnesses(unsigned.raw, witnesses)


def test_control_is_shown_by_what_the_network_would_verify_and_never_take(funded: Custody) -> None:
    found = collected(funded, question_of(funded))
    assert len(found.quorum) == 3
    assert sum(name.startswith("ops") for name in found.quorum) == 2
    raw = proof_of(funded, found)
    _, spent = unsigned_of(funded, found.question)
    # Core's own verifier is content with every signature ...
    assert len(spent) == 4
    assert failing_input(raw, spent) is None
    # ... and the network with none: the first input is of a transaction that cannot be.
    rpc = funded.node.rpc
    assert not rpc.test_accept(raw).is_accepted
    with pytest.raises(NodeRefusedError, match="bad-txns-inputs-missingorspent"):
        rpc.generate_block(NOBODY, [raw])
    # Without that input, no signature is good any more.
    cut = EmbitTransaction.parse(raw)
    cut.vin = cut.vin[1:]
    assert failing_input(bytes(cut.serialize()), spent[1:]) == 0
    with pytest.raises(NodeRefusedError, match="script-verify-flag"):
        rpc.generate_block(NOBODY, [bytes(cut.serialize())])
    # What the message is in is no transaction either, nor the coinbase of a block.
    message = to_spend(message_of(found.question), spent[0].script)
    assert not rpc.test_accept(message).is_accepted
    assert rpc.submit_block(block_of(funded, message)) == "bad-cb-height"
    funded.mine(3)
    assert {coin.outpoint for coin in coins_of(funded)} == {
        Outpoint(one.outpoint.partition(":")[0], int(one.outpoint.partition(":")[2])) for one in found.question.coins
    }  # fmt: skip


def block_of(custody: Custody, coinbase: bytes) -> bytes:
    """Return a block that would be good with a better coinbase."""
    info = custody.node.rpc.chain_info()
    start = (0x20000000).to_bytes(4, "little") + bytes.fromhex(info.tip)[::-1] + double_sha256(coinbase)
    start += (info.time_s + 1).to_bytes(4, "little") + (0x207FFFFF).to_bytes(4, "little")
    return mining._worked(start) + b"\1" + coinbase


def test_it_is_in_the_log_before_it_is_signed(funded: Custody) -> None:
    found = collected(funded, question_of(funded))
    for part in found.parts:
        process = funded.cosigners[part.signer]
        lines = process.path.read_text().splitlines()
        assert message_of(found.question) in lines[-1]
        assert '"attested"' in lines[-1]
        process.restart()
        assert len(process.memory.attested_ns) == 1


def test_evidence_of_a_payment_that_is_on_its_way_stays_good(funded: Custody) -> None:
    """The counters of the others' tokens that are shown for an attestation are higher: they are not held against it."""
    before = {name: dict(one.memory.counters) for name, one in funded.cosigners.items()}
    collected(funded, question_of(funded))
    assert {name: one.memory.counters for name, one in funded.cosigners.items()} == before


def test_a_quorum_without_the_one_that_is_away_is_drawn_of_the_same_block(funded: Custody) -> None:
    question = question_of(funded)
    away = collected(funded, question).quorum[0]
    funded.down = {away}
    found = collected(funded, question)
    assert found.question.attempt > 0
    assert away not in found.quorum
    funded.down = {"policy-1", "policy-2"}
    with pytest.raises(NotAttestedError, match="policy-1: does not answer"):
        collected(funded, question)


REFUSALS = {
    "another block": (lambda c, q: {"block": "11" * 32}, "of this node is"),
    "a block at another height": (lambda c, q: {"height": q.height - 1}, "of this node is"),
    "a block that is not there": (lambda c, q: {"height": q.height + 1}, "is not there"),
    "a height below zero": (lambda c, q: {"height": -1}, "is not there"),
    "a stranger's script": (lambda c, q: {"coins": (changed(q, index=10_000),)}, "has no script 10000 that is ours"),
    "a script below zero": (lambda c, q: {"coins": (changed(q, index=-1),)}, "that is ours"),
    "nobody's wallet": (lambda c, q: {"coins": (changed(q, owner="thieves"),)}, "of no wallet of ours"),
    "no keychain": (lambda c, q: {"coins": (changed(q, keychain=2),)}, "of no wallet of ours"),
    "no outpoint": (lambda c, q: {"coins": (changed(q, outpoint="11:0"),)}, "is no outpoint"),
    "an odd outpoint": (lambda c, q: {"coins": (changed(q, outpoint="11" * 32 + ":01"),)}, "is no outpoint"),
    "less than nothing": (lambda c, q: {"coins": (changed(q, amount=-1),)}, "is no amount"),
    "one coin twice": (lambda c, q: {"coins": (q.coins[0], q.coins[0])}, "each once"),
    "too many coins": (lambda c, q: {"coins": many(q)}, "at most 64"),
    "no coins": (lambda c, q: {"coins": ()}, "no coin is named"),
    "another asset": (lambda c, q: {"asset": "Gwei"}, "names"),
    "another chain": (lambda c, q: {"chain": "eip155:1"}, "names"),
    "a key": (lambda c, q: {"key": "eip155"}, "names"),
    "more words in the message": (lambda c, q: {"asset": "XBt|pay 1Thief"}, "the name of no asset"),
    "words instead of the venue": (lambda c, q: {"venue": "a friend"}, "venue is no digest"),
    "words instead of the root": (lambda c, q: {"snapshot_root": ROOT + "0"}, "snapshot_root is no digest"),
    "a draw too many": (lambda c, q: {"attempt": ATTESTING_MAX}, f"quorum {ATTESTING_MAX}"),
}  # fmt: skip


def changed(question: Attest, **changes: object) -> ShownCoin:
    return msgspec.structs.replace(question.coins[0], **changes)


def many(question: Attest) -> tuple[ShownCoin, ...]:
    return tuple(changed(question, outpoint=f"{'11' * 32}:{number}") for number in range(65))


@pytest.mark.parametrize("name", REFUSALS)
def test_a_co_signer_refuses(funded: Custody, name: str) -> None:
    question = question_of(funded)
    changes, words = REFUSALS[name]
    reasons = []
    for one in funded.cosigners.values():
        entries = one.log.count if one.log is not None else 0
        told = one.answer(msgspec.structs.replace(question, **changes(funded, question)))
        assert isinstance(told, Refusal)
        assert told.step == "attest"
        reasons.append(told.reason)
        assert one.log is not None
        assert one.log.count == entries
    of_drawn = [reason for reason in reasons if "is not drawn" not in reason]
    assert len(of_drawn) >= 3
    assert all(words in reason for reason in of_drawn)


def test_who_was_not_drawn_and_who_has_no_evidence_refuses(funded: Custody) -> None:
    question = question_of(funded)
    quorum = attesting(
        funded.charter.roster(), block=bytes.fromhex(question.block), snapshot_root=bytes.fromhex(ROOT), attempt=0,
        seats=3,
    )  # fmt: skip
    for name, one in funded.cosigners.items():
        told = one.answer(question)
        assert isinstance(told, Refusal)
        assert ("is not drawn" in told.reason) == (name not in quorum)
        assert (told.step == "evidence") == (name in quorum)
        stranger = one.answer(question, is_coordinator=False)
        assert isinstance(stranger, Refusal)
        assert stranger.step == "authenticated"


def test_evidence_for_one_attestation_is_none_for_another(funded: Custody) -> None:
    funded.change = lambda name, question: (
        msgspec.structs.replace(question, snapshot_root="ef" * 32)
        if isinstance(question, Attest)
        else question
    )
    with pytest.raises(NotAttestedError, match=r"no nonce was given|is not drawn"):
        collected(funded, question_of(funded))
    assert not any(isinstance(answer, Attested) for _, _, answer in funded.heard)


def test_an_old_block_shows_nothing(funded: Custody) -> None:
    question = question_of(funded)
    funded.mine(RECENT_BLOCKS_MAX)
    collected(funded, question)
    funded.mine()
    with pytest.raises(NotAttestedError, match="is old"):
        collected(funded, question)


def test_a_block_that_has_left_the_chain_shows_nothing(funded: Custody) -> None:
    question = question_of(funded)
    funded.node.rpc.call("generatefork", 1, NOBODY)
    with pytest.raises(NotAttestedError, match="of this node is"):
        collected(funded, question)


def test_who_is_frozen_shows_nothing(funded: Custody) -> None:
    for one in funded.cosigners.values():
        one.answer(Freeze("looking at something"), is_coordinator=False)
    with pytest.raises(NotAttestedError, match=r"ops-[123]: refuses \(frozen\): looking at something"):
        collected(funded, question_of(funded))


def test_more_than_enough_in_an_hour_is_refused_until_the_hour_is_over(funded: Custody) -> None:
    question = question_of(funded)
    for one in funded.cosigners.values():
        one.memory.attested_ns += [funded.now_ns] * PER_HOUR_MAX
    with pytest.raises(NotAttestedError, match="are enough"):
        collected(funded, question)
    funded.now_ns += NS_PER_HOUR
    collected(funded, question)


def test_amounts_and_coins_that_are_not_make_signatures_of_nothing(funded: Custody) -> None:
    """A co-signer does not ask whether a coin is there: the signature would be for one that is not."""
    question = question_of(funded)
    lied = msgspec.structs.replace(question, coins=(changed(question, amount=10**12), *question.coins[1:]))
    found = collected(funded, lied)
    raw = proof_of(funded, found)
    _, spent = unsigned_of(funded, question)
    assert failing_input(raw, spent) == 1
    assert not funded.node.rpc.test_accept(raw).is_accepted


def test_a_message_is_read_in_one_way_only() -> None:
    question = Attest(
        chain="regtest", asset="XBt", venue=VENUE, block="11" * 32, height=1, snapshot_root=ROOT
    )
    assert message_of(question) == (
        f"ringfence proof of reserves 1|venue {VENUE}|asset XBt|block {'11' * 32}|snapshot {ROOT}"
    )
    for wrong in ("", "X B", "XBt|", "é", "A" * 13):
        with pytest.raises(AttestationError):
            message_of(msgspec.structs.replace(question, asset=wrong))
