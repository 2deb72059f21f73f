"""The operator's line to the core: commands that carry a name, and what came of each.

Who reaches `core.sock` may do everything, so the socket belongs to the user that runs the exchange and
to nobody else. Every command from here has its operator's name beside it in the hash-chained journal.
"""

import asyncio
import secrets
from pathlib import Path
from typing import Any

import numpy as np

from ringfence.exchange.feed import CoreClient, FeedReader
from ringfence.messages.batch import (
    OPERATOR,
    REFUSED_BECAUSE,
    Records,
    command_positions,
    decode_data,
    encode_data,
)
from ringfence.messages.commands import Command
from ringfence.messages.events import Event
from ringfence.messages.records import COMMAND
from ringfence.messages.rejects import TEXTS, Reject

_TOKEN_BITS = 62
_NAME_BYTES_MAX = 100


class AdminRefused(Exception):
    """The exchange did not carry a command out. Remedy: the text says what is wrong with it.

    `figure` is the number that the engine gave with its (first) refusal.
    """

    def __init__(self, message: str, figure: int) -> None:
        super().__init__(message)
        self.figure = figure


class AdminTimeout(Exception):
    """The core did not answer in time. Remedy: look at logs/core.log; the outcome is in the journal."""


def command(kind: Command, **fields: Any) -> Records:
    """Return one command record with these fields, everything else zero."""
    row = np.zeros(1, COMMAND)
    row["kind"] = kind
    for name, value in fields.items():
        row[name] = value
    return row


def signed(records: Records, *, operator: str, token: int) -> Records:
    """Return the commands with the operator's name beside each, and tokens that count up from `token`."""
    name = operator.encode()
    if not 0 < len(name) <= _NAME_BYTES_MAX or not operator.isprintable():
        raise ValueError(f"an operator's name has 1 to {_NAME_BYTES_MAX} printable bytes")
    parts: list[bytes] = []
    for number, position in enumerate(command_positions(records)):
        row = records[position : position + 1].copy()
        row["request"] = token + number
        said = decode_data(records, position) | {OPERATOR: name}
        parts += (row.tobytes(), encode_data(list(said.items())))
    return np.frombuffer(b"".join(parts), COMMAND)


class Admin:
    """One connection to a running core. `connect`, `ask` any number of times, `close`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._woken = asyncio.Event()
        self._client = CoreClient(directory / "core.sock", self._heard)
        self.next_sequence = 0
        """What the core has published so far."""

    def _heard(self, next_sequence: int) -> None:
        self.next_sequence = next_sequence
        self._woken.set()

    async def connect(self) -> None:
        """Raises OSError if no core listens in the directory."""
        await self._client.connect()

    def close(self) -> None:
        self._client.close()

    async def ask(self, records: Records, *, operator: str, seconds: float = 10) -> Records:
        """Send commands, wait until all are durable, and return their events.

        Raises AdminRefused if the engine refused one (those before and after it were carried out),
        AdminTimeout, ConnectionError.
        """
        token = secrets.randbits(_TOKEN_BITS)
        sent = signed(records, operator=operator, token=token)
        tokens = range(token, token + len(list(command_positions(records))))
        reader = FeedReader(self._directory / "feed", next_sequence=self.next_sequence)
        try:
            self._client.submit(sent.tobytes())
            async with asyncio.timeout(seconds):
                return await self._outcome(reader, tokens)
        except TimeoutError as error:
            raise AdminTimeout(f"no outcome after {seconds:g} s") from error
        finally:
            reader.close()

    async def _outcome(self, reader: FeedReader, tokens: range) -> Records:
        while True:
            self._woken.clear()
            while (batch := reader.read()) is not None:
                commands = batch.commands
                is_ours = (commands["request"] >= tokens.start) & (commands["request"] < tokens.stop)
                ours = np.flatnonzero(is_ours & (commands["kind"] != Command.DATA))
                if len(ours):
                    # The core takes a submission into one batch, so they are all here.
                    assert len(ours) == len(tokens)
                    sequences = ours.astype(np.uint64) + np.uint64(batch.first_sequence)
                    events: Records = batch.events[np.isin(batch.events["sequence"], sequences)]
                    _raise_refusals(batch.first_sequence, commands, events)
                    return events
            await self._woken.wait()


def _raise_refusals(first_sequence: int, commands: Records, events: Records) -> None:
    refused = events[events["kind"] == Event.REJECTED]
    if not len(refused):
        return
    lines = []
    for event in refused:
        position = int(event["sequence"]) - first_sequence
        text = TEXTS[Reject(int(event["amount"]))].format(amount=int(event["maker_amount"]), currency="")
        text = decode_data(commands, position).get(REFUSED_BECAUSE, b"").decode() or text
        kind = Command(commands[position]["kind"])
        lines.append(f"{kind.name} (sequence {event['sequence']}): {text}")
    raise AdminRefused("; ".join(lines), int(refused["maker_amount"][0]))
