"""The co-signer daemon: one process for one place of the roster, with everything that it believes in its own folder.

    python -m ringfence.daemons.cosigner DIRECTORY NAME

It answers the questions of `custody/quorum/messages.py`, one a line, over mutual TLS with pinned certificates; follows
the exchange's feed and its own Bitcoin node by itself; and signs with its own token. In production DIRECTORY/feed is
a copy that is replicated to the co-signer's machine, and the node is its own.

Exit status: 0 asked to stop, 65 the log, the charter or the policy is not to be trusted, 66 the folder is not
complete, 69 the port cannot be had, 74 the disk fails (the next start reads the log anew), 77 the token is missing,
locked, or not the one that was enrolled.
"""

import argparse
import asyncio
import logging
import signal
import ssl
import sys
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from ringfence.chained_log import Counter, Entry, Log, LogError
from ringfence.custody.annex import Annex
from ringfence.custody.chains.bitcoin.company import company_money
from ringfence.custody.chains.bitcoin.follow import Follower, TooDeepError
from ringfence.custody.chains.bitcoin.rpc import BitcoinError, BitcoinRpc, Endpoint
from ringfence.custody.chains.bitcoin.watch import NodeBehindError, Watch, WrongChainError
from ringfence.custody.cosigner.account_rail import AccountRail
from ringfence.custody.cosigner.bitcoin_rail import BitcoinRail
from ringfence.custody.cosigner.checks import RefusalError
from ringfence.custody.cosigner.config import Charter, ConfigurationError
from ringfence.custody.cosigner.cosigner import Cosigner, Sources
from ringfence.custody.cosigner.hot_rail import HotRail
from ringfence.custody.cosigner.joining import join
from ringfence.custody.cosigner.memory import Memory
from ringfence.custody.cosigner.mpc import MpcMemory, MpcParty
from ringfence.custody.cosigner.rail import Rail
from ringfence.custody.hsm import (
    CounterError,
    FileCounter,
    HsmError,
    Lockout,
    Token,
    TokenLockedError,
    Tpm,
    Witness,
    measure_directory,
    protects,
    softhsm_module,
)
from ringfence.custody.hsm.token import IDENTITY, verifies
from ringfence.custody.ledger import LedgerGapError
from ringfence.custody.quorum.messages import (
    MESSAGE_BYTES_MAX,
    Announce,
    Freeze,
    Join,
    Recall,
    Refusal,
    Status,
    Thaw,
)
from ringfence.custody.quorum.mpc.engine import EngineMissingError, ProtocolAbort
from ringfence.custody.quorum.mpc.keys import Adopt, Conduct, Keys, Review
from ringfence.custody.quorum.mpc.sessions import Echo, Message
from ringfence.custody.quorum.mpc.shares import ShareError, ShareVault
from ringfence.custody.quorum.wire import Asked, Taken, Told
from ringfence.custody.wallets.descriptors import DescriptorError
from ringfence.daemons.account_chains import TROUBLES, AccountChain, connect, read_nodes
from ringfence.daemons.cosigner_peers import CONSOLE_CERTIFICATE, PeerLines, Peers, certificate_of
from ringfence.daemons.crashes import forbid_core_dumps
from ringfence.daemons.custody_ports import read_ports
from ringfence.daemons.funds_feed import FundsFeed
from ringfence.daemons.measures.custody import serving_cosigner
from ringfence.daemons.pinned_tls import PinError, fingerprint_of, peer_fingerprint, server_context
from ringfence.daemons.token_founding import (
    EVIDENCE_COUNTER,
    LOG_COUNTER,
    SHARES_COUNTER,
    configure,
    has_shares,
    measured,
    shares_label,
    tpm_of,
)
from ringfence.monitoring.logs import set_up_logs
from ringfence.ports import HOST
from ringfence.units.time import NS_PER_SECOND

log = logging.getLogger("ringfence.cosigner")

_POLL_SECONDS = 0.25
_QUESTION_SECONDS = 30.0
_ASKED_BY_PEOPLE = (Status, Freeze, Thaw, Announce, Keys, Conduct, Adopt)
"""What the console may ask: each is for anybody to ask, or carries the signatures of people."""
_FEED_SECONDS_MAX = 30
EXIT_REFUSED, EXIT_INPUT, EXIT_ADDRESS, EXIT_DISK, EXIT_TOKEN = 65, 66, 69, 74, 77


class CosignerDaemon:
    """Holds token, log, feed and node of one co-signer, and its door."""

    def __init__(self, directory: Path, name: str, *, node: Endpoint, ports: dict[str, int]) -> None:
        """Raises ConfigurationError, LogError, HsmError, TokenLockedError, DescriptorError, OSError, KeyError."""
        home = directory / "custody" / "cosigners" / name
        self._directory, self._home, self.name = directory, home, name
        self._chains: list[AccountChain] = []
        self._troubles: dict[str, str] = {}
        """By chain of an annex: why it cannot be followed now."""
        charter = read_charter(home)
        module = softhsm_module()
        if module is None:
            raise HsmError("SoftHSM is not installed: Debian package softhsm2")
        configure(home)
        tokens, tpm = measured(home), tpm_of(home)
        pin = _pin(home, tokens, tpm)
        self._token = Token(module, name, pin, Lockout(home / "lockout"))
        evidence_counter: Counter = FileCounter(home / "counter")
        log_counter: Counter = FileCounter(home / "log.counter")
        shares_counter: Counter = FileCounter(home / "shares.counter")
        if tpm is not None:
            evidence_counter = tpm.counter(EVIDENCE_COUNTER)
            log_counter = tpm.counter(LOG_COUNTER, base=charter.member(name).tpm_log_base)
            shares_counter = tpm.counter(SHARES_COUNTER, base=charter.member(name).tpm_shares_base)
        witness = Witness(name, self._token, evidence_counter, files=tokens, tpm=tpm)
        found, enrolled = witness.enrol(), charter.member(name).baseline
        if found != enrolled:
            wrong = [what for what in enrolled._fields if getattr(found, what) != getattr(enrolled, what)]
            raise HsmError(
                f"the token's {', '.join(wrong)} are not what was enrolled: it was changed or swapped"
            )
        memory, of_keys = Memory(), MpcMemory()

        def take(entry: Entry) -> None:
            memory.take(entry)
            of_keys.take(entry)

        def sign(digest: bytes) -> bytes:
            return self._token.sign(IDENTITY, digest)

        if not (home / "log.jsonl").exists():
            raise LogError("log.jsonl, which founding has begun, is gone")
        self._log = Log(
            home / "log.jsonl", on_entry=take, sign=sign,
            verify=lambda digest, signature: verifies(enrolled.identity, digest, signature),
            counter=log_counter,
        )  # fmt: skip
        wallets = charter.wallets()
        self.feed = FundsFeed(directory)
        self._rpc = BitcoinRpc(node)
        follower = Follower(
            lambda script: wallets.classify(script) is not None,
            height=charter.follow_from_height, digest=charter.follow_from_block,
        )  # fmt: skip
        self._watch = Watch(self._rpc, follower, chain=charter.chain)
        self._wallets, self._follower, self._company = wallets, follower, company_money(wallets)
        others = {member.name for member in charter.members} - {name}
        addresses = {other: (HOST, ports[other]) for other in others}
        peers, self._lines = Peers(home, addresses), PeerLines(home, addresses)
        self._bitcoin = BitcoinRail(wallets, self._rpc, follower, company_sats=lambda: self._company.sats)
        sources = Sources(
            self._rpc, self.feed.ledger, {charter.chain: self._bitcoin}, self._connect, trouble=self.trouble,
            standing_of=peers.standing_of,
        )  # fmt: skip
        self._mpc: MpcParty | None = None
        if has_shares(home):
            self._share_token = Token(module, shares_label(name), pin, Lockout(home / "shares.lockout"))
            vault = ShareVault(home / "shares", self._share_token, shares_counter, party=name)
            self._mpc = MpcParty(
                name, charter, vault=vault, log=self._log, memory=of_keys, sign=sign, send=self._lines.send,
                now_ns=time.time_ns,
            )  # fmt: skip
        self.cosigner = Cosigner(
            name, charter, wallets=wallets, token=self._token, witness=witness, log=self._log, memory=memory,
            sources=sources, now_ns=time.time_ns,
        )  # fmt: skip
        self._coordinator = fingerprint_of(home / "coordinator.crt")
        pinned = [certificate_of(home, other) for other in others]
        self._console = ""
        if (home / CONSOLE_CERTIFICATE).exists():
            pinned.append(home / CONSOLE_CERTIFICATE)
            self._console = fingerprint_of(home / CONSOLE_CERTIFICATE)
        self._context = server_context(home, [home / "coordinator.crt", *pinned])
        self._told = ""
        log.warning("%s", protects(self._token.info))

    # ---- its own view of the world

    def look(self) -> None:
        """Follow the feed and the chain as far as they are; what cannot be followed is said once."""
        try:
            self.feed.catch_up()
            self._company.take(self._watch.poll())
            self._tell("")
        except (
            BitcoinError,
            NodeBehindError,
            WrongChainError,
            TooDeepError,
            LedgerGapError,
            OSError,
        ) as error:
            self._tell(f"{type(error).__name__}: {error}")
        for annex, room, follower in self._chains:
            self._troubles[annex.chain] = ""
            try:
                room.know(self.feed.ledger.accounts_end)
                follower.poll()
            except TROUBLES as error:
                self._troubles[annex.chain] = f"{annex.chain} cannot be followed: {error}"

    def trouble(self) -> str:
        """Return why this co-signer cannot know what it has to know, empty if it can.

        The feed has a root every second; blocks come when they come, so the chain's age says nothing.
        """
        if self._told:
            return f"the world cannot be followed: {self._told}"
        age_s = (time.time_ns() - self.feed.ledger.timestamp_ns) // NS_PER_SECOND
        return f"the feed has said nothing for {age_s} s" if age_s > _FEED_SECONDS_MAX else ""

    def _tell(self, trouble: str) -> None:
        if trouble != self._told and trouble:
            log.warning("the world cannot be followed: %s", trouble)
        self._told = trouble

    # ---- the door

    async def serve(self, port: int, stop: asyncio.Event) -> None:
        """Answer until asked to stop. Raises OSError if the port cannot be had."""
        server = await asyncio.start_server(
            self._hear, HOST, port, ssl=self._context, limit=MESSAGE_BYTES_MAX
        )
        log.info("%s answers on %s:%d", self.name, HOST, port)
        async with server:
            while not stop.is_set() and not self.is_broken:
                self.look()
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), _POLL_SECONDS)

    async def _hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            connection: ssl.SSLObject = writer.get_extra_info("ssl_object")
            peer = peer_fingerprint(connection)
            while line := await asyncio.wait_for(reader.readline(), _QUESTION_SECONDS):
                told = await self.answer(
                    line, is_coordinator=peer == self._coordinator, is_console=peer == self._console
                )
                writer.write(msgspec.json.encode(told) + b"\n")
                await asyncio.wait_for(writer.drain(), _QUESTION_SECONDS)
        except (PinError, ValueError, OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            log.info("a connection ended: %s", type(error).__name__)
        finally:
            writer.close()

    async def answer(self, line: bytes, *, is_coordinator: bool, is_console: bool = False) -> Told:
        """Answer one line; one that is no question is refused by name."""
        try:
            asked = msgspec.json.decode(line, type=Asked)
        except msgspec.MsgspecError as error:
            return Refusal(self.name, "question", f"this is no question: {error}")
        if is_console and not isinstance(asked, _ASKED_BY_PEOPLE):
            told: Told = Refusal(self.name, "authenticated", "the console does not ask this")
        elif isinstance(asked, Conduct | Adopt | Review | Keys | Message | Echo):
            told = await self._answer_of_keys(asked)
        elif isinstance(asked, Join | Recall):
            told = await self._join(asked, is_coordinator=is_coordinator)
        else:
            self.look()
            told = self.cosigner.answer(asked, is_coordinator=is_coordinator)
        if isinstance(told, Refusal):
            log.info("refused %s: %s", told.step, told.reason)
        return told

    async def _answer_of_keys(self, asked: Conduct | Adopt | Review | Keys | Message | Echo) -> Told:
        """Answer what is about keys that nobody has. Whoever brings an order, people have signed it."""
        if self._mpc is None:
            return Refusal(self.name, "mpc", "custody was founded before there were keys that nobody has")
        try:
            if isinstance(asked, Conduct):
                return await self._mpc.conduct(asked)
            if isinstance(asked, Adopt):
                return self._mpc.adopt(asked)
            if isinstance(asked, Review):
                self._mpc.review(asked.signed)
                return self._mpc.show()
            if isinstance(asked, Keys):
                return self._mpc.show()
            self._mpc.switchboard.take(asked)
            return Taken()
        except RefusalError as error:
            return Refusal(self.name, error.step, str(error.reason))
        except (ProtocolAbort, EngineMissingError, ShareError, HsmError, CounterError, OSError) as error:
            return Refusal(self.name, "mpc", f"{type(error).__name__}: {error}", is_for_now=True)

    async def _join(self, asked: Join | Recall, *, is_coordinator: bool) -> Told:
        """Sign together with the other nominees what this co-signer has said yes to, or tell what came of it."""
        try:
            if self._mpc is None or not is_coordinator:
                raise RefusalError("join", "this co-signer has no shares, or this is not the coordinator")
            self.look()
            return await join(self.cosigner, self._mpc, asked)
        except RefusalError as error:
            return Refusal(self.name, error.step, str(error.reason), is_for_now=error.is_for_now)
        except (ProtocolAbort, EngineMissingError, ShareError, HsmError, CounterError, OSError) as error:
            return Refusal(self.name, "mpc", f"{type(error).__name__}: {error}", is_for_now=True)

    def _connect(self, annex: Annex) -> Rail:
        """Look at one more chain. Raises ConfigurationError if this co-signer has no share of its key."""
        if self._mpc is None:
            raise ConfigurationError("custody was founded before there were keys that nobody has")
        try:
            record = self._mpc.record_of(annex.key)
        except RefusalError as error:
            raise ConfigurationError(str(error)) from error
        said = (annex.public_key, annex.chain_code, annex.threshold)
        if said != (record.public_key, record.chain_code, record.threshold):
            raise ConfigurationError(f"the annex says of {annex.key} what this co-signer does not know of it")
        if annex.is_hot:
            rail = HotRail(annex, self._wallets, self._rpc, self._follower)
            self._company.hot = self._wallets.hot
            return rail
        chain = connect(annex, read_nodes(self._directory))
        self._chains = [one for one in self._chains if one.annex.chain != annex.chain] + [chain]
        return AccountRail(
            annex, chain.room, chain.follower, trouble=lambda: self._troubles.get(annex.chain, "")
        )

    @property
    def is_broken(self) -> bool:
        """Whether its log may not be on the disk: it signs nothing before it has read it anew."""
        return self._log.is_broken

    def close(self) -> None:
        self.feed.close()
        self._log.close()
        self._rpc.close()
        self._lines.close()
        if self._mpc is not None:
            self._share_token.close()
        self._token.close()


def _pin(home: Path, tokens: Path, tpm: Tpm | None) -> str:
    """Return the token's PIN; a TPM gives it for the right files alone. Raises TpmError, OSError."""
    if tpm is None:
        return (home / "pin").read_text()
    tpm.measure(measure_directory(tokens))
    return tpm.unseal().decode()


def read_charter(home: Path) -> Charter:
    """Return a co-signer's own copy of the charter. Raises ConfigurationError, OSError."""
    try:
        return msgspec.json.decode((home / "charter.json").read_bytes(), type=Charter)
    except msgspec.MsgspecError as error:
        raise ConfigurationError(f"charter.json cannot be read: {error}") from error


async def run(directory: Path, daemon: CosignerDaemon, port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serving_cosigner(directory, daemon):
        await daemon.serve(port, stop)


def main() -> None:
    parser = argparse.ArgumentParser(prog="ringfence-cosigner", description="one co-signer of the custody")
    parser.add_argument("directory", type=Path)
    parser.add_argument("name")
    given = parser.parse_args()
    forbid_core_dumps()
    set_up_logs(given.name)
    directory: Path = given.directory.absolute()
    try:
        ports = read_ports(directory)
        endpoint = Endpoint(HOST, ports.node, directory / "bitcoin" / ".cookie")
        daemon = CosignerDaemon(directory, given.name, node=endpoint, ports=ports.cosigners)
    except (HsmError, TokenLockedError, CounterError) as error:
        log.critical("%s; nothing will be signed", error)
        sys.exit(EXIT_TOKEN)
    except (ConfigurationError, LogError, DescriptorError, ShareError) as error:
        log.critical("%s; nothing will be signed", error)
        sys.exit(EXIT_REFUSED)
    except (OSError, KeyError, ValueError) as error:
        log.critical("the folder of %s is not complete: %s", given.name, error)
        sys.exit(EXIT_INPUT)
    try:
        asyncio.run(run(directory, daemon, ports.cosigners[given.name]))
        if daemon.is_broken:
            log.critical(
                "a line of the log may not be on the disk; it is read anew before anything is signed"
            )
            sys.exit(EXIT_DISK)
    except OSError as error:
        log.critical("cannot listen: %s", error)
        sys.exit(EXIT_ADDRESS)
    finally:
        daemon.close()


if __name__ == "__main__":
    main()
