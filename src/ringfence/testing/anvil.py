"""An Ethereum node for tests: anvil, a real EVM, from its npm package (`make anvil`)."""

import json
import platform
import subprocess
import time
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ringfence.testing.up import wait_for
from ringfence.testing.venue import free_port

_HOME = Path(__file__).parents[3] / "deploy" / "local" / "anvil" / "node_modules" / "@foundry-rs"
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
_SECONDS = 10.0


def anvil_path() -> Path | None:
    """Return where the node is, None if it is not installed."""
    machine = _MACHINES.get(platform.machine(), "")
    path = _HOME / f"anvil-linux-{machine}" / "bin" / "anvil"
    return path if path.exists() else None


class Anvil:
    """A running node with a chain of its own, which ends with it."""

    def __init__(self, home: Path, *, chain_id: int) -> None:
        path = anvil_path()
        assert path is not None
        self._port = free_port()
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
