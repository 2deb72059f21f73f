"""Whatever a node answers, the client knows it or says NodeError: never another exception, never a wrong number."""

import copy
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from ringfence.custody.chains.accounts import NodeError, TransactionRefusedError, WrongChainError
from ringfence.custody.chains.solana.addresses import spelt
from ringfence.custody.chains.solana.blocks import SolanaBlocks
from ringfence.custody.chains.solana.rpc import SolanaBlock, SolanaRpc

A, B, C, D = (spelt(bytes([n]) * 32) for n in (1, 2, 3, 4))
TXID = "5" * 87
SIGNED = b"\1" + bytes(64) + b"message"


class FakeNode(HTTPServer):
    """Answers every call with what it was told to answer: a result, an error, or bytes."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _FakeHandler)
        self.answers: dict[str, Any] = {}
        self.error: Any = None
        self.content: bytes | None = None
        self.status = 200
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/key-that-is-secret"


class _FakeHandler(BaseHTTPRequestHandler):
    server: FakeNode

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        content = self.server.content
        if content is None:
            answer = {"jsonrpc": "2.0", "id": asked["id"]}
            if self.server.error is not None:
                answer["error"] = self.server.error
            else:
                answer["result"] = self.server.answers.get(asked["method"])
            content = json.dumps(answer).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads it."""


@pytest.fixture
def fake() -> Iterator[FakeNode]:
    server = FakeNode()
    yield server
    server.shutdown()
    server.server_close()


CALLS: dict[str, Callable[[SolanaRpc], object]] = {
    "getGenesisHash": lambda rpc: rpc.genesis_hash(),
    "getSlot": lambda rpc: rpc.slot(),
    "getBlockHeight": lambda rpc: rpc.block_height(),
    "getLatestBlockhash": lambda rpc: rpc.latest_blockhash(),
    "isBlockhashValid": lambda rpc: rpc.is_blockhash_valid(bytes(32)),
    "getBalance": lambda rpc: rpc.balance_lamports(A),
    "getFeeForMessage": lambda rpc: rpc.fee_lamports(b"message"),
    "getMinimumBalanceForRentExemption": lambda rpc: rpc.rent_exempt_lamports(),
    "sendTransaction": lambda rpc: rpc.send(SIGNED),
    "getSignatureStatuses": lambda rpc: rpc.status(TXID),
    "getBlock": lambda rpc: rpc.block(5),
    "getBlocks": lambda rpc: rpc.block_slots(3, 9),
    "ringfence_advance": lambda rpc: rpc.advance(),
}
SHAPES: list[Any] = [None, 5, -5, "x", [], {}, 1.5, 2**64]
JUNK: list[Any] = [
    {}, [[]], "x", "\ud800", -1, 1.5, 2**64, True, [1], [5, 4], [-5], {"value": "x"}, {"value": -1}, {"value": 1.0},
    {"value": {}}, {"value": [{}]}, {"value": []}, {"value": [1, 2]}, {"value": [{"slot": 1, "err": None}]},
    {"value": [{"slot": -1, "err": None, "confirmationStatus": "finalized"}]},
    {"value": [{"slot": 1, "err": None, "confirmationStatus": "hoped"}]}, {"value": {"blockhash": "x"}},
    {"value": {"blockhash": A}}, {"value": {"blockhash": A, "lastValidBlockHeight": "5"}}, {"blockhash": A},
    {"blockhash": A, "previousBlockhash": 5, "transactions": []}, {"blockhash": A, "previousBlockhash": B},
    {"blockhash": A, "previousBlockhash": B, "transactions": [{}]},
]  # fmt: skip


@pytest.mark.parametrize("method", CALLS)
def test_a_result_that_is_none_is_an_error_of_the_node(fake: FakeNode, method: str) -> None:
    rpc = SolanaRpc(fake.url, seconds=5)
    for junk in JUNK:
        fake.answers = {method: junk}
        with pytest.raises(NodeError) as caught:
            CALLS[method](rpc)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"x", b"null", b"[]", b"{}", b"5", b'{"id": 1}', b'{"id": 7, "result": 5}', b"\xff\xfe\x00",
        b"[" * 200_000,
        b'{"id": 1, "result": ' + b"9" * 5000 + b"}", b'{"id": 1, "error": 5}', b'{"id": 1, "error": {}}',
        b'{"id": 1, "error": {"code": 1e999, "message": ""}}', b'{"id": 1, "error": {"code": "x", "message": 5}}',
        b'{"id": 1, "error": {"code": 5, "message": null, "data": []}}', b'{"id": 1, "result": NaN}',
    ],
    ids=lambda content: repr(content)[:40],
)  # fmt: skip
def test_an_answer_that_is_none_is_an_error_of_the_node(fake: FakeNode, content: bytes) -> None:
    fake.content = content
    for call in CALLS.values():
        with pytest.raises(NodeError):
            call(SolanaRpc(fake.url, seconds=5))


@pytest.mark.parametrize("sent", [b"", b"x", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"HTTP/9 x y\r\n\r\n", b"A" * 100_000,
    b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200, b"HTTP/1.1 99999999999999999999 X\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"],
    ids=lambda sent: repr(sent)[:40])  # fmt: skip
def test_what_is_not_http_is_an_error_of_the_node(sent: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"

        def serve() -> None:
            with suppress(OSError):
                peer, _ = listening.accept()
                peer.recv(65_536)
                peer.sendall(sent)
                peer.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        with pytest.raises(NodeError):
            SolanaRpc(url, seconds=5).slot()
        thread.join(5)
    with pytest.raises(NodeError, match="does not answer"):
        SolanaRpc(url, seconds=5).slot()


def test_a_node_that_is_silent_or_busy_is_an_error_in_time(fake: FakeNode) -> None:
    fake.status = 429
    with pytest.raises(NodeError, match="429"):
        SolanaRpc(fake.url).slot()
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        pytest.raises(NodeError, match="does not answer"),
    ):
        SolanaRpc(f"http://127.0.0.1:{listening.getsockname()[1]}", seconds=0.1).slot()


@pytest.mark.parametrize("url", ["", "x", "ftp://x", "http://", "http://x:y", "127.0.0.1:8899"])
def test_what_is_no_address_of_a_node_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        SolanaRpc(url)


def test_which_refusals_say_that_a_transaction_was_not_sent(fake: FakeNode) -> None:
    rpc = SolanaRpc(fake.url)
    for code in (-32002, -32003, -32602):
        fake.error = {"code": code, "message": "no", "data": {"err": "BlockhashNotFound"}}
        with pytest.raises(TransactionRefusedError, match="BlockhashNotFound"):
            rpc.send(SIGNED)
    fake.error = {"code": -32002, "message": "no", "data": {"err": "AlreadyProcessed"}}
    assert rpc.send(SIGNED) == "1" * 64
    fake.error = {"code": -32005, "message": "Node is behind by 42 slots"}
    with pytest.raises(NodeError) as caught:
        rpc.send(SIGNED)
    assert not isinstance(caught.value, TransactionRefusedError)
    fake.error = {"code": -32009, "message": "skipped"}
    assert rpc.block(5) is None


# ---- blocks that only other programs make


def told(accounts: str, before: list[int], after: list[int], fee: int, **more: Any) -> dict[str, Any]:
    """Return a transaction as a node tells of it; the last account comes out of a lookup table."""
    *static, loaded = list(accounts)
    meta = {
        "err": None, "fee": fee, "preBalances": before, "postBalances": after,
        "loadedAddresses": {"writable": [globals()[loaded]], "readonly": []},
    }  # fmt: skip
    message = {"accountKeys": [globals()[name] for name in static]}
    return {"transaction": {"signatures": [TXID], "message": message}, "meta": meta | more}


def block_of(fake: FakeNode, *transactions: dict[str, Any], ours: str) -> list[Any]:
    """Return what is received and spent in a block, in short."""
    fake.answers = {
        "getGenesisHash": A, "getSlot": 5, "getBlocks": [5],
        "getBlock": {"blockhash": B, "previousBlockhash": A, "transactions": list(transactions)},
    }  # fmt: skip
    blocks = SolanaBlocks(SolanaRpc(fake.url), genesis=A)
    assert blocks.tip() == (5, B)
    is_ours = {globals()[name] for name in ours}.__contains__
    block = blocks.block(5, is_ours=is_ours)
    assert block is not None
    names = {A: "A", B: "B", C: "C", D: "D", "": "-"}
    received = [f"{names[one.address]}[{one.output}] +{one.raw}" for one in block.received]
    spent = [
        f"{names[one.payer]} pays {one.fee_raw}: "
        + ", ".join(f"{names[leg.source]}>{names[leg.to]} {leg.raw}" for leg in one.legs)
        for one in block.spent
    ]
    return received + spent


@pytest.mark.parametrize(
    ("transaction", "ours", "expected"),
    [
        # Strangers pay, through a lookup table and to two of ours at once.
        (told("ABC", [100, 0, 0], [45, 20, 30], 5), "C", ["C[2] +30"]),
        (told("ABC", [100, 0, 0], [45, 20, 30], 5), "BC", ["B[1] +20", "C[2] +30"]),
        (told("ABC", [100, 0, 0], [45, 20, 30], 5), "D", []),
        # Ours: a payment, a sweep to the payer, one that failed.
        (told("ABC", [100, 0, 1], [65, 30, 1], 5), "A", ["A pays 5: A>B 30"]),
        (told("ABC", [100, 30, 1], [125, 0, 1], 5), "AB", ["A pays 5: B>A 30"]),
        (told("ABC", [100, 30, 1], [95, 30, 1], 5, err="x"), "AB", ["A pays 5: "]),
        # Two receivers, two sources.
        (told("ABC", [100, 0, 0], [45, 20, 30], 5), "AC", ["A pays 5: A>B 20, A>C 30"]),
        (told("ABCD", [100, 30, 20, 0], [95, 0, 0, 50], 5), "ABC", ["A pays 5: B>D 30, C>D 20"]),
        # A stranger pays the fee of what takes from ours, alone and together with a stranger's coins.
        (told("ABC", [100, 30, 0], [95, 10, 20], 5), "B", ["- pays 0: B>C 20"]),
        (told("ABC", [100, 30, 0], [85, 10, 30], 5), "BC", ["C[2] +10", "- pays 0: B>C 20"]),
        # Ours pays the fee for what strangers give us.
        (told("ABC", [100, 30, 0], [95, 0, 30], 5), "AC", ["C[2] +30", "A pays 5: "]),
        # With the fee added back the payer has gained what strangers gave it.
        (told("ABC", [100, 30, 0], [98, 0, 27], 5), "A", ["A[0] +3", "A pays 5: "]),
    ],
)  # fmt: skip
def test_what_has_moved_is_read_from_the_balances(
    fake: FakeNode, transaction: dict[str, Any], ours: str, expected: list[str]
) -> None:
    assert block_of(fake, transaction, ours=ours) == expected


def test_balances_that_do_not_add_up_are_an_error_of_the_node(fake: FakeNode) -> None:
    with pytest.raises(NodeError, match="is not what was gained"):
        block_of(fake, told("ABC", [100, 0, 0], [65, 31, 0], 5), ours="A")


def test_a_block_with_any_part_broken_is_read_or_refused_and_nothing_else(fake: FakeNode) -> None:
    whole = {
        "blockhash": B, "previousBlockhash": A,
        "transactions": [told("ABC", [100, 0, 0], [45, 20, 30], 5)],
    }  # fmt: skip
    rpc = SolanaRpc(fake.url)

    def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
        keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
        for key in keys:
            yield (*path, key)
            yield from places(value[key], (*path, key))

    tried = 0
    for path in places(whole):
        for junk in SHAPES:
            broken = copy.deepcopy(whole)
            inside: Any = broken
            for key in path[:-1]:
                inside = inside[key]
            inside[path[-1]] = junk
            fake.answers = {"getBlock": broken}
            with suppress(NodeError):
                assert isinstance(rpc.block(5), SolanaBlock)
            tried += 1
    assert tried > 150


def test_a_node_of_another_chain_is_told_from_ours(fake: FakeNode) -> None:
    fake.answers = {"getGenesisHash": B}
    with pytest.raises(WrongChainError, match=B):
        SolanaBlocks(SolanaRpc(fake.url), genesis=A).tip()


def test_a_node_that_forgets_a_block_it_has_told_of_makes_no_gap(fake: FakeNode) -> None:
    """What it lacks must not look skipped, or the deposits in it would be lost."""
    fake.answers = {
        "getGenesisHash": A, "getSlot": 5, "getBlocks": [4],
        "getBlock": {"blockhash": B, "previousBlockhash": A, "transactions": []},
    }  # fmt: skip
    blocks = SolanaBlocks(SolanaRpc(fake.url), genesis=A)
    blocks.tip()
    with pytest.raises(NodeError, match="does not list it"):
        blocks.block(4, is_ours=lambda _: False)
    fake.answers["getBlocks"] = [4, 5]
    fake.answers["getBlock"] = None
    with pytest.raises(NodeError, match="does not give it"):
        blocks.block(4, is_ours=lambda _: False)
    with pytest.raises(NodeError, match="not final yet"):
        blocks.block(6, is_ours=lambda _: False)
