"""A release answers with 500, and a process talks nonsense to the core: both are seen, logged, and put right."""

import os
import shutil
import socket
import struct
from pathlib import Path

from staging import ROOT, Runbook, Watch, known, main, place, until

from ringfence.monitoring import metrics
from ringfence.testing.client import Client
from ringfence.testing.venue import Venue

_RIGHT = '"""Get announcements."""\n    return []'
_WRONG = '"""Get announcements."""\n    return [][0]'


def run(book: Runbook, folder: Path) -> None:
    bad = folder / "bad-release"
    shutil.copytree(ROOT / "src", bad)
    source = bad / "ringfence" / "exchange" / "gateway" / "rest" / "market_data.py"
    text = source.read_text()
    book.check(_RIGHT in text, "the release has one line that is wrong")
    source.write_text(text.replace(_RIGHT, _WRONG))
    with Venue(folder / "exchange", accounts=1) as venue:
        client = Client(venue.port, 1)
        book.check(place(client, "before") == 200, "it trades")
        book.step("the gateway gets the new release")
        _exchange_gateway(venue, str(bad))
        watch = Watch(venue.directory)
        book.check(
            client.call("GET", "/announcement?columns=private").status == 500, "a request fails by our fault"
        )
        watch.until(lambda page: page.total(metrics.REQUESTS, status="500") == 1, "the fault is counted")
        book.check(watch.fires("GatewayFaults"), "GatewayFaults fires at the first one")
        log = (venue.directory / "gateway.log").read_text().splitlines()
        faults = [line for line in log if '"level": "error"' in line]
        book.check(len(faults) == 1 and "/announcement" in faults[0], "the log line names the route")
        book.check(
            "IndexError" in faults[0] and "private" not in faults[0],
            "with the traceback, without the request",
        )
        book.check(place(client, "meanwhile") == 200, "other requests are answered")
        book.step("the gateway goes back to what ran before")
        _exchange_gateway(venue, str(ROOT / "src"))
        book.check(client.call("GET", "/announcement").status == 200, "the request is answered")

        book.step("a process of this machine sends the core what is no command")
        watch = Watch(venue.directory)
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(venue.directory / "core.sock"))
            line.sendall(struct.pack("<I", 7) + b"no slot")
            until(lambda: _is_cut(line), "the line is cut")
        watch.until(lambda page: page.value(metrics.LINES_CUT), "the cut is counted")
        book.check(watch.fires("CoreLineCut"), "CoreLineCut fires")
        said = (venue.directory / "core.log").read_text()
        book.check(
            "was cut off" in said and "nothing of the message was applied" in said, "the core's log says why"
        )
        book.check(place(client, "after") == 200, "it trades")
        book.check({"before", "meanwhile", "after"} <= known(client), "every acknowledged order is there")


def _exchange_gateway(venue: Venue, release: str) -> None:
    if venue.processes["gateway"].poll() is None:
        venue.processes["gateway"].terminate()
        venue.processes["gateway"].wait(60)
    before = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = release
    try:
        venue.start("gateway")
    finally:
        os.environ["PYTHONPATH"] = before
    venue.wait_ready()


def _is_cut(line: socket.socket) -> bool:
    try:
        return line.recv(4096) == b""
    except ConnectionResetError:
        return True


if __name__ == "__main__":
    main(run)
