"""A judge hangs and is late: it says so and lets nobody trade unseen; killed, it goes on from its checkpoint."""

import json
import os
import re
import signal
import time
from pathlib import Path

from staging import Runbook, Watch, main, pid_of, place, ringfence, until

from ringfence.monitoring import metrics
from ringfence.testing.client import Client
from ringfence.testing.up import Up


def run(book: Runbook, folder: Path) -> None:
    with Up(folder / "exchange", "--no-bots") as up:
        directory, client = up.directory, Client(up.port, up.key("demo-1"))
        book.check(place(client, "before") == 200, "it trades")
        watch = Watch(directory)
        watch.until(
            lambda page: page.value(metrics.JUDGED_ROOT_AGE, process="shadow"), "the shadow looks at roots"
        )
        shadow = pid_of(directory, "shadow")
        book.step("the shadow hangs")
        os.kill(shadow, signal.SIGSTOP)
        for number in range(40):
            place(client, f"unseen-{number}")
            time.sleep(0.1)
        watch.until(lambda page: page.value(metrics.READY, process="shadow") is None, "it says nothing")
        book.check(watch.fires("ShadowMissing"), "a judge that hangs is silent, and missing")
        said = json.loads(ringfence("status", str(directory), "--json").stdout)
        seen = {one["name"]: one.get("sequence") for one in said["processes"]}
        book.check(seen["shadow"] < seen["core"], "`ringfence status` shows how far it is behind")
        book.step("it is killed")
        os.kill(shadow, signal.SIGKILL)
        until(lambda: pid_of(directory, "shadow") not in (0, shadow), "it is started again")
        watch.until(
            lambda page: page.value(metrics.JUDGE_CAUGHT_UP, process="shadow") == 1, "it is as far again"
        )
        begun = [int(one) for one in re.findall(r"following from sequence (\d+)", _log(directory))]
        book.figure("went on from sequence", begun[-1])
        book.check(
            len(begun) == 2, "it goes on from its checkpoint, or from the first command if it has none yet"
        )
        until(lambda: place(client, f"after-{time.monotonic_ns()}") == 200, "it trades")
        book.check(client.get("/halt/status")["state"] == "Running", "nobody has halted")
        watch.look()
        book.check(not watch.fires("ShadowMissing"), "the alert is over")


def _log(directory: Path) -> str:
    return (directory / "logs" / "shadow.log").read_text()


if __name__ == "__main__":
    main(run)
