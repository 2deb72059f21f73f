"""One run: trouble while traders trade, then everything heals and must come to rest, then the questions."""

import random
from collections import Counter
from typing import NamedTuple

from ringfence.exchange.feed import published_below
from ringfence.messages.commands import Command, HaltScope, MissedFunding, TradingState
from ringfence.messages.records import RECORD_BYTES
from ringfence.testing.play import command
from ringfence.testing.world import venue
from ringfence.testing.world.damage import spoil_feed, spoil_journal, spoil_snapshot
from ringfence.testing.world.fence import fence
from ringfence.testing.world.flow import Flow
from ringfence.testing.world.gateway import Answer, Gateway, Reply, Request
from ringfence.testing.world.judge import Judge
from ringfence.testing.world.judges import second_opinions
from ringfence.testing.world.loop import Loop, Node
from ringfence.testing.world.machine import Core, Machine
from ringfence.testing.world.options import Options
from ringfence.testing.world.oracle import Oracle
from ringfence.testing.world.trader import Trader
from ringfence.units.time import NS_PER_HOUR, NS_PER_MS, NS_PER_SECOND

_PRICE_MS = 40
_THINK_MS = 12
_HEAL_SECONDS_MAX = 30
_TROUBLE_SECONDS_MAX = 20
_STEPS_MAX = 100_000
_LEAPS_NS = (NS_PER_SECOND, 40 * NS_PER_SECOND, NS_PER_HOUR // 3, NS_PER_HOUR)
_JUMPS_NS = (-NS_PER_HOUR, -NS_PER_SECOND, -10 * NS_PER_MS, 20 * NS_PER_MS, NS_PER_HOUR // 4)


class Outcome(NamedTuple):
    """What one run came to."""

    trace: str
    said: str
    """Hash of everything that was published."""
    commands: int
    batches: int
    reached: Counter[str]


class World:
    """Everything there is in one run. `run` once."""

    def __init__(self, options: Options) -> None:
        self.options = options
        seed = options.seed
        # A stream each, so that one more draw in one of them does not reshuffle the others.
        self.schedule = random.Random(f"schedule {seed}")
        self.network = random.Random(f"network {seed}")
        self.clients = random.Random(f"clients {seed}")
        self._trouble = random.Random(f"trouble {seed}")
        self.reached: Counter[str] = Counter()
        self.shed: dict[str, None] = {}
        """Orders that a gateway turned away under load."""
        self.loop = Loop()
        self.machine = Machine(self)
        self.judge = Judge(self, second_opinions())
        self.oracle = Oracle(self)
        self.core = Core(self, self.machine)
        self.gateways = [Gateway(self, number) for number in range(1, options.gateways + 1)]
        self.traders = [Trader(self, account) for account in range(1, options.traders + 1)]
        self.flow = Flow(options)
        self._outside = Node("outside")
        self._begun = 0
        self.is_healing = False

    def reach(self, state: str) -> None:
        self.reached[state] += 1

    # ---- the run

    def run(self) -> Outcome:
        """Raises AssertionError if anything that must hold does not."""
        with fence():
            self.core.start()
            self._found()
            for gateway in self.gateways:
                gateway.start()
            self._plan()
            # Faults that come faster than a slow disk writes let nothing be done: then healing begins earlier.
            trouble_ends_ns = self.loop.now_ns + _TROUBLE_SECONDS_MAX * NS_PER_SECOND
            while self._begun < self.options.operations and self.loop.now_ns < trouble_ends_ns:
                assert self.loop.step()
                assert self.loop.happened < _STEPS_MAX, "it goes round and round"
            self._heal()
            self.oracle.check()
            for gateway in self.gateways:
                self.oracle.check_views(gateway.views)
        judged = self.judge
        commands = sum(len(raw) // RECORD_BYTES for _, raw, _ in judged.batches)
        return Outcome(
            self.loop.trace(), judged.said.hexdigest(), commands, len(judged.batches), self.reached
        )

    def _found(self) -> None:
        """Found the venue before the first fault."""
        cycle = self.core.cycle
        assert cycle is not None
        batch = cycle.begin(venue.founding_of(self.options), now_ns=self.loop.now_ns)
        cycle.step(batch)
        cycle.write(batch)
        cycle.publish(batch)
        self.judge.drain()

    def _plan(self) -> None:
        for trader in self.traders:
            self.loop.after_ms(self.clients.uniform(5, 20), trader, self._act, trader)
        self.loop.after_ms(_PRICE_MS, self._outside, self._publish_price)
        if self.options.faults:
            self._plan_trouble()

    def _heal(self) -> None:
        """End all faults; then everything that was asked for must be answered."""
        self.is_healing = True
        self.machine.mend()
        deadline = self.loop.now_ns + _HEAL_SECONDS_MAX * NS_PER_SECOND
        while not self._is_at_rest():
            assert self.loop.step(), "nothing happens any more, and not everything was answered"
            assert self.loop.now_ns < deadline, f"not at rest in time: {self._what_is_left()}"

    def _is_at_rest(self) -> bool:
        cycle = self.core.cycle
        if cycle is None or not self.core.is_idle or cycle.engine.has_more_to_do:
            return False
        if any(trader.unresolved or trader.under_way for trader in self.traders):
            return False
        return all(g.is_up and g.views.next_sequence == cycle.next_sequence for g in self.gateways)

    def _what_is_left(self) -> str:
        waiting = {t.name: sorted(t.unresolved) for t in self.traders if t.unresolved}
        behind = [g.name for g in self.gateways if g.views.next_sequence != self.judge.next_sequence]
        return f"core serving {self.core.is_serving}, unresolved {waiting}, behind {behind}"

    # ---- traders

    def _act(self, trader: Trader) -> None:
        if self.is_healing:
            return
        if trader.under_way < self.options.window:
            operation = self.flow.draw(trader)
            self._begun += 1
            if self._begun not in self.options.skip:
                trader.begin(operation)
        self.loop.after_ms(self.clients.expovariate(1 / _THINK_MS), trader, self._act, trader)

    def _publish_price(self) -> None:
        if self.is_healing:
            return
        units = self.flow.move()
        if self.core.is_serving:
            for index in (venue.INDEX_XBT, venue.INDEX_TETHER):
                self.core.receive_from_within(command(Command.INDEX, symbol=index, qty=units).tobytes())
        self.loop.after_ms(_PRICE_MS, self._outside, self._publish_price)

    # ---- the network between traders and gateways: a connection for every request

    def carry(self, trader: Trader, request: Request, reply: Reply, *, may_double: bool = False) -> None:
        """Carry a request to some gateway, and its answer back; either may be lost, or late, or come twice.

        A connection delivers what it is given once. That a request arrives twice is the doing of whoever
        sends it again, so it happens only to what is safe to send again.
        """
        times = 2 if may_double and self._strikes("duplicate", 0.3) else 1
        if times == 2:
            assert trader.unresolved
            trader.sends_again(trader.unresolved[request.parameters["clOrdID"]])
        for _ in range(times):
            gateway = self.network.choice(self.gateways)
            if self._strikes("lost_request", 0.06):
                continue
            delay = self.network.uniform(0.2, 5)
            if self._strikes("late_request", 0.04):
                delay = self.network.uniform(50, 700)
            self.loop.after_ms(delay, self._outside, self._deliver, gateway, trader, request, reply)

    def _deliver(self, gateway: Gateway, trader: Trader, request: Request, reply: Reply) -> None:
        if not gateway.is_up:
            return

        def back(answer: Answer) -> None:
            if not self._strikes("lost_answer", 0.06):
                self.loop.after_ms(self.network.uniform(0.2, 5), trader, reply, answer)

        gateway.receive(request, back)

    def _strikes(self, fault: str, chance: float) -> bool:
        return not self.is_healing and self.options.has(fault) and self.network.random() < chance

    def disk_latency_ms(self) -> float:
        usual = self.options.disk_ms * self.schedule.uniform(0.5, 1.5)
        return usual * 20 if self.loop.now_ns < self.machine.slow_until_ns else usual

    # ---- trouble

    def _plan_trouble(self) -> None:
        delay = self._trouble.expovariate(1 / self.options.trouble_ms)
        self.loop.after_ms(delay, self._outside, self._strike)

    def _strike(self) -> None:
        if self.is_healing:
            return
        fault = self._trouble.choice(self.options.faults)
        handler = getattr(self, f"_fault_{fault}", None)
        # A journal that was damaged on purpose is looked at before anything else happens.
        if handler is not None and self.core.damage is None:
            self.loop.note(fault.encode())
            handler()
        self._plan_trouble()

    def stopped_inside(self) -> None:
        """The machine, or the process alone, stopped in the middle of an operation."""
        if self._trouble.random() < 0.7:
            self._fault_power_cut()
        else:
            self.core.die(power=False)

    def _fault_kill(self) -> None:
        self.core.die(power=False)

    def _fault_power_cut(self) -> None:
        self.core.die(power=True)
        for gateway in self.gateways:
            gateway.die()

    def _fault_stop_in_operation(self) -> None:
        self.machine.stop_inside(self._trouble, steps_max=12)
        if self._trouble.random() < 0.6:
            # Let it be in the recovery.
            self.core.die(power=False)
            self.machine.stop_inside(self._trouble, steps_max=8)

    def _fault_gateway_kill(self) -> None:
        self._trouble.choice(self.gateways).die()

    def _fault_line_loss(self) -> None:
        self._trouble.choice(self.gateways).break_line()

    def _fault_disk_error(self) -> None:
        self.machine.break_once(self._trouble)

    def _fault_disk_full(self) -> None:
        self.machine.set_full(True)
        self.reach("disk full")
        self.loop.after_ms(self._trouble.uniform(20, 400), self._outside, self._room_again)

    def _room_again(self) -> None:
        if self.machine.is_full:
            self.machine.set_full(False)
            self.reach("disk full, then recovered")

    def _fault_slow_disk(self) -> None:
        self.machine.slow_until_ns = self.loop.now_ns + self._trouble.randrange(20, 300) * NS_PER_MS

    def _fault_rot(self) -> None:
        self.core.die(power=False)
        # Only the feed and the snapshots know what was acknowledged. If the feed was lost as well, and is not
        # written again yet, a journal that lost its end cannot be told from one that never had it.
        if published_below(self.machine.disks.feed) == self.judge.next_sequence:
            self.core.damage = spoil_journal(self.machine.disks, self._trouble)

    def _fault_snapshot_damage(self) -> None:
        self.core.die(power=False)
        spoil_snapshot(self.machine.disks, self._trouble)

    def _fault_feed_damage(self) -> None:
        self.core.die(power=False)
        if spoil_feed(self.machine.disks, self._trouble):
            self.reach("feed damaged")

    def _fault_clock_jump(self) -> None:
        by = self._trouble.choice(_JUMPS_NS)
        if by < 0:
            self.reach("clock jumped back")
        self.core.jump(by)

    def _fault_halt(self) -> None:
        """A judge halts something; it is lifted in a while, whatever has become of the command."""
        scope = self._trouble.choice((HaltScope.VENUE, HaltScope.CONTRACT, HaltScope.WITHDRAWALS))
        symbol = {HaltScope.VENUE: 0, HaltScope.CONTRACT: venue.INVERSE, HaltScope.WITHDRAWALS: 1}[scope]
        state = TradingState.HALTED
        if scope != HaltScope.WITHDRAWALS:
            state = self._trouble.choice((TradingState.CANCEL_ONLY, TradingState.HALTED))
        if self.core.is_serving:
            halt = command(Command.HALT, type=scope, symbol=symbol, qty=state)
            self.core.receive_from_within(halt.tobytes())
            self.loop.after_ms(self._trouble.uniform(40, 250), self._outside, self._lift, scope, symbol)

    def _lift(self, scope: HaltScope, symbol: int) -> None:
        if not self.core.is_serving:
            self.loop.after_ms(60, self._outside, self._lift, scope, symbol)
            return
        sequence = int(self.judge.twin.state.header["halt_sequence"])
        missed = self._trouble.choice(tuple(MissedFunding))
        lift = command(Command.RESUME, type=scope, symbol=symbol, handle=sequence, qty=missed)
        self.core.receive_from_within(lift.tobytes())

    def _fault_leap(self) -> None:
        """Time passes: the core's clock alone, which is all that the exchange knows of it."""
        self.core.jump(self._trouble.choice(_LEAPS_NS))
