"""The users' log: a line whose sync fails, an end that is cut off, a line that somebody has altered."""

import shutil
from pathlib import Path

from staging import Runbook, Watch, disturbed, main

from ringfence.daemons.account_desk import EXIT_INPUT
from ringfence.daemons.broken_logs import EXIT_AWAY
from ringfence.monitoring import metrics
from ringfence.testing.person import Person
from ringfence.testing.venue import Venue


def run(book: Runbook, folder: Path) -> None:
    with Venue(folder / "exchange", accounts=1, people=True) as venue:
        lines = venue.directory / "accounts" / "log.jsonl"
        ada = Person(venue.url, venue.directory).registers().signs_in()
        watch = Watch(venue.directory)
        desk = venue.processes["account_desk"]
        book.step("a line of the log cannot be synced")
        with disturbed(desk.pid, "error=EIO:when=1"):
            answer = ada.ask("POST", "/account/forgotten", email=ada.address)
            answer = ada.ask("DELETE", "/account/sessions") if answer.status == 200 else answer
            status = desk.wait(60)
        book.check(answer.status != 200, "nobody is told of what may not be on the disk")
        book.check(status == EXIT_AWAY, f"the desk ends with status {EXIT_AWAY}")
        _start(venue)
        watch.until(lambda page: page.value(metrics.AUDIT_HEAD), "it has read the log anew")
        book.check(not watch.fires("AuditLogBroken"), "it is whole")
        book.check(bool(Person(venue.url, venue.directory, ada.address).signs_in()), "people sign in")

        book.step("somebody cuts off the log's end")
        watch = Watch(venue.directory)
        _stop(venue)
        copy = shutil.copy(lines, folder / "copy.jsonl")
        whole = lines.read_bytes().splitlines(keepends=True)
        lines.write_bytes(b"".join(whole[:-1]))
        _start(venue)
        watch.until(lambda page: page.value(metrics.AUDIT_HEAD) == len(whole) - 1, "it is shorter")
        book.check(watch.fires("AuditLogShrank"), "AuditLogShrank fires")
        book.step("the process is stopped, and the log compared with the copy")
        _stop(venue)
        book.check(
            Path(copy).read_bytes().startswith(lines.read_bytes()), "the copy has what is there, and more"
        )

        book.step("somebody alters a line")
        lines.write_bytes(b"".join(whole).replace(b'"kind":"', b'"kind":"x', 1))
        venue.start("account_desk")
        book.check(
            venue.processes["account_desk"].wait(60) == EXIT_INPUT, f"the desk ends with status {EXIT_INPUT}"
        )
        log = (venue.directory / "account_desk.log").read_text().splitlines()[-1]
        book.check("line 2 of the log does not follow" in log, "and says behind which line")
        book.step("the copy is put back")
        shutil.copy(copy, lines)
        _start(venue)
        watch.until(lambda page: page.value(metrics.AUDIT_HEAD) == len(whole), "it is whole")
        book.check(not watch.fires("AuditLogShrank"), "the alert is over")
        book.check(bool(Person(venue.url, venue.directory, ada.address).signs_in()), "people sign in")


def _stop(venue: Venue) -> None:
    venue.processes["account_desk"].terminate()
    venue.processes["account_desk"].wait(60)


def _start(venue: Venue) -> None:
    venue.start("account_desk")
    venue.wait_ready()


if __name__ == "__main__":
    main(run)
