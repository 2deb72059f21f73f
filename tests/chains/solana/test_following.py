"""Balances worked out from blocks are those that the node tells, whatever happens on the chain."""

import random
from collections.abc import Callable

import pytest
from solders.hash import Hash
from solders.instruction import Instruction
from solders.message import Message
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import Transaction

from ringfence.custody.chains.accounts import (
    AccountFollower,
    Leg,
    TransactionRefusedError,
    WrongChainError,
)
from ringfence.custody.chains.solana.blocks import SolanaBlocks
from ringfence.custody.chains.solana.faucet import FAUCET_ADDRESS, FAUCET_KEY, GENESIS_HASH
from tests.chains.solana.running import FEE_LAMPORTS, SOL, Owner, RunningSolana, send_unchecked

NewOwner = Callable[[], Owner]
ASSET = "LAMPORT"


def follower_of(node: RunningSolana, ours: set[str], *, genesis: str = GENESIS_HASH) -> AccountFollower:
    blocks = SolanaBlocks(node.rpc, genesis=genesis)
    tip = blocks.tip()
    return AccountFollower(blocks, ours.__contains__, native=ASSET, height=tip.height, digest=tip.digest)


def test_a_deposit_a_sweep_and_a_payment_are_told_as_what_they_are(
    node: RunningSolana, new_owner: NewOwner
) -> None:
    owner, stranger = new_owner(), new_owner().address
    deposit = owner.deposit_address(1)
    follower = follower_of(node, {owner.address, deposit})
    node.faucet.pay(owner.address, SOL)
    paid_in = node.faucet.pay(deposit, 2 * SOL)
    node.settle()
    swept = node.rpc.send(owner.sweep(1, 2 * SOL))
    node.rpc.advance()
    paid_out = node.rpc.send(owner.payment(stranger, SOL))
    node.settle()
    assert follower.poll() == 0
    received = {one.txid: (one.address, one.raw) for one in follower.received.values()}
    assert received[paid_in] == (deposit, 2 * SOL)
    assert len(received) == 2
    assert [(one.txid, one.payer, one.legs, one.fee_raw) for one in follower.spent.values()] == [
        (swept, owner.address, (Leg(deposit, owner.address, ASSET, 2 * SOL),), FEE_LAMPORTS),
        (paid_out, owner.address, (Leg(owner.address, stranger, ASSET, SOL),), FEE_LAMPORTS),
    ]
    assert follower.final_height == follower.height == node.rpc.slot()
    assert dict(follower.balances(ASSET)) == {owner.address: 2 * SOL - 2 * FEE_LAMPORTS}


@pytest.mark.parametrize("seed", range(3))
def test_balances_are_the_nodes_after_whatever_happens(
    node: RunningSolana, new_owner: NewOwner, seed: int
) -> None:
    chance = random.Random(seed)
    rpc, owner, second, stranger = node.rpc, new_owner(), new_owner(), new_owner().address
    deposits = [owner.deposit_address(account) for account in range(4)]
    ours = [owner.address, second.address, *deposits]
    follower = follower_of(node, set(ours))
    refused = 0

    def together(*instructions: tuple[Owner | None, str, int]) -> None:
        """A stranger pays the fee of transfers by several, ours among them."""
        parts: list[Instruction] = [
            transfer(
                TransferParams(
                    from_pubkey=one.key.pubkey() if one else FAUCET_KEY.pubkey(),
                    to_pubkey=Pubkey.from_string(to), lamports=lamports,
                )
            )
            for one, to, lamports in instructions
        ]  # fmt: skip
        blockhash = Hash.from_bytes(rpc.latest_blockhash("processed").blockhash)
        message = Message.new_with_blockhash(parts, FAUCET_KEY.pubkey(), blockhash)
        keys = {FAUCET_ADDRESS: FAUCET_KEY} | {one.address: one.key for one, _, _ in instructions if one}
        rpc.send(bytes(Transaction(list(keys.values()), message, blockhash)))

    def act() -> None:
        account = chance.randrange(len(deposits))
        lies = rpc.balance_lamports(deposits[account], "processed")
        amount = chance.choice([chance.randrange(1, SOL), chance.randrange(1, 900_000), 890_880])
        other = chance.choice([stranger, *ours])
        match chance.randrange(9):
            case 0 | 1:
                node.faucet.pay(deposits[account], amount)
            case 2:
                rpc.send(owner.sweep(account, max(lies, 1)))
            case 3:
                send_unchecked(
                    rpc, owner.sweep(account, amount, to=chance.choice([stranger, second.address]))
                )
            case 4 if other != owner.address:
                rpc.send(owner.payment(other, amount))
            case 5 if other != owner.address:
                send_unchecked(rpc, owner.payment(other, chance.choice([amount, 1000 * SOL])))
            case 6 if other != second.address:
                together((second, other, amount), (None, deposits[account], SOL))
            case 7 if other not in (owner.address, second.address):
                together((second, other, SOL), (owner, other, SOL), (None, stranger, SOL))
            case _:
                node.faucet.pay(chance.choice([owner.address, second.address]), 3 * SOL)

    for address in ours[:2]:
        node.faucet.pay(address, 20 * SOL)
    for _ in range(40):
        rpc.advance(chance.randrange(1, 4))
        for _ in range(chance.randrange(6)):
            try:
                act()
            except TransactionRefusedError:
                refused += 1
        assert follower.poll() == 0
        assert follower.height == rpc.slot()
        for address in ours:
            assert follower.balance(address, ASSET) == rpc.balance_lamports(address), address
    spent = follower.spent.values()
    assert refused
    assert any(one.is_failed for one in spent)
    assert any(not one.payer for one in spent)
    assert any(len(one.legs) > 1 for one in spent)


def test_a_follower_that_was_away_catches_up_across_slots_that_were_skipped(
    node: RunningSolana, new_owner: NewOwner
) -> None:
    owner = new_owner()
    follower = follower_of(node, {owner.address})
    for turn in range(6):
        node.faucet.pay(owner.address, SOL + turn)
        node.rpc.advance(9)
    assert follower.poll() == 0
    assert follower.balance(owner.address, ASSET) == 6 * SOL + 15
    assert follower.height == node.rpc.slot()


def test_a_chain_with_another_genesis_is_not_followed(node: RunningSolana) -> None:
    with pytest.raises(WrongChainError):
        follower_of(node, set(), genesis="5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d")
