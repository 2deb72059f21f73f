"""One machine: three folders on its disk, and the core process that runs on it."""

import errno
import random
from typing import TYPE_CHECKING

from ringfence.exchange.feed import FeedWriteError
from ringfence.exchange.journal import (
    JournalCorruptError,
    JournalGapError,
    JournalReadError,
    JournalWriteError,
)
from ringfence.exchange.sequencer import (
    Alarm,
    Cycle,
    Disks,
    Inbox,
    InFlight,
    recover,
    remove_old_snapshots,
    write_snapshot,
)
from ringfence.messages.load import ShedReason
from ringfence.messages.records import RECORD_BYTES
from ringfence.testing.disk import DAMAGES, PowerCutError, SimulatedDisk
from ringfence.testing.world.damage import Damage
from ringfence.testing.world.loop import Node

if TYPE_CHECKING:
    from ringfence.testing.world.gateway import Line
    from ringfence.testing.world.world import World

_WATCH_MS = 50
_RESTART_MS = (20, 150)


class Machine:
    """The disks, and what is done to all of them at once."""

    def __init__(self, world: "World") -> None:
        options = world.options
        journal, feed, snapshots = (
            SimulatedDisk(f"{name} {options.seed}", damages=DAMAGES)
            for name in ("journal", "feed", "snapshots")
        )
        self.disks = Disks(journal, feed, snapshots, options.segment_bytes, options.feed_file_bytes)
        self._world = world
        self.is_full = False
        self.slow_until_ns = 0

    def each(self) -> list[SimulatedDisk]:
        found = []
        for disk in self.disks[:3]:
            assert isinstance(disk, SimulatedDisk)
            found.append(disk)
        return found

    def power_cut(self) -> None:
        for disk in self.each():
            disk.power_cut()
        self._world.reach("power cut")

    def kill(self) -> None:
        for disk in self.each():
            disk.kill()
        self._world.reach("killed")

    def stop_inside(self, dice: random.Random, *, steps_max: int) -> None:
        """Let the machine stop inside one of the next operations of a disk."""
        dice.choice(self.each()).stop_after(dice.randrange(steps_max))

    def break_once(self, dice: random.Random) -> None:
        disk = dice.choice(self.each())
        # What the core wrote to the feed a moment ago is read from the cache, which does not fail.
        operations = ["write", "sync", "create"] + ["read"] * (disk is not self.disks.feed)
        disk.fail(dice.choice(operations), errno.EIO, after=dice.randrange(6))

    def set_full(self, is_full: bool) -> None:
        self.is_full = is_full
        for disk in self.each():
            disk.is_full = is_full

    def mend(self) -> None:
        """Heal: from now on the disks do what they are asked."""
        self.set_full(False)
        self.slow_until_ns = 0
        for disk in self.each():
            disk.calm()


class Core(Node):
    """The core process, again and again: the real recovery, cycle and inbox on simulated disks."""

    def __init__(self, world: "World", machine: Machine) -> None:
        super().__init__("core")
        self._world, self._machine = world, machine
        self.cycle: Cycle | None = None
        self.lines: list[Line] = []
        self._clock_offset_ns = 0
        self._lives = 0
        self.damage: Damage | None = None
        """What was done to the files while the core was down; it must not start on it."""

    # ---- life

    def start(self) -> None:
        world = self._world
        self._lives += 1
        try:
            recovered = recover(self._machine.disks)
        except PowerCutError:
            world.reach("crash inside recovery")
            world.stopped_inside()
            return
        except (JournalReadError, JournalWriteError, FeedWriteError) as error:
            world.reach("disk failed while starting")
            self._exit(str(error))
            return
        except (JournalCorruptError, JournalGapError) as error:
            world.oracle.refused(self.damage, error)
            self.damage = None
            self._exit(str(error))
            return
        world.oracle.started(self.damage)
        self.damage = None
        if self._machine.is_full:
            world.reach("started on a full disk")
        if recovered.journal.torn_tail:
            world.reach("torn tail set aside")
        if self._lives > 1:
            world.reach("core started again")
        self.cycle = Cycle(recovered.engine, recovered.journal, recovered.feed)
        self._inbox = Inbox(batch_slots=world.options.batch_slots, queue_slots=world.options.queue_slots)
        self._alarm = Alarm()
        self._is_busy, self._is_feed_suspect = False, True
        self._note_snapshot(recovered.engine.next_sequence - recovered.replayed)
        world.judge.check_engine(recovered.engine)
        world.loop.after_ms(_WATCH_MS, self, self._watch)

    def _note_snapshot(self, used: int) -> None:
        """Count whether the newest snapshot served, an older one, or none."""
        self._snapshot_sequence = used
        if used:
            self._world.reach("started from a snapshot")
        names = self._machine.disks.snapshots.names(".snapshot")
        if names and used < int(names[-1].split(".")[0]):
            self._world.reach("damaged snapshot passed over")
            if used:
                self._world.reach("snapshot fallback")

    def _exit(self, why: str) -> None:
        """The process ends by itself; the supervisor starts it again."""
        self._world.loop.note(why.encode())
        self.die(power=False)

    def die(self, *, power: bool) -> None:
        """End this life; the supervisor starts the next one in a while."""
        self.end_life()
        self.cycle = None
        lines, self.lines = self.lines, []
        for line in lines:
            line.hang_up()
        if power:
            self._machine.power_cut()
        else:
            self._machine.kill()
        self._world.loop.after_ms(self._world.schedule.uniform(*_RESTART_MS), self, self.start)

    @property
    def is_serving(self) -> bool:
        return self.cycle is not None

    def now_ns(self) -> int:
        return self._world.loop.now_ns + self._clock_offset_ns

    def jump(self, by_ns: int) -> None:
        self._clock_offset_ns += by_ns

    # ---- work

    @property
    def is_idle(self) -> bool:
        return not self._is_busy and not self._inbox

    def receive_from_within(self, slots: bytes) -> None:
        """Take what the price feed sends on its own line."""
        self._inbox.submit(slots, origin=1000, now_ns=self._world.loop.now_ns)
        self._turn()

    def receive(self, line: "Line", slots: bytes) -> None:
        if line.is_up:
            self._inbox.submit(slots, origin=line.origin, now_ns=self._world.loop.now_ns)
            self._tell_sheds()
            self._turn()

    def tick(self) -> None:
        if self.cycle is not None:
            self._inbox.tick()
            self._turn()

    def _watch(self) -> None:
        assert self.cycle is not None
        if self._alarm.is_due(self.now_ns(), wake_at_ns=self.cycle.engine.wake_at_ns):
            self.tick()
        self._world.loop.after_ms(_WATCH_MS, self, self._watch)

    def _tell_sheds(self) -> None:
        """Tell gateways what was not taken, over the lines that it came on."""
        by_origin: dict[int, list[tuple[int, ShedReason]]] = {}
        for shed in self._inbox.collect_sheds():
            self._world.reach(f"shed by the core: {shed.reason.name}")
            by_origin.setdefault(shed.origin, []).append((shed.token, shed.reason))
        for line in self.lines:
            if line.origin in by_origin:
                line.tell_sheds(by_origin[line.origin])

    def _turn(self) -> None:
        """Begin a batch if none is under way and something has arrived."""
        if self._is_busy or not self._inbox:
            return
        assert self.cycle is not None
        self._began_ns = self._world.loop.now_ns
        commands = self._inbox.take(now_ns=self._began_ns)
        self._tell_sheds()
        if not commands:
            return
        self._is_busy = True
        batch = self.cycle.begin(commands, now_ns=self.now_ns())
        engine_first = self._world.schedule.random() < 0.5
        if engine_first:
            self.cycle.step(batch)
        self._world.loop.after_ms(self._world.disk_latency_ms(), self, self._write, batch)

    def _write(self, batch: InFlight) -> None:
        assert self.cycle is not None
        world = self._world
        try:
            self.cycle.write(batch)
            if batch.events is None:
                self.cycle.step(batch)
            self.cycle.publish(batch)
        except PowerCutError:
            world.reach("crash inside a write")
            world.oracle.in_flight(batch)
            world.stopped_inside()
            return
        except (JournalWriteError, FeedWriteError) as error:
            world.reach("disk failed")
            world.oracle.in_flight(batch)
            self._exit(str(error))
            return
        self._is_busy = False
        took_ns = world.loop.now_ns - self._began_ns
        self._inbox.drained(len(batch.commands) // RECORD_BYTES, took_ns=took_ns)
        world.judge.drain()
        for line in self.lines:
            line.tell(self.cycle.next_sequence)
        if self.cycle.engine.has_more_to_do:
            self._inbox.tick()
        if self.cycle.engine.next_sequence - self._snapshot_sequence >= world.options.snapshot_every:
            self._snapshot_sequence = self.cycle.engine.next_sequence
            if not self._snapshot():
                return
        self._turn()

    def _snapshot(self) -> bool:
        """Write a snapshot as the forked child does; False if the machine stopped meanwhile."""
        assert self.cycle is not None
        try:
            write_snapshot(self.cycle.engine, self._machine.disks, is_feed_suspect=self._is_feed_suspect)
            self._is_feed_suspect = False
            remove_old_snapshots(self._machine.disks)
        except PowerCutError:
            self._world.reach("crash inside a snapshot")
            self._world.stopped_inside()
            return False
        except OSError:
            self._is_feed_suspect = True
            self._world.reach("snapshot failed")
        return True
