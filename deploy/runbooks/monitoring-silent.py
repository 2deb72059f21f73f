"""The gatherer hangs, and then cannot have its port: the exchange is well, and can be seen without it."""

import json
import signal
import socket
import urllib.request
from pathlib import Path

from staging import Runbook, Watch, main, place, ringfence, until

from ringfence.daemons.metrics import EXIT_UNAVAILABLE, read_monitoring
from ringfence.monitoring.scrape import ScrapeError, scrape
from ringfence.testing.client import Client
from ringfence.testing.venue import Venue


def run(book: Runbook, folder: Path) -> None:
    with Venue(folder / "exchange", accounts=1) as venue:
        client, directory = Client(venue.port, 1), venue.directory
        venue.start("metrics")
        until(lambda: read_monitoring(directory) is not None and _health(directory), "the gatherer answers")
        watch = Watch(directory)
        book.check(not watch.fires("MetricsMissing"), "Prometheus sees the exchange")
        book.step("the gatherer hangs")
        venue.signal("metrics", signal.SIGSTOP)
        book.check(not _health(directory), "its port does not answer")
        watch.sees_nothing()
        book.check(watch.fires("MetricsMissing"), "MetricsMissing fires")
        printed = ringfence("metrics", str(directory))
        book.check(
            'ringfence_process_up{process="metrics",name="core"} 1' in printed.stdout,
            "`ringfence metrics` prints",
        )
        book.check(place(client, "meanwhile") == 200, "the exchange is well")
        book.step("it is killed, and something else has its port")
        venue.kill("metrics")
        config = read_monitoring(directory)
        assert config is not None
        with socket.create_server((config.host, config.port)):
            venue.start("metrics")
            book.check(venue.processes["metrics"].wait(60) == EXIT_UNAVAILABLE, "it ends: the port is taken")
        log = (directory / "metrics.log").read_text()
        book.check("the port of monitoring.json cannot be had" in log, "its log says so")
        book.step("the port is free again")
        venue.start("metrics")
        until(lambda: _health(directory), "the gatherer answers")
        page = scrape(f"http://{config.host}:{config.port}")
        book.check(bool(page), "Prometheus can read it")
        watch.look()
        book.check(not watch.fires("MetricsMissing"), "the alert is over")


def _health(directory: Path) -> bool:
    config = read_monitoring(directory)
    assert config is not None
    try:
        with urllib.request.urlopen(f"http://{config.host}:{config.port}/health", timeout=3) as answer:
            return bool(json.load(answer)["health"])
    except (OSError, ScrapeError):
        return False


if __name__ == "__main__":
    main(run)
