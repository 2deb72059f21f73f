"""Questions between processes of one user: over a Unix socket, one line of JSON each, answered by another.

Who may ask is who can open the socket. Nobody is believed for having answered: that is up to whoever asked.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from inspect import isawaitable
from pathlib import Path
from typing import Any

import msgspec

ANSWER_BYTES_MAX = 4 << 20
Hear = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class NoAnswerError(Exception):
    """Nobody answered in time, or not with one line of JSON. What was asked for may have been done."""


async def listen(path: Path, hear: Hear, *, line_bytes_max: int) -> asyncio.Server:
    """Listen at a path, for processes of this user alone; what was there before is gone. Raises OSError."""
    path.unlink(missing_ok=True)
    server = await asyncio.start_unix_server(hear, path, limit=line_bytes_max)
    os.chmod(path, 0o600)
    return server


def answering(answer: Callable[[bytes], Any]) -> Hear:
    """Return what answers a connection's lines, one after the other, until it hangs up.

    `answer` gives what is sent as JSON, or what has to be awaited for it.
    """

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                said = answer(line)
                if isawaitable(said):
                    said = await said
                writer.write(msgspec.json.encode(said) + b"\n")
                await writer.drain()
        except (ValueError, OSError):
            pass  # whoever sends no lines is not answered
        finally:
            writer.close()

    return hear


async def ask(path: Path, question: Mapping[str, Any], *, seconds: float) -> dict[str, Any]:
    """Ask once, over a connection of its own. Raises NoAnswerError."""
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_unix_connection(path, limit=ANSWER_BYTES_MAX)
            try:
                writer.write(msgspec.json.encode(question) + b"\n")
                await writer.drain()
                return msgspec.json.decode(await reader.readline(), type=dict[str, Any])
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError, msgspec.MsgspecError) as error:
        raise NoAnswerError(str(error) or type(error).__name__) from error
