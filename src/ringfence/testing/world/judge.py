"""The judge: reads what was published, as anyone may, and holds it against a twin that never crashed."""

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ringfence.exchange.engine import Engine
from ringfence.exchange.feed import FeedReader
from ringfence.messages.batch import Batch, Records
from ringfence.messages.commands import Command, ContractKind, TradingState
from ringfence.messages.events import CancelReason, Event, EventFlag, LiquidationStep
from ringfence.testing.world import venue
from ringfence.units.assets import ASSETS

if TYPE_CHECKING:
    from ringfence.testing.world.world import World

# Plain integers: members are looked up through Python code, and this runs for every batch.
_DEPOSITED, _WITHDRAWN, _INVERSE, _SPOT = (
    int(Event.DEPOSITED), int(Event.WITHDRAWN), int(ContractKind.INVERSE), int(ContractKind.SPOT)
)  # fmt: skip

_HALT_SET = int(Event.HALT_SET)
_STANDS_STILL = [
    int(kind)
    for kind in (
        Event.TRADE, Event.TRIGGERED, Event.FUNDED, Event.LIQUIDATION, Event.DELEVERAGED, Event.ADL_BEGUN,
        Event.COVERED, Event.SETTLED,
    )
]  # fmt: skip

Counts = NDArray[np.int64]
"""How many events there are of each kind."""

Second = Callable[[Batch, Engine], None]
"""Another opinion of each batch and the state after it. Raises AssertionError if it has one."""


class Judge:
    """Follows the feed from its beginning."""

    def __init__(self, world: "World", seconds: list[Second]) -> None:
        self._world = world
        self._reader = FeedReader(world.machine.disks.feed)
        self._seconds = seconds
        self.twin = Engine(accounts=64, orders=64)
        self._timestamp_ns = 0
        self.said = hashlib.sha256()
        """Over everything that was published."""
        self.batches: list[tuple[int, bytes, bytes]] = []
        """First sequence, commands and events of each."""
        self._flows = [0] * len(ASSETS)
        self._fund = venue.fund(world.options.traders)

    @property
    def next_sequence(self) -> int:
        return self._reader.next_sequence

    def drain(self) -> None:
        """Read and judge what was published since."""
        while (batch := self._reader.read()) is not None:
            self._judge(batch)

    def _judge(self, batch: Batch) -> None:
        twin = self.twin
        assert batch.first_sequence == twin.next_sequence, "the sequence has a gap or goes back"
        assert batch.first_event == twin.event_count, "events were lost or doubled"
        assert batch.timestamp_ns >= self._timestamp_ns, "time went back"
        self._timestamp_ns = batch.timestamp_ns
        was_halted = bool(twin.state.header["halted"])
        events = twin.step(batch.commands, timestamp_ns=batch.timestamp_ns)
        raw = events.tobytes()
        assert raw == batch.events.tobytes(), f"the twin disagrees in the batch from {batch.first_sequence}"
        commands = batch.commands.tobytes()
        self.batches.append((batch.first_sequence, commands, raw))
        self.said.update(commands)
        self.said.update(raw)
        self._world.loop.note(b"published %d" % batch.next_sequence)
        kinds = np.bincount(events["kind"], minlength=64).astype(np.int64)
        if was_halted and not kinds[_HALT_SET]:
            assert not kinds[_STANDS_STILL].any(), "something moved while the venue was halted"
        self._count(batch, kinds, events)
        self._check_sums(kinds, events)
        for second in self._seconds:
            second(batch, twin)

    # ---- what must hold after every batch

    def _check_sums(self, kinds: Counts, events: Records) -> None:
        for kind, sign in ((_DEPOSITED, 1), (_WITHDRAWN, -1)):
            if kinds[kind]:
                for event in events[events["kind"] == kind]:
                    self._flows[int(event["symbol"])] += sign * int(event["amount"])
        used = self.twin.state.used()
        positions, instruments, fund = used["positions"], used["instruments"], self._fund
        held = positions[positions["account"] != 0]
        symbols, kind_of = held["symbol"], instruments["kind"]
        by_symbol = np.zeros(len(instruments), np.int64)
        np.add.at(by_symbol, symbols, held["qty"])
        by_symbol[kind_of == _SPOT] = 0
        assert not by_symbol.any(), f"positions do not sum to zero: {by_symbol}"
        costs = np.where((kind_of == _INVERSE)[symbols], held["cost"], -held["cost"])
        settle = instruments["settle"]
        settled_in = settle[symbols]
        for asset in (0, 1):
            wallets = used[f"margins{asset}"]["wallet"]
            fees = instruments["fee_pool"][settle == asset]
            total = int(wallets.sum()) + int(fees.sum()) + int(costs[settled_in == asset].sum())
            assert total == self._flows[asset], (
                f"asset {asset}: {total} is there, {self._flows[asset]} came in"
            )
            assert len(wallets) <= fund or wallets[fund] >= 0, "the insurance fund went below zero"

    def check_engine(self, engine: Engine) -> None:
        """Check that an engine, however it came to be, is where the twin is."""
        assert engine.next_sequence == self.twin.next_sequence, (
            f"the engine is at {engine.next_sequence}, what was published at {self.twin.next_sequence}"
        )
        assert engine.digest() == self.twin.digest(), "the recovered engine is not where it would have been"

    # ---- what was reached

    def _count(self, batch: Batch, kinds: Counts, events: Records) -> None:
        for kind, states in _SEEN:
            if kinds[kind]:
                self._world.reach(states)
        for kind, count in _COUNTERS:
            if kinds[kind]:
                count(self, batch, events[events["kind"] == kind])

    def _count_halts(self, batch: Batch, rows: Records) -> None:
        if (rows["qty"] == TradingState.RUNNING).any():
            self._world.reach("trading goes on after a halt")

    def _count_covered(self, batch: Batch, rows: Records) -> None:
        if any(int(self.twin.margin(int(asset), self._fund)["wallet"]) == 0 for asset in rows["symbol"]):
            self._world.reach("insurance empty")

    def _count_triggered(self, batch: Batch, rows: Records) -> None:
        if np.bincount((rows["sequence"] - batch.first_sequence).astype(np.int64)).max() >= 5:
            self._world.reach("stop cascade of 5")

    def _count_liquidations(self, batch: Batch, rows: Records) -> None:
        steps = np.bincount(rows["px"], minlength=8)
        if steps[LiquidationStep.REDUCED] or steps[LiquidationStep.TIER_LOWERED]:
            self._world.reach("partial liquidation")
        if steps[LiquidationStep.TAKEN_OVER]:
            self._world.reach("full take-over")

    def _count_deleveraged(self, batch: Batch, rows: Records) -> None:
        if len(rows) >= 3:
            self._world.reach("deleveraging of 3 accounts")

    def _count_amended(self, batch: Batch, rows: Records) -> None:
        flags = rows["flags"]
        untriggered = flags & EventFlag.UNTRIGGERED != 0
        if untriggered.any():
            self._world.reach("trailing stop followed")
        if ((flags & EventFlag.BY_ENGINE != 0) & ~untriggered).any():
            self._world.reach("reduce-only clipped")

    def _count_trades(self, batch: Batch, rows: Records) -> None:
        if (rows["account"] == rows["maker_account"]).any():
            self._world.reach("self-trade: allowed")

    def _count_canceled(self, batch: Batch, rows: Records) -> None:
        reasons = np.bincount(rows["flags"], minlength=32)
        if reasons[CancelReason.LINKED]:
            self._world.reach("linked order cancelled")
        if reasons[CancelReason.DAY_ENDED]:
            self._world.reach("session or timer fired")
        if reasons[CancelReason.SELF_TRADE]:
            for event in rows[rows["flags"] == CancelReason.SELF_TRADE]:
                taking = int(event["handle"]) >> 32 == int(event["sequence"]) & 0xFFFFFFFF
                which = "taking" if taking else "resting"
                self._world.reach(f"self-trade: {which} cancelled")

    def _count_position_set(self, batch: Batch, rows: Records) -> None:
        if (batch.commands["kind"] == Command.TRANSFER_MARGIN).any():
            self._world.reach("margin transferred")


_SEEN = tuple(
    (int(kind), state)
    for kind, state in {
        Event.FUNDED: "funding paid", Event.TIMER_FIRED: "session or timer fired",
        Event.SETTLEMENT: "contract settled", Event.COVERED: "insurance paid",
        Event.TRIGGERED: "stop triggered", Event.ADL_BEGUN: "deleveraging",
        Event.TRANSFERRED: "sub-account transfer", Event.HALT_SET: "halted or resumed",
    }.items()
)  # fmt: skip
_COUNTERS = tuple(
    (int(kind), count)
    for kind, count in {
        Event.HALT_SET: Judge._count_halts, Event.COVERED: Judge._count_covered,
        Event.TRIGGERED: Judge._count_triggered,
        Event.LIQUIDATION: Judge._count_liquidations, Event.DELEVERAGED: Judge._count_deleveraged,
        Event.AMENDED: Judge._count_amended, Event.TRADE: Judge._count_trades,
        Event.CANCELED: Judge._count_canceled, Event.POSITION_SET: Judge._count_position_set,
    }.items()
)  # fmt: skip
