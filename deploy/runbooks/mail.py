"""The mail server is away: mail waits on the disk, and all of it goes out when the server is back."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from staging import Runbook, Watch, main, ringfence

from ringfence.monitoring import metrics
from ringfence.testing.person import PASSWORD, Person
from ringfence.testing.venue import Venue

_PEOPLE = 21


def run(book: Runbook, folder: Path) -> None:
    with Venue(folder / "exchange", accounts=1, people=True) as venue:
        outbox = venue.directory / "accounts" / "outbox"
        watch = Watch(venue.directory)
        book.step("the mail server goes away")
        venue.processes["mail_catcher"].terminate()
        venue.processes["mail_catcher"].wait(60)
        people = [
            Person(venue.url, venue.directory, f"user-{number}@example.com") for number in range(_PEOPLE)
        ]

        def register(person: Person) -> int:
            return person.ask("POST", "/account/register", email=person.address, password=PASSWORD).status

        with ThreadPoolExecutor(4) as pool:
            book.check(
                set(pool.map(register, people)) == {200}, f"{_PEOPLE} people register, and are told nothing"
            )
        watch.until(lambda page: page.value(metrics.MAILS_WAITING) == _PEOPLE, "their mail waits")
        book.check(watch.fires("MailsWaiting"), "MailsWaiting fires")
        book.check(len(list(outbox.glob("*.eml"))) == _PEOPLE, "`ls accounts/outbox` shows each of them")
        log = (venue.directory / "account_desk.log").read_text()
        book.check(
            "mails wait: " in log and "Connection refused" in log, "the desk's log has the server's words"
        )
        book.step("the desk is killed meanwhile, and the server comes back")
        venue.kill("account_desk")
        venue.start("account_desk")
        venue.start("mail_catcher")
        venue.wait_ready()
        watch.until(lambda page: page.value(metrics.MAILS_WAITING) == 0, "nothing waits any more")
        shown = json.loads(
            ringfence("mail", "--count", "100", "--json", "--directory", str(venue.directory)).stdout
        )
        book.check({one["to"] for one in shown} == {one.address for one in people}, "each mail has come")
        book.check(len(shown) == _PEOPLE, "and each once")
        people[0].post("/account/verify", token=people[0].mail("Open your account").secret("verify"))
        book.check(bool(people[0].signs_in()), "a link that waited is good")
        watch.look()
        book.check(not watch.fires("MailsWaiting"), "the alert is over")


if __name__ == "__main__":
    main(run)
