"""A stretch of a venue's life with everything in it: what judges are shown, true or with a lie planted into it."""

import shutil
import tempfile
from pathlib import Path

import numpy as np

from ringfence.assurance.audit.evidence import Evidence
from ringfence.exchange.engine import Engine
from ringfence.exchange.engine.state import State
from ringfence.exchange.journal import Journal, read_frames
from ringfence.exchange.projections import Views
from ringfence.exchange.projections.history import HistoryWriter
from ringfence.messages.batch import CONSTITUENTS, FUNDS, Batch, Records, encode_data
from ringfence.messages.commands import (
    AccountParameter,
    AdlMethod,
    Command,
    HaltScope,
    InstrumentParameter,
    OrderFlag,
    TradingState,
    VenueParameter,
)
from ringfence.messages.constituents import Said, encode_constituents
from ringfence.messages.funds import Closed, Credit, Wish, encode
from ringfence.messages.records import COMMAND
from ringfence.testing.chains import RecordedChain
from ringfence.testing.disk import SimulatedDisk
from ringfence.testing.play import START_NS, command, opening
from ringfence.testing.workloads import turmoil
from ringfence.units.time import NS_PER_HOUR, NS_PER_SECOND

TRADERS = 8
FUND = TRADERS + 1
CUSTODY = FUND + 1
_POOR = (3_000_000, 30_000_000)
"""A few times the margin of one order: a wallet does not last long."""
_AT_ONCE = 30
_SETTLED = 2
_INDEX, _INDEX_PX = 8, 10_000_000


class Stretch:
    """One seed's life: batches, with the engine's tables at some of them, the journal and the history."""

    def __init__(self, seed: int, *, count: int = 900, cuts: int = 10, fund: int = 2_000_000) -> None:
        self._engine = Engine(accounts=64, orders=64)
        self._now_ns = START_NS
        self._snapshots: dict[int, bytes] = {}
        self.batches: list[Batch] = []
        self._step(_founding(fund, AdlMethod.RANKED if seed % 2 else AdlMethod.PRO_RATA))
        self._live(seed, count)
        # Cuts are not taken of the first batches: there is nothing in them yet.
        kept = sorted(self._snapshots)[4:]
        self.cut_at = [kept[k * len(kept) // cuts] for k in range(cuts)]
        self._snapshots = {sequence: self._snapshots[sequence] for sequence in self.cut_at}
        self._disk = SimulatedDisk()
        journal = Journal(self._disk, segment_bytes=1 << 18)
        for batch in self.batches:
            journal.append(batch.commands.tobytes(), timestamp_ns=batch.timestamp_ns)
        journal.close()
        self._folder = tempfile.TemporaryDirectory(prefix="ringfence-stretch-")
        self._database = Path(self._folder.name) / "history.sqlite"
        views, writer = Views(), HistoryWriter(f"sqlite:///{self._database}")
        for batch in self.batches:
            writer.apply(batch, views.apply(batch))
        writer.commit()
        writer.close()

    def close(self) -> None:
        self._folder.cleanup()

    # ---- what judges are shown

    def evidence(self, *, place: int = 0, with_database: bool = True) -> Evidence:
        """Return a copy of everything, to plant a fault into."""
        database = None
        if with_database:
            database = self._database.with_name("edited.sqlite")
            shutil.copyfile(self._database, database)
        evidence = Evidence(
            self.batches, cuts=self.state_at, cut_at=self.cut_at, place=place, database=database,
            disk=self.disk(), chain=RecordedChain({0: 10**6 + 700, 1: 3 * 10**7}),
        )  # fmt: skip
        evidence.frames = list(read_frames(self._disk))
        return evidence

    def state_at(self, sequence: int) -> State:
        """Return the engine's tables as they were before a sequence."""
        return Engine.restore(self._snapshots[sequence], name="cut").state

    def disk(self) -> SimulatedDisk:
        """Return a disk with a copy of the journal."""
        copy = SimulatedDisk()
        for name in self._disk.names(""):
            copy.put(name, self._disk.read(name))
        return copy

    def snapshot_at(self, sequence: int) -> bytes:
        return self._snapshots[sequence]

    # ---- its life

    def _live(self, seed: int, count: int) -> None:
        commands = turmoil(seed, count=count, accounts=TRADERS)
        leaves = commands["kind"] == Command.WITHDRAW
        commands["flags"] = np.where(leaves, OrderFlag.DEMO, commands["flags"])
        self._step(withdrawals(self._engine.next_sequence))
        for begin in range(0, len(commands), _AT_ONCE):
            number = begin // _AT_ONCE
            self._now_ns += 5 * NS_PER_SECOND if number % 15 else 8 * NS_PER_HOUR
            self._step(commands[begin : begin + _AT_ONCE])
            self._drain()
            if number % 3 == 1:
                self._step(self._published())
            if number == 12:
                self._halt_and_go_on()
        self._step(command(Command.SETTLE, symbol=_SETTLED))
        self._drain()
        self._step(command(Command.TICK))

    def _published(self) -> Records:
        """Return the last price of an index once more, with what its constituents say."""
        px = int(self._engine.instrument(_INDEX)["index_px"]) or _INDEX_PX
        said = tuple(
            Said(201 + k, 0, 4_000 - 1_000 * (k % 2), px + apart, 10)
            for k, apart in enumerate((-30, 80, -30))
        )
        rows = command(Command.INDEX, symbol=_INDEX, qty=px).tobytes()
        text = encode_data([(CONSTITUENTS, encode_constituents(0, said))])
        return np.frombuffer(rows + text, COMMAND).copy()

    def _halt_and_go_on(self) -> None:
        """The venue stands still over a payment of funding, and goes on."""
        halt = command(Command.HALT, type=HaltScope.VENUE, qty=TradingState.HALTED)
        self._step(np.concatenate([halt, command(Command.PLACE, account=1, symbol=1, qty=100, px=10_000)]))
        sequence = self._engine.next_sequence - 2
        self._now_ns += 9 * NS_PER_HOUR
        self._step(command(Command.TICK))
        self._step(command(Command.RESUME, type=HaltScope.VENUE, handle=sequence, qty=1))
        self._drain()

    def _drain(self) -> None:
        while self._engine.has_more_to_do or 0 < self._engine.wake_at_ns <= self._now_ns:
            self._step(command(Command.TICK))
        self._step(command(Command.TICK))

    def _step(self, rows: Records) -> None:
        sequence, event = self._engine.next_sequence, self._engine.event_count
        events = self._engine.step(rows, timestamp_ns=self._now_ns).copy()
        self.batches.append(Batch(sequence, self._now_ns, event, rows.copy(), events))
        self._snapshots[self._engine.next_sequence] = b"".join(map(bytes, self._engine.snapshot()))


def _founding(fund: int, adl_method: AdlMethod) -> Records:
    rows = [opening(accounts=0)]
    for account in range(1, FUND + 1):
        rows.append(command(Command.OPEN_ACCOUNT, account=account, handle=1 if account == TRADERS else 0))
        rich = 100 if account == 1 else 1
        coins = (fund, fund) if account == FUND else (_POOR[0] * rich, _POOR[1] * rich)
        for asset, amount in enumerate(coins):
            rows.append(
                command(Command.DEPOSIT, account=account, symbol=asset, qty=amount, flags=OrderFlag.DEMO)
            )
    rows += _of_chains()
    rows.append(command(Command.TRANSFER, account=1, handle=TRADERS, symbol=0, qty=10**6))
    rows.append(command(Command.CONFIGURE_VENUE, type=VenueParameter.FEE_DISCOUNT_1, qty=10))
    rows.append(command(Command.CONFIGURE_ACCOUNT, account=2, type=AccountParameter.FEE_TIER, qty=1))
    rows.append(command(Command.CONFIGURE_ACCOUNT, account=3, type=AccountParameter.CROSS_MODE, qty=1))
    rows.append(command(Command.CONFIGURE_VENUE, type=VenueParameter.INSURANCE_ACCOUNT, qty=FUND))
    for symbol in range(1, 6):
        kind = InstrumentParameter.ADL_METHOD
        rows.append(command(Command.CONFIGURE, symbol=symbol, type=kind, qty=adl_method))
        fee = InstrumentParameter.SETTLEMENT_FEE_PPM
        rows.append(command(Command.CONFIGURE, symbol=symbol, type=fee, qty=500))
    return np.concatenate(rows)


def _of_chains() -> list[Records]:
    """Coins that chains have to hold, and withdrawals of them: one paid with some change back, one given up."""
    rows = [
        command(Command.OPEN_ACCOUNT, account=CUSTODY),
        command(Command.CONFIGURE_VENUE, type=VenueParameter.CUSTODY_ACCOUNT, qty=CUSTODY),
    ]
    for number, (account, asset, amount) in enumerate(((2, 0, 3 * 10**6), (3, 1, 3 * 10**7)), 1):
        credit = command(Command.DEPOSIT, account=account, symbol=asset, qty=amount, px=number)
        rows.append(_with_text(credit, Credit("regtest", f"{number:064x}", 0)))
    return rows


def withdrawals(sequence: int) -> Records:
    """Return two withdrawals, the first of which is asked for at a sequence, and how custody closes them."""
    rows: list[Records] = []
    wish = Wish("bcrt1q", 10**6, 10**6, is_confirmed=True)
    for account, asset in ((2, 0), (3, 1)):
        asked = command(Command.TRANSFER, account=account, handle=CUSTODY, symbol=asset, qty=2 * 10**6)
        rows.append(_with_text(asked, wish))
    second = sequence + len(rows[0])
    left = Closed(sequence, txid=f"{9:064x}")
    for number, (kind, to, asset, amount, closed) in enumerate(
        (
            (Command.WITHDRAW, 0, 0, 2 * 10**6 - 700, left), (Command.TRANSFER, 2, 0, 700, left),
            (Command.TRANSFER, 3, 1, 2 * 10**6, Closed(second, because="given up")),
        ), 3,
    ):  # fmt: skip
        row = command(kind, account=CUSTODY, handle=to, symbol=asset, qty=amount, px=number)
        rows.append(_with_text(row, closed))
    return np.concatenate(rows)


def _with_text(row: Records, said: Wish | Credit | Closed) -> Records:
    raw = row.tobytes() + encode_data([(FUNDS, encode(said))])
    return np.frombuffer(raw, COMMAND).copy()
