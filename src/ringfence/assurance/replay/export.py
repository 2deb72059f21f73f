"""From a journal and its chain of roots to a file that a stranger can replay."""

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from ringfence.assurance.replay.file import Tag, Writer
from ringfence.assurance.replay.scrub import Scrubber
from ringfence.commitments import Root, load_keys, read_roots
from ringfence.commitments.keys import EPOCH_NS
from ringfence.exchange.disk import RealDisk
from ringfence.exchange.journal import JournalReader

FRAME_HEAD = struct.Struct("<QQ")


class ExportError(Exception):
    """Nothing was written. Remedy: in the text."""


class About(msgspec.Struct, frozen=True):
    """The first record of a file."""

    venue: str
    """Public key of the exchange's roots, hexadecimal."""
    until: int
    """Sequence of the last root: the file goes from 0 up to it."""
    epoch_keys: dict[str, str]
    """By number of the week: the key of its nonces, hexadecimal."""


class Exported(NamedTuple):
    frames: int
    commands: int
    roots: int


def export(
    directory: Path, output: Path, *, on_progress: Callable[[int, int], None] | None = None
) -> Exported:
    """Write everything up to the last root. Raises ExportError, JournalError, ChainError, OSError."""
    keys = load_keys(directory)
    roots = list(read_roots(directory / "roots" / "chain.roots", keys.signing.public_key()))
    if not roots:
        raise ExportError("this exchange has not signed a root yet: wait a second")
    epochs = {root.timestamp_ns // EPOCH_NS for root in roots}
    about = About(
        keys.public_bytes.hex(), roots[-1].sequence,
        {str(epoch): keys.nonces.epoch_key(epoch * EPOCH_NS).hex() for epoch in sorted(epochs)},
    )  # fmt: skip
    scrubber = Scrubber(os.urandom(32))
    frames = commands = 0
    waiting = iter(roots)
    following: Root | None = next(waiting)
    aside = output.with_name(output.name + ".writing")
    with open(aside, "wb") as file:
        writer = Writer(file)
        writer.write(Tag.ABOUT, msgspec.json.encode(about))
        for frame in JournalReader(RealDisk(directory / "journal"), on_progress=on_progress).frames():
            if following is None:
                break
            head = FRAME_HEAD.pack(frame.first_sequence, frame.timestamp_ns)
            writer.write(Tag.FRAME, head + scrubber.scrub(frame.commands))
            frames += 1
            commands += len(frame.commands) // 64
            if following.sequence == frame.next_sequence:
                if following.journal != frame.digest:
                    raise ExportError(f"the root of sequence {following.sequence} is of another journal")
                writer.write(Tag.ROOT, following.encode())
                following = next(waiting, None)
            elif following.sequence < frame.next_sequence:
                raise ExportError(f"no frame ends at sequence {following.sequence}, of which there is a root")
        if following is not None:
            raise ExportError(
                f"the journal ends before sequence {following.sequence}, of which there is a root"
            )
        writer.write(Tag.END, keys.signing.sign(writer.chain))
    aside.rename(output)
    return Exported(frames, commands, len(roots))
