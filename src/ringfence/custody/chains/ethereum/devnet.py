"""The development chain: anvil, a real EVM, that forgets nothing which it has told, with a dollar token on it.

anvil alone keeps its chain in memory, and what it writes by itself (`--state`) is rewritten in place: a kill leaves it
empty. So it runs here as a child behind a front on the loopback interface. The front passes calls through one at a
time, and what a call has changed is on the disk before its answer leaves:

| file         | what is in it                                                                               |
|--------------|---------------------------------------------------------------------------------------------|
| state        | anvil's own dump of the chain, a gzip file, replaced as a whole after each call that changed it |
| pending      | signed transactions that were taken and wait for a block, one a line, sent again at the start |
| home         | anvil's home directory, emptied at the start                                                |

Not kept: snapshots (`evm_snapshot`), transactions that anvil sends for accounts it impersonates until they are in a
block, and balances of more than `STATES_KEPT` blocks ago, because each of them is a whole copy of the state.
"""

import contextlib
import ctypes
import gzip
import http.client
import json
import logging
import os
import platform
import shutil
import signal
import subprocess
import sys
import threading
import time
import zlib
from http import HTTPStatus
from pathlib import Path
from typing import Any

import rlp
from coincurve import PrivateKey

from ringfence.custody.chains.ethereum.addresses import address_of, keccak_256, spelt
from ringfence.custody.chains.ethereum.transactions import TYPE
from ringfence.custody.chains.loopback_server import HOST, Answer, LoopbackServer
from ringfence.files import replace, sync_directory
from ringfence.ports import free_ports

log = logging.getLogger(__name__)

CHAIN_ID = 31_337
GENESIS_TIMESTAMP_S = 1_767_225_600
"""2026-01-01. Blocks after it have the time at which they were made."""
STATES_KEPT = 16
"""Of how many blocks balances can be asked for and, after a restart, how far a reorganisation can go. With all of them
a dump had 113 MB and took 7 s at 1,200 blocks and 600 accounts."""
DEVELOPMENT_KEY = keccak_256(b"Ringfence's development chain: a key that everybody knows")
DEVELOPER = address_of(PrivateKey(DEVELOPMENT_KEY).public_key.format())
"""Has all the ETH in the beginning, and makes dollars."""
USDT_ADDRESS: bytes = keccak_256(rlp.encode([DEVELOPER, 0]))[-20:]
"""Where the developer's first transaction puts the token."""
_CREATION = Path(__file__).with_name("usdt.hex")
"""What deploy/local/token/usdt.vy becomes with Vyper 0.4.3 for the EVM `shanghai`."""

_ANVIL = "RINGFENCE_ANVIL"
_PACKAGES = Path(__file__).parents[5] / "deploy" / "local" / "anvil" / "node_modules" / "@foundry-rs"
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
_HARDFORK = "osaka"
_START_S, _CALL_S = 20.0, 120.0
_PR_SET_PDEATHSIG = 1
_WEI_AT_FIRST = 10**27
_GWEI = 10**9
_CREATION_GAS = 2_000_000
_REQUEST_BYTES_MAX = 16 << 20

_READING = ("eth_", "net_", "web3_", "trace_", "debug_", "txpool_", "ots_", "erigon_")
"""Calls that begin so make no block and change no state: all others are taken to."""
_REFUSED = ("setautomine", "setintervalmining", "transactionsync")
"""Calls that end so would make blocks on their own, which would be told of before they are on the disk."""
_NO_SUCH_METHOD = -32601


class AnvilMissingError(Exception):
    """There is no anvil. Nothing was started; remedy: `make anvil`, or its path in RINGFENCE_ANVIL."""


class AnvilGoneError(Exception):
    """anvil has ended or does not answer. What it has told is on the disk: start again."""


class AnvilRefusedError(Exception):
    """anvil says no, for the reason in the text."""


class StateDamagedError(Exception):
    """What is on the disk is no state of a chain. Nothing was changed; remedy: a backup, or another directory."""


def anvil_path() -> Path | None:
    """Return where anvil is, None if there is none: what RINGFENCE_ANVIL says, of `make anvil`, or on the PATH."""
    if told := os.environ.get(_ANVIL):
        path = Path(told)
        return path if path.is_file() else None
    path = _PACKAGES / f"anvil-linux-{_MACHINES.get(platform.machine(), '')}" / "bin" / "anvil"
    if path.is_file():
        return path
    found = shutil.which("anvil")
    return Path(found) if found else None


class Devnet:
    """The chain of a directory. Not for two threads at once, but for `wait`."""

    def __init__(self, directory: Path) -> None:
        """Start from what the directory has, or found a chain. Raises what this module defines, and OSError."""
        path = anvil_path()
        if path is None:
            raise AnvilMissingError("anvil is not installed: npm, then `make anvil`")
        self._directory, self._state, self._pending = directory, directory / "state", directory / "pending"
        self._is_changed = False
        self._waiting = _read_pending(self._pending)
        kept = _read_state(self._state)
        self._anvil = _Anvil(path, directory / "home")
        try:
            if kept is None:
                self._found()
            else:
                self._load(kept)
            self._send_again()
        except BaseException:
            self._anvil.kill()
            raise

    def answer(self, body: bytes) -> bytes:
        """Return what anvil says to a call or to a batch of them. What they have changed is on the disk then.

        Raises AnvilGoneError, OSError: then nothing may be answered any more, the next start has what was told.
        """
        try:
            asked = json.loads(body)
        except (ValueError, RecursionError):
            return self._anvil.post(body)  # which says what is wrong with it
        if isinstance(asked, list) and asked:
            told = b"[" + b",".join(filter(None, map(self._told, asked))) + b"]"
        else:
            told = self._told(asked)
        if self._is_changed:
            self._keep()
        return told

    def height(self) -> int:
        return int(self._anvil.call("eth_blockNumber"), 16)

    def wait(self) -> None:
        """Return when anvil has ended."""
        self._anvil.wait()

    def close(self) -> None:
        self._anvil.kill()

    def _told(self, asked: Any) -> bytes:
        method = asked.get("method") if isinstance(asked, dict) else None
        if not isinstance(method, str):
            return self._anvil.post(json.dumps(asked).encode())
        if method.lower().endswith(_REFUSED):
            error = {"code": _NO_SUCH_METHOD, "message": f"{method}: blocks are made when they are asked for"}
            return json.dumps({"jsonrpc": "2.0", "id": asked.get("id"), "error": error}).encode()
        told = self._anvil.post(json.dumps(asked).encode())
        if method == "eth_sendRawTransaction":
            if "result" in json.loads(told or b"{}"):
                self._append(str(asked["params"][0]))
        elif not method.startswith(_READING):
            self._is_changed = True
        return told

    def _append(self, raw: str) -> None:
        with self._pending.open("ab") as file:
            file.write(f"{raw}\n".encode())
            file.flush()
            os.fsync(file.fileno())
        self._waiting.append(raw)

    def _keep(self) -> None:
        """Write the chain, then forget which transactions waited that wait no more: never the other way round."""
        dump = self._anvil.call("anvil_dumpState", True)
        replace(self._state, bytes.fromhex(dump.removeprefix("0x")))
        waiting = [raw for raw in self._waiting if self._waits(raw)]
        if waiting != self._waiting or not self._pending.exists():
            replace(self._pending, "".join(f"{raw}\n" for raw in waiting).encode())
            self._waiting = waiting
        sync_directory(self._directory)
        self._is_changed = False

    def _waits(self, raw: str) -> bool:
        txid = keccak_256(bytes.fromhex(raw.removeprefix("0x"))).hex()
        found = self._anvil.call("eth_getTransactionByHash", f"0x{txid}")
        return found is not None and found["blockHash"] is None

    def _found(self) -> None:
        """Give the developer coins and put the token on the chain, in its first block."""
        self._anvil.call("anvil_setBalance", spelt(DEVELOPER), hex(_WEI_AT_FIRST))
        txid = self._anvil.call("eth_sendRawTransaction", f"0x{_creation().hex()}")
        self._anvil.call("evm_mine")
        receipt = self._anvil.call("eth_getTransactionReceipt", txid)
        assert receipt["status"] == "0x1"
        assert receipt["contractAddress"] == f"0x{USDT_ADDRESS.hex()}"
        self._set_time()
        self._keep()

    def _load(self, kept: bytes) -> None:
        try:
            self._anvil.call("anvil_loadState", f"0x{kept.hex()}")
        except AnvilRefusedError as error:
            raise StateDamagedError(f"{self._state}: {error}") from error
        self._set_time()

    def _set_time(self) -> None:
        """Let time go on from now, and never back: anvil would begin from that of the genesis block again."""
        latest = self._anvil.call("eth_getBlockByNumber", "latest", False)
        self._anvil.call("evm_setTime", max(int(time.time()), int(latest["timestamp"], 16)))

    def _send_again(self) -> None:
        """One that is in a block by now, or that was replaced, is refused; the next `_keep` forgets it."""
        for raw in self._waiting:
            with contextlib.suppress(AnvilRefusedError):
                self._anvil.call("eth_sendRawTransaction", raw)


class _Anvil:
    """A child process that ends when we do. It makes blocks only when it is asked to."""

    def __init__(self, path: Path, home: Path) -> None:
        """Raises AnvilGoneError, OSError."""
        shutil.rmtree(home, ignore_errors=True)  # states of a process that was killed
        home.mkdir(mode=0o700)
        self._port = free_ports(1)[0]
        libc = ctypes.CDLL(None) if sys.platform == "linux" else None

        def end_with_parent() -> None:
            if libc is not None:
                libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

        words = [
            str(path), "--silent", "--host", HOST, "--port", str(self._port), "--chain-id", str(CHAIN_ID),
            "--no-mining", "--accounts", "1", "--balance", "0", "--hardfork", _HARDFORK,
            "--slots-in-an-epoch", "1", "--timestamp", str(GENESIS_TIMESTAMP_S),
            "--prune-history", str(STATES_KEPT), "--no-request-size-limit",
        ]  # fmt: skip
        self._process = subprocess.Popen(
            words, env={"HOME": str(home)}, stdin=subprocess.DEVNULL, preexec_fn=end_with_parent
        )
        until = time.monotonic() + _START_S
        while True:
            try:
                self.call("eth_chainId")
                return
            except AnvilGoneError:
                if self._process.poll() is not None or time.monotonic() > until:
                    self.kill()
                    raise
                time.sleep(0.01)

    def call(self, method: str, *parameters: object) -> Any:
        """Raises AnvilGoneError, AnvilRefusedError."""
        asked = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
        said = json.loads(self.post(json.dumps(asked).encode()))
        if "error" in said:
            raise AnvilRefusedError(f"{method}: {said['error']['message']}")
        return said["result"]

    def post(self, body: bytes) -> bytes:
        """Each call has a connection of its own, so that none is found closed. Raises AnvilGoneError."""
        line = http.client.HTTPConnection(HOST, self._port, timeout=_CALL_S)
        try:
            line.request("POST", "/", body, {"Content-Type": "application/json"})
            return line.getresponse().read()
        except (OSError, http.client.HTTPException) as error:
            raise AnvilGoneError(f"anvil does not answer: {error!r}") from error
        finally:
            line.close()

    def wait(self) -> None:
        self._process.wait()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


class DevnetServer(LoopbackServer):
    """Passes calls and batches on to whoever asks on this machine."""

    def __init__(self, devnet: Devnet, *, port: int) -> None:
        """Raises OSError."""
        super().__init__(port=port, request_bytes_max=_REQUEST_BYTES_MAX)
        self._devnet = devnet
        self._is_closing = False
        threading.Thread(target=self._watch, daemon=True).start()

    def answer(self, body: bytes) -> Answer:
        return Answer(HTTPStatus.OK, self._devnet.answer(body))

    def close(self) -> None:
        """Stop answering and end the chain. Nothing is in the middle of a call afterwards."""
        self.server_close()
        with self.lock:
            self._is_closing = True
            self._devnet.close()

    def _watch(self) -> None:
        self._devnet.wait()
        if not self._is_closing:
            log.critical("anvil has ended; what it has told is on the disk")
            self.break_off()


def _creation() -> bytes:
    """Return the developer's first transaction, which creates the token: custody's own never create anything."""
    code = bytes.fromhex(_CREATION.read_text())
    fields = [CHAIN_ID, 0, _GWEI, 10 * _GWEI, _CREATION_GAS, b"", 0, code, []]
    digest = keccak_256(TYPE + rlp.encode(fields))
    signature: bytes = PrivateKey(DEVELOPMENT_KEY).sign_recoverable(digest, hasher=None)
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    return TYPE + bytes(rlp.encode([*fields, signature[64], r, s]))


def _read_state(path: Path) -> bytes | None:
    """Return anvil's dump, None if there is none yet. Raises StateDamagedError."""
    try:
        kept = path.read_bytes()
        gzip.decompress(kept)
    except FileNotFoundError:
        return None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise StateDamagedError(f"{path}: {error}") from error
    return kept


def _read_pending(path: Path) -> list[str]:
    """Return what waited. A last line without its end was being written by a process that has told nobody of it.

    Raises StateDamagedError.
    """
    try:
        *lines, torn = path.read_text("ascii").split("\n")
        for line in lines:
            bytes.fromhex(line.removeprefix("0x"))
    except FileNotFoundError:
        return []
    except ValueError as error:
        raise StateDamagedError(f"{path}: {error}") from error
    if torn:
        replace(path, "".join(f"{line}\n" for line in lines).encode())
    return lines
