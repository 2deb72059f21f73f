"""The supervisor: starts every process of an exchange on one machine, keeps them running, stops them.

Each is an operating-system process with its own log in DIRECTORY/logs. One that dies is started again,
sooner the first time than the tenth; one that says that starting it again is no use is not. The
supervisor itself holds no state that matters: what it writes is for `ringfence status`.
"""

import asyncio
import ctypes
import fcntl
import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec
from rich.console import Console

from ringfence.chained_log import LogError
from ringfence.configuration import (
    ANY,
    EXIT_CONFIG,
    NAME,
    Configuration,
    SettingsError,
    in_words,
    number_in_force,
    read_configuration,
)
from ringfence.console import has_pages, origin_of
from ringfence.custody.beacon import BEACONS
from ringfence.custody.chains.bitcoin.rpc import BitcoinError, BitcoinRpc, Endpoint
from ringfence.custody.chains.ethereum.devnet import anvil_path
from ringfence.custody.demonstration import CLIENTS_KEYS, PLACES
from ringfence.custody.hsm import tpm
from ringfence.custody.quorum.mpc.engine import engine_path
from ringfence.daemons import (
    chain_founding,
    cluster,
    cluster_founding,
    cluster_seeding,
    configuring,
    custody_founding,
    databases,
    founding,
    proof_secrets,
    security_desk,
    security_intake,
    software_tpm,
    welcome,
)
from ringfence.daemons.account_chains import TROUBLES
from ringfence.daemons.admin import AdminRefused, AdminTimeout
from ringfence.daemons.beacon_rounds import PUBLIC, BeaconSource, write_source
from ringfence.daemons.ceremonies import CeremonyError
from ringfence.daemons.cluster_founding import Layout
from ringfence.daemons.crashes import forbid_core_dumps
from ringfence.daemons.custody_ports import Ports, ensure_ports
from ringfence.daemons.probe import core_sequence, get_json
from ringfence.daemons.venue import JUDGES, Venue, read_venue, write_venue
from ringfence.exchange import index_prices
from ringfence.exchange.users import founding as users_founding
from ringfence.files import replace
from ringfence.messages.rules import EXIT_RULES
from ringfence.monitoring.logs import last_words
from ringfence.monitoring.page import PAGE, socket_of
from ringfence.ports import HOST, free_ports, listens

Value = TypeVar("Value")

EXIT_INPUT, EXIT_BUG, EXIT_BUSY = 66, 70, 75
_LOG_BYTES_MAX = 16 << 20
_RETRY_SECONDS, _RETRY_SECONDS_MAX = 0.2, 30.0
_WORKED_SECONDS = 60.0
"""A process that ran this long is started again at once when it dies."""
_STOP_SECONDS = {"core": 60.0}
_STOP_SECONDS_DEFAULT = 10.0
_TIERS = (
    {"metrics", "bots", "price-feed", "prover", "custody-console"},
    {"coordinator"},
    {"cosigner"},
    {"tpm", "addresses", *JUDGES, "security-desk", "fix-gateway"},
    {"gateway"},
    {"account-desk", "mail-catcher", "history"},
    {"core"},
    {"ethereum", "solana", "bitcoin"},
)
"""What is stopped together, first those that depend on the others."""
_COMPILING_SECONDS = 3.0
"""A core that takes longer than this to greet is compiling, or replaying what its log says."""
_POLL_SECONDS = 0.05
_TALK_SECONDS = 5.0
_FINAL_OF_CORE = (65, 70, EXIT_RULES, 74, 75, EXIT_CONFIG)
_FINAL_OF_HISTORY = (65, 70, 75)
_FINAL_OF_GATEWAY = (66, 69)
_FINAL_OF_JUDGES = (66, EXIT_RULES)
_FINAL_OF_PRICE_FEED = _FINAL_OF_PROVER = _FINAL_OF_SECURITY = _FINAL_OF_ACCOUNTS = (66,)
_FINAL_OF_CATCHER = (69,)
_FINAL_OF_METRICS = (66, 69)
_FINAL_OF_CONSOLE = (65, 66, 69)
_FINAL_OF_NATS = (66, 69)
_FINAL_OF_NODE, _FINAL_OF_COSIGNER, _FINAL_OF_COORDINATOR = (65, 69, 75), (65, 66, 77), (65, 66, 70)
_BLOCK_SECONDS = "2"
"""How soon the embedded chain has a block for who waits for one."""
_PR_SET_PDEATHSIG = 1


class Options(NamedTuple):
    """What `ringfence up` was asked for."""

    directory: Path
    port: int | None
    bots: bool
    accounts: int
    custody: bool
    tpm: bool = False
    """A TPM in software beside each co-signer's token."""
    beacon: str = ""
    """The beacon that takes part in every draw; empty = none."""
    chains: bool = True
    """Development chains of Ethereum and Solana beside Bitcoin, where their parts are installed."""
    cluster: str = ""
    """Three machines in one: whose servers hold the stream, `nats` or `etcd`; empty = one machine, or what it was."""
    coin_keys: int = CLIENTS_KEYS
    """Of each co-signer's token, for the clients' coins; more than there are extend the pools."""
    database: Path | None = None
    """File with the URL of a PostgreSQL for history and accounts; None = as before, files and SQLite at first."""
    fix_port: int | None = None
    """Where the FIX gateway listens; None = there is none."""


class StartError(Exception):
    """The exchange cannot run. The text says what the process that gave up has said last."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class ProcessState(msgspec.Struct):
    """One process in `run.json`."""

    name: str
    pid: int = 0
    started_ns: int = 0
    restarts: int = 0
    state: str = "stopped"
    """stopped, running, waiting (to be started again) or failed (and not started again)."""


class RunState(msgspec.Struct):
    """`run.json`: what is running, for `ringfence status`."""

    supervisor: int
    url: str
    started_ns: int
    processes: list[ProcessState]


def lock(directory: Path) -> int:
    """Return the lock that a running supervisor holds. Raises BlockingIOError if another has it."""
    descriptor = os.open(directory / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise
    return descriptor


def is_running(directory: Path) -> bool:
    """Return whether a supervisor runs in a directory."""
    try:
        os.close(lock(directory))
    except BlockingIOError:
        return True
    return False


def read_run_state(directory: Path) -> RunState | None:
    """Return what the last supervisor wrote, None if there is none. Raises ValueError."""
    try:
        return msgspec.json.decode((directory / "run.json").read_bytes(), type=RunState)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise ValueError(f"run.json cannot be read: {error}") from error


class Child:
    """One process: how it is started and what its exit statuses mean."""

    def __init__(
        self, directory: Path, name: str, *arguments: str, final: tuple[int, ...] = (), is_vital: bool = False,
        module: str = "", of: Path | None = None,
    ) -> None:  # fmt: skip
        """`of` is the directory that it works in, if that is not the exchange's."""
        self.state = ProcessState(name)
        self.final = final
        """Exit statuses after which it is not started again."""
        self.is_vital = is_vital
        """Everything stops when it ends for good."""
        self._home, self.log = directory, directory / "logs" / f"{name}.log"
        self.process: asyncio.subprocess.Process | None = None
        runs = f"ringfence.daemons.{module or name.replace('-', '_')}"
        self._arguments = (sys.executable, "-m", runs, str(of or directory), *arguments)

    @property
    def name(self) -> str:
        return self.state.name

    async def spawn(self) -> asyncio.subprocess.Process:
        if self.log.exists() and self.log.stat().st_size > _LOG_BYTES_MAX:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as file:
            self.process = await asyncio.create_subprocess_exec(
                *self._arguments, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True,
                preexec_fn=_end_with_parent, env={**os.environ, PAGE: str(socket_of(self._home, self.name))},
            )  # fmt: skip
        self.state.pid, self.state.started_ns = self.process.pid, time.time_ns()
        self.state.state = "running"
        return self.process

    def last_words(self) -> str:
        """Return the last line of its log that is an error, or its last line."""
        return last_words(self.log.read_bytes()[-20_000:])


def _node_answers(rpc: BitcoinRpc) -> bool:
    try:
        return rpc.block_count() >= 0
    except BitcoinError:
        return False


def _end_with_parent() -> None:
    """Ask Linux to stop a child whose supervisor is gone; elsewhere it goes on by itself."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Supervisor:
    """Everything that `ringfence up` does: `start`, `watch`, `stop`."""

    def __init__(self, options: Options, console: Console) -> None:
        self._options, self._console = options, console
        self._directory = options.directory
        self._children: list[Child] = []
        self._keepers: list[asyncio.Task[None]] = []
        self._stopping = False
        self._is_up = False
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._started_ns = time.time_ns()
        self.url = self._public_url = self._host = ""
        self._port = self._fix_port = 0
        self._ports = Ports(0, {})
        self._source = ""
        """Where index prices come from."""

    # ---- start

    async def start(self) -> None:
        """Start everything; returns when the exchange trades. Raises StartError."""
        began = time.monotonic()
        written = self._configure()
        is_new = self._read_venue() is None
        layout = await self._begin_cluster()
        # Of three machines one may be lost, ours as well.
        core = self._run("core", final=_FINAL_OF_CORE, is_vital=layout is None)
        self._run_nodes(layout)
        if self._options.custody:
            self._run_node()
        if not is_new:
            # Nothing depends on the order any more: they load while the core does.
            self._run_readers()
        await self._step("exchange core", self._until_core(core))
        venue = await self._founded()
        await self._until_in_force(written)
        if is_new:
            self._run_readers()
        self._run_other_gateways(layout)
        await self._step("gateway", self._until(self._answers))
        self._console.print(f"[bold]{self.url} answers {time.monotonic() - began:.1f} s after the start[/]")
        if self._fix_port:
            self._run("fix-gateway", "--port", str(self._fix_port), final=_FINAL_OF_GATEWAY)
        self._run_account_desk()
        for judge in JUDGES:
            self._run(judge, final=_FINAL_OF_JUDGES)
        if self._options.custody:
            await self._step("custody", self._begin_custody())
        self._run_prover()
        self._run_security_desk()
        self._run("price-feed", final=_FINAL_OF_PRICE_FEED)
        if self._options.bots:
            self._run("bots", "--url", f"ws://{self._host}:{self._port}/realtime")
            await self._step("market makers", self._until(self._is_liquid))
        await self._step("accounts", self._until(users_founding.socket_of(self._directory).exists))
        if self._options.custody:
            await self._step("custody console", self._until(lambda: listens(self._ports.console)))
        self._is_up = True
        self._run("metrics", final=_FINAL_OF_METRICS)
        if self._has_chains() and not chain_founding.is_connected(self._directory):
            self._keepers.append(asyncio.create_task(self._connect_chains()))
        welcome.show(
            self._console, directory=self._directory, url=self.url, venue=venue,
            keys=founding.ensure_keys(self._directory, venue), bots=self._options.bots, source=self._source,
            console_url=origin_of(self._ports.console) if self._options.custody and has_pages() else "",
        )  # fmt: skip

    # ---- more than one machine

    async def _begin_cluster(self) -> Layout | None:
        """Run the servers of the stream, if this exchange is a cluster or is to become one."""
        is_cluster = (self._directory / cluster.NAME).exists()
        if not self._options.cluster and not is_cluster:
            return None
        try:
            layout = cluster_founding.found(
                self._directory, kind=self._options.cluster or cluster_founding.NATS
            )
        except OSError as error:
            raise StartError(f"the cluster was not founded: {error}", EXIT_INPUT) from error
        for name in layout.servers:
            self._run(name, name, final=_FINAL_OF_NATS, module="stream_server")
        if not is_cluster and any((self._directory / "journal").glob("*.journal")):
            try:
                work = cluster_seeding.seed(self._directory, on_progress=lambda done, total: None)
                await self._step("seeding the stream", work)
            except cluster_seeding.SeedError as error:
                raise StartError(str(error), EXIT_INPUT) from error
        return layout

    def _run_nodes(self, layout: Layout | None) -> None:
        """Run the cores of the other machines; ours is `core` like everybody's."""
        for name, own in (layout.directories if layout else {}).items():
            if own != self._directory:
                self._run(f"core-{name}", final=_FINAL_OF_CORE, module="core", directory=own)

    def _run_other_gateways(self, layout: Layout | None) -> None:
        """One more gateway for each other machine, on the ports after ours: any of them takes any order."""
        others = [own for own in (layout.directories.values() if layout else ()) if own != self._directory]
        for number, own in enumerate(others, 2):
            port = str(self._port + number - 1)
            self._run(
                f"gateway-{number}", "--port", port, "--core-directory", str(own), final=_FINAL_OF_GATEWAY,
                module="gateway",
            )  # fmt: skip

    def _configure(self) -> Configuration:
        """Return the settings; a directory without any gets its first. What the command line says goes before them."""
        options = self._options
        is_new = not (self._directory / NAME).exists()
        had_others = configuring.has_old_files(self._directory)
        chosen = {"gateway.port": options.port, "fix.port": options.fix_port}
        given = {name: value for name, value in chosen.items() if value is not None}
        try:
            written = configuring.found(self._directory, **given)
        except SettingsError as error:
            raise StartError(f"{error}; nothing was started", EXIT_CONFIG) from error
        except OSError as error:
            raise StartError(f"{NAME} could not be written: {error}", EXIT_INPUT) from error
        if is_new and had_others:
            self._console.print(
                f"  {NAME} was written from {', '.join(configuring.OLD_FILES)}, which are read no more (*.moved)"
            )
        if not (self._directory / index_prices.NAME).exists():
            replace(self._directory / index_prices.NAME, index_prices.FIRST.encode())
        try:
            self._source = index_prices.read_configuration(self._directory).source
        except ValueError as error:
            raise StartError(str(error), EXIT_INPUT) from error
        self._take(written)
        for name, here, there in (
            ("--port", options.port, written.settings.gateway.port),
            ("--fix-port", options.fix_port, written.settings.fix.port),
        ):
            if here is not None and here != there:
                self._console.print(
                    f"  {name} {here} goes before the {there} of {NAME}, this time alone", highlight=False
                )
        return written

    def _take(self, written: Configuration) -> None:
        """Go by settings, and by the command line before them."""
        said, options = written.settings, self._options
        self._host = said.gateway.host
        self._port = said.gateway.port if options.port is None else options.port
        self._fix_port = said.fix.port if options.fix_port is None else options.fix_port
        self.url = f"http://{self._host}:{self._port}"
        public = said.gateway.public_host
        self._public_url = self.url if public == ANY else f"{said.gateway.public_scheme}://{public}"

    async def _until_in_force(self, written: Configuration) -> None:
        """Wait with everything but the core while the file is not what is in force: somebody decides which it is."""
        in_force = number_in_force(self._directory)
        if in_force == 0:
            self._console.print(f"  nobody has put {NAME} in force: ringfence config apply --operator NAME")
        if in_force in (0, written.number):
            return
        self._console.print(
            f"[bold red]{NAME} is {in_words(written.number)}, in force is {in_words(in_force)}[/]: nothing but the "
            f"core runs until, in another terminal, `ringfence config apply --operator NAME` or `... restore`",
            highlight=False,
        )  # fmt: skip
        await self._step("configuration", self._until(self._is_in_force))
        self._take(read_configuration(self._directory))

    def _is_in_force(self) -> bool:
        try:
            return read_configuration(self._directory).number == number_in_force(self._directory)
        except SettingsError:
            return False

    def _run_readers(self) -> None:
        self._run("history", final=_FINAL_OF_HISTORY)
        given = () if self._options.port is None else ("--port", str(self._options.port))
        self._run("gateway", *given, final=_FINAL_OF_GATEWAY)

    def _run_prover(self) -> None:
        try:
            proof_secrets.found(self._directory)
        except (OSError, ValueError) as error:
            raise StartError(f"the prover has no key: {error}", EXIT_INPUT) from error
        without = () if self._options.custody else ("--no-custody",)
        self._run("prover", *without, final=_FINAL_OF_PROVER)

    def _run_security_desk(self) -> None:
        try:
            security_desk.found(self._directory)
        except (OSError, ValueError, LogError) as error:
            raise StartError(f"the security desk cannot begin: {error}", EXIT_INPUT) from error
        url, mail = self._public_url, security_intake.alias_of(self._directory)
        self._run("security-desk", "--url", url, "--mail", mail, final=_FINAL_OF_SECURITY)

    def _run_account_desk(self) -> None:
        """Run what people sign in at; mail is caught on this machine until somebody names a server."""
        try:
            mail = users_founding.found(self._directory, catcher_port=free_ports(1)[0])
        except (OSError, ValueError) as error:
            raise StartError(f"nobody can have an account: {error}", EXIT_INPUT) from error
        if mail.is_caught:
            self._run("mail-catcher", "--port", str(mail.port), final=_FINAL_OF_CATCHER)
        # What a desk that was killed has left behind would be taken for one that answers.
        users_founding.socket_of(self._directory).unlink(missing_ok=True)
        self._run("account-desk", "--url", self._public_url, final=_FINAL_OF_ACCOUNTS)

    # ---- custody

    def _run_node(self) -> None:
        try:
            self._ports = ensure_ports(self._directory, tuple(PLACES))
        except (OSError, ValueError) as error:
            raise StartError(f"custody/ports.json: {error}", EXIT_INPUT) from error
        self._run("bitcoin", "--port", str(self._ports.node), final=_FINAL_OF_NODE)
        if not self._options.chains:
            return
        if engine_path() is None:
            self._console.print("  no MPC engine is built (`make mpc`): custody holds Bitcoin alone")
            return
        nodes, ports = {}, self._ports
        if ports.ethereum and anvil_path() is not None:
            nodes[chain_founding.ETHEREUM_CHAIN] = f"http://{HOST}:{ports.ethereum}/"
            self._run("ethereum", "--port", str(ports.ethereum), final=_FINAL_OF_NODE)
        if ports.solana:
            nodes[chain_founding.SOLANA_CHAIN] = f"http://{HOST}:{ports.solana}/"
            self._run("solana", "--port", str(ports.solana), final=_FINAL_OF_NODE)
        replace(self._directory / "custody" / "nodes.json", msgspec.json.encode(nodes))

    def _has_chains(self) -> bool:
        return self._options.custody and self._options.chains and engine_path() is not None

    async def _begin_custody(self) -> None:
        """Found custody the first time, then run co-signers, verifier and coordinator."""
        await self._begin_tpms()
        self._choose_beacon()
        rpc = BitcoinRpc(Endpoint(HOST, self._ports.node, self._directory / "bitcoin" / ".cookie"))
        try:
            await self._until(lambda: _node_answers(rpc))
            await custody_founding.found(self._directory, rpc, clients_keys=self._options.coin_keys)
        except (custody_founding.FoundingError, BitcoinError, OSError, ValueError) as error:
            raise StartError(f"custody was not founded: {error}", EXIT_BUG) from error
        finally:
            rpc.close()
        for name in PLACES:
            self._run(f"cosigner-{name}", name, final=_FINAL_OF_COSIGNER, module="cosigner")
        self._run("addresses", final=(EXIT_INPUT,))
        self._run("coordinator", "--block-seconds", _BLOCK_SECONDS, final=_FINAL_OF_COORDINATOR)
        await self._until(lambda: (self._directory / "custody" / "desk.sock").exists())
        self._run("custody-console", "--port", str(self._ports.console), final=_FINAL_OF_CONSOLE)

    async def _connect_chains(self) -> None:
        """Make the keys of the other chains while the exchange trades already; what goes wrong there stops nothing."""
        began = time.monotonic()

        def say(what: str) -> None:
            self._console.print(f"  {time.monotonic() - began:5.1f} s  {what}", highlight=False)

        try:
            await chain_founding.found(self._directory, say)
        except (CeremonyError, custody_founding.FoundingError, *TROUBLES, OSError, ValueError) as error:
            self._console.print(f"[bold red]not every chain is connected: {error}[/]; start again to go on")

    def _choose_beacon(self) -> None:
        """Write down with which beacon custody is founded; who has written it before keeps theirs."""
        wanted = self._options.beacon
        if not wanted or (self._directory / "custody" / "beacon.json").exists():
            return
        if wanted not in BEACONS:
            raise StartError(f"no beacon is called {wanted!r}; there is {', '.join(BEACONS)}", EXIT_INPUT)
        if (self._directory / "custody" / "charter.json").exists():
            raise StartError(
                "custody was founded without a beacon; one needs a directory of its own", EXIT_INPUT
            )
        write_source(self._directory, BeaconSource(BEACONS[wanted], PUBLIC))

    async def _begin_tpms(self) -> None:
        """Run a TPM in software for each co-signer that was founded with one, or that is to be."""
        home = self._directory / "custody"
        if self._options.tpm:
            if not tpm.is_installed() or shutil.which("swtpm") is None:
                raise StartError("--tpm needs the Debian packages swtpm and tpm2-tools", EXIT_INPUT)
            if (home / "charter.json").exists() and not (
                home / "cosigners" / next(iter(PLACES)) / "tpm"
            ).exists():
                raise StartError(
                    "custody was founded without TPMs; --tpm needs a directory of its own", EXIT_INPUT
                )
        for name in PLACES:
            folder = home / "cosigners" / name
            if self._options.tpm and not (folder / "tpm").exists():
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                replace(folder / "tpm", software_tpm.TCTI.encode())
            if (folder / "tpm").exists() and (folder / "tpm").read_text() == software_tpm.TCTI:
                socket = folder / software_tpm.SOCKET
                socket.unlink(missing_ok=True)
                self._run(f"tpm-{name}", name, final=(software_tpm.EXIT_MISSING,), module="software_tpm")
                await self._until(socket.exists)

    def _read_venue(self) -> Venue | None:
        try:
            return read_venue(self._directory)
        except ValueError as error:
            raise StartError(str(error), EXIT_INPUT) from error

    async def _founded(self) -> Venue:
        """Return the venue, founding it or opening more accounts first if that is to be done."""
        venue = self._read_venue()
        if venue is not None and len(venue.traders) >= self._options.accounts:
            return venue
        work = founding.found(self._directory, accounts=self._options.accounts, custody=self._options.custody)
        try:
            venue = await self._step("founding the venue", work)
        except (SettingsError, AdminRefused, AdminTimeout, OSError) as error:
            raise StartError(f"the venue could not be founded: {error}", EXIT_BUG) from error
        founding.ensure_keys(self._directory, venue)
        write_venue(self._directory, venue)
        return venue

    async def _step(self, name: str, work: Awaitable[Value]) -> Value:
        """Do one step of the start and say how long it took. Raises StartError if a process gives up."""
        began = time.monotonic()
        task = asyncio.ensure_future(work)
        try:
            with self._console.status(f"{name} ..."):
                await asyncio.wait((task, self._failed), return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                self._failed.result()
            result = await task
        finally:
            task.cancel()
        self._console.print(f"  {name:<20} ready in {time.monotonic() - began:5.2f} s", highlight=False)
        return result

    async def _until_core(self, core: Child) -> None:
        """Wait for the core's greeting; say what keeps it busy if it takes long."""
        began = told = time.monotonic()
        while await core_sequence(self._directory) is None:
            now = time.monotonic()
            if now - began > _COMPILING_SECONDS and now - told > _TALK_SECONDS - _COMPILING_SECONDS:
                told = now + _COMPILING_SECONDS
                words = core.last_words()
                busy = words if "replaying" in words else "compiling the engine, once per version"
                self._console.print(f"  {busy}: {now - began:.0f} s", highlight=False)
            await asyncio.sleep(_POLL_SECONDS)

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not await asyncio.to_thread(condition):
            await asyncio.sleep(_POLL_SECONDS)

    def _answers(self) -> bool:
        return get_json(f"{self.url}/api/v1") is not None

    def _is_liquid(self) -> bool:
        rows = get_json(f"{self.url}/api/v1/instrument/active")
        return bool(rows) and all(
            (row["bidPrice"] and row["askPrice"]) or row["state"] != "Open" for row in rows
        )

    # ---- children

    def _run(
        self,
        name: str,
        *arguments: str,
        final: tuple[int, ...] = (),
        is_vital: bool = False,
        module: str = "",
        directory: Path | None = None,
    ) -> Child:
        child = Child(
            self._directory, name, *arguments, final=final, is_vital=is_vital, module=module, of=directory
        )
        self._children.append(child)
        self._keepers.append(asyncio.create_task(self._keep(child)))
        return child

    async def _keep(self, child: Child) -> None:
        """Run a process again and again until we stop or it says that this is no use."""
        pause = _RETRY_SECONDS
        while not self._stopping:
            began = time.monotonic()
            process = await child.spawn()
            self._save()
            code = await process.wait()
            if self._stopping:
                break
            if code in child.final:
                self._give_up(child, code)
                return
            if time.monotonic() - began > _WORKED_SECONDS:
                pause = _RETRY_SECONDS
            how = f"signal {-code}" if code < 0 else f"status {code}"
            self._console.print(
                f"{child.name} ended with {how}; it is started again in {pause:.1f} s", highlight=False
            )
            child.state.state, child.state.pid = "waiting", 0
            child.state.restarts += 1
            self._save()
            await asyncio.sleep(pause)
            pause = min(2 * pause, _RETRY_SECONDS_MAX)
        child.state.state, child.state.pid = "stopped", 0

    def _give_up(self, child: Child, code: int) -> None:
        """A process must not be started again: say why, and stop everything if nothing goes without it."""
        child.state.state, child.state.pid = "failed", 0
        self._save()
        words = f"{child.name} ended with status {code} and is not started again:\n  {child.last_words()}"
        if child.is_vital or not self._is_up:
            if not self._failed.done():
                self._failed.set_exception(StartError(words, code))
        else:
            self._console.print(f"[bold red]{words}[/]", highlight=False)

    def _save(self) -> None:
        state = RunState(
            supervisor=os.getpid(), url=self.url, started_ns=self._started_ns,
            processes=[child.state for child in self._children],
        )  # fmt: skip
        replace(self._directory / "run.json", msgspec.json.encode(state))

    # ---- stop

    async def watch(self) -> None:
        """Return never; raises StartError when a process that nothing goes without gives up."""
        await self._failed

    async def stop(self) -> None:
        """Stop every process, those that depend on others first, and wait for all of a kind at once."""
        self._stopping = True
        for _, tier in itertools.groupby(sorted(self._children, key=_tier), _tier):
            await asyncio.gather(*(self._stop(child) for child in tier))
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        for child in self._children:
            child.state.pid = 0
            if child.state.state != "failed":
                child.state.state = "stopped"
        self._save()

    async def _stop(self, child: Child) -> None:
        process = child.process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _STOP_SECONDS.get(child.name, _STOP_SECONDS_DEFAULT))
        except TimeoutError:
            self._console.print(f"{child.name} did not stop and is killed; nothing is lost by that")
            process.kill()
            await process.wait()


def _tier(child: Child) -> int:
    """Of several, such as gateway-2 and core-node-3, each goes with its kind; the stream's servers go last."""
    kind = child.name.partition("-")[0]
    return next((rank for rank, names in enumerate(_TIERS) if {child.name, kind} & names), len(_TIERS))


async def supervise(options: Options, console: Console) -> int:
    """Run an exchange until a signal comes; return the exit status."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(name, stop.set)
    supervisor = Supervisor(options, console)
    stopping = loop.create_task(stop.wait())
    working = loop.create_task(_start_and_watch(supervisor))
    await asyncio.wait((stopping, working), return_when=asyncio.FIRST_COMPLETED)
    code = 0
    if working.done() and (error := working.exception()) is not None:
        if not isinstance(error, StartError):
            console.print_exception()
        console.print(f"[bold red]{error}[/]", highlight=False)
        code = error.code if isinstance(error, StartError) else EXIT_BUG
    working.cancel()
    with console.status("stopping ..."):
        await supervisor.stop()
    with suppress(asyncio.CancelledError, Exception):
        await working
    stopping.cancel()
    console.print("stopped; everything acknowledged is in the journal")
    return code


async def _start_and_watch(supervisor: Supervisor) -> None:
    await supervisor.start()
    await supervisor.watch()


def up(options: Options) -> int:
    """Found or start the exchange in a directory and run it until Ctrl-C; return the exit status."""
    forbid_core_dumps()
    console = Console()
    options.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    (options.directory / "logs").mkdir(mode=0o700, exist_ok=True)
    try:
        descriptor = lock(options.directory)
    except BlockingIOError:
        console.print(f"{options.directory} is in use by another `ringfence up`; nothing was started")
        return EXIT_BUSY
    try:
        databases.prepare(options.directory, options.database)
        return asyncio.run(supervise(options, console))
    except databases.PrepareError as error:
        console.print(f"[bold red]{error}[/]", highlight=False)
        return EXIT_INPUT
    finally:
        os.close(descriptor)
