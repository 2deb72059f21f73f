"""The auditor takes what comes in any order, forgets nothing, and takes silence for a broken law."""

import json
import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import create_engine

from ringfence.assurance.audit.auditor import Auditor
from ringfence.assurance.audit.cuts import Cut
from ringfence.assurance.audit.finding import Finding
from ringfence.assurance.audit.law import When
from ringfence.assurance.audit.laws.i02_chains_hold_what_is_owed import ChainsHoldWhatIsOwed
from ringfence.assurance.audit.laws.i03_positions_sum_to_zero import PositionsSumToZero
from ringfence.assurance.audit.rows import Ledger, Place, read_sweep
from ringfence.exchange.engine.levels import levels_of
from ringfence.exchange.engine.snapshot import parts
from ringfence.messages.commands import ALL_ASSETS, Command, HaltScope, OrderFlag, OrderType
from ringfence.messages.events import Event
from ringfence.testing.chains import RecordedChain
from ringfence.testing.conformance import check_chain_reader
from ringfence.testing.play import command
from ringfence.testing.stretch import Stretch

SECOND_NS = 10**9
TABLES = ("ledger", "execution", "trade", "order")


@pytest.fixture(scope="module")
def stretch() -> Iterator[Stretch]:
    made = Stretch(2, count=300, cuts=4)
    yield made
    made.close()


def follow(auditor: Auditor, stretch: Stretch, *, until: int | None = None) -> None:
    for batch in stretch.batches:
        if until is not None and batch.next_sequence > until:
            return
        assert auditor.on_batch(batch) == []


# ---- what comes late, early or never


def test_a_cut_that_comes_after_the_feed_has_gone_on_is_judged_at_its_own_sequence(stretch: Stretch) -> None:
    auditor = Auditor()
    follow(auditor, stretch, until=stretch.cut_at[2])
    assert auditor.on_cut(Cut.of(stretch.state_at(stretch.cut_at[1]))) == []
    planted = stretch.state_at(stretch.cut_at[2])
    planted.margins["wallet"][1] += 1
    assert {finding.law for finding in auditor.on_cut(Cut.of(planted))} == {"I01", "I10"}


def test_a_cut_of_the_future_and_one_of_the_past_say_nothing(stretch: Stretch) -> None:
    """Neither can be judged; if no other comes, the laws grow stale."""
    auditor = Auditor()
    follow(auditor, stretch, until=stretch.cut_at[1])
    future = stretch.state_at(stretch.cut_at[3])
    future.margins["wallet"][1] += 1
    assert auditor.on_cut(Cut.of(future)) == []
    assert auditor.next_sequence < stretch.cut_at[3]
    assert auditor.on_cut(Cut.of(stretch.state_at(stretch.cut_at[1]))) == []
    past = stretch.state_at(stretch.cut_at[0])
    past.margins["wallet"][1] += 1
    assert auditor.on_cut(Cut.of(past)) == []


def test_a_cut_between_two_batches_that_the_feed_does_not_know_is_a_finding(stretch: Stretch) -> None:
    auditor = Auditor()
    follow(auditor, stretch)
    state = stretch.state_at(stretch.cut_at[1])
    state.header["sequence"] += 1
    assert [finding.law for finding in auditor.on_cut(Cut.of(state))] == ["A02"]


def test_a_cut_is_read_from_a_file_with_its_price_levels_beside_it(stretch: Stretch, tmp_path: Path) -> None:
    sequence = stretch.cut_at[-1]
    state = stretch.state_at(sequence)
    path = tmp_path / "17.cut"
    path.write_bytes(b"".join(map(bytes, parts(state))))
    auditor = Auditor()
    follow(auditor, stretch, until=sequence)
    assert auditor.on_cut(path) == []
    levels = levels_of(state)
    levels["qty"][0] += 1
    levels.tofile(path.with_suffix(".levels"))
    assert {finding.law for finding in auditor.on_cut(path)} == {"I08"}
    path.write_bytes(b"no snapshot")
    assert [finding.law for finding in auditor.on_cut(path)] == ["I07"]


def test_an_event_that_does_not_fit_leaves_everything_red(stretch: Stretch) -> None:
    auditor = Auditor()
    batch = stretch.batches[0]
    events = batch.events.copy()
    events["account"][events["kind"] == Event.DEPOSITED] = 4_000
    assert auditor.on_batch(batch._replace(events=events)) != []
    assert auditor.is_lost
    assert {row["verdict"] for row in auditor.report(batch.timestamp_ns) if row["when"] == When.CUT} == {
        "stale"
    }
    assert not auditor.is_green(batch.timestamp_ns)


# ---- the report


def test_what_was_not_looked_at_for_too_long_is_stale_and_stale_is_not_green(stretch: Stretch) -> None:
    auditor = Auditor(without=[When.CHAIN, When.SWEEP, When.FRAME])
    follow(auditor, stretch, until=stretch.cut_at[0])
    now = auditor.books.timestamp_ns
    auditor.on_time(now)
    auditor.on_cut(Cut.of(stretch.state_at(stretch.cut_at[0])))
    assert auditor.is_green(now)
    assert auditor.is_green(now + 20 * SECOND_NS)
    late = auditor.report(now + 21 * SECOND_NS)
    assert {row["verdict"] for row in late if row["when"] == When.CUT} == {"stale"}
    assert {row["verdict"] for row in late if row["when"] == When.BATCH} == {"green"}
    assert not auditor.is_green(now + 21 * SECOND_NS)
    assert all(row["lastSequence"] == stretch.cut_at[0] for row in json.loads(json.dumps(late)))


def test_an_auditor_that_has_seen_nothing_is_not_green_for_long() -> None:
    auditor = Auditor(begun_ns=SECOND_NS)
    assert not auditor.is_green(10_000 * SECOND_NS)
    assert {row["lastSequence"] for row in auditor.report(2 * SECOND_NS)} == {-1}


def test_a_law_that_was_broken_once_stays_red(stretch: Stretch) -> None:
    auditor = Auditor(laws=[PositionsSumToZero])
    follow(auditor, stretch, until=stretch.cut_at[0])
    state = stretch.state_at(stretch.cut_at[0])
    state.positions["qty"][np.flatnonzero(state.positions["account"])[0]] += 1
    assert auditor.on_cut(Cut.of(state)) != []
    assert auditor.on_cut(Cut.of(stretch.state_at(stretch.cut_at[0]))) == []
    verdicts = {row["when"]: row["verdict"] for row in auditor.report(auditor.books.timestamp_ns)}
    assert verdicts[When.CUT.value] == "red"


def test_an_auditor_that_was_kept_in_a_file_goes_on_as_before(stretch: Stretch) -> None:
    auditor = Auditor()
    follow(auditor, stretch, until=stretch.cut_at[1])
    woken = pickle.loads(pickle.dumps(auditor))
    for batch in stretch.batches:
        if batch.first_sequence >= stretch.cut_at[1]:
            assert woken.on_batch(batch) == []
    assert woken.on_cut(Cut.of(stretch.state_at(stretch.cut_at[3]))) == []


def test_a_finding_goes_beside_its_halt_into_the_journal() -> None:
    finding = Finding("I03", HaltScope.CONTRACT, 17, "positions", "0", "100", symbol=6)
    reason = finding.reason("auditor", dump="00ff")
    assert (reason.by, reason.law, reason.cut, reason.expected, reason.found) == (
        "auditor",
        "I03",
        17,
        "0",
        "100",
    )
    assert finding.halt_symbol == 6
    assert finding._replace(scope=HaltScope.VENUE).halt_symbol == 0
    assert finding._replace(scope=HaltScope.WITHDRAWALS, symbol=-1).halt_symbol == ALL_ASSETS
    assert "I03 (contract 6) at sequence 17" in str(finding)


# ---- rows


def test_blocks_that_changed_come_first_and_then_some_of_the_others() -> None:
    ledger = Ledger()

    def chosen(most: int) -> list[int]:
        places = ledger.next_places(most, draw=lambda places, count: list(places[:count]))
        assert places[-4:] == [Place(t, 5 if t == "trade" else 0) for t in TABLES]  # behind the ends
        return [place.block for place in places[:-4]]

    for number in range(5 * 1_024):
        ledger._put(number, "trade", number, (number, "XBTUSD", "Buy", 1, 1.0))
    assert chosen(3) == chosen(3) == [0, 1, 2]
    ledger.looked_at([Place("trade", block) for block in (0, 1, 2)], next_event=10**6)
    assert chosen(3) == [3, 4, 0]
    ledger.looked_at([Place("trade", block) for block in (3, 4)], next_event=10**6)
    ledger._put(9_999, "trade", 7, (7, "XBTUSD", "Sell", 1, 1.0), (7, "XBTUSD", "Buy", 1, 1.0))
    ledger.looked_at([Place("trade", 0)], next_event=9_999)  # the sweep was of a moment before
    assert chosen(2) == [0, 1]


def test_an_edited_amount_is_found_though_no_row_of_its_block_is_read(stretch: Stretch) -> None:
    """The database adds up what it has, block by block, and the auditor knows what it comes to."""
    auditor, evidence = Auditor(), stretch.evidence()
    follow(auditor, stretch)
    history = create_engine(f"sqlite:///{evidence.database}")
    assert auditor.on_rows(read_sweep(history, [])) == []
    for table, column, law in (
        ("ledger", "amount", "I05"), ("execution", '"execComm"', "I22"), ("trade", "size", "I22"),
        ("order", '"cumQty"', "I22"),
    ):  # fmt: skip
        only = (
            " where \"execType\" = 'Trade'"
            if table == "execution"
            else " where size > 0"
            if table == "trade"
            else ""
        )
        with history.begin() as connection:
            key = connection.exec_driver_sql(f'select max(key) from "{table}"{only}').scalar_one()
            connection.exec_driver_sql(f'update "{table}" set {column} = {column} + 1 where key = {key}')
        assert law in {finding.law for finding in auditor.on_rows(read_sweep(history, []))}
        with history.begin() as connection:
            connection.exec_driver_sql(f'update "{table}" set {column} = {column} - 1 where key = {key}')
        assert auditor.on_rows(read_sweep(history, [])) == []
    history.dispose()


class _AStopThatCloses(Stretch):
    """A closing stop without a quantity is placed, and nothing else happens."""

    def _live(self, seed: int, count: int) -> None:
        flags = OrderFlag.SELL | OrderFlag.CLOSE
        stop = command(Command.PLACE, account=1, symbol=1, type=OrderType.STOP, stop_px=900_000, flags=flags)
        self._step(stop)


def test_a_closing_stop_without_a_quantity_is_no_finding() -> None:
    """History says null for its quantity; any trader could have halted the venue by placing one."""
    stretch, auditor = _AStopThatCloses(1, cuts=0), Auditor()
    follow(auditor, stretch)
    evidence = stretch.evidence()
    history = create_engine(f"sqlite:///{evidence.database}")
    order = max(place.block for place in auditor.ledger.blocks if place.table == "order")
    sweep = read_sweep(history, [Place("order", order)])
    assert [row[4] for row in sweep.rows[Place("order", order)]] == [None]
    assert auditor.on_rows(sweep) == []
    assert auditor.on_rows(read_sweep(history, [])) == []
    history.dispose()
    stretch.close()


# ---- chains


def test_the_chain_in_memory_does_what_every_reader_must() -> None:
    chain = RecordedChain({0: 5})
    check_chain_reader(chain, asset=0, receive=lambda amount: chain.move(0, amount))


def test_what_a_second_block_does_not_explain_halts_the_venue() -> None:
    auditor, chain = Auditor(laws=[ChainsHoldWhatIsOwed]), RecordedChain({0: 0})
    assert auditor.on_chain(chain, SECOND_NS) == []
    chain.move(0, -3)
    assert [finding.scope for finding in auditor.on_chain(chain, SECOND_NS)] == [HaltScope.WITHDRAWALS]
    assert [finding.scope for finding in auditor.on_chain(chain, SECOND_NS)] == [HaltScope.WITHDRAWALS]
    chain.move(0, 1)
    assert [finding.scope for finding in auditor.on_chain(chain, SECOND_NS)] == [HaltScope.VENUE]
    chain.move(0, 2)
    assert auditor.on_chain(chain, SECOND_NS) == []


def test_coins_on_their_way_are_counted_where_they_belong() -> None:
    auditor, chain = Auditor(laws=[ChainsHoldWhatIsOwed]), RecordedChain({0: 100})
    chain.pending_credit[0] = 130  # came in, nobody is credited yet
    chain.pending_change[0] = 20
    chain.pending_debit[0] = 10
    assert auditor.on_chain(chain, SECOND_NS) == []


def test_a_node_that_does_not_answer_is_no_finding_and_no_green() -> None:
    auditor, chain = Auditor(laws=[ChainsHoldWhatIsOwed]), RecordedChain()
    chain.is_down = True
    assert auditor.on_chain(chain, SECOND_NS) == []
    assert not auditor.is_green(10_000 * SECOND_NS)
