"""What signing in takes, and what it takes from those who trade: `python benchmarks/accounts.py [--json]`.

A venue with its account desk. Orders are sent one after the other over one connection, first alone, then while fifty
people sign in at once again and again; their 99th percentiles are held against each other.
"""

import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import msgspec

from ringfence.testing.client import Client, sign
from ringfence.testing.measure import Result, report
from ringfence.testing.person import PASSWORD, Person
from ringfence.testing.venue import Venue, cpu_seconds, key_of
from ringfence.testing.wire import Wire, written

ORDERS, RUNS = 190, 7
"""An account has at most 200 orders open."""
PEOPLE = 50
LOGINS_ALONE = 20


def order_seconds(wire: Wire) -> list[float]:
    """Return how long each of some orders took; all rest, and are cancelled at the end."""
    key, took = key_of(1), []
    for number in range(ORDERS):
        body = msgspec.json.encode({"symbol": "XBTUSD", "orderQty": 100, "price": 5_000 + number % 50})
        expires = int(time.time()) + 30
        headers = [
            ("api-key", key.id), ("api-expires", str(expires)), ("content-type", "application/json"),
            ("api-signature", sign(key.secret, "POST", "/api/v1/order", expires, body)),
        ]  # fmt: skip
        began = time.perf_counter()
        answer = wire.ask(written("POST", "/api/v1/order", headers, body))
        took.append(time.perf_counter() - began)
        assert answer.status == 200, answer
    Client(wire.port, 1).call("DELETE", "/order/all")
    return took


def p99(seconds: list[float]) -> float:
    return sorted(seconds)[len(seconds) * 99 // 100]


class Crowd:
    """People who sign in again and again until they are told to stop."""

    def __init__(self, venue: Venue, size: int) -> None:
        self._venue, self._size = venue, size
        self._stop = threading.Event()
        self.signed_in = self.turned_away = 0

    def _one(self, person: Person) -> None:
        while not self._stop.is_set():
            status = person.ask("POST", "/account/login", email=person.address, password=PASSWORD).status
            self.signed_in += status == 200
            if status in (429, 503):
                # They are told when to come back, and do.
                self.turned_away += 1
                self._stop.wait(1)

    def __enter__(self) -> "Crowd":
        person = Person(self._venue.url, self._venue.directory)
        self._pool = ThreadPoolExecutor(self._size)
        for _ in range(self._size):
            self._pool.submit(self._one, Person(person.url, self._venue.directory))
        time.sleep(1)
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._pool.shutdown()


def results() -> Iterator[Result]:
    with tempfile.TemporaryDirectory() as folder, Venue(Path(folder), people=True) as venue:
        ada = Person(venue.url, venue.directory).registers().signs_in()
        desk = venue.processes["account_desk"].pid
        began, cpu = time.perf_counter(), cpu_seconds(desk)
        for _ in range(LOGINS_ALONE):
            ada.signs_in()
        yield Result("accounts.login_seconds", (time.perf_counter() - began) / LOGINS_ALONE, "s")
        yield Result("accounts.login_cpu_seconds", (cpu_seconds(desk) - cpu) / LOGINS_ALONE, "s")
        with Wire(venue.port) as wire:
            order_seconds(wire)
            idle = median(p99(order_seconds(wire)) for _ in range(RUNS))
            with Crowd(venue, PEOPLE) as crowd:
                busy = median(p99(order_seconds(wire)) for _ in range(RUNS))
        yield Result("accounts.order_p99_ms_alone", idle * 1e3, "ms")
        yield Result("accounts.order_p99_ms_while_50_sign_in", busy * 1e3, "ms", "alone", busy / idle)
        yield Result(
            "accounts.turned_away_of_the_crowd", crowd.turned_away, "answers", f"{crowd.signed_in} signed in"
        )


if __name__ == "__main__":
    report(results())
