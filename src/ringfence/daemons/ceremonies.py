"""Carries out what people have ordered for a key that nobody has, at every co-signer, and writes down what they signed.

| in DIRECTORY/custody/keys | |
|-|-|
| NAME.json | transcript of the newest ceremony: which epoch is in force |
| NAME.WHAT.EPOCH.json | transcript of each |
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from ringfence.custody.cosigner.config import Charter
from ringfence.custody.quorum.mpc.keys import (
    Adopt,
    Adopted,
    Conduct,
    KeyRecord,
    Ready,
    SignedOrder,
    Transcript,
    TranscriptError,
    check_transcript,
)
from ringfence.custody.quorum.wire import Asked, Told
from ringfence.daemons.cosigner_client import CosignerClient
from ringfence.daemons.custody_ports import read_ports
from ringfence.files import replace
from ringfence.ports import HOST

CEREMONY_SECONDS = 600.0
_SECONDS = 10.0


class CeremonyError(Exception):
    """The ceremony has come to nothing, or not to its end; the text says what is in force."""


async def ask_all(
    directory: Path, question: Asked, *, only: str = "", seconds: float = _SECONDS, asks_as: str = "coordinator",
    heard: Callable[[str, Told | None], None] = lambda name, told: None,
) -> dict[str, Told | None]:  # fmt: skip
    """Ask every co-signer at once, or one of them; None is the answer of who gives none in time.

    `asks_as`: whose certificate it is asked with; `heard` is told each answer as it comes. Raises OSError, ValueError
    if custody was not founded.
    """
    ports = {name: port for name, port in read_ports(directory).cosigners.items() if only in ("", name)}
    addresses = {name: (HOST, port) for name, port in ports.items()}
    client = CosignerClient(directory / "custody", addresses, asks_as=asks_as)

    async def one(name: str) -> Told | None:
        told = await client.ask(name, question, seconds=seconds)
        heard(name, told)
        return told

    answers = await asyncio.gather(*(one(name) for name in ports))
    return dict(zip(ports, answers, strict=True))


async def hold(
    directory: Path, charter: Charter, signed: SignedOrder, record: KeyRecord | None, *,
    asks_as: str = "coordinator", heard: Callable[[str, str], None] = lambda name, step: None,
) -> KeyRecord:  # fmt: skip
    """Return the epoch that is in force then; `record`: the one before. `heard` is told how far each co-signer is.

    Raises CeremonyError, OSError, ValueError.
    """
    order = signed.order

    def hear(name: str, told: Told | None) -> None:
        heard(
            name,
            "ready" if isinstance(told, Ready) else "in force" if isinstance(told, Adopted) else why(told),
        )

    told = await ask_all(
        directory, Conduct(signed, record), seconds=CEREMONY_SECONDS, asks_as=asks_as, heard=hear
    )
    ready = tuple(one for one in told.values() if isinstance(one, Ready))
    check_all(told, Ready, "nothing has changed: the epoch before stays in force")
    answers = await ask_all(directory, Adopt(signed, ready), asks_as=asks_as, heard=hear)
    check_all(answers, Adopted, "some have it in force already: ask again with the same order")
    adopted = tuple(one for one in answers.values() if isinstance(one, Adopted))
    transcript = Transcript(signed, ready, adopted)
    try:
        after = check_transcript(transcript, charter.is_signed)
    except TranscriptError as error:
        raise CeremonyError(f"the co-signers' answers do not fit together: {error}") from error
    folder = transcript_path(directory, order.key).parent
    folder.mkdir(mode=0o700, exist_ok=True)
    raw = msgspec.json.format(msgspec.json.encode(transcript))
    replace(folder / f"{order.key}.{order.what}.{order.epoch}.json", raw)
    replace(transcript_path(directory, order.key), raw)
    return after


def check_all(told: dict[str, Told | None], kind: type, otherwise: str) -> None:
    """Raises CeremonyError unless everybody has answered as hoped."""
    refused = [f"{name}: {why(one)}" for name, one in told.items() if not isinstance(one, kind)]
    if refused:
        raise CeremonyError("; ".join(refused) + f". {otherwise}")


def why(told: Any) -> str:
    """Return what a co-signer says who refuses."""
    return str(getattr(told, "reason", "no answer"))


def transcript_path(directory: Path, name: str) -> Path:
    return directory / "custody" / "keys" / f"{name}.json"


def read_transcript(path: Path) -> Transcript:
    """Raises CeremonyError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Transcript)
    except (OSError, msgspec.MsgspecError) as error:
        raise CeremonyError(f"{path} cannot be read: {error}") from error
