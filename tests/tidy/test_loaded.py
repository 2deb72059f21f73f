"""What a process does not use it does not load: starting again after a crash takes as long as its imports do."""

import subprocess
import sys

import pytest

WITHOUT_DATABASE = {"sqlalchemy", "alembic", "psycopg"}
WITHOUT_CLUSTER = {"nats", "aiohttp"}
NEVER = {
    "core": WITHOUT_DATABASE | WITHOUT_CLUSTER | {"numba"},
    # It shares nothing with the engine: what compiles it least of all.
    "shadow": WITHOUT_DATABASE | WITHOUT_CLUSTER | {"numba", "llvmlite"},
    "gateway": {"alembic", "psycopg", "numba"} | WITHOUT_CLUSTER,
    "account_desk": WITHOUT_DATABASE | {"numpy"},
    "prover": WITHOUT_DATABASE | WITHOUT_CLUSTER | {"numba"},
    "mail_catcher": WITHOUT_DATABASE | {"numpy"},
    "security_desk": WITHOUT_DATABASE | {"numpy"},
    "custody_console": WITHOUT_DATABASE | WITHOUT_CLUSTER | {"numba"},
    "cosigner": WITHOUT_DATABASE | WITHOUT_CLUSTER | {"numba"},
}


@pytest.mark.parametrize("name", NEVER)
def test_a_process_loads_what_it_uses(name: str) -> None:
    code = f"import sys, ringfence.daemons.{name}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not NEVER[name] & set(done.stdout.split())
