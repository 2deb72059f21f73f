"""The address verifier: an independent process that derives every deposit address again before it is shown.

    python -m ringfence.daemons.addresses DIRECTORY

It has the public keys, a key of its own, and nothing to do with who gives addresses out. It makes the script by hand
where the coordinator asks bdk; a gateway shows no address that is not signed by it. Over `custody/verifier.sock`, one
line a question: {"account", "asset", "number", "address"} -> {"signature"} or {"error"}.

Exit status: 0 asked to stop, 66 the charter or the key cannot be read.
"""

import argparse
import asyncio
import hashlib
import itertools
import logging
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from coincurve import PrivateKey
from Crypto.Hash import keccak
from embit import base58, bip32, ec
from solders.pubkey import Pubkey

from ringfence.custody.annex import Annex
from ringfence.custody.chains.bitcoin.transactions import EMBIT_NETWORKS, address_of
from ringfence.custody.wallets.derivation import CHILD_MAX
from ringfence.custody.wallets.descriptors import Keychain
from ringfence.custody.wallets.owners import Owner, Wallets
from ringfence.daemons.account_chains import ETHEREUM, SOLANA, read_annexes
from ringfence.daemons.custody_founding import FoundingError, read_charter
from ringfence.files import replace
from ringfence.lines import answering, listen
from ringfence.monitoring import Page, serving, set_up_logs
from ringfence.units.assets import XBT

log = logging.getLogger("ringfence.addresses")
EXIT_INPUT = 66
_LINE_BYTES_MAX = 1_024


def address_digest(account: int, asset: str, address: str) -> bytes:
    """Return what the verifier signs."""
    return hashlib.sha256(b"ringfence address" + f"{account}|{asset}|{address}".encode()).digest()


class Question(msgspec.Struct, frozen=True):
    account: int
    asset: str
    number: int
    address: str


class Verifier:
    def __init__(self, wallets: Wallets, key: PrivateKey, annexes: Callable[[], list[Annex]]) -> None:
        """`annexes`: the chains of today."""
        self._wallets, self._key, self._annexes = wallets, key, annexes

    def answer(self, line: bytes) -> dict[str, Any]:
        """Sign an address that the vault gives at this number, and no other."""
        try:
            asked = msgspec.json.decode(line, type=Question)
            derived = self._derived(asked)
        except (msgspec.MsgspecError, LookupError, ValueError) as error:
            return {"error": f"no such address: {error}"}
        if derived != asked.address:
            log.critical("address %d of %s is another one: it is not to be shown", asked.number, asked.asset)
            return {"error": "the address is not the one that our keys give: show it to nobody"}
        signature = self._key.sign_recoverable(
            address_digest(asked.account, asked.asset, asked.address), hasher=None
        )
        return {"signature": signature[:64].hex()}

    def _derived(self, asked: Question) -> str:
        """Return an address in another way than whoever gives addresses out. Raises LookupError, ValueError."""
        if asked.asset == XBT.currency:
            script = self._wallets.derivers[Owner.CLIENTS].script_again(Keychain.RECEIVE, asked.number)
            return address_of(script, EMBIT_NETWORKS[self._wallets.network_name]) or ""
        if asked.number != asked.account or asked.account <= 0:
            raise ValueError("an account has the address of its own number")
        for annex in self._annexes():
            if asked.asset in [one.currency for one in annex.assets]:
                return address_again(annex, asked.account)
        raise LookupError(f"no annex names {asked.asset}")


def address_again(annex: Annex, account: int) -> str:
    """Return an account's deposit address on a chain of accounts: by embit where custody asks libsecp256k1, and by hand
    where it asks solders. Raises ValueError."""
    if not 0 < account <= CHILD_MAX:
        raise ValueError(f"no account has the number {account}")
    key, namespace = bytes.fromhex(annex.public_key), annex.chain.partition(":")[0]
    if namespace == ETHEREUM:
        parent = bip32.HDKey(ec.PublicKey.parse(key), bytes.fromhex(annex.chain_code))
        child = parent.derive([1, account]).key
        child.compressed = False
        return _eip_55(keccak.new(digest_bits=256, data=child.sec()[1:]).hexdigest()[-40:])
    if namespace == SOLANA:
        candidates = (f"{account}.{turn}" if turn else str(account) for turn in itertools.count())
        derived = (hashlib.sha256(key + seed.encode() + bytes(32)).digest() for seed in candidates)
        return str(base58.encode(next(one for one in derived if Pubkey(one).is_on_curve())))
    raise ValueError(f"chains of {namespace!r} are not known here")


def _eip_55(digits: str) -> str:
    signs = keccak.new(digest_bits=256, data=digits.encode()).hexdigest()
    return "0x" + "".join(
        one.upper() if int(sign, 16) > 7 else one for one, sign in zip(digits, signs, strict=False)
    )


def own_key(home: Path) -> PrivateKey:
    """Return the verifier's key, making it if there is none; its public half is for everybody. Raises OSError."""
    path = home / "verifier" / "key"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        replace(path, PrivateKey().secret.hex().encode())
    key = PrivateKey(bytes.fromhex(path.read_text()))
    replace(home / "verifier.pub", key.public_key.format().hex().encode())
    return key


async def serve(home: Path, verifier: Verifier) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    server = await listen(home / "verifier.sock", answering(verifier.answer), line_bytes_max=_LINE_BYTES_MAX)
    async with server, serving(home.parent, Page("addresses")):
        await stop.wait()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="ringfence-addresses", description="derives deposit addresses again"
    )
    parser.add_argument("directory", type=Path)
    directory: Path = parser.parse_args().directory.absolute()
    set_up_logs("addresses")
    home = directory / "custody"
    try:
        charter = read_charter(directory)
        verifier = Verifier(
            charter.wallets(lookahead=0), own_key(home), lambda: read_annexes(directory, charter)
        )
    except (FoundingError, OSError, ValueError) as error:
        log.critical("%s; no address will be verified", error)
        sys.exit(EXIT_INPUT)
    asyncio.run(serve(home, verifier))


if __name__ == "__main__":
    main()
