"""The development chain forgets nothing that it has told of, and does not start with what it did not write."""

import random
import signal

import pytest

from ringfence.custody.chains.solana.rpc import SolanaBlock, Status
from ringfence.daemons.development_node import EXIT_ADDRESS, EXIT_LOCKED, EXIT_REFUSED
from tests.chains.solana.running import FEE_LAMPORTS, SOL, Owner, RunningSolana


def blocks_of(node: RunningSolana) -> list[SolanaBlock | None]:
    return [node.rpc.block(slot) for slot in node.rpc.block_slots(0, node.rpc.slot())]


def test_a_kill_loses_nothing_blocks_transactions_and_what_waits(own_node: RunningSolana) -> None:
    node, owner = own_node, Owner(own_node.rpc, 1)
    node.faucet.pay(owner.address, 10 * SOL)
    node.settle()
    chance = random.Random(3)
    sent: list[tuple[str, int]] = []
    for turn in range(4):
        owner.rpc = node.rpc
        for account in range(chance.randrange(1, 5)):
            lamports = chance.randrange(1, 9) * SOL // 100
            sent.append(
                (node.rpc.send(owner.payment(owner.deposit_address(account + 10 * turn), lamports)), lamports)
            )
        before, slot = blocks_of(node), node.rpc.slot("processed")
        # The slot is closed before the kill, or what was sent waits through it.
        if turn % 2:
            slot = node.rpc.advance()
        assert node.stop(signal.SIGKILL) == -signal.SIGKILL
        node.start()
        assert node.rpc.slot("processed") == slot
        assert blocks_of(node)[: len(before)] == before
        node.rpc.advance()
    node.settle()
    found = [node.rpc.status(txid) for txid, _ in sent]
    assert all(one is not None and one.is_final and not one.is_failed for one in found)
    spent = sum(lamports + FEE_LAMPORTS for _, lamports in sent)
    assert node.rpc.balance_lamports(owner.address) == 10 * SOL - spent
    assert node.stop() == 0, node.log()


def test_a_torn_tail_is_cut_and_damage_inside_is_refused(own_node: RunningSolana) -> None:
    node, owner = own_node, Owner(own_node.rpc, 1)
    node.faucet.pay(owner.address, SOL)
    slot = node.rpc.advance()
    txid = node.faucet.pay(owner.address, 2 * SOL)
    node.stop(signal.SIGKILL)
    whole = node.journal.read_bytes()
    # Half of a record that was never acknowledged.
    node.journal.write_bytes(whole + whole[:30])
    node.start()
    assert node.journal.read_bytes() == whole
    assert node.rpc.slot("processed") == slot
    assert node.rpc.advance() == slot + 1
    assert node.rpc.status(txid) == Status(slot + 1, is_final=False, is_failed=False)
    node.stop()
    whole = node.journal.read_bytes()
    for place in (3, 20, len(whole) // 2):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        node.journal.write_bytes(damaged)
        assert node.spawn(node.port).wait(timeout=20) == EXIT_REFUSED, node.log()
        assert node.journal.read_bytes() == damaged
    node.journal.write_bytes(whole)
    node.start()
    assert node.rpc.slot("processed") == slot + 1


def test_a_directory_has_one_chain_and_a_port_one_server(own_node: RunningSolana) -> None:
    assert own_node.spawn(own_node.port + 1).wait(timeout=20) == EXIT_LOCKED
    (own_node.directory / "other").mkdir()
    other = RunningSolana.__new__(RunningSolana)
    other.directory = own_node.directory / "other"
    assert other.spawn(own_node.port).wait(timeout=20) == EXIT_ADDRESS
    assert "in use by another node" in own_node.log()


def test_a_block_that_comes_out_otherwise_is_refused(
    tmp_path_factory: pytest.TempPathFactory, own_node: RunningSolana
) -> None:
    """Two chains' journals, each whole, put together: every checksum is right, and the blocks are not."""
    own_node.faucet.pay(Owner(own_node.rpc, 1).address, SOL)
    own_node.rpc.advance()
    own_node.stop()
    once = own_node.journal.read_bytes()
    own_node.start()
    own_node.faucet.pay(Owner(own_node.rpc, 2).address, SOL)
    own_node.stop()
    more = own_node.journal.read_bytes()[len(once) :]
    own_node.start()
    own_node.rpc.advance()
    own_node.stop()
    closed = own_node.journal.read_bytes()[len(once) + len(more) :]
    own_node.journal.write_bytes(once + closed)
    assert own_node.spawn(own_node.port).wait(timeout=20) == EXIT_REFUSED
    assert "came out otherwise" in own_node.log()
