"""Writes the systemd units beside it: one table, from which no unit can differ.

    python deploy/exchange/make_units.py [--check]

An instance is an exchange's directory under /var/lib/ringfence: `ringfence-core@main` has /var/lib/ringfence/main.
Exit statuses after which a start would end the same way are the supervisor's own; a test holds them together.
"""

import sys
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).with_name("systemd")
STATE = "/var/lib/ringfence"
PYTHON = "/opt/ringfence/bin/python"


class Unit(NamedTuple):
    name: str
    module: str
    what: str
    final: tuple[int, ...]
    arguments: str = ""
    after: str = "core"
    stop_seconds: int = 30


UNITS = (
    Unit("stream", "stream_server", "a server of the journal's stream", (66, 69), "%i", ""),
    Unit("core", "core", "the exchange core", (65, 70, 72, 74, 75, 78), "", "stream", 120),
    Unit("gateway", "gateway", "REST and WebSocket", (66, 69)),
    Unit("history", "history", "history in SQL", (65, 70, 75)),
    Unit("price-feed", "price_feed", "index prices", (66,)),
    Unit("shadow", "shadow", "the second computation", (66, 72)),
    Unit("auditor", "auditor", "the laws", (66, 72)),
    Unit("prover", "prover", "proofs of liabilities and reserves", (66,)),
    Unit("metrics", "metrics", "every page of figures at one port", (66, 69)),
)
# A server's configuration is in the folder of the exchange that it serves, and named like the unit's instance.
_STREAM_DIRECTORY = f"{STATE}/main"

_HARDENED = """\
User=ringfence
Group=ringfence
UMask=0077
LimitCORE=0
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectProc=invisible
PrivateTmp=yes
PrivateDevices=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
"""


def service(unit: Unit) -> str:
    directory = _STREAM_DIRECTORY if unit.module == "stream_server" else f"{STATE}/%i"
    after = f"network-online.target{f' ringfence-{unit.after}@%i.service' if unit.after not in ('', 'stream') else ''}"
    arguments = f" {unit.arguments}" if unit.arguments else ""
    return f"""\
# Made by deploy/exchange/make_units.py.
[Unit]
Description=Ringfence %i: {unit.what}
Documentation=file:/usr/share/doc/ringfence/operating/running.md
Wants=network-online.target
After={after}
# As many starts as it takes: an end after which none helps is named below.
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart={PYTHON} -m ringfence.daemons.{unit.module} {directory}{arguments}
WorkingDirectory={directory}
ReadWritePaths={directory}
# The compiled engine is kept there, in a folder of its own.
Environment=PYTHONUNBUFFERED=1 XDG_CACHE_HOME=/var/cache
CacheDirectory=ringfence
Restart=always
RestartSec=0.5
RestartPreventExitStatus={" ".join(map(str, unit.final))}
TimeoutStopSec={unit.stop_seconds}
KillSignal=SIGTERM
OOMPolicy=stop
{_HARDENED}
[Install]
WantedBy=multi-user.target
"""


BACKUP = f"""\
# Made by deploy/exchange/make_units.py.
[Unit]
Description=Ringfence %i: a sealed backup
ConditionPathExists=/var/backups/ringfence/%i/recovery.json

[Service]
Type=oneshot
ExecStart=/opt/ringfence/bin/ringfence backup create /var/backups/ringfence/%i --directory {STATE}/%i
WorkingDirectory={STATE}/%i
ReadWritePaths=/var/backups/ringfence/%i
ReadOnlyPaths={STATE}/%i
Environment=XDG_CACHE_HOME=/var/cache
CacheDirectory=ringfence
Nice=10
IOSchedulingClass=idle
{_HARDENED}"""

TIMER = """\
# Made by deploy/exchange/make_units.py.
[Unit]
Description=Ringfence %i: a sealed backup every quarter of an hour

[Timer]
OnCalendar=*:0/15
AccuracySec=10s
RandomizedDelaySec=60
Persistent=yes

[Install]
WantedBy=timers.target
"""


def files() -> dict[str, str]:
    """Return every unit by its file's name."""
    made = {f"ringfence-{unit.name}@.service": service(unit) for unit in UNITS}
    return {**made, "ringfence-backup@.service": BACKUP, "ringfence-backup@.timer": TIMER}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    different = [name for name, text in files().items() if not _is(FOLDER / name, text)]
    if "--check" in sys.argv:
        sys.exit(f"not current: {', '.join(different)}" if different else 0)
    for name, text in files().items():
        (FOLDER / name).write_text(text)


def _is(path: Path, text: str) -> bool:
    return path.exists() and path.read_text() == text


if __name__ == "__main__":
    main()
