"""Connections: who logs on, how fast they speak, and for how long."""

import asyncio
import contextlib
import ipaddress
import logging
import re
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import msgspec

from ringfence.configuration import Limits
from ringfence.database.addresses import Purpose
from ringfence.exchange.bucket import Bucket
from ringfence.exchange.fix.dictionary import MsgType, Tag
from ringfence.exchange.fix.framing import Framer, TooLong
from ringfence.exchange.fix.house import House
from ringfence.exchange.fix.message import BEGIN_STRING, Message, Unreadable, encode, parse_time
from ringfence.exchange.fix.session import SKEW_NS
from ringfence.exchange.fix.trading import Trading
from ringfence.exchange.gateway.authentication import authenticate
from ringfence.exchange.gateway.errors import Refused
from ringfence.exchange.gateway.limits import Presence
from ringfence.exchange.gateway.turns import has_unread
from ringfence.exchange.users.keys import ApiKey, KeyStore, keys_of

log = logging.getLogger(__name__)

_LOGON_SECONDS = 10.0
_FAREWELL_SECONDS = 5.0
_TICK_SECONDS = 0.5
_KEYS_EVERY_SECONDS = 1.0
_CHECKPOINT_EVERY_SECONDS = 30.0
_HEART_BT_MAX = 120
_COMP_ID = re.compile(r"[A-Za-z0-9._-]{1,32}")


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the FIX gateway is told: by `ringfence.toml` and its command line."""

    host: str = "127.0.0.1"
    port: int = 8049
    certificate: str | None = None
    """Files of TLS; without them only the machine itself may connect."""
    private_key: str | None = None
    core_directory: str | None = None
    pending_max: int = 20_000
    sync: bool = True
    """Sync each session's file before its messages leave. Without it a power cut, not a kill, may lose the last."""
    connections_max: int = 256
    connections_per_address: int = 32
    sessions_max: int = 1_024
    sessions_per_account: int = 16
    messages_per_second: int = 500
    """Of one connection, garbled ones too."""
    limits: Limits = Limits()

    def check(self) -> None:
        """Raise ValueError if strangers could listen in."""
        is_local = self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback
        if (self.certificate is None) != (self.private_key is None):
            raise ValueError("certificate and private_key belong together")
        if self.certificate is None and not is_local:
            raise ValueError(
                f"{self.host} is not this machine alone: FIX beyond it needs certificate and private_key"
            )


class FixServer:
    """Everything that serves one port. `start`, then `stop`."""

    def __init__(
        self, directory: Path, config: Config, *, check: Callable[[int], None] = lambda configuration: None
    ) -> None:
        """Raises ValueError, StoreError or OSError if a file is no good.

        `check` is given the number of the configuration in force before anybody is let in; what it raises, `start`
        does.
        """
        config.check()
        self._check = check
        self._config = config
        self.keys = KeyStore(keys_of(directory, Purpose.GATEWAY))
        core = Path(config.core_directory) if config.core_directory else directory
        self.house = House(
            directory, core, limits=config.limits, pending_max=config.pending_max, sync=config.sync,
            sessions_max=config.sessions_max, sessions_of_account=config.sessions_per_account,
        )  # fmt: skip
        self.presence = Presence(
            msgspec.structs.replace(
                config.limits, connections_per_address=config.connections_per_address,
                connections_at_once=config.connections_max,
            )
        )  # fmt: skip
        self.connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Catch up with the exchange and listen."""
        await self.house.start()
        self._check(self.house.desk.views.configuration)
        tls = None
        if self._config.certificate is not None:
            tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            tls.load_cert_chain(self._config.certificate, self._config.private_key)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self), self._config.host, self._config.port, ssl=tls, reuse_address=True
        )
        self._tasks = [loop.create_task(work) for work in (self._tick(), self._watch_keys(), self._keep())]

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def messages_per_second(self) -> int:
        return self._config.messages_per_second

    async def stop(self) -> None:
        """Say goodbye and close the files. If one could not be written nothing more is said or noted."""
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            if not self.house.is_broken:
                connection.leave("the gateway is restarting")
        for task in self._tasks:
            task.cancel()
        await asyncio.sleep(0.05)
        self.house.close()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            for connection in list(self.connections):
                connection.tick()

    async def _watch_keys(self) -> None:
        """Read the keys again when they change; a key that is gone loses its session."""
        while True:
            await asyncio.sleep(_KEYS_EVERY_SECONDS)
            try:
                await asyncio.to_thread(self.keys.refresh)
            except (OSError, ValueError) as error:
                log.error("%s; the keys that were read before stay in force", error)
                continue
            for connection in list(self.connections):
                connection.check_key()

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(_CHECKPOINT_EVERY_SECONDS)
            try:
                self.house.keep_checkpoint()
            except OSError as error:
                log.error("a checkpoint cannot be kept: %s; the next start takes longer", error)

    # ---- who logs on

    def authenticate(self, message: Message, address: str) -> ApiKey:
        """Return the key that signed a Logon. Raises Refused."""
        try:
            sent_ns = parse_time(message.get(Tag.SENDING_TIME))
        except ValueError:
            raise Refused(401, "SendingTime cannot be read") from None
        now_ns = self.house.clock_ns()
        if sent_ns - now_ns > SKEW_NS:
            raise Refused(401, "SendingTime accuracy problem: it is ahead. Check your clock.")
        signed = "\x01".join(
            message.get(tag)
            for tag in (Tag.SENDING_TIME, Tag.MSG_TYPE, Tag.MSG_SEQ_NUM, Tag.SENDER, Tag.TARGET)
        )
        # A Logon is a request that expires: the checks and their order are REST's.
        key = authenticate(
            self.keys, key_id=message.get(Tag.USERNAME), expires=str((sent_ns + SKEW_NS) // 1_000_000_000),
            signature=message.get(Tag.RAW_DATA), message=signed.encode(), address=address,
            now_seconds=now_ns // 1_000_000_000,
        )  # fmt: skip
        if key.account not in self.house.desk.views.accounts:
            raise Refused(403, "Invalid account")
        return key

    def admit(self, message: Message, address: str) -> tuple[Trading, ApiKey]:
        """Return the session that a Logon is for, and its key. Raises Refused."""
        if message.get(Tag.BEGIN_STRING) != BEGIN_STRING:
            raise Refused(400, "Incorrect BeginString: FIX.4.4 is spoken here")
        if message.problem is not None:
            raise Refused(400, f"{message.problem.text} ({message.problem.tag})")
        if not 1 <= int(message.get(Tag.HEART_BT_INT)) <= _HEART_BT_MAX:
            raise Refused(400, f"HeartBtInt is from 1 to {_HEART_BT_MAX} seconds")
        sender = message.get(Tag.SENDER)
        if not _COMP_ID.fullmatch(sender):
            raise Refused(400, "SenderCompID: at most 32 letters, digits, dots, dashes and underscores")
        key = self.authenticate(message, address)
        resets = message.has_flag(Tag.RESET_SEQ_NUM)
        if resets and message.seq != 1:
            raise Refused(400, "ResetSeqNumFlag goes with MsgSeqNum 1")
        trading = self.house.find((key.account, sender, message.get(Tag.TARGET)))
        if trading.session.line is not None:
            raise Refused(403, "This session is logged on already")
        if parse_time(message.get(Tag.SENDING_TIME)) <= trading.store.logon_ns:
            raise Refused(401, "This Logon was used before: SendingTime must be later than the last one's")
        if resets:
            trading.store.reset(self.house.position)
        return trading, key


class Connection(asyncio.Protocol):
    """One connection: nobody's until its Logon is taken."""

    def __init__(self, server: FixServer) -> None:
        self._server = server
        self._framer = Framer()
        self._trading: Trading | None = None
        self._opened = time.monotonic()
        rate = server.messages_per_second
        self._bucket = Bucket(rate, 1, self._opened) if rate else None
        self.is_full = False
        self._is_ending = False
        self._has_entered = False
        self.address = ""
        self._garbled = 0

    # ---- asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer: Any = transport.get_extra_info("peername")
        self.address = peer[0] if peer else ""
        if not self._server.presence.enter(self.address):
            self._transport.abort()
            return
        self._has_entered = True
        self._server.connections.add(self)
        self._transport.set_write_buffer_limits(high=1 << 20)

    def connection_lost(self, error: Exception | None) -> None:
        self._server.connections.discard(self)
        if self._has_entered:
            self._server.presence.leave(self.address)
        trading, self._trading = self._trading, None
        if trading is not None:
            log.info("session %s has gone", trading.session.name)
            self._server.house.desk.turns.leave(self, trading.account)
            self._server.house.lost(trading)

    # ---- turns

    def pause(self) -> None:
        self._transport.pause_reading()

    def resume(self) -> None:
        self._transport.resume_reading()

    def has_unread(self) -> bool:
        return has_unread(self._transport)

    # ---- the other side's speed

    def pause_writing(self) -> None:
        self.is_full = True

    def resume_writing(self) -> None:
        self.is_full = False
        if self._trading is not None:
            self._server.house.flush(self._trading)

    def data_received(self, data: bytes) -> None:
        if self._is_ending or self._server.house.is_broken:
            return
        try:
            for raw in self._framer.feed(data):
                self._take(raw)
                if self._is_ending:
                    break
        except TooLong as error:
            self.leave(str(error))
        except OSError as error:
            log.critical("a session's file cannot be written: %s; the connection is closed", error)
            self._transport.abort()
            return
        if self._framer.garbled > self._garbled:
            cost, self._garbled = self._framer.garbled - self._garbled, self._framer.garbled
            self._count(cost)
        if self._trading is not None:
            self._server.house.flush(self._trading)

    # ---- messages

    def _count(self, cost: int) -> None:
        if self._bucket is not None and not self._bucket.take(cost, time.monotonic()):
            self.leave(f"more than {self._server.messages_per_second} messages in a second")

    def _take(self, raw: bytes) -> None:
        self._count(1)
        if self._is_ending:
            return
        try:
            message = Message(raw)
        except Unreadable as error:
            log.info("a message from %s is passed over: %s", self.address, error)
            return
        if self._trading is not None:
            self._server.house.desk.turns.message(self._trading.account, self)
            self._trading.session.take(message)
        elif message.type == MsgType.LOGON:
            self._log_on(message)
        else:
            self.end("the first message is no Logon")

    def _log_on(self, message: Message) -> None:
        try:
            trading, key = self._server.admit(message, self.address)
        except Refused as refused:
            log.warning("a Logon from %s is refused: %s", self.address, refused.message)
            # Its number is no part of any session: who is not let in learns nothing about one.
            farewell = encode(
                MsgType.LOGOUT, [(Tag.TEXT, refused.message)], sender=message.get(Tag.TARGET) or "RINGFENCE",
                target=message.get(Tag.SENDER) or "UNKNOWN", seq=1, sent_ns=self._server.house.clock_ns(),
            )  # fmt: skip
            self.write(farewell)
            self.end(refused.message)
            return
        self._trading, trading.key = trading, key
        self._server.house.desk.turns.join(self, trading.account)
        log.info("session %s has logged on from %s", trading.session.name, self.address)
        trading.session.log_on(message, self)

    # ---- what the session does with its line

    def write(self, raw: bytes) -> None:
        self._transport.write(raw)

    def end(self, why: str) -> None:
        """Close when what was written is sent."""
        log.info("a connection from %s ends: %s", self.address, why)
        self._is_ending = True
        self._transport.close()
        # One that does not read would keep its session for ever.
        asyncio.get_running_loop().call_later(_FAREWELL_SECONDS, self._transport.abort)

    def leave(self, why: str) -> None:
        """Say goodbye if somebody is logged on, and close."""
        if self._trading is not None:
            with contextlib.suppress(OSError):
                self._trading.session.log_out(why)
        if not self._is_ending:
            self.end(why)

    def tick(self) -> None:
        if self._trading is not None:
            try:
                self._trading.session.tick()
                self._server.house.flush(self._trading)
            except OSError as error:
                log.critical("a session's file cannot be written: %s; the connection is closed", error)
                self._transport.abort()
        elif time.monotonic() - self._opened > _LOGON_SECONDS:
            self.end(f"no Logon within {_LOGON_SECONDS:.0f} s")

    def check_key(self) -> None:
        """End the session of a key that was revoked or taken other rights."""
        if self._trading is None or self._trading.key is None:
            return
        found = self._server.keys.get(self._trading.key.record.id)
        if found is None or not found.record.enabled or not found.allows_address(self.address):
            self.leave("the API key was revoked")
        elif found.account != self._trading.account:
            self.leave("the API key is another account's now")
        else:
            self._trading.key = found
