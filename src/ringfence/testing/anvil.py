"""Ethereum nodes for tests: anvil, a real EVM, from its npm package (`make anvil`), alone or as the venue runs it."""

import json
import os
import signal
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ringfence.custody.chains.accounts import NodeError
from ringfence.custody.chains.ethereum.devnet import anvil_path
from ringfence.custody.chains.ethereum.rpc import EthereumRpc
from ringfence.ports import free_ports
from ringfence.testing.up import wait_for

__all__ = ["Anvil", "RunningDevnet", "anvil_path"]

_SECONDS = 10.0
_START_S = 30.0


class Anvil:
    """A running node with a chain of its own, which ends with it."""

    def __init__(self, home: Path, *, chain_id: int) -> None:
        path = anvil_path()
        assert path is not None
        self._port = free_ports(1)[0]
        words = [str(path), "--port", str(self._port), "--chain-id", str(chain_id), "--silent"]
        self._process = subprocess.Popen(
            words, env={"HOME": str(home)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def call(self, method: str, *parameters: Any) -> Any:
        """Raises RuntimeError with what the node says."""
        asked = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(parameters)}
        line = HTTPConnection("127.0.0.1", self._port, timeout=_SECONDS)
        try:
            line.request("POST", "/", json.dumps(asked), {"content-type": "application/json"})
            said = json.load(line.getresponse())
        finally:
            line.close()
        if "error" in said:
            raise RuntimeError(said["error"]["message"])
        return said["result"]

    def receipt(self, transaction_hash: str) -> Any:
        """Return the receipt of a transaction as soon as it is in a block."""
        return wait_for(
            lambda: self.call("eth_getTransactionReceipt", transaction_hash), int(_SECONDS), "receipt"
        )

    def __enter__(self) -> Self:
        until = time.monotonic() + _SECONDS
        while True:
            try:
                self.call("eth_chainId")
                return self
            except OSError:
                assert time.monotonic() < until, "anvil does not start"
                time.sleep(0.02)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()


class RunningDevnet:
    """The development chain, as a process."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_ports(1)[0]
        self.rpc = EthereumRpc(f"http://127.0.0.1:{self.port}/")
        self.start()

    def start(self) -> None:
        with (self.directory / "ethereum.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ringfence.daemons.ethereum", str(self.directory), "--port", str(self.port)],
                stdout=log, stderr=log, env={**os.environ},
            )  # fmt: skip
        until = time.monotonic() + _START_S
        while True:
            try:
                self.rpc.chain_id()
                return
            except NodeError:
                assert time.monotonic() < until, self.log()
                assert self.process.poll() is None, self.log()
                time.sleep(0.02)

    def stop(self, how: int = signal.SIGTERM) -> int:
        """End the process and return how it ended."""
        self.rpc.close()
        self.process.send_signal(how)
        return self.process.wait(timeout=20)

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    def log(self) -> str:
        return (self.directory / "ethereum.log").read_text()
