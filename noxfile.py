"""`nox` runs what a change must pass; `nox -s tests -- -k book` narrows it."""

import nox

nox.options.default_venv_backend = "none"
nox.options.sessions = ["style", "types", "imports", "tests"]


@nox.session
def style(session: nox.Session) -> None:
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    session.run("mypy")


@nox.session
def imports(session: nox.Session) -> None:
    session.run("lint-imports")


@nox.session
def tests(session: nox.Session) -> None:
    session.run("pytest", "-q", *session.posargs)


@nox.session
def simulate(session: nox.Session) -> None:
    """`nox -s simulate -- SEED` replays one, `-- --seeds 10000` runs many; `--shrink` makes a test of it."""
    session.run("python", "-m", "ringfence.testing.world", *(session.posargs or ["--seeds", "1000"]))
