"""Orders on their way when the line to the core is lost: they wait a moment, and are placed once or not at all."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from ringfence.testing.client import Answer, Client
from ringfence.testing.socket import Socket
from ringfence.testing.venue import Venue, key_of
from ringfence.testing.wire import signature_headers, written

ORDER = {"symbol": "XBTUSD", "orderQty": 100, "price": 9_000}


class Middle:
    """Stands between gateways and the core, and at will loses what a gateway says, and the line with it."""

    def __init__(self, directory: Path) -> None:
        self._core = directory / "core.real"
        (directory / "core.sock").rename(self._core)
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(directory / "core.sock"))
        self._server.listen()
        self.loses, self.lost_bytes = False, 0
        self._lines: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                line, _ = self._server.accept()
                core = socket.socket(socket.AF_UNIX)
                core.connect(str(self._core))
                self._lines += [line, core]
                threading.Thread(target=self._carry, args=(line, core), daemon=True).start()
                threading.Thread(target=self._carry, args=(core, line, True), daemon=True).start()

    def _carry(self, source: socket.socket, to: socket.socket, is_core: bool = False) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if self.loses and not is_core:
                    self.lost_bytes += len(data)
                else:
                    to.sendall(data)

    def lose(self) -> None:
        """Lose what gateways say from now on."""
        self.loses, self.lost_bytes = True, 0

    def cut(self) -> None:
        """Cut every line; new ones carry everything."""
        self.loses = False
        lines, self._lines = self._lines, []
        for line in lines:
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
            line.close()

    def wait_lost(self, count: int) -> None:
        """Wait until so many bytes were lost. Raises TimeoutError."""
        until = time.monotonic() + 10
        while self.lost_bytes < count:
            if time.monotonic() > until:
                raise TimeoutError(f"{self.lost_bytes} bytes of {count}")
            time.sleep(0.005)


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    with Venue(tmp_path_factory.mktemp("venue"), accounts=3) as venue:
        yield venue


@pytest.fixture(scope="module")
def middle(venue: Venue) -> Middle:
    middle = Middle(venue.directory)
    venue.kill("gateway")
    venue.start("gateway")
    venue.wait_ready()
    return middle


class Asking(threading.Thread):
    """One order in a thread of its own, and what came of it."""

    def __init__(self, venue: Venue, account: int, clordid: str) -> None:
        super().__init__()
        self._client, self.clordid = Client(venue.port, account), clordid
        self.answer: Answer | None = None
        self.start()

    def run(self) -> None:
        self.answer = self._client.place(orderQty=100, price=9_000, clOrdID=self.clordid)


def placed(venue: Venue, account: int, clordid: str) -> int:
    """Return how many orders of that name there are."""
    rows = Client(venue.port, account).get(f"/order?filter=%7B%22clOrdID%22%3A%22{clordid}%22%7D")
    return len(rows)


def test_an_order_that_did_not_reach_the_core_is_sent_again(venue: Venue, middle: Middle) -> None:
    middle.lose()
    asked = [Asking(venue, 1, f"lost-{number}") for number in range(5)]
    middle.wait_lost(5 * 64)
    middle.cut()
    for asking in asked:
        asking.join()
        assert asking.answer is not None
        assert asking.answer.status == 200, asking.answer
        assert placed(venue, 1, asking.clordid) == 1


def test_an_order_that_has_reached_it_is_not(venue: Venue, middle: Middle) -> None:
    """The core's answer comes by another way than the line: what it took is seen there, and taken once."""
    for number in range(20):
        asking = Asking(venue, 1, f"raced-{number}")
        time.sleep(number * 0.0005)
        middle.cut()
        asking.join()
        assert asking.answer is not None
        assert asking.answer.status == 200, asking.answer
        assert placed(venue, 1, asking.clordid) == 1


def test_nothing_is_placed_for_a_client_that_has_hung_up(venue: Venue, middle: Middle) -> None:
    body = b'{"symbol":"XBTUSD","orderQty":100,"price":9000,"clOrdID":"hung-up"}'
    middle.lose()
    with socket.create_connection(("127.0.0.1", venue.port)) as client:
        headers = signature_headers(key_of(2), "POST", "/api/v1/order", body)
        client.sendall(written("POST", "/api/v1/order", headers, body))
        middle.wait_lost(64)
    time.sleep(0.1)
    middle.cut()
    venue.wait_ready()
    assert Client(venue.port, 2).place(orderQty=100, price=9_000, clOrdID="next").status == 200
    assert placed(venue, 2, "hung-up") == 0


async def test_a_realtime_connection_gets_its_answers_in_order(venue: Venue, middle: Middle) -> None:
    client = await Socket.signed(venue.realtime_url, 3)
    middle.lose()
    client.say(op="placeOrder", id="a", args={**ORDER, "clOrdID": "a"})
    client.say(op="cancelAllOrders", id="b", args={})
    client.say(op="placeOrder", id="c", args={**ORDER, "clOrdID": "c"})
    await client.wait(lambda: middle.lost_bytes >= 3 * 64)
    middle.cut()
    # What is asked meanwhile waits behind it.
    client.say(op="placeOrder", id="d", args={**ORDER, "clOrdID": "d"})
    answers = {name: await client.until(lambda f, name=name: f.get("id") == name) for name in "abcd"}
    assert {name: answer["status"] for name, answer in answers.items()} == dict.fromkeys("abcd", 200)
    rows = Client(venue.port, 3).get("/order?reverse=true")
    assert sorted(row["clOrdID"] for row in rows if row["ordStatus"] == "New") == ["c", "d"]
    client.close()


def test_after_a_second_everybody_is_told_that_nothing_was_done(tmp_path: Path) -> None:
    with Venue(tmp_path, accounts=1) as venue:
        venue.kill("core")
        began = time.monotonic()
        late = Client(venue.port, 1).place(orderQty=100, price=9_000, clOrdID="too-late")
        took = time.monotonic() - began
        assert late.status == 503
        assert "Nothing was done" in late.error
        assert took > 0.5
        assert Client(venue.port, 1).place(orderQty=100, price=9_000, clOrdID="at-once").status == 503
        venue.start("core")
        venue.wait_ready()
        assert placed(venue, 1, "too-late") == placed(venue, 1, "at-once") == 0
