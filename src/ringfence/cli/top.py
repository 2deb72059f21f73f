"""`ringfence top`: how a running exchange is, in a terminal, from its metrics alone."""

import json
import sys
import time
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ringfence.cli.up import DIRECTORY

_BETWEEN_SECONDS = 1.0


def top(
    directory: Path = DIRECTORY,
    *,
    url: str = "",
    as_json: Annotated[bool, Parameter("--json")] = False,
) -> None:
    """Watch an exchange: processes, rates, latencies, judges, chains, alarms. Exit status 1 if nobody answers.

    Parameters
    ----------
    directory
        Where its journal, keys and logs are; `monitoring.json` there names the port.
    url
        Of a gatherer elsewhere, e.g. through a tunnel, instead: http://127.0.0.1:9464
    as_json
        Print one snapshot as JSON and end.
    """
    from ringfence.daemons.metrics import read_monitoring
    from ringfence.monitoring.glance import glance
    from ringfence.monitoring.scrape import Between, ScrapeError, scrape

    if not url:
        try:
            config = read_monitoring(directory)
        except ValueError as error:
            sys.exit(str(error))
        if config is None:
            sys.exit(f"nothing tells of itself in {directory} yet: ringfence up")
        url = f"http://{config.host}:{config.port}"
    url = url.rstrip("/")
    if as_json:
        try:
            before = scrape(url)
            time.sleep(_BETWEEN_SECONDS)
            print(json.dumps(glance(Between(before, scrape(url)))))
        except ScrapeError as error:
            sys.exit(str(error))
        return
    from ringfence.cli.top_screen import TopApp

    TopApp(lambda: scrape(url), source=url).run()
