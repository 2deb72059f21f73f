"""The development chain as a process, and an owner whose one key is where the signers' shared key would be."""

import base64
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from solders.keypair import Keypair

from ringfence.custody.chains.accounts import NodeError
from ringfence.custody.chains.solana.addresses import deposit_address, deposit_seed, read_address, spelt
from ringfence.custody.chains.solana.faucet import Faucet
from ringfence.custody.chains.solana.messages import Payment, Sweep, signed_bytes, unsigned_bytes
from ringfence.custody.chains.solana.rpc import SolanaRpc

SOL = 1_000_000_000
FEE_LAMPORTS = 5_000
_START_S = 20.0


class RunningSolana:
    """The development chain in a directory, as the last process left it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = int(found.getsockname()[1])
        self.journal = directory / "solana" / "solana.journal"
        self.start()

    def start(self) -> None:
        self.process = self.spawn(self.port)
        self.rpc = SolanaRpc(f"http://127.0.0.1:{self.port}")
        until = time.monotonic() + _START_S
        while True:
            try:
                assert self.rpc.call("getHealth") == "ok"
                break
            except NodeError:
                assert time.monotonic() < until, self.log()
                assert self.process.poll() is None, self.log()
                time.sleep(0.02)
        self.faucet = Faucet(self.rpc)

    def spawn(self, port: int) -> "subprocess.Popen[bytes]":
        with (self.directory / "node.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "ringfence.daemons.solana", str(self.directory), "--port", str(port)],
                stdout=log, stderr=log,
            )  # fmt: skip

    def log(self) -> str:
        return (self.directory / "node.log").read_text()

    def settle(self) -> None:
        """Put what waits into a block, and make that block final."""
        self.rpc.advance(3)

    def stop(self, how: int = signal.SIGTERM) -> int:
        """End the process and return how it ended."""
        self.rpc.close()
        self.process.send_signal(how)
        return self.process.wait(timeout=20)


class Owner:
    """Has the key of one base, and everything that is derived from it."""

    def __init__(self, rpc: SolanaRpc, number: int) -> None:
        self.rpc = rpc
        self.key = Keypair.from_seed(number.to_bytes(32, "big"))
        self.base = bytes(self.key.pubkey())
        self.address = spelt(self.base)

    def deposit_address(self, account: int) -> str:
        return deposit_address(self.base, account)

    def payment(self, to: str, lamports: int) -> bytes:
        blockhash = self.rpc.latest_blockhash("processed").blockhash
        return self.signed(Payment(self.base, read_address(to), lamports, blockhash))

    def sweep(self, account: int, lamports: int, *, to: str = "") -> bytes:
        blockhash = self.rpc.latest_blockhash("processed").blockhash
        source = read_address(self.deposit_address(account))
        seed = deposit_seed(self.base, account)
        return self.signed(
            Sweep(self.base, source, seed, read_address(to or self.address), lamports, blockhash)
        )

    def signed(self, said: Payment | Sweep) -> bytes:
        return signed_bytes(said, bytes(self.key.sign_message(unsigned_bytes(said))))


def send_unchecked(rpc: SolanaRpc, raw: bytes) -> str:
    """Send a transaction that the node does not try first: it may fail in its block."""
    how = {"encoding": "base64", "skipPreflight": True}
    return str(rpc.call("sendTransaction", base64.b64encode(raw).decode(), how))
