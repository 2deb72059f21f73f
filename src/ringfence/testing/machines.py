"""Three machines of one exchange in virtual time: cut off, frozen, killed, and asking for the lead whenever they like.

The machines run the real sequencer, journal, recovery and joining, over disks and a stream that misbehave. They ask for
the lead far more often than heartbeats would let them: that nobody is told two different things must not depend on
when somebody believes to be alone.
"""

import asyncio
import random
from collections.abc import Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import NamedTuple

from ringfence.exchange.journal import FencedError, StreamUnavailableError
from ringfence.exchange.sequencer import Disks, Sequencer, place_in, recover
from ringfence.messages.batch import LEADER, Batch, encode_data
from ringfence.messages.commands import Command, OrderFlag
from ringfence.testing import virtual_time
from ringfence.testing.disk import SimulatedDisk
from ringfence.testing.play import START_NS, command, opening
from ringfence.testing.stream import MemoryStream, Network, Server
from ringfence.units.time import NS_PER_SECOND

MACHINES = 3


class Options(NamedTuple):
    """What a run is like. The safeguards can be taken away, for tests that must notice."""

    seconds: float = 10.0
    look_seconds: float = 0.2
    """How often a machine that follows looks at the stream, on average."""
    orders_per_second: float = 20.0
    asks: float = 0.1
    """How likely a look is followed by asking for the lead."""
    is_fenced: bool = True
    waits_for_stream: bool = True
    snapshot_every: int = 60
    """Commands between two snapshots of a machine."""


class Count(NamedTuple):
    """What a run has come to."""

    told: int
    """Batches that somebody was told of."""
    leads: int
    fenced: int
    deaths: int
    withdrawn: int
    """Last frames that were set aside because the stream did not have them."""
    from_snapshot: int
    """Lives that began with a snapshot and not with the first command."""


class SplitError(AssertionError):
    """Two machines have told different things of one sequence, or one has lost what was told."""


class World:
    """One seed."""

    def __init__(self, seed: int, options: Options) -> None:
        self.dice = random.Random(seed)
        self.options = options
        self.server = Server(is_fenced=options.is_fenced)
        self.machines = [Machine(self, number) for number in range(MACHINES)]
        self.told: dict[int, bytes] = {}
        """What was told of the batch that begins with a sequence: commands and events."""
        self.leads = self.fenced = self.deaths = self.from_snapshot = 0
        self.is_healing = self.is_over = self.is_down = False
        self._tasks: list[asyncio.Task[None]] = []

    def tell(self, batch: Batch) -> None:
        """Somebody tells of a batch. Raises SplitError if it is not what was told before."""
        said = batch.commands.tobytes() + batch.events.tobytes()
        known = self.told.setdefault(batch.first_sequence, said)
        if known != said:
            raise SplitError(f"two different batches were told to begin with sequence {batch.first_sequence}")

    async def run(self) -> Count:
        """Let everything go wrong for a while, then nothing more, and compare. Raises SplitError."""
        tasks = self._tasks = [asyncio.create_task(machine.live()) for machine in self.machines]
        loop = asyncio.get_running_loop()
        until = loop.time() + self.options.seconds
        while loop.time() < until:
            await asyncio.sleep(self.dice.expovariate(2.0))
            for task in tasks:
                if task.done():
                    task.result()
            self._trouble()
        self._heal()
        await asyncio.sleep(10)
        for task in tasks:
            if task.done():
                task.result()
        await self.end()
        self._compare()
        withdrawn = sum(len(machine.disks.journal.names(".fenced")) for machine in self.machines)
        return Count(
            len(self.told), self.leads, self.fenced, self.deaths, withdrawn, self.from_snapshot
        )  # fmt: skip

    async def end(self) -> None:
        """End every machine; what they ended with is known or does not matter."""
        self.is_over = True
        for machine in self.machines:
            machine.end()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _trouble(self) -> None:
        machine = self.dice.choice(self.machines)
        match self.dice.choice(("cut", "mend", "mend", "die", "power cut", "slow", "fast")):
            case "cut":
                machine.network.is_cut = True
            case "mend":
                machine.network.is_cut = False
            case "die":
                machine.end(power_cut=False)
            case "power cut":
                machine.end(power_cut=True)
            case "slow":
                machine.network.delay_seconds, machine.network.loss = 0.5, 0.3
            case _:
                machine.network.delay_seconds, machine.network.loss = 0.005, 0.0

    def _heal(self) -> None:
        self.is_healing = True
        for machine in self.machines:
            machine.network.is_cut, machine.network.loss, machine.network.delay_seconds = False, 0.0, 0.005

    def _compare(self) -> None:
        """Everything that was told must be in every journal, and lead to one state."""
        digests = set()
        for machine in self.machines:
            for disk in machine.disks_of:
                disk.calm()
            recovered = recover(machine.disks)
            digests.add((recovered.engine.next_sequence, recovered.engine.digest()))
            if recovered.engine.next_sequence <= max(self.told, default=-1):
                raise SplitError(f"machine {machine.number} has lost what was told")
            recovered.journal.close()
            recovered.feed.close()
        if len(digests) != 1:
            raise SplitError(f"the machines have come to {len(digests)} different states")


class Machine:
    """One of three, with disks and a way to the stream of its own."""

    def __init__(self, world: World, number: int) -> None:
        self.world, self.number = world, number
        self.new_disks()
        self.network = Network(world.dice, delay_seconds=0.005)
        self.stream = MemoryStream(world.server, self.network)
        self._life: asyncio.Task[None] | None = None
        self._is_stopping = False

    def new_disks(
        self, journal: Mapping[str, bytes] = MappingProxyType({}),
        snapshots: Mapping[str, bytes] = MappingProxyType({}),
    ) -> None:  # fmt: skip
        """Get empty disks, or with these files on them, between two lives."""
        seed = self.world.dice.random()
        self.disks_of = [SimulatedDisk(f"{name} {seed}") for name in ("journal", "feed", "snapshots")]
        for disk, files in ((self.disks_of[0], journal), (self.disks_of[2], snapshots)):
            for name, raw in files.items():
                disk.restore(name, raw)
        on, feed, kept = self.disks_of
        self.disks = Disks(on, feed, kept, segment_bytes=1 << 14, feed_file_bytes=1 << 14)

    async def live(self) -> None:
        """Live one life after the other. Raises SplitError, and what shows that the code is wrong."""
        while not self.world.is_over:
            self._life = asyncio.create_task(self._one_life())
            try:
                await self._life
            except FencedError:
                self.world.fenced += 1
            except asyncio.CancelledError:
                if not self._life.cancelled():
                    raise
            await asyncio.sleep(self.world.dice.uniform(0.1, 2.0))
            while self.world.is_down:
                await asyncio.sleep(1)

    def end(self, *, power_cut: bool = False) -> None:
        """End this life, as a kill or a power cut does."""
        if self._life is None or self._life.done():
            return
        self.world.deaths += 1
        self._life.cancel()
        for disk in self.disks_of:
            if power_cut:
                disk.power_cut()
            else:
                disk.kill()

    async def stop(self) -> None:
        """End this life as an operator does: what was begun is finished, and a snapshot is left."""
        self._is_stopping = True
        if self._life is not None:
            await asyncio.wait([self._life])

    async def _one_life(self) -> None:
        self._is_stopping = False
        number = -1
        while number < 0:
            with suppress(StreamUnavailableError):
                number = await place_in(self.stream, self.disks)
        recovered = recover(self.disks)
        self.world.from_snapshot += recovered.replayed < recovered.engine.next_sequence
        stream = self.stream if self.world.options.waits_for_stream else _Hasty(self.stream)
        sequencer = Sequencer(recovered, self.disks, stream=stream, number=number)
        while not self._is_stopping:
            with suppress(StreamUnavailableError):
                entries = await self.stream.read(sequencer.number + 1)
                for entry in entries:
                    self._tell(sequencer, await sequencer.follow(entry))
                if not entries and self._wants_lead() and await self._ask(sequencer):
                    self.world.leads += 1
                    await self._lead(sequencer)
            await asyncio.sleep(self.world.dice.uniform(0.1, 1.9) * self.world.options.look_seconds)
        sequencer.close(snapshot=True)

    def _tell(self, sequencer: Sequencer, batch: Batch) -> None:
        self.world.tell(batch)
        if sequencer.next_sequence - sequencer.snapshot_sequence >= self.world.options.snapshot_every:
            sequencer.snapshot()

    def _wants_lead(self) -> bool:
        return not self.world.is_healing and self.world.dice.random() < self.world.options.asks

    async def _ask(self, sequencer: Sequencer) -> bool:
        row = command(Command.TICK).tobytes() + encode_data([(LEADER, b"node-%d" % self.number)])
        try:
            self.world.tell(await sequencer.lead(row, timestamp_ns=self._now()))
        except FencedError:
            return False
        return True

    async def _lead(self, sequencer: Sequencer) -> None:
        """Take commands until somebody else does, or until nothing goes wrong any more."""
        accounts = 4
        if sequencer.next_sequence < 20:
            self.world.tell(
                await sequencer.apply(opening(accounts=accounts).tobytes(), timestamp_ns=self._now())
            )
        while not (self.world.is_healing or self._is_stopping):
            await asyncio.sleep(self.world.dice.expovariate(self.world.options.orders_per_second))
            if 0 < sequencer.engine.wake_at_ns <= self._now() or sequencer.engine.has_more_to_do:
                tick = command(Command.TICK).tobytes()
                self._tell(sequencer, await sequencer.apply(tick, timestamp_ns=self._now()))
            dice = self.world.dice
            order = command(
                Command.PLACE, account=dice.randint(1, accounts), symbol=1,
                qty=100 * dice.randint(1, 9), px=10_000 + dice.randint(-20, 20), request=dice.getrandbits(60),
                flags=dice.choice((0, OrderFlag.SELL)),
            )  # fmt: skip
            self._tell(sequencer, await sequencer.apply(order.tobytes(), timestamp_ns=self._now()))

    def _now(self) -> int:
        # The machines' clocks differ by some seconds.
        return (
            START_NS
            + int(asyncio.get_running_loop().time() * NS_PER_SECOND)
            + self.number * 2 * NS_PER_SECOND
        )


class _Hasty(MemoryStream):
    """The fault that must be noticed: what was sent is taken to be there."""

    def __init__(self, real: MemoryStream) -> None:
        super().__init__(real._server, real._network)

    async def append(self, raw: bytes, *, digest: bytes, after: int, notes: dict[str, str]) -> int:
        self._sending = asyncio.create_task(super().append(raw, digest=digest, after=after, notes=notes))
        # Nobody asks what became of it: that is the fault.
        self._sending.add_done_callback(lambda done: done.cancelled() or done.exception())
        return after + 1


def play(seed: int, options: Options = Options()) -> Count:  # noqa: B008
    """Return what one seed comes to. Raises SplitError."""

    async def work() -> Count:
        world = World(seed, options)
        try:
            return await world.run()
        finally:
            await world.end()

    found = virtual_time.run(work())
    assert isinstance(found, Count)
    return found
