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


@nox.session
def kills(session: nox.Session) -> None:
    """1,000 times kill -9: 700 of a core under load, 300 of a whole venue."""
    core = [
        "tests/integration/test_core_crash.py::test_kill_9_at_random_moments_loses_nothing_and_does_nothing_twice"
    ]
    venue = ["tests/integration/test_crash.py"]
    session.run("pytest", "-q", "-s", *core, env={"RINGFENCE_KILLS": "700"})
    session.run("pytest", "-q", "-s", *venue, env={"RINGFENCE_KILLS": "300"})


@nox.session
def power_cuts(session: nox.Session) -> None:
    """1,000 power cuts of a real file system; needs root. `simulate` cuts the power of simulated disks."""
    session.run(
        "pytest", "-q", "-s", "tests/integration/test_power_cut.py", env={"RINGFENCE_POWER_CUTS": "1000"}
    )


@nox.session
def thefts(session: nox.Session) -> None:
    """5,000 mutated questions to the co-signers, and a death at every step of a withdrawal with every trouble."""
    session.run(
        "pytest", "-q", "-s", "tests/custody", env={"RINGFENCE_MUTATIONS": "5000", "RINGFENCE_CRASHES": "all"}
    )


@nox.session
def schema(session: nox.Session) -> None:
    """1,000 requests to every operation of the API, and 1,000,000 signed ones changed by a hair."""
    session.run(
        "pytest", "-q", "-s", "tests/security/test_schema.py", "tests/security/test_mutated_requests.py",
        env={"RINGFENCE_SCHEMA_EXAMPLES": "1000", "RINGFENCE_MUTATED_REQUESTS": "1000000"},
    )  # fmt: skip


@nox.session
def syscalls(session: nox.Session) -> None:
    """Killed and failed at every system call that writes; needs strace."""
    session.run("pytest", "-q", "-s", "tests/integration/test_syscalls.py", env={"RINGFENCE_SYSCALLS": "1"})


@nox.session
def ablations(session: nox.Session) -> None:
    """Take every safeguard away, one at a time, and write down who misses it."""
    session.run(
        "python",
        "-m",
        "ringfence.testing.ablations",
        "--page",
        "docs/internals/ablations.md",
        *session.posargs,
    )


@nox.session
def mutation(session: nox.Session) -> None:
    """The share of small changes to money code that tests notice; `-- --sample 0` judges all, for hours."""
    session.run("python", "-m", "ringfence.testing.mutation", *(session.posargs or ["--sample", "40"]))


@nox.session
def copies(session: nox.Session) -> None:
    """`nox -s copies -- PYTHON ...`: a million commands, copied as standbys and restores do, by every Python given."""
    session.run("python", "-m", "ringfence.testing.pythons", session.create_tmp(), *session.posargs)
