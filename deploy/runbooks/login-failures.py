"""Somebody guesses at many users: it is seen, strangers are turned away, and who has a device still comes in."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from staging import Runbook, Watch, main, ringfence

from ringfence.monitoring import metrics
from ringfence.testing.person import Person
from ringfence.testing.venue import TRIES, Venue, configure

_USERS, _MORE_THAN = 17, 100


def run(book: Runbook, folder: Path) -> None:
    with Venue(folder / "exchange", accounts=1, people=True) as venue:
        ada = Person(venue.url, venue.directory).registers().signs_in()
        thief = Person(venue.url, venue.directory, ada.address).signs_in()  # who has guessed right, once
        watch = Watch(venue.directory)

        def guess(email: str) -> int:
            stranger = Person(venue.url, venue.directory)
            return stranger.ask("POST", "/account/login", email=email, password="wrong" * 4).status

        def guess_on(email: str) -> list[int]:
            return [guess(email) for _ in range(TRIES + 1)]

        names = [ada.address, *(f"user-{number}@example.com" for number in range(1, _USERS))]
        with ThreadPoolExecutor(4) as guessers:
            book.step(f"somebody guesses at {len(names)} users, more often than a user can be tried")
            found = [status for of_user in guessers.map(guess_on, names) for status in of_user]
        book.figure("wrong tries", found.count(401))
        book.check(
            _MORE_THAN < found.count(401) <= len(names) * TRIES, "they are answered like any wrong try"
        )
        book.check(found.count(429) == len(found) - found.count(401), "and then not at all: 429")
        watch.until(lambda page: page.value(metrics.LOGIN_FAILURES) == found.count(401), "all are counted")
        book.check(watch.fires("LoginFailures"), "LoginFailures fires")
        ada.ask("POST", "/account/logout")
        book.check(guess(ada.address) == 429, "no stranger may try at a user any more")
        book.check(bool(ada.signs_in()), "the user still comes in, from the device that they have used")

        book.step("the rates in ringfence.toml are lowered")
        configure(venue.directory, {"accounts": {"failures_of_address": 5}})
        applied = ringfence("config", "apply", str(venue.directory), "--operator", "anna")
        book.check(applied.returncode == 0, "the settings are in force")
        venue.processes["account_desk"].terminate()
        venue.processes["account_desk"].wait(60)
        venue.start("account_desk")
        venue.wait_ready()
        watch.until(lambda page: page.value(metrics.LOGIN_FAILURES) == 0, "the desk is there")
        fewer = [guess(f"another-{number}@example.com") for number in range(7)]
        book.check(fewer.count(401) == 5, "an address has five tries now")

        book.step("one sign-in had succeeded: its sessions are ended")
        ada.delete("/account/sessions", all=True)
        book.check(thief.ask("GET", "/account").status == 401, "whoever had guessed right is signed out")
        book.check(ada.ask("GET", "/account").status == 200, "and the user is not")
        log = (venue.directory / "accounts" / "log.jsonl").read_text()
        book.check("wrong" * 4 not in log, "no password is in the log")


if __name__ == "__main__":
    main(run)
