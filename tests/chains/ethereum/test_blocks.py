"""Whatever moves ETH or a listed token is seen, nothing else is, and what a reorganisation undoes is taken back."""

import random
from typing import Any

import pytest

from ringfence.custody.chains.accounts import (
    AccountFollower,
    Leg,
    NodeBehindError,
    NodeError,
    Received,
    Spent,
    TooDeepError,
    WrongChainError,
)
from ringfence.custody.chains.ethereum.addresses import read_address, spelt
from ringfence.custody.chains.ethereum.blocks import TRANSFER_EVENT, EthereumBlocks
from ringfence.custody.chains.ethereum.calls import transfer_data
from ringfence.custody.chains.ethereum.devnet import DEVELOPER, USDT_ADDRESS
from tests.chains.ethereum.conftest import ETH, GWEI, NATIVE, TOKEN, USDT, Chain, Liar, Person

DOLLAR = 10**6
STRANGER = spelt(b"\x77" * 20)

# Contracts by hand. Their arguments are words: [0] an address, [1] whether to fail, [2] a contract.
PAYS = "5f5f5f5f345f355af150602035601057005b5f5ffd"
"""Sends what it is sent on to [0], then fails if [1] is not 0."""
CALLS = "60405f5f375f5f60405f346040355af15000"
"""Calls [2] with [0], [1] and what it is sent, and does not mind if that fails."""
BORROWS = "60405f5f375f5f60405f6040355af45000"
"""Does what the code of [2] says, as itself (delegatecall)."""
ENDS = "5f35ff"
"""Leaves what it has to [0] and ends (selfdestruct)."""


def words(*values: str | int) -> bytes:
    return b"".join(
        value.to_bytes(32, "big") if isinstance(value, int) else read_address(value).rjust(32, b"\0")
        for value in values
    )


def transfer(to: str, raw: int) -> bytes:
    return transfer_data(read_address(to), raw)


def transfer_from(source: str, to: str, raw: int) -> bytes:
    return bytes.fromhex("23b872dd") + words(source, to, raw)


def approve(spender: str, raw: int) -> bytes:
    return bytes.fromhex("095ea7b3") + words(spender, raw)


def ours(chain: Chain, *, wei: int = 0, raw: int = 0) -> tuple[Person, AccountFollower]:
    """Return somebody of ours whom the faucet has paid, and who follows what is about them."""
    person = chain.person(wei=0)
    follower = chain.follow(person)
    if wei:
        chain.faucet.pay_wei(person.address, wei)
    if raw:
        chain.faucet.pay_token(person.address, raw)
    chain.rpc.mine()
    assert follower.poll() == 0
    return person, follower


def test_deposits_are_seen_with_their_names_for_ever(chain: Chain) -> None:
    person = chain.person(wei=0)
    follower = chain.follow(person)
    native, token = chain.faucet.pay_wei(person.address, 3), chain.faucet.pay_token(person.address, 5)
    follower.poll()
    assert not follower.received
    chain.rpc.mine()
    follower.poll()
    height = chain.rpc.block_number()
    assert [*follower.received.values()] == [
        Received(native, 0, person.address, NATIVE, 3, height),
        Received(token, 1, person.address, TOKEN, 5, height),
    ]
    assert not follower.spent
    chain.check(follower, person)


def test_eth_that_contracts_send_is_seen_unless_it_was_undone(chain: Chain) -> None:
    person, follower = ours(chain)
    to = person.address
    pays, calls = chain.code_at(0x1001, PAYS), chain.code_at(0x1002, CALLS)
    borrows, ends = chain.code_at(0x1003, BORROWS), chain.code_at(0x1004, ENDS)
    stranger = chain.person()
    sent = {
        stranger.send(pays, 7, words(to, 0)): 7,
        stranger.send(pays, 11, words(to, 1)): None,
        stranger.send(calls, 13, words(to, 0, pays)): 13,
        stranger.send(calls, 17, words(to, 1, pays)): None,
        stranger.send(borrows, 19, words(to, 0, pays)): 19,
        stranger.send(ends, 23, words(to)): 23,
        stranger.send(pays, 0, words(to, 0)): None,
    }
    chain.rpc.mine()
    follower.poll()
    assert {one.txid: one.raw for one in follower.received.values()} == {
        txid: raw for txid, raw in sent.items() if raw is not None
    }
    # The transaction itself moved ETH first, and in the third case so did the contract that called the other.
    assert [one.output for one in follower.received.values()] == [2, 4, 2, 2]
    assert not follower.spent
    chain.check(follower, person)


def test_between_addresses_of_ours_is_a_leg_and_nothing_received(chain: Chain) -> None:
    alice, bob = chain.person(wei=0), chain.person(wei=0)
    follower = chain.follow(alice, bob)
    chain.faucet.pay_wei(alice.address, ETH)
    chain.faucet.pay_token(alice.address, 9)
    chain.rpc.mine()
    follower.poll()
    known = set(follower.received)
    native, token = alice.send(bob.address, 5), alice.send(USDT, 0, transfer(bob.address, 4))
    itself, stranger = alice.send(alice.address, 8), alice.send(STRANGER, 2)
    chain.rpc.mine()
    follower.poll()
    assert set(follower.received) == known
    assert {txid: spent.legs for txid, spent in follower.spent.items()} == {
        native: (Leg(alice.address, bob.address, NATIVE, 5),),
        token: (Leg(alice.address, bob.address, TOKEN, 4),),
        itself: (Leg(alice.address, alice.address, NATIVE, 8),),
        stranger: (Leg(alice.address, STRANGER, NATIVE, 2),),
    }
    assert [spent.place for spent in follower.spent.values()] == [f"{alice.address}:{n}" for n in range(4)]
    assert {spent.payer for spent in follower.spent.values()} == {alice.address}
    assert follower.confirmations_of(native) == 1
    assert follower.balance(bob.address, NATIVE) == 5
    chain.check(follower, alice, bob)


def test_a_transaction_that_fails_costs_its_fee_and_nothing_else(chain: Chain) -> None:
    person, follower = ours(chain, wei=ETH, raw=5)
    pays = chain.code_at(0x1001, PAYS)
    too_much = person.send(USDT, 0, transfer(STRANGER, 6))
    undone = person.send(pays, 7, words(STRANGER, 1))
    no_gas = person.send(USDT, 0, transfer(STRANGER, 1), gas=25_000)
    chain.rpc.mine()
    follower.poll()
    assert [*follower.spent] == [too_much, undone, no_gas]
    for nonce, spent in enumerate(follower.spent.values()):
        assert (spent.legs, spent.is_failed, spent.place) == ((), True, f"{person.address}:{nonce}")
        assert spent.fee_raw > 0
    assert follower.balance(person.address, TOKEN) == 5
    fees_wei = sum(spent.fee_raw for spent in follower.spent.values())
    assert follower.balance(person.address, NATIVE) == ETH - fees_wei
    chain.check(follower, person)


def test_what_a_stranger_takes_with_our_leave_is_a_leg_that_we_have_not_paid_for(chain: Chain) -> None:
    person, follower = ours(chain, wei=ETH, raw=5)
    stranger = chain.person()
    person.send(USDT, 0, approve(stranger.address, 3))
    chain.rpc.mine()
    taken = stranger.send(USDT, 0, transfer_from(person.address, stranger.address, 3))
    chain.rpc.mine()
    follower.poll()
    height = chain.rpc.block_number()
    legs = (Leg(person.address, stranger.address, TOKEN, 3),)
    assert follower.spent[taken] == Spent(taken, "", "", legs, 0, False, height)
    chain.check(follower, person)


def test_bait_is_not_looked_at(chain: Chain) -> None:
    """Movements of nothing put an attacker's address into our history; another's token may have any name."""
    person, follower = ours(chain)
    stranger = chain.person()
    fake = chain.code_at(0x2001, chain.rpc.call("eth_getCode", USDT, "latest").removeprefix("0x"))
    before = dict(follower.received)
    stranger.send(person.address, 0)
    stranger.send(USDT, 0, transfer_from(person.address, STRANGER, 0))
    stranger.send(USDT, 0, transfer_from(stranger.address, person.address, 0))
    chain.rpc.call("anvil_impersonateAccount", spelt(DEVELOPER))
    mint = bytes.fromhex("40c10f19") + words(person.address, 1000)
    chain.rpc.call("eth_sendTransaction", {"from": spelt(DEVELOPER), "to": fake, "data": f"0x{mint.hex()}"})
    chain.rpc.call("anvil_stopImpersonatingAccount", spelt(DEVELOPER))
    chain.rpc.mine()
    follower.poll()
    assert chain.rpc.token_raw(fake, person.address, "latest") == 1000
    assert follower.received == before
    assert not follower.spent
    chain.check(follower, person)


def test_the_fees_of_a_block_can_be_ours(chain: Chain) -> None:
    person, follower = ours(chain)
    chain.person().send(STRANGER, 1, priority_fee_wei=3 * GWEI, gas=21_000)
    chain.rpc.call("anvil_setCoinbase", person.address)
    chain.rpc.mine()
    chain.rpc.call("anvil_setCoinbase", spelt(bytes(20)))
    follower.poll()
    (one,) = follower.received.values()
    assert one == Received(follower.tip, 0, person.address, NATIVE, 21_000 * 3 * GWEI, follower.height)
    chain.check(follower, person)


def test_everything_at_random_agrees_with_the_node_to_the_last_wei(chain: Chain) -> None:
    people = [chain.person(wei=0) for _ in range(4)]
    follower = chain.follow(*people)
    strangers = [chain.person() for _ in range(2)]
    pays, calls = chain.code_at(0x1001, PAYS), chain.code_at(0x1002, CALLS)
    for person in people + strangers:
        if person in people:
            chain.faucet.pay_wei(person.address, ETH)
        chain.faucet.pay_token(person.address, 1000 * DOLLAR)
    chain.rpc.mine()
    dice = random.Random(5)
    everybody = people + strangers
    for _ in range(12):
        for _ in range(dice.randrange(1, 9)):
            sender, to = dice.choice(everybody), dice.choice(everybody).address
            wei, fails = dice.randrange(ETH // 1000), dice.randrange(2)
            match dice.randrange(5):
                case 0:
                    sender.send(to, wei)
                case 1:
                    sender.send(USDT, 0, transfer(to, dice.randrange(1, 300 * DOLLAR)))
                case 2:
                    sender.send(pays, wei, words(to, fails))
                case 3:
                    sender.send(calls, wei, words(to, fails, pays))
                case 4:
                    sender.send(USDT, 0, transfer(to, 10**6 * DOLLAR))
        chain.rpc.mine(dice.randrange(1, 4))
        if dice.randrange(2):
            follower.poll()
            chain.check(follower, *people)
    follower.poll()
    chain.check(follower, *people)
    assert {spent.is_failed for spent in follower.spent.values()} == {True, False}


def test_many_blocks_are_caught_up_with(chain: Chain) -> None:
    person, follower = ours(chain)
    chain.rpc.mine(37)
    chain.faucet.pay_wei(person.address, 5)
    chain.rpc.mine(20)
    assert follower.poll() == 0
    assert follower.height == chain.rpc.block_number()
    assert [one.height for one in follower.received.values()] == [follower.height - 19]


def test_a_reorganisation_takes_back_and_the_other_branch_counts(chain: Chain) -> None:
    person, follower = ours(chain, wei=ETH, raw=50)
    kept = dict(follower.received)
    chain.rpc.mine(2)
    stranger = chain.person()
    gone_in, gone_out = stranger.send(person.address, 3), person.send(USDT, 0, transfer(STRANGER, 5))
    chain.rpc.mine()
    chain.rpc.mine()
    follower.poll()
    assert follower.confirmations_of(gone_out) == 2
    chain.check(follower, person)
    # In the other branch the stranger pays less, and we pay somebody else with the same nonce.
    other_in = stranger.raw(person.address, 2, nonce=0)
    other_out = person.raw(stranger.address, 9, nonce=0)
    chain.rpc.call("anvil_reorg", 2, [[f"0x{other_in.hex()}", 0], [f"0x{other_out.hex()}", 1]])
    assert follower.poll() == 2
    assert not chain.rpc.is_known(gone_in)
    assert not chain.rpc.is_known(gone_out)
    assert follower.confirmations_of(gone_out) == 0
    assert [one.raw for one in follower.received.values()] == [*(one.raw for one in kept.values()), 2]
    assert [spent.legs for spent in follower.spent.values()] == [
        (Leg(person.address, stranger.address, NATIVE, 9),)
    ]
    chain.check(follower, person)


def test_what_was_final_is_not_taken_back(chain: Chain) -> None:
    person, follower = ours(chain)
    chain.rpc.mine(4)
    follower.poll()
    assert follower.final_height == follower.height - 2
    assert follower.is_final(follower.height - 2)
    assert not follower.is_final(follower.height - 1)
    raw = chain.person().raw(person.address, 3)
    chain.rpc.call("anvil_reorg", 3, [[f"0x{raw.hex()}", 0]])
    with pytest.raises(TooDeepError, match="final"):
        follower.poll()
    assert not follower.received


def test_a_node_that_has_lost_blocks_takes_nothing_back(chain: Chain) -> None:
    person, follower = ours(chain)
    snapshot = chain.rpc.call("evm_snapshot")
    chain.faucet.pay_wei(person.address, 5)
    chain.rpc.mine(2)
    follower.poll()
    assert chain.rpc.call("evm_revert", snapshot)
    with pytest.raises(NodeBehindError):
        follower.poll()
    assert follower.balance(person.address, NATIVE) == 5
    with pytest.raises(NodeError, match="has no block"):
        chain.blocks().block(chain.rpc.block_number() + 1, is_ours=bool)


def test_another_chain_is_not_followed(chain: Chain) -> None:
    with pytest.raises(WrongChainError, match="31337"):
        chain.blocks(chain_id=1).tip()


# ---- what the development chain does not do

BLOCK = {
    "number": "0x5", "hash": "0x" + "05" * 32, "parentHash": "0x" + "04" * 32, "timestamp": "0x1",
    "baseFeePerGas": "0x1", "miner": spelt(bytes(20)), "transactions": [],
}  # fmt: skip
TXID = "0x" + "aa" * 32


def told_of(block: dict[str, Any], traces: object, receipts: object, liar: Liar) -> EthereumBlocks:
    known = {"eth_getBlockByNumber": block, "trace_block": traces, "eth_getBlockReceipts": receipts}
    liar.answers(lambda method, params: known[method])
    return EthereumBlocks(liar.rpc(), chain_id=1, tokens={USDT_ADDRESS: TOKEN}, native=NATIVE)


def test_withdrawals_from_the_beacon_chain_are_received(liar: Liar) -> None:
    block = BLOCK | {
        "withdrawals": [
            {"index": "0x10", "validatorIndex": "0x1", "address": STRANGER, "amount": "0x2"},
            {"index": "0x11", "validatorIndex": "0x1", "address": spelt(b"\x01" * 20), "amount": "0x2"},
            {"index": "0x12", "validatorIndex": "0x2", "address": STRANGER.lower(), "amount": "0x0"},
        ]
    }
    found = told_of(block, None, None, liar).block(5, is_ours=STRANGER.__eq__)
    assert found.received == (Received("0x" + "05" * 32, 17, STRANGER, NATIVE, 2 * GWEI, 5),)


def full(**changes: Any) -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]:
    """Return a block in which a stranger is paid by another and gets a token, its traces and its receipts."""
    other = spelt(b"\x01" * 20)
    transaction = {"hash": TXID, "from": other, "nonce": "0x0"}
    action = {"from": other, "to": STRANGER, "value": "0x3", "callType": "call"}
    trace = {
        "action": action, "blockHash": BLOCK["hash"], "transactionHash": TXID, "traceAddress": [], "type": "call",
    }  # fmt: skip
    topics = [TRANSFER_EVENT, "0x" + words(other).hex(), "0x" + words(STRANGER).hex()]
    token = {"address": USDT, "topics": topics, "data": "0x" + words(7).hex()}
    else_of = {"address": STRANGER, "topics": [], "data": "0x"}
    receipt = {
        "transactionHash": TXID, "blockHash": BLOCK["hash"], "status": "0x1", "gasUsed": "0x5208",
        "effectiveGasPrice": "0x2", "logs": [else_of, token],
    }  # fmt: skip
    return BLOCK | {"transactions": [transaction]}, [trace | changes], [receipt]


def test_numbers_of_eth_and_of_tokens_are_never_the_same(liar: Liar) -> None:
    found = told_of(*full(), liar).block(5, is_ours=STRANGER.__eq__)
    assert [(one.output, one.asset, one.raw) for one in found.received] == [(0, NATIVE, 3), (3, TOKEN, 7)]


@pytest.mark.parametrize("kind", ["delegatecall", "staticcall", "callcode"])
def test_a_call_that_only_looks_worth_something_moves_nothing(liar: Liar, kind: str) -> None:
    block, traces, receipts = full()
    traces[0]["action"]["callType"] = kind
    found = told_of(block, traces, receipts, liar).block(5, is_ours=STRANGER.__eq__)
    assert [one.asset for one in found.received] == [TOKEN]


@pytest.mark.parametrize(
    "changes",
    [{"blockHash": "0x" + "06" * 32}, {"transactionHash": "0x" + "bb" * 32}, {"type": "gift"}, {"type": "create"}],
    ids=["another block", "another transaction", "unknown kind", "nothing created"],
)  # fmt: skip
def test_traces_that_do_not_fit_the_block_are_not_believed(liar: Liar, changes: dict[str, Any]) -> None:
    with pytest.raises(NodeError):
        told_of(*full(**changes), liar).block(5, is_ours=STRANGER.__eq__)


def test_a_node_without_traces_or_receipts_is_no_node_for_us(liar: Liar) -> None:
    block, traces, receipts = full()
    for odd_traces, odd_receipts in (([], receipts), (traces, []), (None, receipts), (traces, None)):
        with pytest.raises(NodeError):
            told_of(block, odd_traces, odd_receipts, liar).block(5, is_ours=STRANGER.__eq__)
    with pytest.raises(NodeError, match="asked for block 6"):
        told_of(block, traces, receipts, liar).block(6, is_ours=STRANGER.__eq__)
