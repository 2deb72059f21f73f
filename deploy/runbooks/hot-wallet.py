"""The hot wallet's ceiling is lowered below what it holds: small withdrawals drain it, and no refill is made."""

from pathlib import Path

from staging import Runbook, Watch, deposited, main, until, with_custody
from tests.e2e.test_custody import NOBODY, XBT, custody, state_of
from tests.e2e.test_up import Trader

from ringfence.monitoring import metrics

_CEILING, _PAYMENT = 4 * XBT, 9 * XBT // 10


def run(book: Runbook, folder: Path) -> None:
    with with_custody(folder, chains=True) as up:
        directory, there = up.directory, ("--directory", up.directory)
        trader = Trader(up.url, up.key("demo-2"))
        deposited(trader, 20 * XBT, directory)
        watch = Watch(directory)
        watch.until(
            lambda page: (page.value(metrics.HOT, asset="XBt") or 0) > _CEILING,
            "it has its key, and a refill comes",
            seconds=400,
        )
        held = watch.look().value(metrics.HOT, asset="XBt") or 0
        book.figure("in the hot wallet, XBt", held)
        book.check(not watch.fires("HotWalletOverCap"), "to no more than it may hold")
        book.step("the ceiling is lowered")
        drafted = folder / "policy.json"
        anna = ("--person", "custody-anna", "--key", directory / "custody" / "people" / "custody-anna.key")
        custody("policy", "draft", "--output", drafted, "--set", f"hot_max={_CEILING}", *there)
        custody("policy", "sign", drafted, *anna)
        said = custody("policy", "announce", drafted, *there)
        book.check("in force at 5 co-signers" in said, "it is in force at once: it only tightens")
        watch.until(
            lambda page: page.value(metrics.HOT_CAP, asset="XBt") == _CEILING, "the coordinator knows it"
        )
        book.check(watch.fires("HotWalletOverCap"), "HotWalletOverCap fires")
        book.check(
            "chain and ledger agree" in custody("status", *there),
            "`ringfence custody status`: nothing is missing",
        )
        book.step("small withdrawals drain it")
        ask = {"currency": "XBt", "network": "btc", "amount": _PAYMENT, "address": NOBODY, "fee": 300_000}
        for _ in range(2):
            asked = trader.call("POST", "/api/v1/user/requestWithdrawal", ask)[1]["transactID"]
            until(lambda one=asked: state_of(there, one) == "paid", "it is paid", seconds=120)
        watch.until(lambda page: (page.value(metrics.HOT, asset="XBt") or held) <= _CEILING, "it holds less")
        book.check(not watch.fires("HotWalletOverCap"), "the alert is over")
        left = watch.look().value(metrics.HOT, asset="XBt") or 0
        book.figure("left in the hot wallet, XBt", left)
        book.check(0 < left < held, "and no refill was made: it holds more than half")


if __name__ == "__main__":
    main(run)
