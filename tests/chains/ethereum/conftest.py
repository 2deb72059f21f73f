"""A development chain for the tests of this folder, people on it, and nodes that lie."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from coincurve import PrivateKey

from ringfence.custody.chains.accounts import AccountFollower
from ringfence.custody.chains.ethereum.addresses import address_of, keccak_256, read_address, spelt
from ringfence.custody.chains.ethereum.blocks import EthereumBlocks
from ringfence.custody.chains.ethereum.devnet import CHAIN_ID, USDT_ADDRESS
from ringfence.custody.chains.ethereum.faucet import Faucet, signed
from ringfence.custody.chains.ethereum.rpc import EthereumRpc
from ringfence.custody.chains.ethereum.transactions import Transaction
from ringfence.testing.anvil import RunningDevnet, anvil_path

GWEI = 10**9
ETH = 10**18
USDT = spelt(USDT_ADDRESS)
NATIVE, TOKEN = "Gwei", "USDt"


class Person:
    """An address with its key, and some ETH at it."""

    def __init__(self, rpc: EthereumRpc, name: str, *, wei: int = ETH) -> None:
        self._rpc = rpc
        self.key = keccak_256(name.encode())
        self.address = spelt(address_of(PrivateKey(self.key).public_key.format()))
        self._nonce = 0
        if wei:
            rpc.call("anvil_setBalance", self.address, hex(wei))

    def raw(
        self, to: str, value_wei: int = 0, data: bytes = b"", *,
        nonce: int | None = None, gas: int = 300_000, priority_fee_wei: int = GWEI,
    ) -> bytes:  # fmt: skip
        """Return a signed transaction: the next, or again one with a nonce that was used."""
        if nonce is None:
            nonce, self._nonce = self._nonce, self._nonce + 1
        return signed(
            Transaction(
                CHAIN_ID, nonce, priority_fee_wei, 10 * GWEI + priority_fee_wei, gas, read_address(to),
                value_wei, data,
            ),
            self.key,
        )  # fmt: skip

    def send(self, to: str, value_wei: int = 0, data: bytes = b"", **more: int) -> str:
        return self._rpc.send(self.raw(to, value_wei, data, **more))


class Chain:
    """The node, and what a test does with it."""

    def __init__(self, rpc: EthereumRpc) -> None:
        self.rpc, self.faucet = rpc, Faucet(rpc)
        self._people = 0

    def person(self, *, wei: int = ETH) -> Person:
        self._people += 1
        return Person(self.rpc, f"person {self._people}", wei=wei)

    def blocks(self, *, chain_id: int = CHAIN_ID) -> EthereumBlocks:
        return EthereumBlocks(self.rpc, chain_id=chain_id, tokens={USDT_ADDRESS: TOKEN}, native=NATIVE)

    def follow(self, *ours: Person) -> AccountFollower:
        """Follow from here on. What people have already is not seen, so they have nothing yet."""
        addresses = {person.address for person in ours}
        blocks = self.blocks()
        tip = blocks.tip()
        return AccountFollower(
            blocks, addresses.__contains__, native=NATIVE, height=tip.height, digest=tip.digest
        )

    def code_at(self, last: int, code: str) -> str:
        """Put a contract at an address that ends with a number."""
        address = spelt(last.to_bytes(20, "big"))
        self.rpc.call("anvil_setCode", address, f"0x{code}")
        return address

    def check(self, follower: AccountFollower, *ours: Person) -> None:
        """What was followed is what the node says, to the last wei."""
        for person in ours:
            told = follower.balance(person.address, NATIVE), follower.balance(person.address, TOKEN)
            assert told == (
                self.rpc.balance_wei(person.address, follower.height),
                self.rpc.token_raw(USDT, person.address, follower.height),
            )


@pytest.fixture(scope="package")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDevnet]:
    if anvil_path() is None:
        pytest.skip("no Ethereum node: npm, then `make anvil`")
    devnet = RunningDevnet(tmp_path_factory.mktemp("ethereum"))
    yield devnet
    assert devnet.stop() == 0


@pytest.fixture(scope="package")
def chain(running: RunningDevnet) -> Chain:
    return Chain(running.rpc)


@pytest.fixture
def devnet(tmp_path: Path) -> Iterator[RunningDevnet]:
    """One for a test alone, which may kill it."""
    if anvil_path() is None:
        pytest.skip("no Ethereum node: npm, then `make anvil`")
    running = RunningDevnet(tmp_path)
    yield running
    running.kill()


class Liar(ThreadingHTTPServer):
    """A node that answers what a test says."""

    daemon_threads = True
    block_on_close = False
    status = 200
    content: Callable[[Any], bytes]

    def rpc(self) -> EthereumRpc:
        return EthereumRpc(f"http://127.0.0.1:{self.server_port}/", seconds=0.5)

    def says(self, content: bytes) -> None:
        """Answer everything with the same bytes."""
        self.content = lambda asked: content

    def answers(self, result: Callable[[str, list[Any]], Any]) -> None:
        """Answer calls and batches in due form with what `result` says to a method and its parameters."""

        def one(question: dict[str, Any]) -> dict[str, Any]:
            told = result(question["method"], question["params"])
            return {"jsonrpc": "2.0", "id": question["id"], "result": told}

        def content(asked: Any) -> bytes:
            told = [one(question) for question in asked] if isinstance(asked, list) else one(asked)
            return json.dumps(told).encode()

        self.content = content

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is what some of these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: Liar
    protocol_version = "HTTP/1.1"
    # Headers and body leave in one piece; two would wait for each other (Nagle) for 40 ms.
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        content = self.server.content(asked)
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def liar() -> Iterator[Liar]:
    server = Liar(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
