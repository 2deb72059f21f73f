"""A line to a co-signer, of the coordinator or the console: one question, one answer, its certificate pinned."""

import asyncio
import logging
import time
from pathlib import Path

import msgspec

from ringfence.custody.quorum.messages import MESSAGE_BYTES_MAX
from ringfence.custody.quorum.wire import Asked, Told
from ringfence.daemons.pinned_tls import client_context

log = logging.getLogger("ringfence.coordinator")
_SECONDS = 10.0
_SLOW_SECONDS = 2.0


class CosignerClient:
    """Asks the co-signers of one venue, each at its address."""

    def __init__(
        self, home: Path, addresses: dict[str, tuple[str, int]], *, asks_as: str = "coordinator"
    ) -> None:
        """`home` is the custody folder; in its folder `asks_as` the certificate lies. Raises OSError."""
        self._addresses = addresses
        self._contexts = {
            name: client_context(home / asks_as, home / "cosigners" / name / "tls.crt") for name in addresses
        }
        self._away: set[str] = set()

    async def ask(self, name: str, question: Asked, *, seconds: float = _SECONDS) -> Told | None:
        """Return the answer, None if there is none in time or if who answers is not who was pinned."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(seconds):
                answer = await self._ask(name, question)
        except (
            OSError,
            TimeoutError,
            ValueError,
            msgspec.MsgspecError,
            asyncio.IncompleteReadError,
        ) as error:
            if name not in self._away:
                log.warning("%s does not answer: %s: %s", name, type(error).__name__, error)
            self._away.add(name)
            return None
        self._away.discard(name)
        took = time.monotonic() - began
        if took > _SLOW_SECONDS:
            log.info("%s took %.1f s for %s", name, took, type(question).__name__)
        return answer

    async def _ask(self, name: str, question: Asked) -> Told:
        host, port = self._addresses[name]
        reader, writer = await asyncio.open_connection(
            host, port, ssl=self._contexts[name], limit=MESSAGE_BYTES_MAX
        )
        try:
            writer.write(msgspec.json.encode(question) + b"\n")
            await writer.drain()
            line = await reader.readline()
            if not line.endswith(b"\n"):
                raise OSError("the connection ended within an answer")
            answer: Told = msgspec.json.decode(line, type=Told)
            return answer
        finally:
            writer.close()
