"""The development chain does what Solana does: payments, sweeps, rent, blockhashes that expire, fees of failures."""

import base64
import hashlib
import http.client
import json
from collections.abc import Callable

import pytest
from Crypto.PublicKey import ECC
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from ringfence.custody.chains.accounts import NodeError, TransactionRefusedError, WrongChainError
from ringfence.custody.chains.solana.devnet import BLOCKHASH_BLOCKS, is_skipped
from ringfence.custody.chains.solana.faucet import FAUCET_KEY, GENESIS_HASH, Faucet
from ringfence.custody.chains.solana.messages import Payment, unsigned_bytes
from ringfence.custody.chains.solana.rpc import SolanaRpc, Status
from tests.chains.solana.running import FEE_LAMPORTS, SOL, Owner, RunningSolana, send_unchecked

NewOwner = Callable[[], Owner]
_BASE_X = 15112221349535400772501151409588531511454012693041857206046113283949847762202
_BASE_Y = 46316835694926478169428394003475163141307993866256225615783033603165251855960
"""Ed25519's base point."""


def test_a_payment_is_seen_when_its_slot_is_closed_and_final_two_blocks_later(
    node: RunningSolana, new_owner: NewOwner
) -> None:
    rpc, owner, other = node.rpc, new_owner(), new_owner()
    node.faucet.pay(owner.address, SOL)
    node.settle()
    txid = rpc.send(owner.payment(other.address, SOL // 4))
    assert rpc.status(txid) is None
    slot = rpc.advance()
    assert rpc.status(txid) == Status(slot, is_final=False, is_failed=False)
    assert rpc.balance_lamports(other.address, "processed") == SOL // 4
    assert rpc.balance_lamports(other.address, "confirmed") == 0
    rpc.advance()
    assert rpc.balance_lamports(other.address, "confirmed") == SOL // 4
    assert rpc.balance_lamports(other.address) == 0
    assert rpc.balance_lamports(owner.address) == SOL
    rpc.advance()
    assert rpc.status(txid) == Status(slot, is_final=True, is_failed=False)
    assert rpc.balance_lamports(other.address) == SOL // 4
    assert rpc.balance_lamports(owner.address) == SOL - SOL // 4 - FEE_LAMPORTS


def test_a_sweep_leaves_exactly_zero_at_a_deposit_address(node: RunningSolana, new_owner: NewOwner) -> None:
    rpc, owner = node.rpc, new_owner()
    node.faucet.pay(owner.address, SOL)
    node.faucet.pay(owner.deposit_address(7), 3 * SOL)
    node.settle()
    assert rpc.balance_lamports(owner.deposit_address(7)) == 3 * SOL
    rpc.send(owner.sweep(7, 3 * SOL))
    node.settle()
    assert rpc.balance_lamports(owner.deposit_address(7)) == 0
    assert rpc.balance_lamports(owner.address) == 4 * SOL - FEE_LAMPORTS


def test_a_sweep_by_another_base_is_refused(node: RunningSolana, new_owner: NewOwner) -> None:
    owner, thief = new_owner(), new_owner()
    node.faucet.pay(thief.address, SOL)
    node.faucet.pay(owner.deposit_address(7), SOL)
    node.settle()
    raw = bytearray(thief.sweep(7, SOL))
    theirs, ours = (Pubkey.from_string(one.deposit_address(7)) for one in (thief, owner))
    message = bytes(raw[65:]).replace(bytes(theirs), bytes(ours))
    signed = b"\1" + bytes(thief.key.sign_message(message)) + message
    with pytest.raises(TransactionRefusedError, match="Custom"):
        node.rpc.send(signed)


def test_what_would_leave_less_than_the_rent_anywhere_is_refused(
    node: RunningSolana, new_owner: NewOwner
) -> None:
    rpc, owner = node.rpc, new_owner()
    least = rpc.rent_exempt_lamports()
    assert least == 890_880
    with pytest.raises(TransactionRefusedError, match="InsufficientFundsForRent"):
        node.faucet.pay(owner.deposit_address(1), least - 1)
    node.faucet.pay(owner.deposit_address(1), least)
    node.faucet.pay(owner.address, SOL)
    node.settle()
    for lamports in (1, least - 1):
        with pytest.raises(TransactionRefusedError, match="InsufficientFundsForRent"):
            rpc.send(owner.sweep(1, lamports))
    # The payer may end with nothing, but not with a little.
    with pytest.raises(TransactionRefusedError, match="InsufficientFundsForRent"):
        rpc.send(owner.payment(owner.deposit_address(1), SOL - FEE_LAMPORTS - 1))
    rpc.send(owner.payment(owner.deposit_address(1), SOL - FEE_LAMPORTS))
    node.settle()
    assert rpc.balance_lamports(owner.address) == 0


def test_the_same_transaction_again_is_one_transaction(node: RunningSolana, new_owner: NewOwner) -> None:
    rpc, owner = node.rpc, new_owner()
    node.faucet.pay(owner.address, SOL)
    node.settle()
    raw = owner.payment(owner.deposit_address(2), SOL // 10)
    txid = rpc.send(raw)
    assert rpc.send(raw) == txid
    rpc.advance()
    assert rpc.send(raw) == txid
    assert send_unchecked(rpc, raw) == txid
    node.settle()
    assert rpc.send(raw) == txid
    assert rpc.balance_lamports(owner.deposit_address(2)) == SOL // 10
    assert rpc.balance_lamports(owner.address) == SOL - SOL // 10 - FEE_LAMPORTS


def test_of_two_payments_that_cannot_both_be_made_the_second_fails_and_pays_its_fee_only(
    node: RunningSolana, new_owner: NewOwner
) -> None:
    rpc, owner = node.rpc, new_owner()
    node.faucet.pay(owner.address, SOL)
    node.settle()
    first = rpc.send(owner.payment(owner.deposit_address(1), SOL // 2))
    second = rpc.send(owner.payment(owner.deposit_address(2), SOL // 2))
    node.settle()
    found = rpc.status(first), rpc.status(second)
    assert [one and (one.is_final, one.is_failed) for one in found] == [(True, False), (True, True)]
    assert rpc.balance_lamports(owner.deposit_address(2)) == 0
    assert rpc.balance_lamports(owner.address) == SOL // 2 - 2 * FEE_LAMPORTS


def test_a_transaction_that_cannot_pay_its_fee_is_in_no_block(
    node: RunningSolana, new_owner: NewOwner
) -> None:
    rpc, pauper = node.rpc, new_owner()
    txid = send_unchecked(rpc, pauper.payment(new_owner().address, SOL))
    forged = bytearray(pauper.payment(new_owner().address, SOL))
    forged[10] ^= 1
    also = send_unchecked(rpc, bytes(forged))
    node.settle()
    assert rpc.status(txid) is None
    assert rpc.status(also) is None
    with pytest.raises(TransactionRefusedError, match="signature verification"):
        rpc.send(bytes(forged))


def test_an_expired_blockhash_is_refused_and_a_fresh_one_accepted(
    node: RunningSolana, new_owner: NewOwner
) -> None:
    rpc, owner = node.rpc, new_owner()
    node.faucet.pay(owner.address, SOL)
    node.settle()
    latest = rpc.latest_blockhash()
    assert latest.last_valid_block_height == rpc.block_height() + BLOCKHASH_BLOCKS
    unsigned = Payment(owner.base, bytes([9]) * 32, SOL // 10, latest.blockhash)
    assert rpc.fee_lamports(unsigned_bytes(unsigned)) == FEE_LAMPORTS
    rpc.advance(latest.last_valid_block_height - 1 - rpc.block_height("processed"))
    old = owner.signed(unsigned)
    rpc.send(old)  # the next block may still have it
    last_chance = rpc.advance()
    assert rpc.block_height("processed") == latest.last_valid_block_height
    assert rpc.status(rpc.send(old)) == Status(last_chance, is_final=False, is_failed=False)
    with pytest.raises(TransactionRefusedError, match="BlockhashNotFound"):
        rpc.send(owner.signed(unsigned._replace(lamports=SOL // 5)))
    assert rpc.is_blockhash_valid(latest.blockhash)
    assert rpc.is_blockhash_valid(latest.blockhash, "processed")
    rpc.advance()
    assert not rpc.is_blockhash_valid(latest.blockhash, "processed")
    assert rpc.is_blockhash_valid(latest.blockhash)
    rpc.advance(2)
    assert not rpc.is_blockhash_valid(latest.blockhash)
    with pytest.raises(TransactionRefusedError, match="too old"):
        rpc.fee_lamports(unsigned_bytes(unsigned))
    late = send_unchecked(rpc, owner.signed(unsigned._replace(lamports=SOL // 5)))
    fresh = rpc.send(owner.signed(unsigned._replace(blockhash=rpc.latest_blockhash().blockhash)))
    node.settle()
    assert rpc.status(late) is None
    assert rpc.status(fresh) is not None


def test_a_message_that_was_signed_twice_is_paid_once(node: RunningSolana, new_owner: NewOwner) -> None:
    """Shared signing makes another signature each time: two transactions' ids, and one payment."""
    rpc, owner, other = node.rpc, new_owner(), new_owner()
    node.faucet.pay(owner.address, SOL)
    node.settle()
    raw = owner.payment(other.address, SOL // 10)
    again, late = (b"\1" + signed_otherwise(owner, raw[65:], nonce=nonce) + raw[65:] for nonce in (5, 6))
    txids = rpc.send(raw), rpc.send(again)
    assert txids[0] != txids[1]
    rpc.advance()
    rpc.send(late)  # is done already, as the node says
    node.settle()
    assert [rpc.status(txid) is not None for txid in (*txids, rpc.send(late))] == [True, False, False]
    assert rpc.balance_lamports(other.address) == SOL // 10


def signed_otherwise(owner: Owner, message: bytes, *, nonce: int) -> bytes:
    """Return a valid signature that is not the one that Ed25519's own rule for the nonce gives (RFC 8032, 5.1.6)."""
    order = 2**252 + 27742317777372353535851937790883648493
    hashed = hashlib.sha512(bytes(owner.key)[:32]).digest()
    secret = int.from_bytes(hashed[:32], "little") & ((1 << 254) - 8) | 1 << 254
    point = ECC.EccPoint(_BASE_X, _BASE_Y, "Ed25519") * nonce
    committed = (int(point.y) | (int(point.x) & 1) << 255).to_bytes(32, "little")
    challenge = int.from_bytes(hashlib.sha512(committed + owner.base + message).digest(), "little")
    return committed + ((nonce + challenge * secret) % order).to_bytes(32, "little")


def test_versioned_transactions_are_taken_without_lookup_tables(
    node: RunningSolana, new_owner: NewOwner
) -> None:
    owner = new_owner()
    pay = transfer(
        TransferParams(
            from_pubkey=FAUCET_KEY.pubkey(), to_pubkey=Pubkey.from_string(owner.address), lamports=SOL
        )
    )
    blockhash = VersionedTransaction.from_bytes(
        owner.payment(owner.deposit_address(1), 1)
    ).message.recent_blockhash
    message = MessageV0.try_compile(FAUCET_KEY.pubkey(), [pay], [], blockhash)
    node.rpc.send(bytes(VersionedTransaction(message, [FAUCET_KEY])))
    slot = node.rpc.advance()
    node.settle()
    assert node.rpc.balance_lamports(owner.address) == SOL
    how = {"encoding": "base64", "maxSupportedTransactionVersion": 0, "transactionDetails": "full"}
    (told,) = node.rpc.call("getBlock", slot, how)["transactions"]
    assert told["version"] == 0
    found = VersionedTransaction.from_bytes(base64.b64decode(told["transaction"][0]))
    assert found.message == message


def test_an_airdrop_is_a_payment_of_the_faucet(node: RunningSolana, new_owner: NewOwner) -> None:
    owner = new_owner()
    txid = node.rpc.call("requestAirdrop", owner.address, 2 * SOL)
    node.settle()
    assert node.rpc.status(txid) is not None
    assert node.rpc.balance_lamports(owner.address) == 2 * SOL


def test_slots_are_skipped_and_heights_are_not(node: RunningSolana) -> None:
    rpc = node.rpc
    rpc.advance(40)
    slots = rpc.block_slots(0, rpc.slot())
    assert slots == [slot for slot in range(rpc.slot() + 1) if not is_skipped(slot)]
    assert rpc.block_height() == len(slots) - 1 < rpc.slot()
    skipped = next(slot for slot in range(slots[-1]) if slot not in slots)
    assert rpc.block(skipped) is None
    with pytest.raises(NodeError, match="not available"):
        rpc.block(rpc.slot("processed"))
    before = None
    for slot in slots[:20]:
        block = rpc.block(slot)
        assert block is not None
        assert before is None or block.parent == before
        before = block.blockhash


def test_the_faucet_pays_on_the_development_chain_alone(node: RunningSolana) -> None:
    class Main(SolanaRpc):
        def genesis_hash(self) -> str:
            return "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d"

    assert node.rpc.genesis_hash() == GENESIS_HASH
    with pytest.raises(WrongChainError, match="alone"):
        Faucet(Main(f"http://127.0.0.1:{node.port}"))


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("getNothing", [], -32601), ("getBalance", ["x"], -32602), ("getBalance", [], -32602),
        ("getBalance", [GENESIS_HASH, {"commitment": "hoped"}], -32602), ("getBlocks", [0, 600_000], -32602),
        ("sendTransaction", ["AAAA", {"encoding": "base64"}], -32602), ("sendTransaction", ["AAAA"], -32602),
        ("sendTransaction", ["!", {"encoding": "base64"}], -32602),
        ("sendTransaction", ["A" * 4000, {"encoding": "base64"}], -32602), ("ringfence_advance", [-1], -32602),
        ("ringfence_advance", ["1"], -32602), ("getBlock", [0, {"encoding": "jsonParsed"}], -32602),
        ("getFeeForMessage", ["gAAA"], -32602), ("getSlot", [3], -32602), ("requestAirdrop", ["x", 1], -32602),
        ("requestAirdrop", [GENESIS_HASH, 0], -32602), ("getMinimumBalanceForRentExemption", ["x"], -32602),
        ("getSignatureStatuses", [5], -32602), (5, [], -32600), ("getSlot", {}, -32600),
    ],
)  # fmt: skip
def test_calls_that_make_no_sense_are_refused_by_number(
    node: RunningSolana, method: object, params: object, code: int
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=5)
    asked = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    connection.request("POST", "/", asked, {"Content-Type": "application/json"})
    answer = json.loads(connection.getresponse().read())
    assert answer["error"]["code"] == code, answer
    assert node.rpc.call("getHealth") == "ok"


def test_a_web_page_cannot_call(node: RunningSolana) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=5)
    asked = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ringfence_advance", "params": [1]})
    slot = node.rpc.slot("processed")
    connection.request("POST", "/", asked, {"Content-Type": "text/plain"})
    assert connection.getresponse().status == 415
    assert node.rpc.slot("processed") == slot
