"""What a dishonest coordinator, or whoever changes what it asks, can put before co-signers: all of them refuse.

Every batch here is sealed and drawn as it has to be, and the evidence is fresh: what stops a theft is what a co-signer
works out by itself, from the very bytes.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, NamedTuple

import msgspec
import pytest
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.message import Message
from solders.pubkey import Pubkey
from solders.system_program import ID as SYSTEM_PROGRAM
from solders.system_program import AdvanceNonceAccountParams, advance_nonce_account

from ringfence.custody.chains.ethereum import transactions as ethereum
from ringfence.custody.chains.ethereum.addresses import read_address, spelt
from ringfence.custody.chains.ethereum.calls import transfer_data
from ringfence.custody.chains.ethereum.devnet import USDT_ADDRESS
from ringfence.custody.chains.solana import addresses as solana_addresses
from ringfence.custody.chains.solana import messages as solana
from ringfence.custody.intents import Intent, Kind
from ringfence.custody.quorum.messages import Attach, Commit, Freeze, Part, Show, Standing
from ringfence.testing.account_custody import (
    ETHEREUM,
    SOLANA,
    WEI_PER_GWEI,
    AccountCustody,
    Hardware,
    Proposal,
    assert_refused,
    assets_of,
)
from ringfence.testing.bitcoin import RunningNode
from ringfence.units.assets import ETH, SOL, USDT, Asset
from tests.custody_accounts.conftest import Found, founded
from tests.custody_accounts.test_stories import (
    ONE_SOL,
    ONE_USDT,
    SOLANA_STRANGER,
    STRANGER,
    swept,
)

THIEF, SOLANA_THIEF = spelt(b"\x66" * 20), solana_addresses.spelt(b"\x66" * 31 + b"\x02")
_NAMES = count(1)


class Heist(NamedTuple):
    """A custody with a withdrawal that was paid, one that came back, and one that is put before the co-signers."""

    custody: AccountCustody
    paid: int
    returned: int
    proposal: Proposal
    raw: bytes
    """What the honest coordinator would have signed for it."""

    @property
    def treasury(self) -> str:
        return self.proposal.rail.room.treasury

    def address(self, account: int) -> str:
        return self.proposal.rail.room.deposit_address(account)

    def sweep(self, asset: Asset, **changes: Any) -> Intent:
        """Return what moves an account's deposit to the treasury, perhaps with something else in it."""
        bare = Intent(
            id=f"sweep-forged-{next(_NAMES):03}", kind=Kind.SWEEP, chain=self.proposal.flow.chain, asset=asset.currency,
            owner="clients", account=0, destination=self.treasury, amount=1_000_000, fee_max=0,
            requested_ns=self.custody.now_ns, expires_ns=self.custody.now_ns + 10**12, requested_by="coordinator",
            source=self.address(1),
        )  # fmt: skip
        return msgspec.structs.replace(bare, **changes)


@contextmanager
def prepared(
    folder: Any, hardware: Hardware, node: RunningNode, chain: str, asset: Asset, to: str
) -> Iterator[Heist]:
    with founded(folder, hardware, node, chain) as custody:
        one, fee_max = 10**9, 2_000_000 if chain == ETHEREUM else 10_000
        custody.deposit(1, asset, 6 * 10**18 if chain == ETHEREUM else 6 * ONE_SOL)
        swept(custody, asset, 1)
        if chain == ETHEREUM:
            custody.deposit(2, USDT, 500 * ONE_USDT)
            swept(custody, USDT, 2)
        custody.deposit(3, asset, 10**16 if chain == ETHEREUM else 2_000_000)
        paid = custody.ask_for(1, asset, one, to, fee_max=fee_max)
        custody.finish(paid)
        returned = custody.ask_for(1, asset, one, to, fee_max=fee_max)
        custody.write("refused", {"withdrawal": str(returned), "because": "a drill"})
        custody.finish(returned)
        number = custody.ask_for(1, asset, one, to, fee_max=fee_max)
        proposal = Proposal(custody, custody.intent(number))
        yield Heist(custody, paid, returned, proposal, proposal.honest())


@pytest.fixture(scope="module")
def ether(tmp_path_factory: pytest.TempPathFactory, hardware: Hardware, node: RunningNode) -> Iterator[Heist]:
    with prepared(tmp_path_factory.mktemp("ether"), hardware, node, ETHEREUM, ETH, STRANGER) as heist:
        yield heist
        # Without this everything above could pass for a custody that signs nothing.
        heist.proposal.agreed(heist.raw)


@pytest.fixture(scope="module")
def sol(tmp_path_factory: pytest.TempPathFactory, hardware: Hardware, node: RunningNode) -> Iterator[Heist]:
    with prepared(tmp_path_factory.mktemp("sol"), hardware, node, SOLANA, SOL, SOLANA_STRANGER) as heist:
        yield heist
        heist.proposal.agreed(heist.proposal.honest())


# ---- Ethereum: other bytes for an honest movement

T = ethereum.Transaction
TOKEN = USDT_ADDRESS


def call(selector: str, to: bytes = TOKEN) -> Callable[[T], T]:
    data = bytes.fromhex(selector) + read_address(THIEF).rjust(32, b"\0") + (10**12).to_bytes(32, "big")
    return lambda t: t._replace(to=to, value_wei=0, data=data, gas_limit=90_000)


@pytest.mark.parametrize(
    ("change", "step", "words"),
    [
        (lambda t: t._replace(value_wei=t.value_wei + WEI_PER_GWEI), "policy", "1000000001 leave, 1000000000"),
        (lambda t: t._replace(value_wei=t.value_wei + 1), "decoded", "not whole Gwei"),
        (lambda t: t._replace(to=read_address(THIEF)), "policy", "P15"),
        (lambda t: t._replace(chain_id=1), "decoded", "it is for chain 1"),
        (lambda t: t._replace(nonce=t.nonce - 1), "decoded", "the next is"),
        (lambda t: t._replace(nonce=t.nonce + 1), "decoded", "the next is"),
        (lambda t: t._replace(fee_per_gas_max_wei=10**14), "policy", "P13"),
        (lambda t: t._replace(gas_limit=10**7), "policy", "P13"),
        (call("a9059cbb"), "decoded", "it moves 1000000000000 of USDt"),
        (call("a9059cbb", b"\x01" * 20), "decoded", "a token that is not listed"),
        (call("095ea7b3"), "decoded", "approve"), (call("39509351"), "decoded", "increaseAllowance"),
        (call("23b872dd"), "decoded", "transferFrom"), (call("f2fde38b"), "decoded", "transferOwnership"),
        (call("ac9650d8"), "decoded", "multicall"), (call("40c10f19"), "decoded", "a call that custody does not know"),
        (call("a9059c"), "decoded", "does not know"),
        (lambda t: t._replace(to=TOKEN), "decoded", "where it would be lost"),
        (lambda t: t._replace(value_wei=0), "decoded", "it pays nothing"),
    ],
)  # fmt: skip
def test_ethereum_bytes_that_do_something_else(
    ether: Heist, change: Callable[[T], T], step: str, words: str
) -> None:
    transaction = change(ethereum.read_unsigned(ether.raw))
    ether.proposal.refused(ethereum.unsigned_bytes(transaction), step, words)


@pytest.mark.parametrize(
    "change",
    [lambda raw: raw + b"\0", lambda raw: raw[:-1], lambda raw: b"\1" + raw[1:], lambda raw: b"", lambda raw: raw[1:]],
)  # fmt: skip
def test_ethereum_bytes_that_are_no_transaction(ether: Heist, change: Callable[[bytes], bytes]) -> None:
    ether.proposal.refused(change(ether.raw), "decoded", "")


@pytest.mark.parametrize(
    ("change", "step", "words"),
    [
        (lambda t: t._replace(data=transfer_data(read_address(STRANGER), 10**7 + 1)), "policy", "10000001 leave"),
        (lambda t: t._replace(data=transfer_data(read_address(THIEF), 10**7)), "policy", "P15"),
        (lambda t: t._replace(value_wei=WEI_PER_GWEI), "decoded", "sends Gwei as well"),
        (lambda t: t._replace(data=t.data + bytes(32)), "decoded", "two arguments and nothing behind"),
        (lambda t: t._replace(to=read_address(STRANGER), value_wei=10**16, data=b""), "decoded", "it moves"),
        (lambda t: t._replace(gas_limit=2 * 10**6), "policy", "P13"),
    ],
)  # fmt: skip
def test_token_bytes_that_do_something_else(
    ether: Heist, change: Callable[[T], T], step: str, words: str
) -> None:
    number = ether.custody.ask_for(2, USDT, 10 * ONE_USDT, STRANGER)
    proposal = Proposal(ether.custody, ether.custody.intent(number))
    proposal.refused(ethereum.unsigned_bytes(change(ethereum.read_unsigned(proposal.honest()))), step, words)


# ---- Solana


def message(*instructions: Instruction, payer: bytes, blockhash: bytes) -> bytes:
    return bytes(
        Message.new_with_blockhash(instructions, Pubkey.from_bytes(payer), Hash.from_bytes(blockhash))
    )


def _advance(payer: Pubkey) -> AdvanceNonceAccountParams:
    return AdvanceNonceAccountParams(nonce_pubkey=Pubkey.new_unique(), authorized_pubkey=payer)


def with_durable_nonce(said: solana.Payment) -> bytes:
    """A message that could be sent years later: its first instruction takes the nonce of an account on."""
    payer = Pubkey.from_bytes(said.payer)
    advance = advance_nonce_account(_advance(payer))
    paying = solana._paying(said)
    return message(advance, paying, payer=said.payer, blockhash=said.blockhash)


def only_durable_nonce(said: solana.Payment) -> bytes:
    payer = Pubkey.from_bytes(said.payer)
    advance = advance_nonce_account(_advance(payer))
    return message(advance, payer=said.payer, blockhash=said.blockhash)


def assigned(said: solana.Payment) -> bytes:
    """The system program gives the treasury to another program: of Solana's thefts the quietest."""
    data = (1).to_bytes(4, "little") + b"\x66" * 32
    metas = [AccountMeta(Pubkey.from_bytes(said.payer), is_signer=True, is_writable=True)]
    return message(Instruction(SYSTEM_PROGRAM, data, metas), payer=said.payer, blockhash=said.blockhash)


def swept_away(said: solana.Payment) -> bytes:
    """Out of a deposit address instead of the treasury."""
    seed = solana_addresses.deposit_seed(said.payer, 3)
    source = solana_addresses.derived(said.payer, seed)
    return solana.unsigned_bytes(
        solana.Sweep(said.payer, source, seed, said.to, said.lamports, said.blockhash)
    )


def changed(**changes: Any) -> Callable[[solana.Payment], bytes]:
    return lambda said: solana.unsigned_bytes(said._replace(**changes))


@pytest.mark.parametrize(
    ("change", "step", "words"),
    [
        (changed(lamports=ONE_SOL + 1), "policy", "1000000001 leave, 1000000000"),
        (changed(to=solana_addresses.read_address(SOLANA_THIEF)), "policy", "P15"),
        (changed(payer=b"\x66" * 31 + b"\x02"), "decoded", "pays for it"),
        (changed(blockhash=b"\x01" * 32), "decoded", "too old, or none of this chain"),
        (swept_away, "decoded", "it moves coins of"),
        (with_durable_nonce, "decoded", "2 instructions"), (only_durable_nonce, "decoded", "a durable nonce"),
        (assigned, "decoded", "something else than transfer"),
        (lambda said: solana.unsigned_bytes(said) + b"\0", "decoded", ""),
        (lambda said: b"\x80" + solana.unsigned_bytes(said), "decoded", "versioned"),
    ],
)  # fmt: skip
def test_solana_bytes_that_do_something_else(
    sol: Heist, change: Callable[[solana.Payment], bytes], step: str, words: str
) -> None:
    said = solana.read_unsigned(sol.raw)
    assert isinstance(said, solana.Payment)
    sol.proposal.refused(change(said), step, words)


def test_a_blockhash_that_has_expired(found: Found) -> None:
    custody = found(SOLANA)
    custody.deposit(1, SOL, 3 * ONE_SOL)
    swept(custody, SOL, 1)
    number = custody.ask_for(1, SOL, ONE_SOL, SOLANA_STRANGER, fee_max=10_000)
    proposal = Proposal(custody, custody.intent(number))
    raw = proposal.honest()
    custody.solana.advance(160)
    proposal.refused(raw, "decoded", "its blockhash is too old")
    proposal.agreed(proposal.honest())


# ---- movements that nobody has asked for


@pytest.mark.parametrize("chain", ["ether", "sol"])
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"id": "999999"}, "the ledger knows no withdrawal 999999"),
        ({"amount": 2_000_000}, "P21"), ({"account": 2}, "P21"), ({"destination": "thief"}, "P21"),
        ({"kind": Kind.REFILL}, "P10"), ({"chain": "main"}, ""), ({"expires_ns": 0}, "P23"),
    ],
)  # fmt: skip
def test_a_withdrawal_that_nobody_has_asked_for(
    request: pytest.FixtureRequest, chain: str, changes: dict[str, Any], words: str
) -> None:
    heist: Heist = request.getfixturevalue(chain)
    custody, asset = heist.custody, ETH if chain == "ether" else SOL
    to, thief = (STRANGER, THIEF) if chain == "ether" else (SOLANA_STRANGER, SOLANA_THIEF)
    number = custody.ask_for(1, asset, 3_000_000, to, fee_max=100_000)
    wanted = {**changes, **({"destination": thief} if "destination" in changes else {})}
    if "chain" in wanted:
        for one in custody.cosigners.values():
            intent = custody.intent(number, chain="eip155:1")
            batch = msgspec.structs.replace(heist.proposal.flow.batch, id="batch-other", intents=(intent,))
            assert_refused(one.answer(Commit(batch)), "batch", "neither charter nor annex names the chain")
        return
    proposal = Proposal(custody, custody.intent(number, **wanted))
    proposal.refused(proposal.honest(), "policy", words)


@pytest.mark.parametrize("what", ["paid", "returned"])
@pytest.mark.parametrize("chain", ["ether", "sol"])
def test_a_withdrawal_that_is_over(request: pytest.FixtureRequest, chain: str, what: str) -> None:
    heist: Heist = request.getfixturevalue(chain)
    number: int = getattr(heist, what)
    proposal = Proposal(heist.custody, heist.custody.intent(number))
    if what == "returned":
        proposal.refused(proposal.honest(), "policy", f"the ledger knows no withdrawal {number}")
    else:  # it was in a batch, and is in that one for ever: nobody witnesses another seal
        assert not proposal.flow.witnesses
        assert not proposal.flow.quorum


@pytest.mark.parametrize("chain", ["ether", "sol"])
def test_a_client_is_not_paid_at_an_address_of_ours(request: pytest.FixtureRequest, chain: str) -> None:
    heist: Heist = request.getfixturevalue(chain)
    asset = ETH if chain == "ether" else SOL
    number = heist.custody.ask_for(1, asset, 3_000_000, heist.address(2), fee_max=100_000)
    proposal = Proposal(heist.custody, heist.custody.intent(number))
    proposal.refused(proposal.honest(), "policy", "")


@pytest.mark.parametrize("chain", ["ether", "sol"])
def test_two_movements_in_one_transaction(request: pytest.FixtureRequest, chain: str) -> None:
    heist: Heist = request.getfixturevalue(chain)
    asset = ETH if chain == "ether" else SOL
    to, thief = (STRANGER, THIEF) if chain == "ether" else (SOLANA_STRANGER, SOLANA_THIEF)
    numbers = [
        heist.custody.ask_for(1, asset, 3_000_000, address, fee_max=100_000) for address in (to, thief)
    ]
    proposal = Proposal(heist.custody, *(heist.custody.intent(one) for one in numbers))
    proposal.refused(proposal.honest(), "decoded", "makes one movement")


@pytest.mark.parametrize("chain", ["ether", "sol"])
def test_a_sweep_to_a_stranger_or_from_one(request: pytest.FixtureRequest, chain: str) -> None:
    heist: Heist = request.getfixturevalue(chain)
    asset = ETH if chain == "ether" else SOL
    to, thief = (STRANGER, THIEF) if chain == "ether" else (SOLANA_STRANGER, SOLANA_THIEF)
    heist.custody.pay_in(
        heist.proposal.flow.chain, heist.address(4), 10**16 if chain == "ether" else 5_000_000
    )
    heist.custody.mine(3)
    away = Proposal(heist.custody, heist.sweep(asset, destination=thief, source=heist.address(4)))
    away.refused(away.honest(), "policy", "P9")
    out = Proposal(heist.custody, heist.sweep(asset, destination=thief, source=heist.treasury))
    out.refused(out.honest(), "policy", "P9")
    for source in (to, ""):
        strange = Proposal(heist.custody, heist.sweep(asset, source=source))
        strange.refused(heist.raw, "decoded", "is no address of ours to move from")


def test_a_sweep_when_the_company_has_paid_in_nothing(found: Found) -> None:
    for chain, asset, raw in ((ETHEREUM, ETH, 10**18), (SOLANA, SOL, ONE_SOL)):
        if chain == ETHEREUM:
            custody = found(chain, fees_raw=0)
            custody.deposit(1, asset, raw)
            room = custody.rails[chain].room
            intent = custody.rails[chain]._movement(
                asset.currency, room.deposit_address(1), room.treasury, 10**17, 1, custody.batches, custody.now_ns
            )  # fmt: skip
            proposal = Proposal(custody, intent)
            proposal.refused(proposal.honest(), "policy", "what the company has put aside for fees of 0")


# ---- who signs, and on what evidence


def test_a_second_payload_for_one_withdrawal(ether: Heist) -> None:
    """The first was signed at a nonce that something else has used since: whether it can still come nobody knows."""
    custody = ether.custody
    number = custody.ask_for(1, ETH, 3_000_000, STRANGER, fee_max=1_000_000)
    proposal = Proposal(custody, custody.intent(number))
    first = proposal.honest()
    proposal.agreed(first)
    nonce = custody.ethereum.nonce(ether.treasury, "latest")
    custody.ethereum.call("anvil_setNonce", ether.treasury, hex(nonce + 1))
    try:
        second = proposal.honest()
        assert ethereum.read_unsigned(second).nonce == nonce + 1
        for told in proposal.consider(second).values():
            assert_refused(told, "policy", "both could confirm: it would be paid twice")
        for one in custody.cosigners.values():
            one.restart()  # it is the log that remembers
        for told in proposal.consider(second).values():
            assert_refused(told, "policy", "both could confirm: it would be paid twice")
    finally:
        custody.ethereum.call("anvil_setNonce", ether.treasury, hex(nonce))


@pytest.mark.parametrize("chain", ["ether", "sol"])
def test_the_quorum_is_another_than_was_drawn(request: pytest.FixtureRequest, chain: str) -> None:
    heist: Heist = request.getfixturevalue(chain)
    proposal, raw = heist.proposal, heist.proposal.honest()
    first, *others = proposal.flow.quorum
    outsider = next(name for name in heist.custody.cosigners if name not in proposal.flow.quorum)
    told = heist.custody.cosigners[outsider].answer(proposal.question(outsider, raw))
    assert_refused(told, "nominated", f"{outsider} is not nominated")
    for name in others:  # left out without anybody having waited
        told = heist.custody.cosigners[name].answer(proposal.question(name, raw, late=(first,)))
        assert_refused(told, "nominated", "waited for")
    for name in others:  # three instead of four: the fourth shows nothing
        question = proposal.question(name, raw)
        fewer = tuple(one for one in question.evidence if one.signer != first)
        told = heist.custody.cosigners[name].answer(msgspec.structs.replace(question, evidence=fewer))
        assert_refused(told, "evidence", f"{first} has shown nothing")
    contributions = proposal.flow.contributions[1:]
    for name in proposal.flow.quorum:
        told = heist.custody.cosigners[name].answer(proposal.question(name, raw, contributions=contributions))
        assert_refused(told, "nominated", "in vain")


def test_evidence_is_missing_or_of_something_else(ether: Heist) -> None:
    proposal, raw = ether.proposal, ether.raw
    proposal.refused(raw, "evidence", "has shown nothing", evidence=())
    name, other = proposal.flow.quorum[:2]
    bare = ethereum.unsigned_bytes(ethereum.read_unsigned(raw)._replace(nonce=77))
    elsewhere = proposal.question(other, bare).evidence
    told = ether.custody.cosigners[name].answer(proposal.question(name, raw, evidence=elsewhere))
    assert_refused(told, "evidence")


def test_nobody_but_the_coordinator_is_signed_for(ether: Heist) -> None:
    for name in ether.proposal.flow.quorum:
        question = ether.proposal.question(name, ether.raw)
        told = ether.custody.cosigners[name].answer(question, is_coordinator=False)
        assert_refused(told, "authenticated")


@pytest.mark.parametrize("chain", ["ether", "sol"])
def test_a_halted_asset(request: pytest.FixtureRequest, chain: str) -> None:
    heist: Heist = request.getfixturevalue(chain)
    asset = ETH if chain == "ether" else SOL
    processes = heist.custody.cosigners.values()
    for one in processes:
        one.feed.ledger.halted_assets = frozenset({asset.number})
    try:
        heist.proposal.refused(heist.proposal.honest(), "policy", "P26")
        batch = msgspec.structs.replace(
            heist.proposal.flow.batch, id="batch-new", intents=(heist.sweep(asset),)
        )
        for one in processes:
            assert_refused(one.answer(Commit(batch)), "frozen", "withdrawals of the asset are halted")
    finally:
        for one in processes:
            one.feed.ledger.halted_assets = frozenset()


def test_a_cosigner_that_is_frozen(found: Found) -> None:
    custody = found(SOLANA)
    custody.deposit(1, SOL, 3 * ONE_SOL)
    swept(custody, SOL, 1)
    number = custody.ask_for(1, SOL, ONE_SOL, SOLANA_STRANGER, fee_max=10_000)
    proposal = Proposal(custody, custody.intent(number))
    raw = proposal.honest()
    frozen, other = (custody.cosigners[name] for name in proposal.flow.quorum[:2])
    assert isinstance(other.answer(proposal.question(other.name, raw)), Part)
    assert isinstance(frozen.answer(Freeze("a drill"), is_coordinator=False), Standing)
    frozen.restart()
    assert_refused(frozen.answer(Show("ops-1", "00", "00")), "frozen", "a drill")
    assert_refused(frozen.answer(proposal.question(frozen.name, raw)), "policy", "P26: signing is frozen")
    (told,) = proposal.join(proposal.rail.subject(raw.hex()), who=(frozen.name,))
    assert_refused(told, "frozen", "a drill")


# ---- annexes


@pytest.mark.parametrize(
    ("by", "changes", "step", "words"),
    [
        ((), {}, "policy", "2 people of different groups must sign an annex"),
        (("custody-anna",), {}, "policy", "2 people of different groups"),
        (None, {"key": "nobody's"}, "policy", "no share of nobody's"),
        (None, {"threshold": 3}, "policy", "does not know of it"),
        (None, {"public_key": "02" + "11" * 32}, "policy", "does not know of it"),
        (None, {"chain_code": "11" * 32}, "policy", "does not know of it"),
        (None, {"assets": ()}, "policy", "names assets of the ledger"),
    ],
)  # fmt: skip
def test_an_annex_that_is_none(
    sol: Heist, by: tuple[str, ...] | None, changes: dict[str, Any], step: str, words: str
) -> None:
    """Here of Ethereum, which this custody is not connected to."""
    custody = sol.custody
    record = custody.hardware.keys[ETHEREUM]
    wanted = {
        "chain": ETHEREUM, "key": record.name, "public_key": record.public_key, "chain_code": record.chain_code,
        "assets": assets_of(ETHEREUM), **changes,
    }  # fmt: skip
    bare = msgspec.structs.replace(custody.annexes[SOLANA], **wanted)
    annex = custody.signed(bare) if by is None else custody.signed(bare, by=by)
    for one in custody.cosigners.values():
        told = one.answer(Attach(msgspec.json.encode(annex).decode()), is_coordinator=False)
        assert_refused(told, step, words)
        assert set(one.memory.annexes) == {SOLANA}


def test_an_annex_changes_in_nothing_but_its_key(ether: Heist) -> None:
    custody = ether.custody
    first = custody.annexes[ETHEREUM]
    second = custody.signed(msgspec.structs.replace(first, follow_from_height=first.follow_from_height + 1))
    changed_signature = custody.signed(msgspec.structs.replace(first, signatures=()))
    for one in custody.cosigners.values():
        told = one.answer(Attach(msgspec.json.encode(second).decode()))
        assert_refused(told, "annex", f"there is another annex for {ETHEREUM}")
        same = one.answer(Attach(msgspec.json.encode(changed_signature).decode()))
        assert isinstance(same, Standing)
        assert one.memory.annexes[ETHEREUM] == first


@pytest.mark.parametrize(
    ("changes", "by", "step", "words"),
    [
        ({}, None, "policy", "no share of another"),
        ({}, ("custody-anna",), "policy", "people of different groups"),
        ({"left": ()}, None, "annex", "there is another annex"),
        ({"follow_from_height": 0}, None, "annex", "there is another annex"),
    ],
)  # fmt: skip
def test_a_key_that_takes_the_place_of_another(
    ether: Heist, changes: dict[str, Any], by: tuple[str, ...] | None, step: str, words: str
) -> None:
    custody = ether.custody
    first = custody.annexes[ETHEREUM]
    wanted = {"key": "another", "public_key": "02" + "11" * 32, "left": first.keys, **changes}
    bare = msgspec.structs.replace(first, **wanted)
    annex = custody.signed(bare) if by is None else custody.signed(bare, by=by)
    for one in custody.cosigners.values():
        assert_refused(one.answer(Attach(msgspec.json.encode(annex).decode())), step, words)
        assert one.memory.annexes[ETHEREUM] == first


def test_an_annex_whose_policy_is_not_the_first(sol: Heist) -> None:
    """Signed by people, and still none: it is refused by name like everything else."""
    custody = sol.custody
    record = custody.hardware.keys[ETHEREUM]
    ether, usdt = assets_of(ETHEREUM)
    late = msgspec.structs.replace(ether, policy=msgspec.structs.replace(ether.policy, version=2))
    annex = custody.signed(
        msgspec.structs.replace(
            custody.annexes[SOLANA], chain=ETHEREUM, key=record.name, public_key=record.public_key,
            chain_code=record.chain_code, assets=(late, usdt),
        )
    )  # fmt: skip
    for one in custody.cosigners.values():
        told = one.answer(Attach(msgspec.json.encode(annex).decode()))
        assert_refused(told, "policy", "the first version has the number 1")
