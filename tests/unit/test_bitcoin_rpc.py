"""What a node may answer, and what is believed of it."""

import json
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ringfence.custody.chains.bitcoin import rpc as module
from ringfence.custody.chains.bitcoin.regtest.mining import Parent, assemble
from ringfence.custody.chains.bitcoin.rpc import (
    AlreadyConfirmedError,
    BitcoinRpc,
    Endpoint,
    NodeAwayError,
    NodeOddError,
    NodeRefusedError,
    NotFoundError,
    RejectedError,
    WarmingUpError,
    sats_of,
)
from ringfence.custody.chains.bitcoin.transactions import TransactionError, check_block, parse_block
from ringfence.custody.chains.journal import Journal, JournalDamagedError
from ringfence.custody.wallets.coins import Outpoint

HASH = "ab" * 32


class Liar(ThreadingHTTPServer):
    """A node that answers what a test says."""

    daemon_threads = True
    block_on_close = False
    status = 200
    content: Callable[[dict[str, Any]], bytes]
    asked: int = 0

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is what some of these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: Liar
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.server.asked += 1
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        content = self.server.content(question)
        self.send_response(self.server.status)
        if self.server.status == 302:
            self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/elsewhere")
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


def client(liar: Liar) -> BitcoinRpc:
    return BitcoinRpc(Endpoint("127.0.0.1", liar.server_port, user="u", password="p"), timeout_s=1)


def result(text: str) -> Callable[[dict[str, Any]], bytes]:
    """Return an answer with this result, given as JSON text."""
    return lambda question: b'{"result": %s, "error": null, "id": %d}' % (text.encode(), question["id"])


@pytest.mark.parametrize(
    "answer",
    [
        lambda _: b"<html>", lambda _: b"", lambda _: b"[]", lambda _: b"{}", lambda _: b'{"result": 1}',
        lambda question: b'{"result": 1, "error": null, "id": %d}' % (question["id"] + 1),
        result('"seven"'), result("null"), result("{}"),
        lambda question: b'{"result": null, "error": "no", "id": %d}' % question["id"],
    ],
)  # fmt: skip
def test_an_answer_that_is_none_is_said_of_the_node(liar: Liar, answer: Any) -> None:
    liar.content = answer
    with pytest.raises(NodeOddError):
        client(liar).block_count()


def test_a_redirect_is_not_followed(liar: Liar) -> None:
    liar.status, liar.content = 302, lambda _: b""
    with pytest.raises(NodeOddError, match="302"):
        client(liar).block_count()
    assert liar.asked == 1


def test_an_answer_without_end_is_not_read_to_its_end(liar: Liar, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_BYTES_MAX", 1000)
    liar.content = lambda _: b" " * 2000
    with pytest.raises(NodeOddError, match="larger"):
        client(liar).block_count()


def test_a_node_that_takes_too_long_is_away(liar: Liar) -> None:
    wait = threading.Event()
    liar.content = lambda _: b"late" if wait.wait(3) else b"later"
    hasty = BitcoinRpc(Endpoint("127.0.0.1", liar.server_port, user="u", password="p"), timeout_s=0.05)
    with pytest.raises(NodeAwayError):
        hasty.send(b"\0")
    wait.set()
    assert liar.asked == 1


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (-5, NotFoundError), (-8, NotFoundError), (-25, RejectedError), (-26, RejectedError),
        (-27, AlreadyConfirmedError), (-28, WarmingUpError), (-1, NodeRefusedError),
    ],
)  # fmt: skip
def test_refusals_are_told_apart_by_their_number(liar: Liar, code: int, kind: type[NodeRefusedError]) -> None:
    """The words differ between versions of Core; the numbers do not."""
    liar.status = 500
    liar.content = lambda question: json.dumps(
        {"result": None, "error": {"code": code, "message": "words"}, "id": question["id"]}
    ).encode()
    with pytest.raises(kind) as caught:
        client(liar).send(b"\0")
    assert (type(caught.value), caught.value.code) == (kind, code)


@pytest.mark.parametrize("value", ["0.000000001", "-1", "21000001", '"1"', "true", "null", "1e9"])
def test_an_amount_that_cannot_be_is_not_taken(liar: Liar, value: str) -> None:
    liar.content = result(
        f'{{"value": {value}, "scriptPubKey": {{"hex": "51"}}, "confirmations": 1, "bestblock": "{HASH}",'
        ' "coinbase": false}'
    )
    with pytest.raises(NodeOddError):
        client(liar).tx_out(Outpoint(HASH, 0), with_mempool=False)


def test_amounts_are_exact() -> None:
    assert sats_of(Decimal("0.07")) == 7_000_000
    assert sats_of(Decimal("20999999.97690001")) == 2_099_999_997_690_001
    assert sats_of(Decimal("1E-8")) == 1


def block() -> bytes:
    return assemble(Parent("00" * 32, 4, 1_300_000_000), b"\x51", [], fees_sats=0, tag=0)


def test_a_block_other_than_the_one_that_was_asked_for_is_not_taken(liar: Liar) -> None:
    liar.content = result(f'"{block().hex()}"')
    assert client(liar).block(parse_block(block()).digest).raw == block()
    with pytest.raises(NodeOddError, match="asked for block"):
        client(liar).block(HASH)


def test_a_payment_cannot_be_put_into_a_block() -> None:
    """The header has the hashes of all transactions, and work was done for the header."""
    good = block()
    check_block(parse_block(good))
    place = good.index((50 * 100_000_000).to_bytes(8, "little"))
    invented = good[:place] + (49 * 100_000_000).to_bytes(8, "little") + good[place + 8 :]
    with pytest.raises(TransactionError, match="does not hold"):
        check_block(parse_block(invented))
    harder = good[:72] + (0x1D00FFFF).to_bytes(4, "little") + good[76:]
    with pytest.raises(TransactionError, match="no work"):
        check_block(parse_block(harder))


# ---- the journal of the embedded node


def test_every_cut_of_a_journal_leaves_the_records_before_it(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    records = [b"one", b"two" * 50, b"three"]
    journal = Journal(path)
    ends = []
    for record in records:
        journal.append(record)
        ends.append(path.stat().st_size)
    journal.close()
    content = path.read_bytes()
    for size in range(len(content) + 1):
        path.write_bytes(content[:size])
        again = Journal(path)
        assert [record for _, record in again.records()] == records[: sum(end <= size for end in ends)]
        again.close()


def test_every_changed_byte_that_others_follow_is_damage(tmp_path: Path) -> None:
    """A changed length, too, which would look like a record that was cut short."""
    path = tmp_path / "journal"
    journal = Journal(path)
    journal.append(b"one" * 20)
    end = path.stat().st_size
    journal.append(b"two")
    journal.close()
    content = path.read_bytes()
    for place in range(end):
        changed = bytearray(content)
        changed[place] ^= 0x10
        path.write_bytes(changed)
        with pytest.raises(JournalDamagedError):
            Journal(path)
        assert path.read_bytes() == changed
