"""What tests about Bitcoin need: an embedded node as a process, software signers with one key each, coins."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from coincurve import PrivateKey
from embit import bip32
from embit.networks import NETWORKS

from ringfence.custody.chains.bitcoin.regtest.faucet import Faucet
from ringfence.custody.chains.bitcoin.rpc import BitcoinError, BitcoinRpc, Endpoint
from ringfence.custody.chains.bitcoin.transactions import Output, Transaction, address_of
from ringfence.custody.quorum.multisig import digests, network_accepts, put_together, read_unsigned
from ringfence.custody.wallets.building import Funds
from ringfence.custody.wallets.coins import Coin, Outpoint
from ringfence.custody.wallets.descriptors import (
    OPERATIONS,
    POLICY,
    RECOVERY,
    RECOVERY_BLOCKS,
    Keychain,
    Pool,
    Vault,
)
from ringfence.custody.wallets.owners import Owner, Wallets
from ringfence.ports import free_ports

NOBODY = str(address_of(b"\x00\x14" + b"\x22" * 20))
"""An address that nobody has the key of."""
_START_S = 20.0


class Signers:
    """The ten key holders of a vault, in software: operations 0-2, policy 3-4, recovery 5-9."""

    def __init__(
        self,
        owner: Owner = Owner.CLIENTS,
        seed: int = 0,
        *,
        keys: int = 24,
        recovery_blocks: int = RECOVERY_BLOCKS,
    ) -> None:
        self._private: list[dict[bytes, PrivateKey]] = []
        pools = []
        for number in range(OPERATIONS + POLICY):
            made = [
                [
                    PrivateKey(hashlib.sha256(b"%d %d %d %d" % (seed, number, chain, k)).digest())
                    for k in range(keys)
                ]
                for chain in Keychain
            ]
            public = [tuple(key.public_key.format().hex() for key in chain) for chain in made]
            pools.append(Pool(f"signer-{number}", public[0], public[1]))
            self._private.append({key.public_key.format(): key for chain in made for key in chain})
        version = NETWORKS["regtest"]["xprv"]
        self._recovery = [
            bip32.HDKey.from_seed(bytes([seed, number]) * 16, version=version) for number in range(RECOVERY)
        ]
        self.vault = Vault(
            owner.text, "regtest", tuple(pools[:OPERATIONS]), tuple(pools[OPERATIONS:]),
            tuple(key.to_public().to_base58() for key in self._recovery), recovery_blocks,
        )  # fmt: skip

    @property
    def private(self) -> dict[bytes, PrivateKey]:
        """Return the private keys of operations and policy, by public key."""
        return {public: key for holder in self._private for public, key in holder.items()}

    def sign(
        self, wallets: Wallets, psbt: str, funds: Sequence[Funds], who: Iterable[int]
    ) -> list[dict[bytes, bytes]]:
        """Return the signatures of some holders by input and public key; whether they are enough is not looked at."""
        parts, coins = read_unsigned(psbt), coins_of(psbt, funds)
        mine = [wallets.classify(coin.script) for coin in coins]
        scripts, found = [], []
        for one in mine:
            assert one is not None
            scripts.append(wallets.derivers[one.owner].witness_script(one.keychain, one.number))
        chosen = set(who)
        for one, digest in zip(mine, digests(parts, coins, scripts), strict=True):
            assert one is not None
            keys = wallets.derivers[one.owner].keys(one.keychain, one.number)
            signed = {}
            for number, private in enumerate(self._private):
                for key in (*keys.operations, *keys.policy):
                    if number in chosen and key in private:
                        signed[key] = private[key].sign(digest, hasher=None) + b"\1"
            for number, root in enumerate(self._recovery, OPERATIONS + POLICY):
                key = PrivateKey(root.derive([int(one.keychain), one.number]).key.secret)
                if number in chosen:
                    signed[key.public_key.format()] = key.sign(digest, hasher=None) + b"\1"
            found.append(signed)
        return found

    def spend(
        self,
        wallets: Wallets,
        psbt: str,
        funds: Sequence[Funds],
        who: Iterable[int],
        *,
        recovery: bool = False,
    ) -> Transaction:
        """Return the transaction with the witness that these holders make, good or not."""
        signed = self.sign(wallets, psbt, funds, who)
        return put_together(read_unsigned(psbt), wallets, coins_of(psbt, funds), signed, recovery=recovery)


def coins_of(psbt: str, funds: Sequence[Funds]) -> list[Coin]:
    """Return the coins that a transaction spends, in the order of its inputs."""
    coins = {fund.coin.outpoint: fund.coin for fund in funds}
    return [coins[item.outpoint] for item in read_unsigned(psbt).transaction.inputs]


def wallets_of(signers: dict[Owner, Signers], *, lookahead: int = 20) -> Wallets:
    """Return the wallets of some owners, in which few scripts are known ahead."""
    return Wallets({owner: group.vault for owner, group in signers.items()}, lookahead=lookahead)


def kernel_accepts(transaction: Transaction, funds: Sequence[Funds]) -> bool:
    """Return whether Bitcoin Core's own verifier lets a transaction spend its coins."""
    coins = {fund.coin.outpoint: fund.coin for fund in funds}
    return network_accepts(transaction, [coins[item.outpoint] for item in transaction.inputs])


class RunningNode:
    """The embedded node, as a process."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._port = free_ports(1)[0]
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
        self._port = free_ports(1)[0]
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
