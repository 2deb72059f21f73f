"""A co-signer's own lines to the others: whether one that is said to be silent answers, and the runs of keys."""

import asyncio
import logging
import socket
import ssl
from pathlib import Path

import msgspec

from ringfence.custody.quorum.messages import MESSAGE_BYTES_MAX, Answer, Question, Standing, Status
from ringfence.custody.quorum.mpc.sessions import Sent
from ringfence.daemons.pinned_tls import client_context

log = logging.getLogger("ringfence.cosigner")
CONSOLE_CERTIFICATE = "console.crt"
"""In a co-signer's folder: who may ask what people ask, and is not the coordinator."""
_SECONDS = 2.0
_SENDING_SECONDS = 10.0


class Peers:
    """Asks the other co-signers, each with its certificate pinned in this co-signer's own folder."""

    def __init__(self, home: Path, addresses: dict[str, tuple[str, int]]) -> None:
        """`home` is the co-signer's folder. Raises OSError."""
        self._addresses = addresses
        self._contexts = {name: client_context(home, certificate_of(home, name)) for name in addresses}

    def standing_of(self, name: str) -> Standing | None:
        """Return how another co-signer says it stands, None if it does not answer."""
        if name not in self._addresses:
            return None
        try:
            answer = self._ask(name, Status())
        except (OSError, ValueError, msgspec.MsgspecError):
            return None
        return answer if isinstance(answer, Standing) else None

    def _ask(self, name: str, question: Question) -> Answer:
        with (
            socket.create_connection(self._addresses[name], timeout=_SECONDS) as plain,
            self._contexts[name].wrap_socket(plain) as line,
        ):
            line.sendall(msgspec.json.encode(question) + b"\n")
            return _answer(line)


class PeerLines:
    """Lines on which the messages of runs go to the other co-signers; each stays open as long as it works."""

    def __init__(self, home: Path, addresses: dict[str, tuple[str, int]]) -> None:
        """Raises OSError."""
        self._addresses = addresses
        self._contexts = {name: client_context(home, certificate_of(home, name)) for name in addresses}
        self._open: dict[str, tuple[asyncio.StreamReader, asyncio.StreamWriter]] = {}
        self._locks = {name: asyncio.Lock() for name in addresses}

    async def send(self, name: str, one: Sent) -> None:
        """Send a message. What does not arrive lets the round's time pass, and that has a name there."""
        raw = msgspec.json.encode(one) + b"\n"
        async with self._locks[name]:
            for _ in range(2):  # a line that has stood for long may be gone
                try:
                    async with asyncio.timeout(_SENDING_SECONDS):
                        await self._say(name, raw)
                    return
                except (OSError, TimeoutError, ValueError) as error:
                    log.info("nothing was sent to %s: %s", name, type(error).__name__)
                    self._drop(name)

    async def _say(self, name: str, raw: bytes) -> None:
        if name not in self._open:
            host, port = self._addresses[name]
            self._open[name] = await asyncio.open_connection(
                host, port, ssl=self._contexts[name], limit=MESSAGE_BYTES_MAX
            )
        reader, writer = self._open[name]
        writer.write(raw)
        await writer.drain()
        if not await reader.readline():
            raise OSError("the line has ended")

    def _drop(self, name: str) -> None:
        line = self._open.pop(name, None)
        if line is not None:
            line[1].close()

    def close(self) -> None:
        for name in list(self._open):
            self._drop(name)


def _answer(line: ssl.SSLSocket) -> Answer:
    with line.makefile("rb") as reader:
        answer: Answer = msgspec.json.decode(reader.readline(MESSAGE_BYTES_MAX), type=Answer)
    return answer


def certificate_of(home: Path, name: str) -> Path:
    """Return where a co-signer keeps the certificate of another one."""
    return home / "peers" / f"{name}.crt"
