"""Every known theft that could be tried on cold Bitcoin, by the name of who suffered it, and what stops it here.

Source: the failure list of the custody specification. Each test has a real quorum of five tokens behind it; what is
stolen would have to pass Bitcoin Core's own verifier.
"""

import json
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from embit.transaction import Transaction as EmbitTransaction

from ringfence.chained_log import Entry, Log, LogError
from ringfence.custody.chains.bitcoin.follow import BLOCKS_KEPT
from ringfence.custody.cosigner.config import ConfigurationError, PolicyDocument
from ringfence.custody.demonstration import FIRST_POLICY, PEOPLE, PLACES
from ringfence.custody.ledger import LedgerGapError, Moved
from ringfence.custody.nomination import NominationError, Role
from ringfence.custody.policy.policy import NS_PER_HOUR, Window
from ringfence.custody.quorum.messages import (
    Announce,
    Batch,
    Commit,
    Commitment,
    Consider,
    Countersign,
    Freeze,
    Part,
    Refusal,
    Reveal,
    Show,
    Shown,
    Standing,
    TimedOut,
    Waited,
    Witnessed,
    statement,
)
from ringfence.custody.wallets.descriptors import Keychain
from ringfence.custody.wallets.owners import Owner
from ringfence.messages.funds import Keyed, Listed, Wish, to_be_signed
from ringfence.testing import thieves
from ringfence.testing.custody import TO, Custody, Hardware
from ringfence.testing.thieves import THIEF, XBT, Heist
from ringfence.units.assets import XBT as ASSET


@pytest.fixture
def heist(custody: Custody) -> Heist:
    return Heist(custody)


def refused(answer: object, step: str, words: str = "") -> Refusal:
    assert isinstance(answer, Refusal), answer
    assert answer.step == step, answer
    assert words in answer.reason, answer
    return answer


def test_the_honest_way_works(heist: Heist) -> None:
    """Without this every test below could pass for a custody that signs nothing."""
    assert isinstance(heist.consider(heist.signer, heist.honest), Part)
    heist.custody.go_on()
    assert heist.custody.exchange.locked[heist.number] == 0
    assert heist.custody.report().agrees


@pytest.mark.parametrize(
    ("change", "step"),
    [
        (thieves.pay_thief, "policy"), (thieves.add_thief, "policy"), (thieves.swap_change, "policy"),
        (thieves.pay_more, "policy"), (thieves.burn, "policy"), (thieves.foreign_input, "decoded"),
    ],
)  # fmt: skip
def test_bybit_2025_wazirx_2024_radiant_2024_the_payload_is_not_what_was_shown(
    heist: Heist, change: Callable[[EmbitTransaction], None], step: str
) -> None:
    """A co-signer signs what it has decoded itself; whatever somebody's screen says has no part in it."""
    refused(heist.consider(heist.signer, heist.changed(change)), step)
    assert not heist.is_stolen()


@pytest.mark.parametrize("changes", [{"destination": THIEF}, {"amount": XBT // 4 + 1}, {"account": 2}])
def test_dmm_bitcoin_2024_a_legitimate_request_is_altered_on_the_way(
    heist: Heist, changes: dict[str, object]
) -> None:
    """The batch was sealed with its very movements; another one has another digest, and nobody has committed to it."""
    refused(heist.consider(heist.signer, heist.with_intent(**changes)), "nominated", "another batch")


def test_dmm_bitcoin_2024_a_request_that_was_never_made(custody: Custody) -> None:
    """A coordinator that seals a batch of its own making gets no signature: the ledger knows no such withdrawal."""
    heist = Heist(custody)
    intent = msgspec.structs.replace(
        heist.honest.batch.intents[0], id="999999", destination=THIEF, amount=XBT // 10
    )
    forged = Batch("batch-forged", Owner.CLIENTS.text, (intent,))
    custody.driver._write("gathered", {"batch": msgspec.to_builtins(forged)})
    for _ in range(8):
        custody.turn()
        custody.mine()
    flow = custody.batches.flows["batch-forged"]
    assert "the ledger knows no withdrawal 999999" in flow.given_up
    assert not flow.attempts


def test_bitfinex_2016_one_of_the_quorum_signs_without_looking(heist: Heist) -> None:
    """One dishonest co-signer has one signature: the network wants two of operations and one of policy."""
    stolen = heist.changed(thieves.pay_thief)
    for name in heist.flow.quorum:
        if name != heist.signer:
            refused(heist.consider(name, stolen), "policy")
    # Its own token it may ask as it likes.
    place = heist.custody.hardware.places[heist.signer]
    assert len(place.token.sign("clients.change.0", bytes(32))) == 64
    assert not heist.is_stolen()


def test_bitfinex_2016_ronin_2022_multichain_2023_a_quorum_under_one_roof(hardware: Hardware) -> None:
    """A roster in which one organisation or one site could make up a quorum is no roster."""
    roster = hardware.charter.roster()
    for field in ("organisation", "site"):
        signers = tuple(
            signer._replace(**{field: "one roof"})
            if signer.role == Role.POLICY or signer.name != "ops-3"
            else signer
            for signer in roster.signers
        )
        with pytest.raises(NominationError, match="alone could make up a quorum"):
            roster._replace(signers=signers).check()


def test_binance_2019_many_small_withdrawals_of_many_accounts(custody: Custody, hardware: Hardware) -> None:
    """The windows of the whole exchange hold whatever each account may do."""
    small = msgspec.structs.replace(FIRST_POLICY, whole_exchange=(Window(1, XBT // 4, 3),))
    custody.charter = msgspec.structs.replace(hardware.charter, policies=(hardware.signed(small),))
    for process in custody.cosigners.values():
        process.restart()
    for account in range(1, 5):
        custody.deposit(account, XBT // 2)
    numbers = [
        custody.exchange.ask(account, XBT // 10, 100_000, thief_address(account), now_ns=custody.now_ns)
        for account in range(1, 5)
    ]
    custody.go_on(turns=30)
    paid = [number for number in numbers if custody.view.ledger.withdrawals[number].left]
    assert sum(custody.view.ledger.withdrawals[number].left for number in paid) <= XBT // 4 + 1_000_000


def thief_address(number: int) -> str:
    from ringfence.custody.chains.bitcoin.transactions import address_of

    return str(address_of(b"\x00\x14" + bytes([number]) * 20))


def test_crypto_com_2022_a_withdrawal_without_the_second_factor(custody: Custody) -> None:
    custody.deposit(1, XBT // 2)
    wish = Wish(TO, 10_000_000, 100_000, is_confirmed=False)
    custody.exchange.wish(1, wish, now_ns=custody.now_ns)
    for _ in range(8):
        custody.turn()
        custody.mine()
    (flow,) = custody.batches.flows.values()
    assert not flow.attempts
    assert "the ledger knows no withdrawal" in flow.given_up


# Whoever owns every server of the exchange writes the journal himself, in the name of any client.

OWN, ANOTHER = (
    Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32),
    Ed25519PrivateKey.from_private_bytes(bytes([2]) * 32),
)


def with_key(custody: Custody) -> None:
    """An account with coins, and with a withdrawal key."""
    custody.deposit(1, XBT // 2)
    custody.exchange.says(1, keyed(OWN, nonce=1), now_ns=custody.now_ns)


def keyed(key: Ed25519PrivateKey, *, nonce: int, consent: str = "") -> Keyed:
    bare = Keyed(key.public_key().public_bytes_raw().hex(), nonce)
    return msgspec.structs.replace(
        bare, signature=key.sign(to_be_signed(bare, account=1)).hex(), consent=consent
    )


def wished(key: Ed25519PrivateKey, *, nonce: int, address: str = TO) -> Wish:
    bare = Wish(address, XBT // 10, 100_000, is_confirmed=True, nonce=nonce)
    text = to_be_signed(bare, account=1, currency="XBt")
    return msgspec.structs.replace(bare, signature=key.sign(text).hex())


def paid(custody: Custody, *wishes: Wish) -> list[bool]:
    """Have wishes journaled, and return which have left once everything is over."""
    numbers = []
    for wish in wishes:
        numbers.append(custody.exchange.wish(1, wish, now_ns=custody.now_ns))
        custody.go_on(turns=20)
    assert custody.exchange.owed_sats >= 0
    return [bool(custody.view.ledger.withdrawals[number].left) for number in numbers]


def test_what_a_client_has_signed_is_paid_once(custody: Custody) -> None:
    with_key(custody)
    mine = wished(OWN, nonce=2)
    assert paid(custody, mine, mine) == [True, False]


@pytest.mark.parametrize(
    "forged",
    [
        Wish(thief_address(9), XBT // 10, 100_000, is_confirmed=True),
        wished(ANOTHER, nonce=2, address=thief_address(9)),
        msgspec.structs.replace(wished(OWN, nonce=2), address=thief_address(9)),
        msgspec.structs.replace(wished(OWN, nonce=2), amount=XBT // 5),
        msgspec.structs.replace(wished(OWN, nonce=2), nonce=3),
    ],
    ids=["unsigned", "another key", "another address", "another amount", "another nonce"],
)
def test_the_owner_of_all_servers_asks_in_the_name_of_a_client(custody: Custody, forged: Wish) -> None:
    with_key(custody)
    assert paid(custody, forged) == [False]
    assert not any(isinstance(answer, Part) for _, _, answer in custody.heard)


def test_the_owner_of_all_servers_gives_a_client_another_key(custody: Custody) -> None:
    with_key(custody)
    for nonce, consent in ((2, ""), (3, "00" * 64)):
        custody.exchange.says(1, keyed(ANOTHER, nonce=nonce, consent=consent), now_ns=custody.now_ns)
    assert paid(custody, wished(ANOTHER, nonce=4, address=thief_address(9))) == [False]


def test_the_owner_of_all_servers_adds_an_address_to_a_client_s_list(custody: Custody) -> None:
    with_key(custody)
    home = Listed(TO, 2)
    signature = OWN.sign(to_be_signed(home, account=1)).hex()
    custody.exchange.says(1, msgspec.structs.replace(home, signature=signature), now_ns=custody.now_ns)
    custody.exchange.says(1, Listed(thief_address(9), 3), now_ns=custody.now_ns)
    assert paid(custody, wished(OWN, nonce=4), wished(OWN, nonce=5, address=thief_address(9))) == [
        True,
        False,
    ]


def test_mt_gox_2011_bitgrail_2018_paid_twice(heist: Heist) -> None:
    """Another transaction for the same request, from other coins, could confirm beside the first: it is not signed."""
    assert isinstance(heist.consider(heist.signer, heist.honest), Part)
    spent = {str(item.outpoint) for item in custody_inputs(heist.honest)}
    other = next(coin for name, coin in heist.coins.items() if name not in spent)

    def elsewhere(transaction: EmbitTransaction) -> None:
        transaction.vin[0].txid, transaction.vin[0].vout = (
            bytes.fromhex(other.outpoint.txid),
            other.outpoint.vout,
        )

    refused(heist.consider(heist.signer, heist.changed(elsewhere)), "policy", "it would be paid twice")


def custody_inputs(question: Consider) -> object:
    from ringfence.custody.quorum.multisig import read_unsigned

    return read_unsigned(question.unsigned).transaction.inputs


def test_mt_gox_2014_a_transaction_whose_name_changes(heist: Heist) -> None:
    """Nothing is keyed by the name of an unconfirmed transaction, and ours have their signatures outside of it."""
    custody = heist.custody
    custody.go_on()
    flow = heist.flow
    assert len(flow.attempts) == 1
    from ringfence.custody.quorum.multisig import read_unsigned

    assert flow.attempts[0].txid == read_unsigned(flow.unsigned).transaction.txid


def test_a_question_is_replayed(heist: Heist) -> None:
    """The nonce of the evidence is used up: the very same question again signs nothing."""
    question = msgspec.structs.replace(heist.honest, evidence=heist.evidence(heist.signer, heist.honest))
    assert isinstance(heist.ask(heist.signer, question), Part)
    refused(heist.ask(heist.signer, question), "evidence", "no nonce")


def test_evidence_of_another_transaction_or_another_day(heist: Heist) -> None:
    other = heist.evidence(heist.signer, heist.changed(thieves.pay_more))
    heist.evidence(heist.signer, heist.honest)
    refused(
        heist.ask(heist.signer, msgspec.structs.replace(heist.honest, evidence=other)), "evidence", "replay"
    )
    fresh = heist.evidence(heist.signer, heist.honest)
    heist.custody.now_ns += 120 * 10**9
    refused(
        heist.ask(heist.signer, msgspec.structs.replace(heist.honest, evidence=fresh)), "evidence", "fresh"
    )


def test_a_cosigners_machine_is_brought_back_from_an_old_copy(heist: Heist) -> None:
    """Its counter has been seen higher: the others want nothing to do with it."""
    custody = heist.custody
    assert isinstance(heist.consider(heist.signer, heist.honest), Part)
    other = next(name for name in heist.flow.quorum if name != heist.signer)
    counter = custody.hardware.folder / f"{other}.counter"
    kept = counter.read_text()
    counter.write_text("1")
    try:
        refused(heist.consider(heist.signer, heist.honest), "evidence", "an old copy was brought back")
    finally:
        counter.write_text(str(int(kept) + 1_000))


def test_softhsm_files_are_touched(heist: Heist) -> None:
    """Attributes prove nothing there; the measurement of the files does."""
    tokens = heist.custody.hardware.tokens
    victim = next(path for path in sorted(tokens.rglob("*.object")) if path.name != "token.object")
    kept = victim.read_bytes()
    shown_before = msgspec.structs.replace(heist.honest, evidence=heist.evidence(heist.signer, heist.honest))
    victim.write_bytes(kept[:-1] + bytes((kept[-1] ^ 1,)))
    try:
        refused(heist.ask(heist.signer, shown_before), "hsm", "not what was enrolled")
        refused(heist.consider(heist.signer, heist.honest), "evidence", "not those that were enrolled")
    finally:
        victim.write_bytes(kept)


def test_upbit_2025_android_2013_no_nonce_is_used_twice(heist: Heist) -> None:
    """The first half of an ECDSA signature names its nonce."""
    token = heist.custody.hardware.places["ops-1"].token
    seen = {token.sign("clients.receive.0", bytes([n]) * 32)[:32] for n in range(200)}
    assert len(seen) == 200
    # A biased nonce would show in the high bits of many.
    assert len({one[0] for one in seen}) > 80


@pytest.mark.parametrize("is_policy", [False, True])
def test_quadriga_2019_drift_2026_one_person_changes_the_policy(hardware: Hardware, is_policy: bool) -> None:
    loose = msgspec.structs.replace(FIRST_POLICY, version=2, cap=10**15)
    alone = hardware.signed(loose, by=("custody-anna",))
    charter = msgspec.structs.replace(hardware.charter, policies=(*hardware.charter.policies, alone))
    with pytest.raises(ConfigurationError, match="two people"):
        charter.policy(now_ns=10**19)
    both = hardware.signed(loose, announced_ns=10**18)
    charter = msgspec.structs.replace(hardware.charter, policies=(*hardware.charter.policies, both))
    with pytest.raises(ConfigurationError, match="comes into force"):
        charter.policy(now_ns=10**18 + 10**9)
    forged = msgspec.structs.replace(both, policy=msgspec.structs.replace(loose, cap=10**16))
    charter = msgspec.structs.replace(hardware.charter, policies=(*hardware.charter.policies, forged))
    with pytest.raises(ConfigurationError, match="is none"):
        charter.policy(now_ns=10**19)


def test_mt_gox_2011_linode_2012_an_insider_edits_the_ledger(custody: Custody) -> None:
    """A credit without coins: what is owed is more than what the chain holds, and nobody signs."""
    custody.deposit(1, XBT // 2)
    exchange = custody.exchange
    exchange.wallets[7] = 5 * XBT
    exchange.said.append(
        Moved(exchange._next(), custody.now_ns, "credit", 7, ASSET.number, 5 * XBT, outpoint="ab" * 32 + ":0")
    )
    exchange.instruction_next += 1
    assert not custody.report().agrees
    number = exchange.ask(7, XBT // 4, 100_000, THIEF, now_ns=custody.now_ns)
    for _ in range(8):
        custody.turn()
        custody.mine()
    (flow,) = custody.batches.flows.values()
    assert not flow.attempts
    assert exchange.locked[number] in (0, XBT // 4 + 100_000)


def test_upbit_2019_coins_vanish_from_the_chain(custody: Custody, hardware: Hardware) -> None:
    """Whoever takes coins past us, by whatever way: the next look says so, to the satoshi."""
    custody.deposit(1, XBT // 2)
    report = custody.report()
    assert report.agrees
    coin = custody.view.follower.confirmed_coins()[0]
    custody.view.follower._outputs[coin.outpoint].spent_by = "ff" * 32
    custody.view.follower._outputs[coin.outpoint].spent_height = custody.view.follower.height
    assert custody.report().difference == -coin.amount_sats


def test_exlly_2019_an_output_is_credited_twice(custody: Custody) -> None:
    custody.deposit(1, XBT // 2)
    replica = custody.replica()
    replica.look()
    again = next(one for one in custody.exchange.said if one.kind == "credit")
    with pytest.raises(LedgerGapError, match="credited twice"):
        replica.ledger.fold(again)


def test_a_deposit_address_is_swapped(custody: Custody, hardware: Hardware) -> None:
    """The verifier derives it again, and the book of addresses is held against the vault at every start."""
    custody.book.address_of(1)
    custody.book.address_of(2)
    path = custody.folder / "addresses"
    path.write_text(path.read_text().replace(custody.book.address_of(1).text, THIEF))
    from ringfence.custody.wallets.addresses import AddressBook, AddressBookError

    with pytest.raises(AddressBookError, match="does not derive"):
        AddressBook(path, hardware.wallets)


def test_change_goes_to_the_deposit_address_of_an_accomplice(heist: Heist) -> None:
    """It would come back to our own wallet, and be credited to somebody."""
    script = heist.custody.hardware.wallets.derivers[Owner.CLIENTS].script(Keychain.RECEIVE, 1)

    def to_accomplice(transaction: EmbitTransaction) -> None:
        from embit.script import Script

        transaction.vout[-1].script_pubkey = Script(script)

    refused(heist.consider(heist.signer, heist.changed(to_accomplice)), "policy")


def test_coins_of_another_owner_pay_for_clients(heist: Heist) -> None:
    refused(
        heist.consider(heist.signer, heist.with_intent(owner=Owner.COMPANY.text)), "batch", "several owners"
    )


def test_the_quorum_is_drawn_again_until_it_suits(heist: Heist) -> None:
    """A batch is sealed once, and its movements are in no other, for ever."""
    custody, batch = heist.custody, heist.honest.batch
    assert heist.flow.sealed is not None
    later = msgspec.structs.replace(
        heist.flow.sealed,
        sealed_height=custody.node.rpc.block_count(),
        height=custody.node.rpc.block_count() + 2,
    )
    refused(heist.ask("ops-1", Countersign(batch, later)), "sealed", "once, for ever")
    twin = msgspec.structs.replace(batch, id="batch-twin")
    for name in PLACES:
        heist.ask(name, Commit(twin))
    sealed = msgspec.structs.replace(later, batch=twin.digest.hex())
    refused(heist.ask("ops-1", Countersign(twin, sealed)), "sealed", "was in a batch already")


def test_one_batch_has_two_seals_with_witnesses_for_each(heist: Heist) -> None:
    """Each co-signer witnesses one seal of a batch, and more than half are needed: two seals never have enough."""
    custody = heist.custody
    batch = msgspec.structs.replace(
        heist.honest.batch, id="batch-split",
        intents=tuple(msgspec.structs.replace(one, id="777") for one in heist.honest.batch.intents),
    )  # fmt: skip
    commitments = {}
    for name in PLACES:
        committed = heist.ask(name, Commit(batch))
        assert isinstance(committed, Commitment)
        commitments[name] = committed.commitment
    tip = custody.node.rpc.block_count()
    assert heist.flow.sealed is not None
    one = msgspec.structs.replace(
        heist.flow.sealed, batch=batch.digest.hex(), sealed_height=tip, height=tip + 2,
        commitments=tuple(sorted(commitments.items())),
    )  # fmt: skip
    other = msgspec.structs.replace(one, height=tip + 3)
    witnesses: dict[int, list[Witnessed]] = {one.height: [], other.height: []}
    for turn in ((one, other), (other, one)):
        for place, name in enumerate(PLACES):
            seal = turn[place % 2]
            if isinstance(answer := heist.ask(name, Countersign(batch, seal)), Witnessed):
                witnesses[seal.height].append(answer)
    assert sorted(len(found) for found in witnesses.values()) == [2, 3]
    fewer = one if len(witnesses[one.height]) == 2 else other
    custody.mine(3)
    question = msgspec.structs.replace(
        heist.honest, batch=batch, sealed=fewer, witnesses=tuple(witnesses[fewer.height])
    )
    for name in PLACES:
        assert isinstance(heist.consider(name, question), Refusal)


def test_a_dishonest_coordinator_brings_the_randomness(heist: Heist) -> None:
    """The charter has no beacon, so none is announced: else who brings it would grind it until the quorum suits."""
    assert heist.flow.sealed is not None
    announced = msgspec.structs.replace(heist.flow.sealed, beacon_round=1)
    refused(heist.ask("ops-1", Countersign(heist.honest.batch, announced)), "sealed", "beacon")
    question = msgspec.structs.replace(heist.honest, sealed=announced, beacon="ab" * 32)
    refused(heist.consider(heist.signer, question), "sealed", "beacon")
    beside = msgspec.structs.replace(heist.honest, beacon="ab" * 32)
    refused(heist.consider(heist.signer, beside), "nominated", "the charter has none")


def test_a_cosigner_is_kept_blind_to_a_halt(heist: Heist) -> None:
    """What it cannot follow it does not guess."""
    heist.custody.cosigners[heist.signer].sources.trouble = lambda: "a line of the feed is missing"
    assert refused(heist.consider(heist.signer, heist.honest), "sources", "is missing").is_for_now
    refused(heist.ask(heist.signer, Commit(heist.honest.batch)), "sources")


def test_every_cosigner_counts_what_the_others_have_paid(heist: Heist) -> None:
    """Else each would see a part of the windows, and a known destination would be new to who had not signed for it."""
    custody = heist.custody
    custody.go_on()
    custody.mine(BLOCKS_KEPT + 1)
    for process in custody.cosigners.values():
        process.replica.look()
        (payment,) = process.cosigner._signed(ASSET.currency, process.rail)
        assert (payment.id, payment.destination, payment.amount) == (str(heist.number), TO, XBT // 4)
        assert custody.now_ns - payment.at_ns < NS_PER_HOUR
        entry = process.replica.ledger.withdrawals[heist.number]
        process.replica.ledger.withdrawals[heist.number] = entry._replace(txid="ab" * 32)
    outside = [process for name, process in custody.cosigners.items() if name not in heist.flow.quorum]
    assert [process.cosigner._signed(ASSET.currency, process.rail) for process in outside] == [(), ()]


def test_a_movement_of_nobodys(heist: Heist) -> None:
    batch = heist.honest.batch
    nobody = tuple(msgspec.structs.replace(one, owner="nobody") for one in batch.intents)
    bad = msgspec.structs.replace(batch, owner="nobody", intents=nobody)
    refused(heist.ask(heist.signer, Commit(bad)), "batch", "nobody is called")
    refused(heist.consider(heist.signer, msgspec.structs.replace(heist.honest, batch=bad)), "batch")


def test_who_was_not_drawn_does_not_sign(heist: Heist) -> None:
    outsider = next(name for name in PLACES if name not in heist.flow.quorum)
    answer = heist.ask(outsider, heist.honest)
    refused(answer, "nominated", "is not nominated")


def test_a_nominee_is_said_to_be_late_by_nobody(heist: Heist) -> None:
    late = msgspec.structs.replace(heist.honest, late=(heist.signer,))
    other = next(name for name in heist.flow.quorum if name != heist.signer)
    refused(heist.consider(other, late), "nominated", "waited for")


def test_a_coordinator_lets_the_time_of_a_nominee_pass(heist: Heist) -> None:
    """Each of the others asks the nominee itself: it answers, so nobody says that it was waited for in vain."""
    waited = Waited(heist.honest.sealed, heist.signer)
    others = set(PLACES) - {heist.signer}
    for name in others:
        refused(heist.ask(name, waited), "waited", "answers this co-signer, and can sign")
    heist.custody.down = {heist.signer}
    assert all(isinstance(heist.ask(name, waited), TimedOut) for name in others)


def test_one_that_is_frozen_is_not_done_without(heist: Heist) -> None:
    heist.ask(heist.signer, Freeze("a drill"))
    other = next(name for name in PLACES if name != heist.signer)
    refused(heist.ask(other, Waited(heist.honest.sealed, heist.signer)), "waited", "answers")


def test_a_policy_that_somebody_without_a_name_has_signed(heist: Heist) -> None:
    """Who owns coordinator and network brings a wide policy: no co-signer writes it down."""
    wide = msgspec.structs.replace(FIRST_POLICY, version=2, cap=10**15)
    digest = statement(b"policy", wide.digest, 0)
    forged = PolicyDocument(wide, 0, tuple((name, OWN.sign(digest).hex()) for name in PEOPLE))
    for name in PLACES:
        question = Announce(msgspec.json.encode(forged).decode())
        refused(heist.ask(name, question), "policy", "is none")
        refused(heist.ask(name, Announce("{}")), "policy", "no version")


def test_one_person_tightens_the_policy_under_way_and_nothing_more_is_signed(heist: Heist) -> None:
    tight = msgspec.structs.replace(FIRST_POLICY, version=2, cap=1)
    question = Announce(
        msgspec.json.encode(heist.custody.hardware.signed(tight, by=("custody-anna",))).decode()
    )
    assert isinstance(heist.ask(heist.signer, question), Standing)
    heist.custody.cosigners[heist.signer].restart()
    refused(heist.consider(heist.signer, heist.honest), "policy", "P1")


def test_a_contribution_is_another_than_was_promised(heist: Heist) -> None:
    first, *rest = heist.honest.contributions
    other = msgspec.structs.replace(first, contribution="00" * 32)
    question = msgspec.structs.replace(heist.honest, contributions=(other, *rest))
    refused(heist.consider(heist.signer, question), "nominated", "something else than it was committed to")


def test_nobody_reveals_before_the_block_is_there(custody: Custody) -> None:
    """Who knew the contributions in time could choose the batch by them."""
    custody.deposit(1, XBT // 2)
    custody.exchange.ask(1, XBT // 10, 100_000, TO, now_ns=custody.now_ns)
    custody.turn()
    (flow,) = custody.batches.flows.values()
    assert flow.sealed is not None
    for name in PLACES:
        refused(
            custody.cosigners[name].answer(Reveal(flow.sealed, flow.witnesses)), "reveal", "is not there yet"
        )
    custody.mine(2)
    for name in PLACES:
        refused(
            custody.cosigners[name].answer(Reveal(flow.sealed, flow.witnesses[:2])),
            "nominated",
            "saw the seal",
        )


def test_a_stranger_asks(heist: Heist) -> None:
    """Only over the coordinator's certificate; anybody may ask for a stop."""
    for question in (heist.honest, Commit(heist.honest.batch), Show("ops-1", "00", "00")):
        refused(heist.ask(heist.signer, question, is_coordinator=False), "authenticated")


def test_a_frozen_cosigner_signs_nothing_whoever_asks(heist: Heist) -> None:
    from ringfence.custody.quorum.messages import Freeze

    for name in heist.flow.quorum:
        heist.ask(name, Freeze("something is wrong"), is_coordinator=False)
        heist.custody.cosigners[name].restart()
    shown = heist.ask(heist.signer, Show("ops-1", "00", "00"))
    assert not isinstance(shown, Shown)
    answer = heist.consider(heist.signer, heist.honest)
    assert isinstance(answer, Refusal)
    assert not heist.parts


def test_a_line_of_a_cosigners_log_is_taken_out_or_changed(heist: Heist) -> None:
    """Its memory is what stops it from paying twice: it does not start without it."""
    process = heist.custody.cosigners[heist.signer]
    assert isinstance(heist.consider(heist.signer, heist.honest), Part)
    lines = process.path.read_bytes().splitlines(keepends=True)
    for damaged in (lines[:-2] + lines[-1:], [*lines[:-1], lines[-1].replace(b'"signed"', b'"signet"')]):
        process.path.write_bytes(b"".join(damaged))
        with pytest.raises(LogError):
            process.restart()
        process.path.write_bytes(b"".join(lines))
    process.restart()
    refused(heist.ask(heist.signer, heist.honest), "evidence")


@pytest.mark.parametrize("kept", ["all but the last line", "all but the last byte", "nothing"])
def test_the_end_of_a_cosigners_log_is_cut_off(heist: Heist, kept: str) -> None:
    """A torn line at the end was told to nobody; one that was told is counted, and it does not start without it."""
    process = heist.custody.cosigners[heist.signer]
    assert isinstance(heist.consider(heist.signer, heist.honest), Part)
    raw = process.path.read_bytes()
    lines = raw.splitlines(keepends=True)
    cut = {"all but the last line": b"".join(lines[:-1]), "all but the last byte": raw[:-1], "nothing": b""}[
        kept
    ]
    process.path.write_bytes(cut)
    with pytest.raises(LogError, match="cut off the end"):
        process.restart()
    process.path.write_bytes(raw + raw[:20])
    process.restart()
    assert process.path.read_bytes() == raw
    assert process.memory.signed


def test_the_disk_is_full_in_the_middle_of_a_line(heist: Heist, monkeypatch: pytest.MonkeyPatch) -> None:
    """No signature leaves whose line is not on the disk, nor any after it before the log was read anew."""
    process = heist.custody.cosigners[heist.signer]
    evidence = heist.evidence(heist.signer, heist.honest)
    question = msgspec.structs.replace(heist.honest, evidence=evidence)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    append = Log.append

    def with_little_room(log: Log, kind: str, body: dict[str, Any], *, now_ns: int) -> Entry:
        if kind == "signed":
            resource.setrlimit(resource.RLIMIT_FSIZE, (process.path.stat().st_size + 50, limits[1]))
        return append(log, kind, body, now_ns=now_ns)

    monkeypatch.setattr(Log, "append", with_little_room)
    try:
        refused(heist.ask(heist.signer, question), "log")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    monkeypatch.undo()
    refused(heist.consider(heist.signer, heist.honest), "log", "start again")
    process.restart()
    assert not process.memory.signed
    assert isinstance(heist.consider(heist.signer, heist.honest), Part)


def test_a_log_of_another_cosigner_is_put_in_its_place(heist: Heist) -> None:
    process, other = heist.custody.cosigners["ops-1"], heist.custody.cosigners["ops-2"]
    kept = process.path.read_bytes()
    shutil.copyfile(other.path, process.path)
    with pytest.raises(LogError, match="not signed"):
        process.restart()
    process.path.write_bytes(kept)
    process.restart()


def test_slope_2022_secrets_are_in_no_log_and_no_message(heist: Heist, hardware: Hardware) -> None:
    from ringfence.testing.tokens import PIN

    heist.custody.go_on()
    said = b"".join(path.read_bytes() for path in Path(heist.custody.folder).iterdir() if path.is_file())
    said += json.dumps([str(one) for one in heist.custody.heard]).encode()
    assert len(said) > 10_000
    assert PIN.encode() not in said
    for key in hardware.people.values():
        assert key.private_bytes_raw().hex().encode() not in said


def test_contributions_are_left_out_until_the_quorum_suits(heist: Heist) -> None:
    """Whoever is not waited for by two others is in the draw, and a nominee's contribution is never left out."""
    for contribution in heist.honest.contributions:
        fewer = tuple(one for one in heist.honest.contributions if one != contribution)
        question = msgspec.structs.replace(heist.honest, contributions=fewer)
        for name in PLACES:
            # Whether or not the new draw would have nominated it: by chance it might not.
            refused(heist.consider(name, question), "nominated", "in vain")
    assert not heist.parts


@pytest.mark.parametrize(
    ("who", "is_enough"),
    [
        ((), False),
        (("custody-anna",), False),
        (("custody-anna", "custody-anna"), False),
        (("custody-anna", "custody-bert"), True),
    ],
)
def test_one_person_alone_does_not_lift_a_freeze(
    custody: Custody, who: tuple[str, ...], is_enough: bool
) -> None:
    """Nor do two signatures for another co-signer, or for a freeze before."""
    from ringfence.custody.quorum.messages import Freeze, Standing, Status, Thaw, statement

    process, people = custody.cosigners["ops-1"], custody.hardware.people
    process.answer(Freeze("a drill"), is_coordinator=False)
    process.restart()
    standing = process.answer(Status())
    assert isinstance(standing, Standing)
    assert standing.is_frozen
    for signer, line in (("ops-2", standing.frozen), ("ops-1", "00" * 32)):
        digest = statement(b"thaw", signer, line)
        both = tuple((name, people[name].sign(digest).hex()) for name in people)
        refused(process.answer(Thaw(line, both)), "thaw")
    digest = statement(b"thaw", "ops-1", standing.frozen)
    answer = process.answer(
        Thaw(standing.frozen, tuple((name, people[name].sign(digest).hex()) for name in who))
    )
    if is_enough:
        assert isinstance(answer, Standing)
        process.restart()
    else:
        refused(answer, "thaw", "2 people")
    after = process.answer(Status())
    assert isinstance(after, Standing)
    assert after.is_frozen != is_enough
