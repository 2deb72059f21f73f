"""What a node may answer, and what is believed of it."""

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from ringfence.custody.chains.accounts import NodeError, TransactionRefusedError, WrongChainError
from ringfence.custody.chains.ethereum import rpc as module
from ringfence.custody.chains.ethereum.addresses import AddressError, spelt
from ringfence.custody.chains.ethereum.blocks import EthereumBlocks
from ringfence.custody.chains.ethereum.devnet import CHAIN_ID, USDT_ADDRESS
from ringfence.custody.chains.ethereum.faucet import Faucet
from ringfence.custody.chains.ethereum.rpc import (
    PRIORITY_FEE_WEI_MIN,
    EthereumRpc,
    Fee,
    NodeRefusedError,
    address_in,
    digest_in,
    quantity,
)
from ringfence.ports import free_ports
from tests.chains.ethereum.conftest import ETH, GWEI, NATIVE, TOKEN, USDT, Chain, Liar

SOMEBODY = spelt(b"\x11" * 20)
DIGEST = "0x" + "ab" * 32
QUESTIONS: dict[str, Callable[[EthereumRpc], object]] = {
    "chain_id": lambda rpc: rpc.chain_id(),
    "block_number": lambda rpc: rpc.block_number(),
    "header": lambda rpc: rpc.header("finalized"),
    "nonce": lambda rpc: rpc.nonce(SOMEBODY, "pending"),
    "balance_wei": lambda rpc: rpc.balance_wei(SOMEBODY, 1),
    "token_raw": lambda rpc: rpc.token_raw(USDT, SOMEBODY, "latest"),
    "gas_estimate": lambda rpc: rpc.gas_estimate(SOMEBODY, SOMEBODY),
    "fee": lambda rpc: rpc.fee(),
    "is_known": lambda rpc: rpc.is_known(DIGEST),
    "send": lambda rpc: rpc.send(b"\x02\xc0"),
    "tip": lambda rpc: EthereumBlocks(rpc, chain_id=1, tokens={}, native=NATIVE).tip(),
    "block": lambda rpc: EthereumBlocks(rpc, chain_id=1, tokens={}, native=NATIVE).block(1, is_ours=bool),
}


@pytest.mark.parametrize(
    ("text", "number"),
    [("0x0", 0), ("0x1", 1), ("0xff", 255), ("0x" + "f" * 64, 2**256 - 1)],
)
def test_a_quantity_has_one_spelling(text: str, number: int) -> None:
    assert quantity(text) == number


@pytest.mark.parametrize(
    "odd",
    ["", "0x", "0x00", "0x01", "1", "0xFF", "0X1", "0x1 ", " 0x1", "0x1\n", "-0x1", "0x-1", "0x1_0", "0x٣",
     "0x" + "f" * 65, 1, 1.0, True, None, [], {}],
)  # fmt: skip
def test_any_other_is_none(odd: object) -> None:
    with pytest.raises(ValueError, match="no quantity"):
        quantity(odd)


def test_addresses_and_digests_leave_in_one_spelling() -> None:
    address = spelt(bytes(range(20)))
    assert address_in(address.lower()) == address_in("0x" + address[2:].upper()) == address
    assert digest_in(DIGEST) == DIGEST
    for odd in (address[:-1], address[2:], address + "0", "0x" + "g" * 40, None, 7):
        with pytest.raises(ValueError, match="no address"):
            address_in(odd)
    for odd in (DIGEST[:-1], DIGEST.upper(), DIGEST[2:] + "00", None):
        with pytest.raises(ValueError, match="no digest"):
            digest_in(odd)


@pytest.mark.parametrize(
    "url", ["https://node/", "node:8545", "http://", "http://me:secret@node/", "http://node/?a"]
)
def test_a_url_that_is_not_a_node_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="not the URL of a node"):
        EthereumRpc(url)


# Not deeper: a test dependency (py_ecc) lifts Python's limit to 100,000, at which its parser leaves the stack.
NESTED = [b"[" * depth + b"]" * depth for depth in (900, 950, 5_000)]
NESTED += [b'{"id": 1, "result": ' + one + b"}" for one in NESTED]
NO_ANSWERS = (
    b"", b"\xff\xfe", b"<html>", b"null", b"7", b"[]", b"{}", b"[[]]", b"[null]", b'"0x1"', *NESTED,
    b'{"id": 1}', b'{"id": 1, "result": 7}', b'{"id": 1, "result": "0x01"}', b'{"id": 99, "result": "0x1"}',
    b'{"id": 1, "error": 3}', b'{"id": 1, "error": {"code": "a", "message": 1}}', b'{"id": 1, "result": [[]]}',
    b'[{"id": 1, "result": 7}, {"id": 2, "result": {}}]', b'[{"id": 1, "result": {}}, {"id": 1, "result": {}}]',
    b'[{"id": [], "result": 7}]', b'{"id": null, "error": {"code": 1, "message": "too many"}}',
)  # fmt: skip


@pytest.mark.parametrize("name", QUESTIONS)
def test_an_answer_that_is_none_is_said_of_the_node(liar: Liar, name: str) -> None:
    for content in NO_ANSWERS:
        liar.says(content)
        rpc = liar.rpc()
        with pytest.raises(NodeError):
            QUESTIONS[name](rpc)
        rpc.close()


def test_a_node_that_is_away_or_silent_or_odd_is_said_to_be(
    liar: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NodeError, match="does not answer"):
        EthereumRpc(f"http://127.0.0.1:{free_ports(1)[0]}/").chain_id()
    liar.answers(lambda method, params: "0x1")
    rpc = liar.rpc()
    assert rpc.chain_id() == 1
    for status in (302, 403, 500):
        liar.status = status
        with pytest.raises(NodeError, match=f"HTTP {status}"):
            rpc.chain_id()
    liar.status = 200
    monkeypatch.setattr(module, "ANSWER_BYTES_MAX", 20)
    with pytest.raises(NodeError, match="larger than 20 bytes"):
        rpc.chain_id()
    monkeypatch.setattr(module, "REQUEST_BYTES_MAX", 20)
    with pytest.raises(NodeError, match="nothing was sent"):
        rpc.chain_id()


def test_an_address_that_is_mistyped_is_not_asked_for(liar: Liar) -> None:
    with pytest.raises(AddressError):
        liar.rpc().balance_wei(USDT.swapcase().replace("X", "x"), "latest")


def test_answers_of_a_batch_come_in_any_order(liar: Liar) -> None:
    liar.content = lambda asked: json.dumps(
        [{"id": question["id"], "result": question["method"]} for question in reversed(asked)]
    ).encode()
    assert liar.rpc().batch([("a", ()), ("b", ()), ("c", ())]) == ["a", "b", "c"]
    assert liar.rpc().batch([]) == []


def test_the_fee_for_the_maker_of_a_block_is_never_next_to_nothing(liar: Liar) -> None:
    proposed = {
        "eth_feeHistory": {"baseFeePerGas": ["0x5", "0x7"]}, "eth_maxPriorityFeePerGas": "0x1",
    }  # fmt: skip
    liar.answers(lambda method, params: proposed[method])
    assert liar.rpc().fee() == Fee(7, PRIORITY_FEE_WEI_MIN)
    proposed["eth_maxPriorityFeePerGas"] = hex(3 * GWEI)
    assert liar.rpc().fee() == Fee(7, 3 * GWEI)


def test_a_faucet_pays_on_no_chain_that_is_worth_anything(liar: Liar) -> None:
    liar.answers(lambda method, params: "0x1")
    with pytest.raises(WrongChainError, match="no development chain"):
        Faucet(liar.rpc())


def test_a_transaction_is_sent_once_however_often_it_is_sent(chain: Chain) -> None:
    person = chain.person()
    raw = person.raw(SOMEBODY, 5)
    before_wei = chain.rpc.balance_wei(SOMEBODY, "latest")
    txid = chain.rpc.send(raw)
    assert chain.rpc.send(raw) == txid
    assert chain.rpc.is_known(txid)
    assert (chain.rpc.nonce(person.address, "latest"), chain.rpc.nonce(person.address, "pending")) == (0, 1)
    chain.rpc.mine()
    assert chain.rpc.send(raw) == txid
    assert chain.rpc.is_known(txid)
    assert chain.rpc.balance_wei(SOMEBODY, "latest") == before_wei + 5
    assert chain.rpc.nonce(person.address, "latest") == 1


def test_a_replacement_must_pay_more(chain: Chain) -> None:
    person = chain.person()
    first = person.send(SOMEBODY, 5)
    with pytest.raises(TransactionRefusedError, match="underpriced"):
        person.send(SOMEBODY, 6, nonce=0)
    assert chain.rpc.is_known(first)
    second = person.send(SOMEBODY, 6, nonce=0, priority_fee_wei=4 * GWEI)
    assert not chain.rpc.is_known(first)
    chain.rpc.mine()
    assert chain.rpc.is_known(second)
    with pytest.raises(TransactionRefusedError, match="nonce too low"):
        person.send(SOMEBODY, 7, nonce=0, priority_fee_wei=8 * GWEI)


def test_what_nobody_can_pay_for_is_refused(chain: Chain) -> None:
    with pytest.raises(TransactionRefusedError, match="nsufficient"):
        chain.person().send(SOMEBODY, 2 * ETH)
    with pytest.raises(TransactionRefusedError):
        chain.rpc.send(b"\x02")


def test_the_node_estimates_what_a_transfer_takes_and_refuses_one_that_would_fail(chain: Chain) -> None:
    person = chain.person()
    assert chain.rpc.gas_estimate(person.address, SOMEBODY, value_wei=1) in range(21_000, 21_100)
    data = bytes.fromhex("a9059cbb") + bytes(12) + b"\x11" * 20 + (1).to_bytes(32, "big")
    with pytest.raises(NodeRefusedError, match="revert"):
        chain.rpc.gas_estimate(person.address, USDT, data=data)
    with pytest.raises(NodeError, match="where a token tells a balance"):
        chain.rpc.token_raw(SOMEBODY, SOMEBODY, "latest")


def test_no_answer_that_is_bent_somewhere_makes_another_error(chain: Chain, liar: Liar) -> None:
    """Real answers with one piece replaced are believed or refused; they break nothing."""
    person = chain.person()
    chain.faucet.pay_wei(person.address, ETH)
    chain.faucet.pay_token(person.address, 5)
    person.send(SOMEBODY, 1)
    chain.rpc.mine()
    height = chain.rpc.block_number()
    dice, refused, asked = random.Random(8), 0, 0
    junk: tuple[Any, ...] = (
        None,
        "",
        "0x",
        "0x1",
        -1,
        2**300,
        [],
        {},
        [[]],
        {"a": 1},
        "0x" + "00" * 32,
        True,
        1.5,
    )

    def bent(value: Any) -> Any:
        """Walk down at random and replace what is there."""
        if isinstance(value, dict) and value and dice.random() < 0.9:
            name = dice.choice(sorted(value))
            return {**value, name: bent(value[name])}
        if isinstance(value, list) and value and dice.random() < 0.9:
            place = dice.randrange(len(value))
            return [*value[:place], bent(value[place]), *value[place + 1 :]]
        return dice.choice(junk)

    def told(method: str, params: list[Any]) -> Any:
        found = chain.rpc.call(method, *params)
        return bent(found) if dice.random() < 0.5 else found

    liar.answers(told)
    rpc = liar.rpc()
    for _ in range(300):
        blocks = EthereumBlocks(rpc, chain_id=CHAIN_ID, tokens={USDT_ADDRESS: TOKEN}, native=NATIVE)
        asked += 1
        try:
            blocks.tip()
            blocks.final_height()
            blocks.block(height, is_ours=person.address.__eq__)
        except (NodeError, WrongChainError):
            refused += 1
    assert 0 < refused < asked
