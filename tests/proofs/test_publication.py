"""Publishing: all files or none, whatever happens in between; and time stamps, schedules and the report."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from bitcoin.core import CBlock, CBlockHeader, CMutableTransaction, COutPoint, CTxIn, CTxOut
from bitcoin.core.script import CScript

from ringfence.assurance.proofs import index as signed_index
from ringfence.assurance.proofs import publication, stamps
from ringfence.assurance.proofs.errors import DifferentError, ForgedError, InconclusiveError
from ringfence.assurance.proofs.hashes import digest
from ringfence.assurance.proofs.index import SnapshotEntry
from ringfence.assurance.proofs.plots import decimal
from ringfence.assurance.proofs.publication import Publication, listed_files
from ringfence.assurance.proofs.report import Report, coverage_ppm, report_page, withheld_page
from ringfence.assurance.proofs.schedule import Schedule
from ringfence.assurance.proofs.snapshot import asset_entry
from ringfence.assurance.proofs.verify import Verdict
from ringfence.assurance.proofs.watch import look, look_at_shards
from ringfence.testing.proof_operator import Operator, TellsTwoStories
from ringfence.units.time import NS_PER_SECOND
from tests.proofs.books import book
from tests.proofs.test_operators import run


class Killed(BaseException):
    """The process is gone."""


# ---- all or nothing


def test_a_snapshot_that_was_cut_short_was_never_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at each of its system calls in turn: the index names whole snapshots, and the next start tidies up."""
    calls = ("fsync", "rename", "mkdir")
    for name in calls:
        for number in range(60):
            folder = tmp_path / f"{name}-{number}"
            operator = Operator(folder)
            operator.minute()
            operator.publish()
            operator.trade()
            countdown = [number]

            def dies(
                *arguments: object, _real: object = getattr(os, name), _left: list[int] = countdown
            ) -> object:
                if _left[0] == 0:
                    raise Killed
                _left[0] -= 1
                return _real(*arguments)  # type: ignore[operator]

            monkeypatch.setattr(os, name, dies)
            try:
                operator.publish()
                died = False
            except Killed:
                died = True
            finally:
                monkeypatch.undo()
            _check_whole(operator, folder)
            if not died:
                break
        else:
            pytest.fail("it never got through")


def _check_whole(operator: Operator, folder: Path) -> None:
    found, _ = signed_index.decode((folder / "index.json").read_bytes(), venue=operator.venue)
    for name, entry in listed_files(found).items():
        assert signed_index.entry_of((folder / name).read_bytes()) == entry
    again = Publication(folder, operator.publisher, period=1)
    assert again.next_snapshot == len(found.snapshots) + 1
    assert {path.name for path in folder.iterdir() if path.name.isdigit()} == {
        one.folder for one in found.snapshots
    }
    assert not list(folder.glob(f"*{publication._ASIDE}"))


def test_a_withheld_snapshot_says_why_and_keeps_its_number(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    first = operator.publish()
    import msgspec

    entry = msgspec.structs.replace(
        first, snapshot=2, folder="000002", assets={}, files={}, withheld="I01 is <red>"
    )
    operator.publication.withhold(entry, withheld_page(entry))
    assert b"I01 is &lt;red&gt;" in (tmp_path / "000002" / "withheld.html").read_bytes()
    assert operator.publication.index.newest() == first
    operator.trade()
    assert operator.publish().snapshot == 3


# ---- somebody who looks again and again


def test_whoever_watches_sees_what_is_new_and_keeps_evidence_of_two_stories(tmp_path: Path) -> None:
    operator = TellsTwoStories(tmp_path / "site")
    run(operator)
    state, site = tmp_path / "state", {}

    def fetch(url: str) -> bytes:
        name = url.removeprefix("https://venue/proofs/")
        return site.get(name) or (tmp_path / "site" / name).read_bytes()

    def watch() -> tuple[int, str]:
        seen = look(
            "https://venue/proofs/", state, venue=operator.venue, currency="XBt", claimant=None, fetch=fetch
        )
        return seen.snapshot, seen.what

    assert watch() == (2, "new")
    assert watch() == (2, "nothing new")
    operator.trade()
    operator.publish()
    assert watch() == (3, "new")
    site["index.json"] = operator.other_index()
    with pytest.raises(ForgedError, match="two stories"):
        watch()
    (evidence,) = state.glob("evidence-*")
    assert (evidence / "index.json").read_bytes() == site["index.json"]
    assert b"two stories" in (evidence / "complaint.json").read_bytes()
    del site["index.json"]
    assert watch() == (3, "nothing new"), "what was seen before is remembered"


def test_a_few_shards_are_enough_for_a_client_who_knows_where_to_look(tmp_path: Path) -> None:
    """Leaves of an account, three shards more, each held against the root in the signed index."""
    made = book(6, accounts=9_000)
    filed = made.filed
    count = filed.header.figures.leaves >> 12
    assert count >= 8
    publication = Publication(tmp_path, made.publisher, period=1)
    entry = SnapshotEntry(
        assets={"XBt": asset_entry(filed, reserves=0)}, because="schedule", files={}, folder="000001", height=1,
        sequence=1, snapshot=1, timestamp="2026-11-24T12:00:00.000Z",
    )  # fmt: skip
    publication.publish(entry, filed.files())
    account = next(one for one, balance in made.balances.items() if balance > 10**8)
    leaves = filed.places[filed.owners == account].tolist()
    asked: list[int] = []

    def part(url: str, offset: int, length: int) -> bytes:
        asked.append(offset)
        return (tmp_path / url.removeprefix("https://venue/proofs/")).read_bytes()[offset : offset + length]

    def found(leaves: list[int], others: int, spoil: int = 0) -> Verdict:
        return look_at_shards(
            "https://venue/proofs", leaves, venue=made.venue, currency="XBt", claimant=made.claimant(account),
            others=others, fetch=lambda url: (tmp_path / url.removeprefix("https://venue/proofs/")).read_bytes(),
            fetch_part=lambda url, offset, length: bytes(spoil) + part(url, offset, length)[spoil:],
        )  # fmt: skip

    verdict = found(leaves, 3)
    assert verdict.mine == made.balances[account]
    assert sorted(verdict.places) == sorted(leaves)
    assert len(set(asked)) == len(asked) == min(count, len({at >> 12 for at in leaves}) + 3)
    with pytest.raises(ForgedError, match=r"shard \d+ is not the one under"):
        found(leaves, 0, spoil=1)
    with pytest.raises(DifferentError, match="were expected"):
        found([at for at in leaves if at >> 12 != leaves[0] >> 12], 0)
    with pytest.raises(InconclusiveError, match="not all that were asked for"):
        found([filed.header.figures.leaves], 0)


def test_before_the_first_snapshot_there_is_nothing_to_say(tmp_path: Path) -> None:
    operator = Operator(tmp_path / "site")
    operator.publication.list_minutes()
    operator.publish()
    with pytest.raises(InconclusiveError, match="no snapshot of Gwei"):
        look(
            "https://venue/proofs", tmp_path / "state", venue=operator.venue, currency="Gwei", claimant=None,
            fetch=lambda url: (tmp_path / "site" / "index.json").read_bytes(),
        )  # fmt: skip


# ---- time stamps


def _block(payload: bytes, others: int) -> CBlock:
    """Return a block with a transaction that holds a payload among others."""

    def transaction(number: int, script: bytes) -> CMutableTransaction:
        return CMutableTransaction(
            [CTxIn(COutPoint(bytes([number]) * 32, 0))], [CTxOut(number, CScript(script))]
        )

    found = [transaction(number, b"\x51") for number in range(others)]
    found.insert(others // 2, transaction(200, stamps.anchor_script(payload)))
    block = CBlock(2, bytes(32), bytes(32), 1, 0x207FFFFF, 0, tuple(found))
    root = block.calc_merkle_root()
    return CBlock(2, bytes(32), root, 1, 0x207FFFFF, 0, tuple(found))


@pytest.mark.parametrize("others", [0, 1, 2, 6, 7])
def test_a_stamp_shows_that_a_block_holds_a_digest(others: int) -> None:
    payload = digest(b"minute")
    block = _block(payload, others)
    raw = stamps.stamp_from_block(payload, block.serialize(), 77)
    assert raw is not None
    (attested,) = stamps.read_stamp(raw, payload)
    assert attested.height == 77
    header = CBlockHeader.serialize(block.get_header())
    assert stamps.check_header(attested, header) == block.GetHash()[::-1].hex()
    with pytest.raises(ForgedError, match="block 77 does not hold what was stamped"):
        stamps.check_header(attested, header[:40] + bytes(4) + header[44:])
    with pytest.raises(ForgedError, match="the stamp is of"):
        stamps.read_stamp(raw, digest(b"another"))
    assert stamps.stamp_from_block(digest(b"another"), block.serialize(), 77) is None


@pytest.mark.parametrize(
    "raw", [b"", b"x", bytes(100), b"\x00OpenTimestamps\x00\x00Proof\x00\xbf\x89\xe2\xe8\x84\xe8\x92\x94\x01"]
)
def test_bytes_that_are_no_stamp_are_refused(raw: bytes) -> None:
    with pytest.raises(ForgedError, match="no time stamp"):
        stamps.read_stamp(raw, bytes(32))


@pytest.mark.parametrize("header", [b"", bytes(79), bytes(81)])
def test_a_header_has_80_bytes(header: bytes) -> None:
    with pytest.raises(ForgedError, match="80 bytes"):
        stamps.check_header(stamps.Attested(1, bytes(32)), header)


# ---- when


def _ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * NS_PER_SECOND


@pytest.mark.parametrize(
    ("after", "due"),
    [
        ("2026-11-24T11:59:59", "2026-11-24T12:00:00"),  # a Tuesday
        ("2026-11-24T12:00:00", "2026-11-26T12:00:00"),
        ("2026-11-26T12:00:01", "2026-12-01T12:00:00"),
        ("2026-12-31T23:00:00", "2027-01-05T12:00:00"),
    ],
)
def test_snapshots_are_due_on_tuesdays_and_thursdays(after: str, due: str) -> None:
    assert Schedule().next_after(_ns(after)) == _ns(due)


def test_the_longest_pause_is_five_days_and_other_days_can_be_chosen() -> None:
    assert Schedule().period_seconds == 5 * 86_400
    daily = Schedule(weekdays=(0, 1, 2, 3, 4, 5, 6), time="00:30")
    assert daily.period_seconds == 86_400
    assert daily.next_after(_ns("2026-11-24T00:30:00")) == _ns("2026-11-25T00:30:00")
    assert Schedule(weekdays=(6,)).period_seconds == 7 * 86_400


@pytest.mark.parametrize("wrong", [{"weekdays": ()}, {"weekdays": (7,)}, {"time": "25:00"}, {"opened": 0}])
def test_a_schedule_that_is_none_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"proofs\.json|time data"):
        Schedule(**wrong).check()  # type: ignore[arg-type]


# ---- the report


def test_the_report_says_what_the_files_say_and_is_the_same_for_the_same_facts(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    run(operator)
    before = operator.publication.index
    entry = before.snapshots[-1]
    from ringfence.assurance.proofs.header import read_header

    headers = {
        currency: read_header((tmp_path / entry.folder / f"{currency}.header").read_bytes())
        for currency in entry.assets
    }
    files = {path.name: path.read_bytes() for path in sorted((tmp_path / entry.folder).iterdir())}
    import msgspec

    earlier = msgspec.structs.replace(before, snapshots=before.snapshots[:-1])
    report = Report(entry, headers, earlier, operator.lines(1), files)
    page = report_page(report)
    assert page == report_page(report)
    text = page.decode()
    assert decimal(int(entry.assets["XBt"].total), 8) in text
    assert digest(files["XBt.porl2"]).hex() in text
    assert "<svg" in text
    assert "<script" not in text
    assert len(page) < 100_000


@pytest.mark.parametrize(
    ("reserves", "demo", "total", "ppm"),
    [
        (10, 0, 10, 1_000_000),
        (0, 10, 10, 1_000_000),
        (999, 0, 1_000, 999_000),
        (1, 0, 3, 333_333),
        (5, 0, 0, None),
    ],
)
def test_coverage_is_rounded_down(reserves: int, demo: int, total: int, ppm: int | None) -> None:
    assert coverage_ppm(reserves=reserves, demo=demo, total=total) == ppm


@pytest.mark.parametrize(
    ("amount", "scale", "text"),
    [(0, 8, "0"), (1, 8, "0.00000001"), (150_000_000, 8, "1.5"), (-5, 2, "-0.05"), (123_456_789, 0, "123,456,789"),
     (2_003_000_000_000, 8, "20,030"), (-12_345_600, 4, "-1,234.56")],
)  # fmt: skip
def test_amounts_are_written_exactly(amount: int, scale: int, text: str) -> None:
    assert decimal(amount, scale) == text
