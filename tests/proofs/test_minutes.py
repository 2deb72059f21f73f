"""The chain of minutes: nobody changes a line later, and a block that nobody knew says which are opened."""

import hashlib
from pathlib import Path

import msgspec
import pytest

from ringfence.assurance.proofs.errors import ForgedError
from ringfence.assurance.proofs.minutes import (
    Minute,
    MinuteChain,
    deciding_height,
    drawn,
    name_of,
    read_period,
)
from ringfence.testing.proof_operator import publisher_of

PUBLISHER = publisher_of("minutes")


def line(number: int, *, because: str = "minute", height: int = 100) -> Minute:
    return Minute(
        accounts="11" * 32, because=because, block_hash="22" * 32, height=height, n=0, previous="", published="00" * 32,
        sequence=number, state_root="33" * 32, timestamp=f"2026-11-24T12:{number:02d}:00.000Z",
        totals={"XBt": (str(number), "0", None)},
    )  # fmt: skip


def chain(folder: Path, count: int = 5) -> list[Minute]:
    writer = MinuteChain(folder, PUBLISHER)
    return [writer.append(0, line(number)) for number in range(count)]


def test_lines_are_numbered_and_each_names_the_one_before(tmp_path: Path) -> None:
    lines = chain(tmp_path)
    assert [one.n for one in lines] == [0, 1, 2, 3, 4]
    assert [one.previous for one in lines[1:]] == [one.digest.hex() for one in lines[:-1]]
    assert list(read_period((tmp_path / name_of(0)).read_bytes(), PUBLISHER.public)) == lines


def test_a_writer_goes_on_where_another_was_killed(tmp_path: Path) -> None:
    """Half a line was seen by nobody; the next one takes its place, in the next period as well."""
    lines = chain(tmp_path)
    path = tmp_path / name_of(0)
    whole = path.read_bytes()
    for cut in (1, 40, 200):
        path.write_bytes(whole[:-cut])
        writer = MinuteChain(tmp_path, PUBLISHER)
        assert writer.last == lines[3]
        assert writer.append(0, line(4)) == lines[4]
        assert path.read_bytes() == whole
    after = MinuteChain(tmp_path, PUBLISHER).append(1, line(5))
    assert after.previous == lines[4].digest.hex()
    assert list(read_period((tmp_path / name_of(1)).read_bytes(), PUBLISHER.public, follows=lines[4])) == [
        after
    ]


def test_a_chain_of_somebody_else_is_not_gone_on_with(tmp_path: Path) -> None:
    chain(tmp_path)
    with pytest.raises(ForgedError, match="line 1: the signature"):
        MinuteChain(tmp_path, publisher_of("others"))


def _rows(folder: Path) -> list[bytes]:
    return (folder / name_of(0)).read_bytes().splitlines(keepends=True)


FORGED = {
    "a line is gone": (lambda rows: rows[:2] + rows[3:], "line 3: line 3 of the chain does not follow line 1"),
    "two lines changed places": (lambda rows: [rows[0], rows[2], rows[1], *rows[3:]], "line 2: line 2 .*follow"),
    "a line twice": (lambda rows: [rows[0], *rows], "line 2: line 0 of the chain does not follow line 0"),
    "another total": (lambda rows: [rows[0], rows[1].replace(b'\\"1\\"', b'\\"2\\"'), *rows[2:]], "line 2: the sign"),
    "half a line": (lambda rows: [*rows[:-1], rows[-1][:-9]], "line 5: it is cut off"),
    "no line": (lambda rows: [rows[0], b"{}\n", *rows[1:]], "line 2: this is no line of the chain"),
    "bytes": (lambda rows: [rows[0], b"\xff\n", *rows[1:]], "line 2: this is no line of the chain"),
    "a space": (lambda rows: [rows[0].replace(b'{\\"accounts', b'{ \\"accounts'), *rows[1:]], "line 1: .* one form"),
}  # fmt: skip


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_chain_is_refused_by_line(tmp_path: Path, name: str) -> None:
    chain(tmp_path)
    forge, where = FORGED[name]
    raw = b"".join(forge(_rows(tmp_path)))
    with pytest.raises(ForgedError, match=where):
        list(read_period(raw, PUBLISHER.public))


def test_time_does_not_go_back(tmp_path: Path) -> None:
    """Signed by the publisher itself: a line of an earlier moment behind a later one."""
    writer = MinuteChain(tmp_path, PUBLISHER)
    writer.append(0, line(5))
    writer.append(0, line(4))
    with pytest.raises(ForgedError, match="line 2: line 1 of the chain is of an earlier moment"):
        list(read_period((tmp_path / name_of(0)).read_bytes(), PUBLISHER.public))


def test_a_block_draws_minutes_and_no_lines_between(tmp_path: Path) -> None:
    lines = [line(number, because="block" if number % 3 else "minute") for number in range(30)]
    numbered = [msgspec.structs.replace(one, n=number) for number, one in enumerate(lines)]
    for number in range(50):
        found = drawn(numbered, hashlib.sha256(bytes([number])).digest())
        assert 1 <= len(found) <= 3
        assert all(one.because == "minute" for one in found)
    seen = {one.n for n in range(50) for one in drawn(numbered, hashlib.sha256(bytes([n])).digest())}
    assert seen == {one.n for one in numbered if one.because == "minute"}, "every minute can be drawn"
    assert drawn([one for one in numbered if one.because == "block"], bytes(32)) == []


def test_the_block_that_draws_was_known_to_nobody() -> None:
    assert deciding_height([line(1, height=100)]) == 102
    assert deciding_height([]) is None
    assert deciding_height([line(1, height=0)]) is None
