"""The account desk's figures: tries that were wrong, what was written down of whom, and mail that waits."""

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from ringfence.exchange.users.house import House
from ringfence.monitoring import Page, Sample, metrics, serving
from ringfence.monitoring.samples import sample


def serving_accounts(directory: Path, house: House) -> AbstractAsyncContextManager[None]:
    def trouble() -> str:
        return "a line of its log may not be on the disk" if house.book.is_broken else ""

    return serving(directory, Page("account-desk", lambda: _measure(house), trouble))


def _measure(house: House) -> Iterator[Sample]:
    yield sample(metrics.USERS, len(house.book.users))
    yield sample(metrics.LOGIN_FAILURES, house.throttle.failures)
    for kind, count in house.book.written.items():
        yield sample(metrics.USER_EVENTS, count, kind)
    yield sample(metrics.AUDIT_HEAD, house.book.count)
    yield sample(metrics.AUDIT_BROKEN, int(house.book.is_broken))
    yield sample(metrics.MAILS_WAITING, len(house.outbox.waiting()))
