"""A real PostgreSQL for tests: Debian's binaries, a cluster of its own, thrown away when the tests end.

It listens on a free port of 127.0.0.1 and asks for a password (SCRAM). The server refuses to run as root, so as root
it runs as the user `postgres` of its package. It syncs as in production: what a test kills must be there again.
"""

import atexit
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from functools import cache
from itertools import count
from pathlib import Path

import psycopg
from sqlalchemy import URL, make_url

from ringfence.ports import free_ports

OWNER = "ringfence"
_DEBIAN = Path("/usr/lib/postgresql")
_SECONDS = 30.0


def binaries() -> Path | None:
    """Return the folder of the newest PostgreSQL that is installed, None if there is none."""
    found = [
        path for path in _DEBIAN.glob("*/bin") if (path / "postgres").exists() and path.parent.name.isdigit()
    ]
    if found:
        return max(found, key=lambda path: int(path.parent.name))
    path = shutil.which("postgres")
    return Path(path).resolve().parent if path and shutil.which("initdb") else None


def missing() -> str:
    """Return why no server can be started here, empty if one can."""
    if binaries() is None:
        return "no PostgreSQL is installed (Debian package `postgresql`)"
    if os.geteuid() == 0 and (_user() is None or shutil.which("setpriv") is None):
        return "PostgreSQL does not run as root, and there is no user `postgres` or no `setpriv`"
    return ""


class Postgres:
    """A running server. `new_database` returns the URL of an empty one; `kill` and `start` are a crash and after."""

    def __init__(self) -> None:
        """Make a cluster and start it. Raises AssertionError if it does not answer."""
        found = binaries()
        assert found is not None
        self._binaries = found
        self.home = Path(tempfile.mkdtemp(prefix="ringfence-postgres-"))
        self._password, self._numbers = secrets.token_urlsafe(18), count()
        self.port = free_ports(1)[0]
        self._process: subprocess.Popen[bytes] | None = None
        password = self.home / "password"
        password.write_text(self._password)
        _give_away(password)
        _give_away(self.home)
        self._call(
            "initdb", "--pgdata", str(self.home / "data"), "--username", OWNER, "--pwfile", str(password),
            "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync",
        )  # fmt: skip
        password.unlink()
        self.start()

    def start(self) -> None:
        """Start the server and wait until it answers; after `kill` it recovers first."""
        assert self._process is None
        with (self.home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*_unprivileged(), str(self._binaries / "postgres"), "-D", str(self.home / "data"),
                 "-c", "listen_addresses=127.0.0.1", "-c", f"port={self.port}",
                 "-c", f"unix_socket_directories={self.home}", "-c", "shared_buffers=64MB",
                 "-c", "max_connections=60", "-c", "log_min_messages=warning"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        until = time.monotonic() + _SECONDS
        while True:
            try:
                psycopg.connect(self._conninfo("postgres"), connect_timeout=5).close()
                return
            except psycopg.OperationalError:
                said = (self.home / "log").read_text()[-2_000:]
                assert self._process.poll() is None, f"PostgreSQL did not start:\n{said}"
                assert time.monotonic() < until, f"PostgreSQL does not answer:\n{said}"
                time.sleep(0.02)

    def kill(self) -> None:
        """End the server and each of its processes at once, as a crash of the machine's memory does."""
        if self._process is not None:
            # The server's children are groups of their own.
            children = (
                Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
            )
            for pid in (self._process.pid, *map(int, children)):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """Stop the server and delete the cluster."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            try:
                self._process.wait(_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
            self._process = None
        shutil.rmtree(self.home, ignore_errors=True)

    def new_database(self) -> str:
        """Return the URL of a database without tables, with its password; its owner is the superuser."""
        name = f"test_{next(self._numbers)}"
        self.run("postgres", f"CREATE DATABASE {name}")
        return self.url(name).render_as_string(hide_password=False)

    def url(self, database: str) -> URL:
        return URL.create("postgresql+psycopg", OWNER, self._password, "127.0.0.1", self.port, database)

    def run(self, database: str, statement: str) -> list[tuple[object, ...]]:
        """Run one statement as the superuser and return its rows."""
        with psycopg.connect(self._conninfo(database), autocommit=True) as connection:
            done = connection.execute(statement.encode())
            return done.fetchall() if done.description else []

    def _conninfo(self, database: str) -> str:
        return psycopg.conninfo.make_conninfo(
            host="127.0.0.1", port=self.port, user=OWNER, password=self._password, dbname=database
        )

    def _call(self, name: str, *arguments: str) -> None:
        done = subprocess.run(
            [*_unprivileged(), str(self._binaries / name), *arguments],
            capture_output=True, text=True, check=False, timeout=_SECONDS, cwd=self.home,
        )  # fmt: skip
        assert done.returncode == 0, f"{name} failed:\n{done.stdout}{done.stderr}"


@cache
def shared() -> Postgres:
    """Return the server that all tests of this process share, started when the first one asks for it."""
    server = Postgres()
    atexit.register(server.stop)
    return server


def database_of(url: str) -> str:
    """Return the name of the database of a URL."""
    name = make_url(url).database
    assert name is not None
    return name


def _user() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return None


def _unprivileged() -> list[str]:
    """Return the words that start a program without root's rights, and that end it when the tests end."""
    if sys.platform != "linux" or shutil.which("setpriv") is None:
        return []
    words = ["setpriv", "--pdeathsig", "QUIT"]
    user = _user()
    if os.geteuid() == 0 and user is not None:
        words += [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    return words


def _give_away(path: Path) -> None:
    user = _user()
    if os.geteuid() == 0 and user is not None:
        os.chown(path, user.pw_uid, user.pw_gid)
