"""A core writes no roots, and then is held: trading goes on or waits, and nothing that was acknowledged is lost."""

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from staging import Runbook, Watch, known, main, pid_of, place, ringfence, until

from ringfence.monitoring import metrics
from ringfence.testing.client import Client
from ringfence.testing.up import Up


def run(book: Runbook, folder: Path) -> None:
    with Up(folder / "exchange", "--no-bots") as up:
        directory, client = up.directory, Client(up.port, up.key("demo-1"))
        told = [name for name in map(str, range(10)) if place(client, name) == 200]
        book.check(len(told) == 10, "orders are acknowledged before")
        watch = Watch(directory)
        book.check(not watch.fires("RootMissing"), "roots are signed")
        core = pid_of(directory, "core")

        book.step("the core is held, by a signal or a debugger")
        os.kill(core, signal.SIGSTOP)
        watch.until(lambda page: page.value(metrics.READY, process="core") is None, "the core is silent")
        book.check(watch.fires("CommandsStopped") or watch.fires("CoreMissing"), "an alert says so")
        with ThreadPoolExecutor(1) as sender:
            answer = sender.submit(place, client, "meanwhile")
            done = ringfence("status", str(directory), "--json")
            said = json.loads(done.stdout)
            book.check(said["journal_sequence"] is None, "`ringfence status` has no sequence of the core")
            state = Path(f"/proc/{core}/stat").read_text().rpartition(")")[2].split()[0]
            book.check(state == "T", "`ps` says T: it is held, and waits for nothing else")
            os.kill(core, signal.SIGCONT)
            status = answer.result()
        until(lambda: place(client, f"after-{os.urandom(4).hex()}") == 200, "it trades again")
        there = known(client)
        book.check(set(told) <= there, "every acknowledged order is there")
        book.check(status != 200 or "meanwhile" in there, "the order in between has a definite outcome")
        book.check(pid_of(directory, "core") == core, "the core was not started again")
    log = (directory / "logs" / "core.log").read_text()
    book.check("critical" not in log, "and its log has nothing critical")


if __name__ == "__main__":
    main(run)
