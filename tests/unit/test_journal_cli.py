"""`ringfence journal` says what is there, finds what is wrong, and writes nothing."""

import asyncio
import errno
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ringfence.cli import journal as cli
from ringfence.cli.describe import _SAYS, Describer
from ringfence.exchange.engine import Engine
from ringfence.exchange.feed import FeedReader, segment
from ringfence.exchange.journal import JournalReader, RealDisk
from ringfence.exchange.sequencer import Disks, Sequencer, recover, snapshots, write_snapshot
from ringfence.messages.batch import ACCOUNT_NAME, CLORDID, CONSTITUENTS, TEXT, Batch, Records, encode_data
from ringfence.messages.commands import Command, OrderFlag
from ringfence.messages.constituents import Hold, Reference, Verdict, encode_constituents
from ringfence.messages.constituents import Said as Said_
from ringfence.messages.identifiers import clid_hash, handle_of
from ringfence.messages.records import COMMAND
from ringfence.testing.play import START_NS, command, opening
from ringfence.testing.workloads import everything

ACCOUNTS = 3


def with_text(row: Records, items: list[tuple[int, bytes]]) -> Records:
    return np.concatenate([row, np.frombuffer(encode_data(items), COMMAND)])


def story() -> list[Records]:
    """Return batches: the opening, one order told in full, then random flow."""
    place = command(
        Command.PLACE, account=2, symbol=1, qty=300, px=9_990, clid=clid_hash("mine"), display=100, origin=3,
        flags=OrderFlag.SELL | OrderFlag.POST_ONLY | OrderFlag.DAY,
    )  # fmt: skip
    told = with_text(place, [(CLORDID, b"mine"), (TEXT, "[bold]größer\x1b[0m".encode())])
    flow = everything(5, count=600, accounts=ACCOUNTS)
    return [opening(accounts=ACCOUNTS), told, *(flow[k : k + 60] for k in range(0, 600, 60))]


async def write(directory: Path) -> None:
    sequencer = Sequencer(recover(directory), directory)
    for index, batch in enumerate(story()):
        await sequencer.apply(batch.tobytes(), timestamp_ns=START_NS + index * 10**9)
        if index in (3, 6):
            write_snapshot(sequencer.engine, directory, is_feed_suspect=True)
    sequencer.close(snapshot=False)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("cli")
    with pytest.MonkeyPatch.context() as patch:
        of = Disks.of
        patch.setattr(
            Disks, "of", lambda place, *, make=False: of(place, make=make)._replace(segment_bytes=20_000)
        )
        asyncio.run(write(directory))
    return directory


@pytest.fixture
def copy(written: Path, tmp_path: Path) -> Path:
    shutil.copytree(written, tmp_path / "exchange")
    return tmp_path / "exchange"


class Said:
    """What a command printed and how it ended."""

    def __init__(self, capsys: pytest.CaptureFixture[str], directory: Path, *words: str) -> None:
        self.status = 0
        capsys.readouterr()
        try:
            cli.app([*words, "--directory", str(directory)])
        except SystemExit as end:
            self.status = int(end.code or 0)
        self.out, self.err = capsys.readouterr()

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


def frames(directory: Path) -> list[tuple[str, int, int]]:
    reader = JournalReader(RealDisk(directory / "journal"))
    return [(reader.segment, reader.offset - frame.size, reader.offset) for frame in reader.frames()]


def flip(path: Path, offset: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[offset] ^= 1
    path.write_bytes(raw)


# ---- verify


def test_verify_counts_and_names_the_head(written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = Said(capsys, written, "verify", "--json")
    batches = story()
    slots = sum(len(batch) for batch in batches)
    texts = sum(int(np.count_nonzero(batch["kind"] == Command.DATA)) for batch in batches)
    reader = JournalReader(RealDisk(written / "journal"))
    *_, last = reader.frames()
    assert said.status == 0
    assert said.json == {
        "ok": True,
        "segments": len(list((written / "journal").iterdir())),
        "frames": len(batches),
        "commands": slots - texts,
        "firstSequence": 0,
        "firstTime": "2026-09-21T14:13:20.000000000Z",
        "lastSequence": slots - 1,
        "lastTime": "2026-09-21T14:13:31.000000000Z",
        "head": last.digest.hex(),
        "acknowledged": slots,
        "unfinished": None,
    }
    assert said.json["segments"] >= 3
    told = Said(capsys, written, "verify")
    assert told.status == 0
    assert last.digest.hex() in told.out
    assert "the whole hash chain" in told.out


@pytest.mark.parametrize("which", [0, 5, -1])
def test_verify_names_the_place_of_the_damage(
    which: int, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, begin, end = frames(copy)[which]
    flip(copy / "journal" / name, end - 3)
    said = Said(capsys, copy, "verify")
    assert said.status == 65
    assert f"journal damaged in {name} at byte {begin}" in " ".join(said.err.split())
    assert said.out == ""
    as_json = Said(capsys, copy, "verify", "--json")
    assert as_json.status == 65
    assert {name: as_json.json[name] for name in ("ok", "error", "segment", "offset")} == {
        "ok": False, "error": "JournalCorruptError", "segment": name, "offset": begin,
    }  # fmt: skip


def test_verify_misses_a_segment_and_what_was_published(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    *_, middle, last = sorted((copy / "journal").iterdir())
    last.unlink()
    assert Said(capsys, copy, "verify", "--json").json["error"] == "JournalCorruptError"
    middle.rename(copy / "aside")
    last.write_bytes((copy / "aside").read_bytes())
    said = Said(capsys, copy, "verify", "--json")
    assert (said.status, said.json["error"]) == (65, "JournalGapError")


def test_a_frame_that_is_being_written_is_not_damage(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name, _, end = frames(copy)[-1]
    with open(copy / "journal" / name, "r+b") as file:
        file.seek(end)
        file.write(b"RFJRNL01 and so on")
    said = Said(capsys, copy, "verify", "--json")
    assert said.status == 0
    assert said.json["unfinished"] == {"segment": name, "offset": end}
    assert "it is being written, or nobody was told of it" in Said(capsys, copy, "verify").out


@pytest.mark.parametrize("words", [["verify"], ["show"], ["replay"]])
def test_no_journal_is_said_and_none_is_made(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = Said(capsys, tmp_path, *words)
    assert said.status == 66
    assert "there is no journal in" in said.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [["verify"], ["show"], ["replay"]])
def test_a_disk_that_does_not_read_has_its_own_status(
    words: list[str], written: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: object) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(RealDisk, "read", read)
    said = Said(capsys, written, *words)
    assert said.status == 74
    assert "Input/output error" in said.err


# ---- show


def test_show_gives_names_for_numbers(written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sequence = len(opening(accounts=ACCOUNTS))
    (placed,) = Said(capsys, written, "show", "--json", "--first", str(sequence), "--count", "1").lines
    assert placed == {
        "sequence": sequence, "timestamp": "2026-09-21T14:13:21.000000000Z", "kind": "PLACE", "account": 2,
        "symbol": "XBTUSD", "side": "Sell", "orderQty": 300, "price": 999.0, "displayQty": 100,
        "ordType": "Limit", "timeInForce": "Day", "execInst": "ParticipateDoNotInitiate",
        "clOrdID": "mine", "text": "[bold]größer\x1b[0m", "origin": 3,
    }  # fmt: skip
    table = Said(capsys, written, "show", "--first", str(sequence), "--count", "1").out
    assert "\x1b" not in table, "a customer's text must not steer the terminal"
    for word in ("XBTUSD", "Sell", "300", "999.0", "mine", "[bold]größer?[0m", "timeInForce=Day"):
        assert word in table


def test_show_chooses_by_kind_account_and_count(written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = Said(capsys, written, "show", "--json", "--count", "0").lines
    assert [row["sequence"] for row in rows] == sorted(row["sequence"] for row in rows)
    assert len(rows) == Said(capsys, written, "verify", "--json").json["commands"]
    assert len(Said(capsys, written, "show", "--json").lines) == 50
    chosen = Said(
        capsys, written, "show", "--json", "--count", "0", "--kind", "PLACE", "--account", "2"
    ).lines
    assert chosen == [row for row in rows if row["kind"] == "PLACE" and row["account"] == 2]
    assert len(chosen) > 50
    lists = Said(capsys, written, "show", "--json", "--kind", "list", "--count", "2").lines
    assert [row["symbol"] for row in lists] == ["XBTUSD", "ETHUSD"]


def test_show_prints_what_is_whole_before_the_damage(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name, begin, _ = frames(copy)[4]
    flip(copy / "journal" / name, begin + 200)
    said = Said(capsys, copy, "show", "--count", "0", "--kind", "PLACE")
    assert said.status == 65
    assert "mine" in said.out


def test_every_kind_of_command_has_words() -> None:
    assert set(_SAYS) == set(Command) - {Command.DATA, Command.TICK}
    describer = Describer()
    for kind in (*Command, 77):
        for fields in ({}, {"symbol": 60, "type": 99, "flags": 0xFFFF, "handle": 2**40, "orig_clid": 5}):
            words = describer.describe(command(kind, **fields), 0, sequence=9, timestamp_ns=0)
            assert words["kind"] == (Command(kind).name if kind in set(Command) else "77")
            json.dumps(words)


def test_an_index_says_its_constituents_and_why_one_does_not_count() -> None:
    describer = Describer()
    describer.learn(opening(accounts=1))
    said = (
        Said_(Reference.COINBASE, Verdict.COUNTED, 6000, 1_000_000_001, 250),
        Said_(Reference.KRAKEN, Verdict.NOT_A_PRICE, 4000, 0, 0),
    )
    row = command(Command.INDEX, symbol=8, qty=1_000_000_001, type=1)
    data = encode_constituents(Hold.TOO_FEW, said)
    words = describer.describe(with_text(row, [(CONSTITUENTS, data)]), 0, sequence=9, timestamp_ns=0)
    assert words["symbol"] == ".BXBT"
    assert (words["price"], words["status"], words["hold"]) == (100_000.0001, "FROZEN", "TOO_FEW")
    assert words["constituents"] == [
        {"reference": "COINBASE", "price": 100_000.0001, "weight": 0.6, "ageMs": 250, "verdict": "COUNTED"},
        {"reference": "KRAKEN", "price": 0.0, "weight": 0.4, "ageMs": 0, "verdict": "NOT_A_PRICE"},
    ]
    broken = describer.describe(with_text(row, [(CONSTITUENTS, b"xy")]), 0, sequence=9, timestamp_ns=0)
    assert broken["constituents"] == "7879"


def test_words_of_one_command_each() -> None:
    describer = Describer()
    describer.learn(opening(accounts=1))

    def words(kind: Command, **fields: int) -> dict[str, Any]:
        said = describer.describe(command(kind, **fields), 0, sequence=2**33 + 7, timestamp_ns=0)
        return {name: said[name] for name in said if name not in ("sequence", "timestamp", "kind")}

    handle = 5 << 32 | 12
    cancel = words(Command.CANCEL, account=1, handle=handle)
    assert handle_of(cancel["orderID"]) == handle
    assert words(Command.AMEND, account=1, symbol=1, orig_clid=255, px=10, qty=2, flags=640) == {
        "account": 1, "symbol": "XBTUSD", "origClOrdIDHash": "00000000000000ff", "orderQty": 2, "price": 1.0,
    }  # fmt: skip
    assert words(Command.SET_LEVERAGE, account=1, symbol=1, qty=2_550)["leverage"] == 25.5
    assert words(Command.SET_LEVERAGE, account=1, symbol=1)["leverage"] == "cross"
    assert words(Command.DEPOSIT, account=1, symbol=1, qty=5) == {
        "account": 1, "currency": "USDt", "amount": 5,
    }  # fmt: skip
    assert words(Command.MARK, symbol=1, qty=1_000_050)["markPrice"] == 1000.05
    assert words(Command.CONFIGURE_ACCOUNT, account=1, type=1, qty=2)["value"] == "ALLOW"
    named = with_text(command(Command.OPEN_ACCOUNT, account=9), [(ACCOUNT_NAME, b"Ada")])
    assert describer.describe(named, 0, sequence=1, timestamp_ns=0)["accountName"] == "Ada"


# ---- replay


def test_replay_agrees_with_feed_and_snapshots(written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = Said(capsys, written, "replay", "--json")
    engine = Engine()
    for index, batch in enumerate(story()):
        engine.step(batch, timestamp_ns=START_NS + index * 10**9)
    assert said.status == 0
    assert said.json["ok"] is True
    assert said.json["digest"] == engine.digest().hex()
    assert said.json["batchesCompared"] == said.json["batches"] == len(story())
    assert said.json["snapshotsCompared"] == 2
    assert sum(said.json["events"].values()) == engine.event_count
    assert said.json["totals"]["XBt"]["deposited"] == ACCOUNTS * 100 * 10**8
    told = Said(capsys, written, "replay")
    assert told.status == 0
    assert engine.digest().hex() in told.out
    assert "the feed and the snapshots are what the commands give" in told.out


def rewrite_feed(directory: Path, which: int, change: str) -> None:
    """Change one batch of the feed so that its checksums still hold."""
    reader, batches = FeedReader(directory / "feed"), []
    while (batch := reader.read()) is not None:
        batches.append(batch)
    events = batches[which].events.copy()
    if change == "field":
        events["qty"][3] += 1
    batches[which] = batches[which]._replace(events=events if change == "field" else events[:-1])
    raw = b"".join(segment.encode(Batch(*batch)) for batch in batches)
    (directory / "feed" / segment.name_of(0)).write_bytes(raw)


@pytest.mark.parametrize(("change", "text"), [("field", "qty="), ("fewer", "is not there")])
def test_replay_finds_an_event_that_is_not_what_happened(
    change: str, text: str, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rewrite_feed(copy, 4, change)
    said = Said(capsys, copy, "replay", "--json")
    assert (said.status, said.json["different"]) == (70, 1)
    (difference,) = said.json["differences"]
    assert difference["place"] == "feed"
    assert text in difference["what"]
    assert "1 differences" in Said(capsys, copy, "replay").out


def test_replay_finds_a_satoshi_too_many_in_a_snapshot(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = snapshots(copy)[1]
    engine = Engine.load(path)
    engine.state.margins["wallet"][1] += 1
    engine.save(path)
    said = Said(capsys, copy, "replay", "--json")
    assert (said.status, said.json["different"]) == (70, 1)
    assert said.json["differences"][0]["place"] == path.name


def test_replay_finds_what_is_missing_or_damaged(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flip(copy / "feed" / segment.name_of(0), 20_000)
    flip(snapshots(copy)[0], 400)
    shutil.copy(snapshots(copy)[1], copy / "snapshots" / f"{77:020d}.snapshot")
    feed = copy / "feed"
    late = JournalReader(RealDisk(copy / "journal"))
    *_, last = late.frames()
    (feed / segment.name_of(last.first_sequence)).write_bytes(b"")
    said = Said(capsys, copy, "replay", "--json")
    assert said.status == 70
    assert {difference["place"] for difference in said.json["differences"]} == {
        "feed", snapshots(copy)[0].name, f"{77:020d}.snapshot",
    }  # fmt: skip


def test_a_journal_that_is_ahead_of_the_feed_is_no_difference(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(copy / "feed")
    said = Said(capsys, copy, "replay", "--json")
    assert (said.status, said.json["batchesCompared"]) == (0, 0)


# ---- all of them


def test_nothing_is_written(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def look() -> dict[str, tuple[bytes, int]]:
        files = (path for path in copy.rglob("*") if path.is_file())
        return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}

    before = look()
    for words in (["verify"], ["show"], ["replay"]):
        assert Said(capsys, copy, *words).status == 0
    assert look() == before


async def test_the_core_may_go_on_appending(tmp_path: Path) -> None:
    """Each command runs as a process of its own while batches are written all the time."""
    sequencer = Sequencer(recover(tmp_path), tmp_path)
    await sequencer.apply(opening(accounts=ACCOUNTS).tobytes(), timestamp_ns=START_NS)
    flow = everything(6, count=4_000, accounts=ACCOUNTS)
    done = asyncio.Event()
    written = 0

    async def append() -> None:
        nonlocal written
        while not done.is_set():
            begin = written % 3_900
            await sequencer.apply(flow[begin : begin + 7].tobytes(), timestamp_ns=START_NS + written)
            written += 7
            await asyncio.sleep(0.001)

    appending = asyncio.create_task(append())
    for words in (["verify"], ["verify"], ["replay"], ["show", "--count", "0"]):
        before = sequencer.next_sequence
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "from ringfence.cli import main; main()",
            "journal", *words, "--json", "--directory", str(tmp_path),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        if words == ["verify"]:
            assert json.loads(out)["lastSequence"] >= before - 1
        assert sequencer.next_sequence > before
    done.set()
    await appending
    sequencer.close(snapshot=False)
