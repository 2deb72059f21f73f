"""One set of tokens with a key of each chain for all; each test has chains and a custody of its own."""

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ringfence.custody.chains.ethereum.devnet import Devnet as EthereumDevnet
from ringfence.custody.chains.ethereum.devnet import DevnetServer, anvil_path
from ringfence.custody.chains.solana.devnet import Devnet as SolanaDevnet
from ringfence.custody.chains.solana.server import SolanaServer
from ringfence.custody.hsm import softhsm_module
from ringfence.custody.quorum.mpc.engine import engine_path
from ringfence.daemons.account_chains import connect
from ringfence.daemons.cosigner import CosignerDaemon
from ringfence.testing.account_custody import (
    ETHEREUM,
    SOLANA,
    AccountCustody,
    CosignerProcess,
    Daemons,
    Hardware,
)
from ringfence.testing.bitcoin import RunningNode

Found = Callable[..., AccountCustody]


class Nothing:
    """Bitcoin as a custody sees it that has none of it."""

    def poll(self) -> list[Any]:
        return []

    def take(self, events: object) -> None:
        """Nothing happens."""


class Door(CosignerDaemon):
    """A co-signer's daemon over parts that are there already, without a process, a socket and a feed on a disk."""

    def __init__(self, process: CosignerProcess) -> None:
        self.name, self._directory = process.name, process.custody.folder
        self._chains, self._troubles, self._told = [], {}, ""
        self.feed: Any = process.feed
        self._watch: Any = Nothing()
        self._company: Any = Nothing()
        self._mpc = process.party
        self.cosigner = process.found(self._connect)
        process.sources.trouble = lambda: self._told


@contextmanager
def ethereum(folder: Path) -> Iterator[str]:
    if anvil_path() is None:
        pytest.skip("no Ethereum node: npm, then `make anvil`")
    folder.mkdir()
    server = DevnetServer(EthereumDevnet(folder), port=0)
    with serving(server):
        yield f"http://127.0.0.1:{server.port}/"
    server.close()


@contextmanager
def solana(folder: Path) -> Iterator[str]:
    folder.mkdir()
    devnet = SolanaDevnet(folder)
    server = SolanaServer(devnet, port=0)
    with serving(server):
        yield f"http://127.0.0.1:{server.port}/"
    server.close()
    devnet.close()


@contextmanager
def serving(server: ThreadingHTTPServer) -> Iterator[None]:
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01))
    thread.start()
    yield
    server.shutdown()
    thread.join()


CHAINS = {ETHEREUM: ethereum, SOLANA: solana}


@contextmanager
def founded(
    folder: Path, hardware: Hardware, node: RunningNode, *chains: str, **more: Any
) -> Iterator[AccountCustody]:
    with ExitStack() as stack:
        folder.mkdir(parents=True, exist_ok=True)
        nodes = {
            chain: stack.enter_context(CHAINS[chain](folder / chain.partition(":")[0])) for chain in chains
        }
        made = AccountCustody(folder / "custody", hardware, node, nodes, Daemons(connect, Door), **more)
        stack.callback(made.close)
        yield made


@pytest.fixture(scope="package")
def hardware(tmp_path_factory: pytest.TempPathFactory) -> Hardware:
    if softhsm_module() is None or shutil.which("softhsm2-util") is None:
        pytest.skip("SoftHSM is not installed: Debian package softhsm2")
    if engine_path() is None:
        pytest.skip("the MPC engine is not built: it needs Rust 1.88 or newer, then `make mpc`")
    return Hardware(tmp_path_factory.mktemp("hardware"))


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    running = RunningNode(tmp_path_factory.mktemp("node"))
    yield running
    running.kill()


@pytest.fixture
def found(tmp_path: Path, hardware: Hardware, node: RunningNode) -> Iterator[Found]:
    """Found a custody over some chains."""
    with ExitStack() as stack:
        yield lambda *chains, **more: stack.enter_context(
            founded(tmp_path / "found", hardware, node, *chains, **more)
        )
