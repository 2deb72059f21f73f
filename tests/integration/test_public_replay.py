"""A stranger replays what an exchange published: the same roots, or the place where they part."""

import asyncio
import time
from pathlib import Path

import numpy as np
import pytest

from ringfence.assurance.replay import FileError, VerifyError, export, verify
from ringfence.assurance.replay.file import Tag, Writer, read
from ringfence.assurance.replay.shadow import ShadowJudge
from ringfence.commitments import latest_roots
from ringfence.daemons import halts
from ringfence.daemons.admin import command
from ringfence.messages.commands import Command
from ringfence.messages.halts import Reason
from ringfence.testing.client import Client
from ringfence.testing.venue import Venue

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the public journal of an exchange on which a little was traded."""
    folder: Path = tmp_path_factory.mktemp("published")
    with Venue(folder, accounts=3, history=False) as venue:
        alice, bob = Client(venue.port, 1), Client(venue.port, 2)
        for round_ in range(3):
            alice.place(orderQty=200, price=9_990 + round_, clOrdID=f"alice-{round_}", text="a secret word")
            bob.place(orderQty=-100, price=9_990)
            alice.call("PUT", "/order", {"origClOrdID": f"alice-{round_}", "clOrdID": f"renamed-{round_}"})
            time.sleep(1.1)
            asyncio.run(venue.submit(command(Command.TICK)))
        reason = Reason(by="test", what="enough")
        asyncio.run(venue.submit(np.concatenate([halts.halt(halts.VENUE, reason)])))
        chain = folder / "roots" / "chain.roots"
        count = len(latest_roots(chain, 100))
        # The next one may be of a moment before the halt; the one after it holds it.
        while len(latest_roots(chain, 100)) < count + 2:
            time.sleep(0.1)
    output = folder / "public.journal"
    export(folder, output)
    return output


def test_everything_follows_and_nobody_is_named(published: Path) -> None:
    outcome = verify(published)
    assert outcome.roots >= 4
    assert outcome.events["TRADE"] == 3
    assert outcome.events["AMENDED"] == 3
    assert outcome.events["HALT_SET"] == 1
    with open(published, "rb") as file:
        whole = b"".join(record.body for record in read(file))
    for word in (b"alice", b"renamed", b"secret", b"TRADER"):
        assert word not in whole
    assert b"enough" in whole


def test_the_shadow_comes_to_the_same_roots(published: Path) -> None:
    assert verify(published, ShadowJudge()) == verify(published)


def test_every_flipped_byte_is_caught_and_its_record_is_named(published: Path, tmp_path: Path) -> None:
    raw = published.read_bytes()
    with open(published, "rb") as file:
        starts = [record.offset for record in read(file)]
    damaged = tmp_path / "damaged"
    for at in range(0, len(raw), 97):
        damaged.write_bytes(raw[:at] + bytes((raw[at] ^ 1,)) + raw[at + 1 :])
        number = sum(start <= at for start in starts) - 1
        with (
            open(damaged, "rb") as file,
            pytest.raises(FileError, match=rf"record {number}\b|no public journal"),
        ):
            list(read(file))


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.99])
def test_a_file_that_ends_too_soon_is_caught(published: Path, tmp_path: Path, keep: float) -> None:
    cut = tmp_path / "cut"
    cut.write_bytes(published.read_bytes()[: int(published.stat().st_size * keep)])
    with pytest.raises(FileError, match="cut off"):
        verify(cut)


def _forged(published: Path, output: Path, forge: object) -> Path:
    """Write the file again with other records, chained anew, as somebody could who does not have the key."""
    with open(published, "rb") as file:
        records = [(record.tag, record.body) for record in read(file)]
    with open(output, "wb") as file:
        writer = Writer(file)
        for tag, body in forge(records):  # type: ignore[operator]
            writer.write(tag, body)
    return output


def test_a_command_that_was_changed_leads_to_another_root_and_is_located(
    published: Path, tmp_path: Path
) -> None:
    def richer(records: list[tuple[Tag, bytes]]) -> list[tuple[Tag, bytes]]:
        """Give account 1 one satoshi more at its first deposit."""
        out, done = [], False
        for tag, body in records:
            if tag == Tag.FRAME and not done:
                kinds = body[16:][58::64]
                if Command.DEPOSIT in kinds:
                    at = 16 + kinds.index(Command.DEPOSIT) * 64 + 8
                    body = body[:at] + bytes((body[at] + 1 & 0xFF,)) + body[at + 1 :]
                    done = True
            out.append((tag, body))
        return out

    with pytest.raises(VerifyError, match=r"at sequence \d+: the hash of events .* the rules give"):
        verify(_forged(published, tmp_path / "richer", richer))


def test_a_root_left_out_a_frame_left_out_and_a_foreign_signature_are_caught(
    published: Path, tmp_path: Path
) -> None:
    def without(tag: Tag, nth: int) -> object:
        def forge(records: list[tuple[Tag, bytes]]) -> list[tuple[Tag, bytes]]:
            places = [k for k, (of, _) in enumerate(records) if of == tag]
            return [record for k, record in enumerate(records) if k != places[nth]]

        return forge

    with pytest.raises(VerifyError, match="does not follow"):
        verify(_forged(published, tmp_path / "root", without(Tag.ROOT, 1)))
    # Behind the frame that is missing comes another one, or a root.
    with pytest.raises(
        (FileError, VerifyError), match=r"does not continue|committed to \d+, the rules give \d+"
    ):
        verify(_forged(published, tmp_path / "frame", without(Tag.FRAME, 2)))
    with pytest.raises(FileError, match="cut off"):
        verify(_forged(published, tmp_path / "end", without(Tag.END, 0)))
    with pytest.raises(FileError, match="not signed by the exchange"):
        verify(
            _forged(published, tmp_path / "signature", lambda records: [*records[:-1], (Tag.END, bytes(64))])
        )
