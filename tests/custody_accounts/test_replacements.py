"""A transaction that does not come into a block: another takes its place, and only one of them ever lands."""

from typing import Any

import pytest

import ringfence.custody.chains.accounts as accounts
from ringfence.custody.chains.ethereum import transactions as ethereum
from ringfence.custody.chains.solana import messages as solana
from ringfence.custody.coordinator.batches import Flow
from ringfence.custody.quorum.messages import Part, Recall
from ringfence.testing.account_custody import (
    ETHEREUM,
    SOLANA,
    AccountCustody,
    Proposal,
    assert_refused,
    sendable,
)
from ringfence.testing.custody import Stopped
from ringfence.units.assets import ETH
from tests.custody_accounts.conftest import Found
from tests.custody_accounts.test_joining import asked, with_sol
from tests.custody_accounts.test_stories import ONE_ETH, ONE_SOL, SOLANA_STRANGER, STRANGER, swept

GWEI = 10**9


def dear_blocks(custody: AccountCustody, blocks: int, *, gwei: int = 6) -> None:
    """Make blocks in which what was signed in cheaper times has no place."""
    for _ in range(blocks):
        custody.ethereum.call("anvil_setNextBlockBaseFeePerGas", hex(gwei * GWEI))
        custody.mine()
        custody.turn()


def stuck(custody: AccountCustody) -> Flow:
    """Return a withdrawal of an ether whose transaction waits for a block."""
    custody.deposit(1, ETH, 3 * 10**18)
    swept(custody, ETH, 1)
    custody.ask_for(1, ETH, ONE_ETH, STRANGER, fee_max=2_000_000)
    custody.until(
        lambda: bool(custody.flows()[-1].attempts) and custody.flows()[-1].batch.intents[0].account == 1
    )
    return custody.flows()[-1]


def test_ethereum_replaces_what_is_stuck_at_the_same_nonce(found: Found) -> None:
    custody = found(ETHEREUM)
    flow = stuck(custody)
    dear_blocks(custody, 8)
    assert len(flow.attempts) == 2
    first, second = (ethereum.read_unsigned(bytes.fromhex(one.unsigned)) for one in flow.attempts)
    assert (first.nonce, first.to, first.value_wei) == (second.nonce, second.to, second.value_wei)
    assert second.fee_per_gas_max_wei >= first.fee_per_gas_max_wei * 11 // 10
    number = int(flow.batch.intents[0].id)
    done = custody.finish(number)
    assert done.txid == flow.attempts[1].txid
    custody.ethereum.mine(4)
    assert custody.ethereum.balance_wei(STRANGER, "latest") == 10**18


def test_a_replacement_that_nobody_needs_any_more_is_not_asked_for_again(found: Found) -> None:
    """It was built, and the first transaction has come into a block after all."""
    custody = found(ETHEREUM)
    flow = stuck(custody)
    quorum = set(flow.quorum)
    custody.down = quorum  # nobody signs the replacement
    dear_blocks(custody, 8)
    assert len(flow.attempts) == 1
    assert not flow.is_collected
    dear_blocks(custody, 1, gwei=1)  # and cheap enough for the first one, which is sent again
    custody.mine()
    custody.down = set()
    custody.turn()
    assert custody.rails[ETHEREUM].confirmations(flow.attempts[0]) > 0
    lines, questions = (custody.folder / "coordinator.log").read_bytes(), len(custody.heard)
    for _ in range(3):
        custody.turn()
    assert (custody.folder / "coordinator.log").read_bytes() == lines
    assert len(custody.heard) == questions
    done = custody.finish(int(flow.batch.intents[0].id))
    assert done.txid == flow.attempts[0].txid
    assert custody.ethereum.balance_wei(STRANGER, "latest") == 10**18


def test_the_price_does_not_climb_while_a_cosigners_node_is_away(
    found: Found, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody may have a signature, so the nonce stays; to build it dearer at every refusal would leave it unpaid."""
    custody = found(ETHEREUM)
    custody.deposit(1, ETH, 3 * 10**18)
    swept(custody, ETH, 1)
    number = custody.ask_for(1, ETH, ONE_ETH, STRANGER, fee_max=2_000_000)

    def die(what: str) -> None:
        if what == "wrote joining":
            raise Stopped

    custody.before_effect = die
    with pytest.raises(Stopped):
        custody.until(lambda: False)
    custody.before_effect = lambda what: None
    custody.start_coordinator()
    flow = custody.batches.flow_of(number)
    assert flow is not None
    before = flow.unsigned
    away = custody.cosigners[flow.quorum[0]]
    with monkeypatch.context() as patched:
        patched.setattr(away.rails[ETHEREUM], "_room", Away(away.rails[ETHEREUM]))
        for _ in range(8):
            custody.turn()
            assert any("does not answer" in getattr(told, "reason", "") for _, _, told in custody.heard[-4:])
    assert flow.unsigned == before
    custody.finish(number)
    assert custody.ethereum.balance_wei(STRANGER, "latest") == 10**18


class Away:
    """A room whose node does not answer."""

    def __init__(self, rail: Any) -> None:
        self._room = rail._room

    def objection(self, transaction: object) -> str:
        raise accounts.NodeError("it is away")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._room, name)


# ---- Solana: what has expired is paid again, and nothing else


def lost(custody: AccountCustody, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing that is sent reach the network."""
    monkeypatch.setattr(custody.rails[SOLANA].room, "_room", Deaf(custody.rails[SOLANA].room))


class Deaf:
    """A room whose node loses what it is sent."""

    def __init__(self, room: Any) -> None:
        self._room = room._room

    def send(self, raw: bytes) -> None:
        """It is lost."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._room, name)


def test_solana_pays_again_what_has_expired_once(found: Found, monkeypatch: pytest.MonkeyPatch) -> None:
    custody = with_sol(found(SOLANA))
    number = asked(custody)
    with monkeypatch.context() as patched:
        lost(custody, patched)
        custody.until(lambda: bool(custody.flows()[-1].attempts) and number in custody.ledger.open()
                      and custody.batches.flow_of(number) is custody.flows()[-1])  # fmt: skip
        flow = custody.flows()[-1]
        # It could still come, however long it is gone: nothing takes its place, and nothing breaks.
        custody.mine(20)
        custody.turn()
        assert len(flow.attempts) == 1
        assert "may still come into a block" in flow.waiting_for
        custody.mine(140)
    custody.finish(number)
    assert len(flow.attempts) == 2
    hashes = {_blockhash(one.unsigned) for one in flow.attempts}
    assert len(hashes) == 2
    custody.mine(5)
    custody.turn()
    assert custody.solana.balance_lamports(SOLANA_STRANGER) == ONE_SOL


def _blockhash(unsigned: str) -> bytes:
    return solana.read_unsigned(bytes.fromhex(unsigned)).blockhash


@pytest.mark.parametrize("are_behind", [False, True])
def test_solana_pays_nothing_again_that_has_landed(
    found: Found, monkeypatch: pytest.MonkeyPatch, are_behind: bool
) -> None:
    """Also if every co-signer was started again and has yet to look into the blocks that have it."""
    custody = with_sol(found(SOLANA))
    proposal = Proposal(custody, custody.intent(asked(custody)))
    raw = proposal.honest()
    custody.solana.send(proposal.signed(raw))
    custody.solana.advance(3)
    assert custody.solana.balance_lamports(SOLANA_STRANGER) == ONE_SOL
    custody.solana.advance(200)
    if are_behind:
        monkeypatch.setattr(accounts, "BLOCKS_PER_POLL", 2)
        for one in custody.cosigners.values():
            one.restart()
    for told in proposal.consider(proposal.honest()).values():
        assert not isinstance(told, Part), told
        if not are_behind:
            assert_refused(told, "policy", "both could confirm: it would be paid twice")
    monkeypatch.undo()
    for told in proposal.consider(proposal.honest()).values():
        assert_refused(told, "policy", "both could confirm: it would be paid twice")


def test_solana_looks_once_more_before_it_calls_something_expired(found: Found) -> None:
    """It comes into the last block that could have it, between a co-signer's look at the chain and its question."""
    custody = with_sol(found(SOLANA))
    proposal = Proposal(custody, custody.intent(asked(custody)))
    raw = proposal.honest()
    whole = proposal.signed(raw)
    custody.solana.advance(140)
    fresh = proposal.honest()
    for name in proposal.flow.quorum:
        one = custody.cosigners[name]
        question = proposal.question(name, fresh)
        if name == proposal.flow.quorum[0]:
            look = one.door.look  # type: ignore[attr-defined]

            def then_it_lands(look: Any = look) -> None:
                look()
                custody.solana.send(whole)
                custody.solana.advance(40)

            one.door.look = then_it_lands  # type: ignore[attr-defined]
        told = one.answer(question)
        assert not isinstance(told, Part), told
    assert custody.solana.balance_lamports(SOLANA_STRANGER) == ONE_SOL


def test_the_same_payment_as_once_before_is_paid_again_too(
    found: Found, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the ledger has closed long ago does not stand in the way of a like one that has expired."""
    custody = with_sol(found(SOLANA))
    custody.finish(asked(custody))
    number = asked(custody)
    with monkeypatch.context() as patched:
        lost(custody, patched)
        custody.until(lambda: bool((flow := custody.batches.flow_of(number)) and flow.attempts))
        custody.mine(160)
    custody.finish(number)
    custody.mine(5)
    custody.turn()
    assert custody.solana.balance_lamports(SOLANA_STRANGER) == 2 * ONE_SOL


@pytest.mark.parametrize(("chain", "blocks"), [(ETHEREUM, 3), (SOLANA, 3), (SOLANA, 170)])
def test_a_signature_that_a_nominee_sends_itself_is_one_payment(
    found: Found, chain: str, blocks: int
) -> None:
    """The coordinator that died before it wrote the signature down finds the payment that it has asked for."""
    custody = found(chain)
    if chain == SOLANA:
        number = asked(with_sol(custody))
    else:
        custody.deposit(1, ETH, 3 * 10**18)
        swept(custody, ETH, 1)
        number = custody.ask_for(1, ETH, ONE_ETH, STRANGER, fee_max=2_000_000)

    def die(what: str) -> None:
        if what == "write signed":
            raise Stopped

    custody.before_effect = die
    with pytest.raises(Stopped):
        custody.until(lambda: False)
    custody.before_effect = lambda what: None
    custody.start_coordinator()
    flow = custody.batches.flow_of(number)
    assert flow is not None
    rail = custody.rails[chain]
    subject = rail.subject(flow.unsigned)
    told = custody.cosigners[flow.quorum[0]].answer(Recall(subject))
    raw = bytes.fromhex(flow.unsigned)
    rail.room.send(sendable(rail, raw, told, source=rail.room.treasury))
    custody.mine(blocks)
    custody.finish(number)
    custody.mine(5)
    there = custody.ethereum.balance_wei(STRANGER, "latest") if chain == ETHEREUM else None
    assert there == 10**18 or custody.solana.balance_lamports(SOLANA_STRANGER) == ONE_SOL
