"""What tests about Bitcoin need: an embedded node as a process, software signers with one key each, coins."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import bdkpython
from embit import bip32
from embit.networks import NETWORKS
from embit.psbt import PSBT

from ringfence.custody.chains.bitcoin.kernel import failing_input
from ringfence.custody.chains.bitcoin.regtest.faucet import Faucet
from ringfence.custody.chains.bitcoin.rpc import BitcoinError, BitcoinRpc, Endpoint
from ringfence.custody.chains.bitcoin.transactions import Output, Transaction, address_of, parse_transaction
from ringfence.custody.wallets.building import Funds
from ringfence.custody.wallets.coins import Coin, Outpoint
from ringfence.custody.wallets.descriptors import (
    OPERATIONS,
    POLICY,
    RECOVERY,
    RECOVERY_BLOCKS,
    ColdPolicy,
    Keychain,
)
from ringfence.custody.wallets.owners import Owner, Wallets

NOBODY = str(address_of(b"\x00\x14" + b"\x22" * 20))
"""An address that nobody has the key of."""
_PATH = "m/48h/1h/0h/2h"
_START_S = 20.0


class Signers:
    """The ten key holders of a cold wallet, each with one private key: ops 0-2, policy 3-4, recovery 5-9."""

    def __init__(self, seed: int = 0, *, recovery_blocks: int = RECOVERY_BLOCKS) -> None:
        version = NETWORKS["regtest"]
        count = OPERATIONS + POLICY + RECOVERY
        roots = [
            bip32.HDKey.from_seed(bytes([seed, number]) * 16, version=version["xprv"])
            for number in range(count)
        ]
        self._private: dict[str, str] = {}
        public = []
        for root in roots:
            account = root.derive(_PATH)
            origin = f"[{root.my_fingerprint.hex()}{_PATH.removeprefix('m')}]"
            public.append(origin + account.to_public().to_base58())
            self._private[public[-1]] = origin + account.to_base58()
        # Numbers follow the descriptor, where keys stand in their order.
        self.operations = sorted(public[:OPERATIONS])
        self.policy_keys = sorted(public[OPERATIONS : OPERATIONS + POLICY])
        self.recovery = sorted(public[OPERATIONS + POLICY :])
        self.policy = ColdPolicy(
            tuple(self.operations), tuple(self.policy_keys), tuple(self.recovery), recovery_blocks
        )

    def sign(self, psbt: str, who: Iterable[int]) -> str:
        """Return what the signers make of a transaction, put together; whether it is enough is not looked at."""
        everyone = [*self.operations, *self.policy_keys, *self.recovery]
        parts = [self._partial(psbt, everyone[number]) for number in who]
        combined = parts[0]
        for part in parts[1:]:
            combined = combined.combine(part)
        return str(combined.serialize())

    def finalize(self, psbt: str, who: Iterable[int]) -> Transaction | None:
        """Return the signed transaction, None if these signers are no quorum."""
        result = bdkpython.Psbt(self.sign(psbt, who)).finalize()
        return (
            parse_transaction(bytes(result.psbt.extract_tx().serialize())) if result.could_finalize else None
        )

    def _partial(self, psbt: str, key: str) -> Any:
        descriptor = self.policy.descriptor().replace(key, self._private[key])
        # bdk reads no private key with two paths.
        receive, change = (
            bdkpython.Descriptor(descriptor.replace("<0;1>", str(keychain.value)), bdkpython.NetworkKind.TEST)
            for keychain in Keychain
        )
        persister = bdkpython.Persister.new_in_memory()
        wallet = bdkpython.Wallet(receive, change, bdkpython.Network.REGTEST, persister)
        options = bdkpython.SignOptions(
            trust_witness_utxo=False, assume_height=None, allow_all_sighashes=False, try_finalize=False,
            sign_with_tap_internal_key=False, allow_grinding=True,
        )  # fmt: skip
        part = bdkpython.Psbt(psbt)
        wallet.sign(part, options)
        return part


def wallets_of(signers: dict[Owner, Signers], *, lookahead: int = 20) -> Wallets:
    """Return the wallets of some owners, in which few scripts are known ahead."""
    descriptors = {owner: group.policy.descriptor() for owner, group in signers.items()}
    return Wallets(descriptors, bdkpython.Network.REGTEST, lookahead=lookahead)


def kernel_accepts(transaction: Transaction, funds: Sequence[Funds]) -> bool:
    """Return whether Bitcoin Core's own verifier lets a transaction spend its coins."""
    coins = {fund.coin.outpoint: Output(fund.coin.amount_sats, fund.coin.script) for fund in funds}
    return failing_input(transaction.raw, [coins[item.outpoint] for item in transaction.inputs]) is None


def forced(psbt: str, leaf: int, signed: str) -> Transaction:
    """Return a transaction with the witness that a dishonest finaliser would make: every signature that there is.

    bdk does not finalise what a script refuses; the kernel is asked what the network would say to it.
    """
    unsigned, parts = PSBT.from_string(psbt), PSBT.from_string(signed)
    transaction = unsigned.tx
    for entry, part in zip(transaction.vin, parts.inputs, strict=True):
        block, script = sorted(part.taproot_scripts.items(), key=lambda item: len(item[1]))[leaf]
        signatures = {key.xonly(): value for (key, _), value in part.taproot_sigs.items()}
        keys = _keys_of(bytes(script[:-1]))
        entry.witness.items = [
            *(signatures.get(key, b"") for key in reversed(keys)), bytes(script[:-1]), bytes(block),
        ]  # fmt: skip
    return parse_transaction(bytes(transaction.serialize()))


def _keys_of(script: bytes) -> list[bytes]:
    """Return the keys that a script of `multi_a` pushes, in order."""
    keys, place = [], 0
    while place < len(script):
        size = script[place] if script[place] <= 75 else 0
        if size == 32:
            keys.append(script[place + 1 : place + 33])
        place += 1 + size
    return keys


class RunningNode:
    """The embedded node, as a process."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        log = (self.directory / "node.log").open("ab")
        arguments = [str(self.directory), "--port", str(self._port)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ringfence.daemons.bitcoin", *arguments],
            stdout=log, stderr=log, env={**os.environ},
        )  # fmt: skip
        log.close()
        cookie = self.directory / "bitcoin" / ".cookie"
        self.rpc = BitcoinRpc(Endpoint("127.0.0.1", self._port, cookie))
        until = time.monotonic() + _START_S
        while True:
            try:
                self.rpc.block_count()
                return
            except BitcoinError:
                assert time.monotonic() < until, (self.directory / "node.log").read_text()
                assert self._process.poll() is None, (self.directory / "node.log").read_text()
                time.sleep(0.02)

    def stop(self, how: int = signal.SIGTERM) -> int:
        """End the process and return how it ended."""
        assert self._process is not None
        self.rpc.close()
        self._process.send_signal(how)
        return self._process.wait(timeout=20)

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    def reorganise(self, depth: int, first: Sequence[bytes] = ()) -> list[str]:
        """Take the newest blocks back; the new branch begins with these transactions and is one block longer."""
        found = self.rpc.call("generatefork", depth, NOBODY, [raw.hex() for raw in first])
        return [str(digest) for digest in found]


class CoreNode:
    """Bitcoin Core's own node, as a process: what the embedded one is held against."""

    def __init__(self, directory: Path, binary: Path) -> None:
        self._port = _free_port()
        arguments = [
            "-regtest", f"-datadir={directory}", f"-rpcport={self._port}", "-listen=0", "-connect=0",
            "-checkblockindex=0", "-checkmempool=0", "-printtoconsole=0",
        ]  # fmt: skip
        # Some calls of Core touch the home directory.
        self._process = subprocess.Popen(
            [str(binary), *arguments], env={**os.environ, "HOME": str(directory)}
        )
        self.rpc = BitcoinRpc(Endpoint("127.0.0.1", self._port, directory / "regtest" / ".cookie"))
        until = time.monotonic() + _START_S
        while True:
            try:
                self.rpc.block_count()
                return
            except BitcoinError:
                assert time.monotonic() < until
                time.sleep(0.1)

    def stop(self) -> int:
        self.rpc.close()
        self._process.terminate()
        return self._process.wait(timeout=60)

    def reorganise(self, depth: int, first: Sequence[bytes] = ()) -> list[str]:
        # The same address in the same second would make the very block that was called invalid.
        address = str(address_of(b"\x00\x14" + os.urandom(20)))
        height = self.rpc.block_count()
        self.rpc.call("invalidateblock", self.rpc.block_hash(height - depth + 1))
        made = [self.rpc.generate_block(address, first)]
        return made + [self.rpc.generate_block(address, ()) for _ in range(depth)]


def bitcoind() -> Path | None:
    """Return Core's node if there is one: RINGFENCE_BITCOIND, or what `make bitcoind` has built."""
    given = os.environ.get("RINGFENCE_BITCOIND")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = Path(given) if given else cache / "ringfence" / "bitcoind" / "bin" / "bitcoind"
    return path if path.exists() else None


def funded(
    rpc: BitcoinRpc, wallets: Wallets, owner: Owner, coins: int, *, amount_sats: int = 50_000_000
) -> list[Funds]:
    """Return confirmed coins at an owner's first scripts, all made by one transaction."""
    deriver = wallets.derivers[owner]
    scripts = [deriver.script(Keychain.RECEIVE, number) for number in range(coins)]
    made = Faucet(rpc).pay([Output(amount_sats, script) for script in scripts])
    rpc.generate(1, NOBODY)
    return [
        Funds(Coin(Outpoint(made.txid, vout), amount_sats, script), made.raw)
        for vout, script in enumerate(scripts)
    ]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
