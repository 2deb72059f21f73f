"""`ringfence up --database`: the whole embedded exchange with history, accounts and API keys in PostgreSQL."""

import json
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from ringfence.chained_log import entries_of
from ringfence.database import stores
from ringfence.testing import postgres
from ringfence.testing.person import Person
from ringfence.testing.postgres import Postgres, database_of
from ringfence.testing.up import RINGFENCE, Up, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(postgres.missing()), reason=postgres.missing())]


@pytest.fixture
def server() -> Iterator[Postgres]:
    made = Postgres()
    yield made
    made.stop()


def state(directory: Path) -> dict[str, Any]:
    done = subprocess.run(
        [RINGFENCE, "status", str(directory), "--json"], capture_output=True, check=False, timeout=20
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.loads(answer.read())


def test_an_exchange_lives_in_postgresql_and_outlives_its_crash(tmp_path: Path, server: Postgres) -> None:
    """With a role for each process. PostgreSQL is killed under it: processes come back, nothing is lost or doubled."""
    owner = tmp_path / "owner.url"
    url = server.new_database()
    owner.write_text(url)
    owner.chmod(0o600)
    roles = tmp_path / "roles.url"
    subprocess.run([RINGFENCE, "database", "roles", owner, "--output", roles], check=True, timeout=60)
    name, directory = database_of(url), tmp_path / "exchange"
    with Up(directory, "--no-bots", "--database", str(roles)) as up:
        assert not (directory / "history.sqlite").exists()
        assert not (directory / "keys.json").exists()
        assert (directory / "database.url").stat().st_mode & 0o777 == 0o600
        key = up.key("demo-1")
        assert key.secret in up.text
        ada = Person(up.url, directory).registers()
        ada.signs_in()
        begun = list(entries_of(stores.read_lines(directory, stores.USERS)))
        assert "registered" in {entry.kind for entry in begun}
        assert stores.has_lines(directory, stores.SECURITY)
        assert server.run(name, "SELECT count(*) FROM history.progress") == [(1,)]
        wait_for(lambda: server.run(name, "SELECT count(*) > 0 FROM history.ledger") == [(True,)], 20, "rows")

        server.kill()
        time.sleep(1)
        server.start()
        reached = "SELECT next_sequence FROM history.progress"
        was = int(str(server.run(name, reached)[0][0]))
        wait_for(
            lambda: all(one["state"] == "running" for one in state(directory)["processes"]), 60, "processes"
        )
        wait_for(lambda: int(str(server.run(name, reached)[0][0])) > was, 60, "new rows")
        assert get(f"{up.url}/api/v1/instrument/active")
        assert ada.get("/account")["email"] == ada.address
        Person(up.url, directory, "bob@example.com").registers().signs_in()
        ended = list(entries_of(stores.read_lines(directory, stores.USERS)))
        assert ended[: len(begun)] == begun
        said = b"".join(path.read_bytes() for path in (directory / "logs").iterdir()) + up.text.encode()
        passwords = [make_url(line.split()[1]).password for line in roles.read_text().splitlines()]
        assert len(passwords) == 5
        assert not [one for one in passwords if one and one.encode() in said]
        pids = [one["pid"] for one in state(directory)["processes"] if one["pid"]]
        assert not [pid for pid in pids if b"postgresql" in Path(f"/proc/{pid}/cmdline").read_bytes()]
