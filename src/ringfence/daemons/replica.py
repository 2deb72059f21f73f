"""One machine of several: it follows the stream, and leads it when nobody else does.

Who leads is whoever wrote the last entry of the stream that names a leader. A machine that has not heard of the
leader for a while asks the stream to take such an entry after the last one it has read. Of several, one is let in.
The leader of before may live, and may not know: what it sends to the stream next is refused, so it has acknowledged
nothing since, and ends. Heartbeats only say when it is worth asking; nobody is believed to lead because of one.

A machine that follows applies every entry itself, compares the events with the leader's, and works out each state
root that the leader signed: it is a second opinion on the machine, not on the program, which is the shadow's part.
"""

import asyncio
import logging
import signal
import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ringfence.commitments import ChainError, Root
from ringfence.commitments.root import RootError, decode_root
from ringfence.configuration import Configuration
from ringfence.daemons import cluster
from ringfence.daemons.cluster import ClusterConfig, ClusterError, address_of
from ringfence.daemons.cluster_servers import open_servers, renew
from ringfence.daemons.configuring import settings_of_core
from ringfence.daemons.core_line import Line, RelayedLine, RemoteLine, Sessions, Upstream, listen
from ringfence.daemons.core_loop import Core, attach
from ringfence.daemons.measures.core import serving_replica
from ringfence.daemons.pinned_tls import (
    PinError,
    client_context,
    fingerprints_of,
    peer_fingerprint,
    server_context,
)
from ringfence.exchange.journal import (
    ROOT_NOTE,
    Entry,
    FencedError,
    StreamUnavailableError,
)
from ringfence.exchange.sequencer import Disks, DivergedError, Sequencer, place_in, recover
from ringfence.lines import answering
from ringfence.lines import listen as listen_for_lines
from ringfence.messages.batch import LEADER, encode_data
from ringfence.messages.commands import Command
from ringfence.messages.records import COMMAND
from ringfence.messages.rules import RULES_NEWEST

log = logging.getLogger("ringfence.core")

_RETRY_SECONDS = 0.2
_HEARTBEAT_SECONDS = 0.2
_LOOK_SECONDS = 0.25
"""How often a follower looks at the stream although nothing told it to."""
_LAG_SECONDS = 0.005
_LATELY_SECONDS = 1.0
_KEEP_ENTRIES = 100_000
"""So many entries that every machine has stay in a stream that cannot hold all, for one that comes back."""
_BEHIND_MAX = 200
"""Entries that a successor may have to catch up with: less than a second's."""
_RANK_SECONDS = 0.15
_ASK_BYTES_MAX = 4096
_APART_SECONDS = 2.0
_STATEMENT = ("timestamp_ns", "event_count", "accounts", "journal", "events", "accounts_root", "venue")
_FOLLOWER, _LEADER, _RESIGNED = "follower", "leader", "resigned"


class Heartbeat(msgspec.Struct, frozen=True):
    """What a leader says of itself."""

    node: str
    epoch: int
    """The number of the entry that made it the leader."""
    number: int
    """Of the last entry that it knows to be in the stream."""
    roots: int
    """How many state roots the chain has."""
    successor: str | None = None
    """It leads no more; this machine, or any if the name is empty, may ask for the lead at once."""
    rules: int = 0
    """The newest version of the rules that its build knows; a release that does not say it knows no later ones."""


class Standing(msgspec.Struct, frozen=True):
    """What a machine that follows says of itself."""

    node: str
    number: int
    rules: int = 0
    """As in a heartbeat."""


class Replica:
    """See the module. `run` returns the exit status."""

    def __init__(
        self, directory: Path, config: ClusterConfig, written: Configuration, *,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> None:  # fmt: skip
        self._directory, self._config, self._on_progress = directory, config, on_progress
        self._written = written
        self.role = _FOLLOWER
        self.session = time.time_ns()
        self.relayed: set[RelayedLine] = set()
        self._core: Core | None = None
        self._sessions = Sessions()
        self._heard: Heartbeat | None = None
        self._heard_at = time.monotonic()
        self._woken = asyncio.Event()
        self._leader_is_known = asyncio.Event()
        self._stopping = False
        self._successor: str | None = None
        self._epoch = 0
        self._computed: dict[int, tuple[Root, int]] = {}
        """Roots that we worked out at a leader's places, by sequence, until the leader's own arrive; and where their
        events are counted from."""
        self._held: list[bytes] = []
        self._unchecked = 0
        self._next_standing = 0.0
        self._is_ready = False
        self._standings: dict[str, tuple[Standing, float]] = {}
        """What each other machine has said of itself, and when."""

    # ---- life

    async def run(self) -> int:
        """Follow and lead until asked to stop; return the exit status.

        Raises ClusterError, StreamLostError, FencedError, DivergedError, JournalError, FeedWriteError, NoRootsError,
        UnknownRulesError.
        """
        started = time.monotonic()
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._stop)
        try:
            self._machines = self._read_certificates()
            self._context = server_context(
                self._folder, [self._certificate_of(name) for name in self._others]
            )
            if not self._config.is_etcd:
                cluster.read_login(self._directory)
        except (OSError, ValueError, ssl.SSLError) as error:
            raise ClusterError(f"{cluster.FOLDER}/: {error}. Nothing was started.") from error
        self._servers = await self._until(lambda: open_servers(self._directory, self._config))
        self._stream = await self._until(lambda: self._servers.stream(self._config.stream))
        self._roots = await self._until(lambda: self._servers.stream(self._config.roots_stream))
        disks = Disks.of(self._directory, make=True)
        number = await self._until(lambda: place_in(self._stream, disks))
        recovered = recover(self._directory, on_progress=self._on_progress)
        self._sequencer = Sequencer(recovered, self._directory, stream=self._stream, number=number)
        self._committer, self._gatekeeper = attach(
            self._directory, self._sequencer, machines=self._known_rules
        )
        self._gatekeeper.note_what_is_in_force()
        self._settings = settings_of_core(
            self._directory, self._written, in_force=self._gatekeeper.configuration
        ).core
        await self._servers.listen(self._listen, self._woken.set)
        desk = await listen_for_lines(
            self._directory / cluster.SOCKET, answering(self._answer), line_bytes_max=_ASK_BYTES_MAX
        )
        servers = [await listen(self._directory, self._new_line), await self._listen_to_machines()]
        log.info(
            "follows from entry %d, sequence %d, after %.2f s, %d commands replayed", number,
            self._sequencer.next_sequence, time.monotonic() - started, recovered.replayed,
        )  # fmt: skip
        self._heard_at = time.monotonic()
        try:
            async with serving_replica(self._directory, self._sequencer, lambda: self._core, self._status):
                while not self._stopping:
                    await self._follow()
                    if not self._stopping:
                        await self._lead()
        finally:
            for server in (*servers, desk):
                server.close()
            self._drop_relayed()
            for line in list(self._core.lines.values()) if self._core else ():
                line.abort()
            self._committer.close()
            await self._servers.close()
        self._sequencer.close(snapshot=True)
        log.info("stopped at sequence %d", self._sequencer.next_sequence)
        return 0

    def _stop(self) -> None:
        self._stopping = True
        self._woken.set()
        if self._core is not None:
            self._resign("")

    async def _until(self, work: Callable[[], Any]) -> Any:
        """Return what `work` gives once the stream's servers answer; they may be starting."""
        told = False
        while not self._stopping:
            try:
                return await work()
            except StreamUnavailableError as error:
                if not told:
                    log.warning("waiting for the stream: %s", error)
                    told = True
                await asyncio.sleep(_RETRY_SECONDS)
        raise ClusterError("asked to stop before the stream's servers answered")

    # ---- who is who

    @property
    def _folder(self) -> Path:
        return self._directory / cluster.FOLDER

    @property
    def _others(self) -> list[str]:
        return [name for name in self._config.nodes if name != self._config.node]

    def _certificate_of(self, name: str) -> Path:
        return self._folder / f"{name}.crt"

    def _read_certificates(self) -> dict[str, str]:
        return {known: name for name in self._others for known in fingerprints_of(self._certificate_of(name))}

    def _read_certificates_again(self) -> dict[str, Any]:
        """Take new ones into use; open lines stay. What was dropped still passes the context, and no hello."""
        try:
            machines = self._read_certificates()
            for name in self._others:
                self._context.load_verify_locations(self._certificate_of(name))
            self._context.load_cert_chain(self._folder / "tls.crt", self._folder / "tls.key")
        except (OSError, ValueError, ssl.SSLError) as error:
            return {"error": f"the certificates cannot be read: {error}. Those of before stay in use."}
        self._machines = machines
        return {"node": self._config.node, "certificates": len(machines)}

    async def _meet_servers_again(self) -> dict[str, Any]:
        """Go over to a connection with the password, or the certificates, that are there now."""
        try:
            await renew(self._servers, self._directory, self._config)
        except (OSError, ValueError, StreamUnavailableError) as error:
            return {"error": f"{error}. The connection of before stays in use."}
        return {"node": self._config.node}

    def _machine_of(self, connection: ssl.SSLObject) -> str:
        try:
            return self._machines.get(peer_fingerprint(connection), "")
        except PinError:
            return ""

    # ---- lines

    def _new_line(self) -> asyncio.Protocol:
        return RelayedLine(self) if self._core is None else Line(self._core)

    async def _listen_to_machines(self) -> asyncio.AbstractServer:
        host, port = address_of(self._config.nodes[self._config.node], self._config.node)

        def welcome() -> asyncio.Protocol:
            core = self._core
            return RemoteLine(core, self._sessions, self._machine_of) if core is not None else _Deaf()

        try:
            return await asyncio.get_running_loop().create_server(welcome, host, port, ssl=self._context)
        except OSError as error:
            raise ClusterError(f"cannot listen on {host}:{port}: {error}. Nothing was started.") from error

    @property
    def next_sequence(self) -> int:
        return self._sequencer.next_sequence

    async def connect(self, protocol: Upstream) -> None:
        """See `Relay`."""
        while True:
            await self._leader_is_known.wait()
            heard = self._heard
            if heard is None or heard.node not in self._others:
                raise OSError("no other machine leads")
            host, port = address_of(self._config.nodes[heard.node], heard.node)
            context = client_context(self._folder, self._certificate_of(heard.node))
            try:
                await asyncio.get_running_loop().create_connection(lambda: protocol, host, port, ssl=context)
                return
            except (OSError, ssl.SSLError):
                await asyncio.sleep(_RETRY_SECONDS)

    def lost(self) -> None:
        """See `Relay`."""
        log.warning("a line to the leader is lost; the gateways here ask what became of their commands")
        self._drop_relayed()

    def _drop_relayed(self) -> None:
        self.session += 1
        for line in list(self.relayed):
            line.abort()

    def _wake_lines(self) -> None:
        for line in self.relayed:
            line.tell(self.next_sequence)

    # ---- hearing

    def _listen(self, subject: str, body: bytes) -> None:
        with suppress(msgspec.MsgspecError):
            if subject == cluster.HEARTBEATS:
                self._hear(msgspec.json.decode(body, type=Heartbeat))
            elif subject == cluster.STANDINGS:
                said = msgspec.json.decode(body, type=Standing)
                self._standings[said.node] = said, time.monotonic()

    def _hear(self, heard: Heartbeat) -> None:
        before = self._heard
        if heard.node == self._config.node or (before is not None and heard.epoch < before.epoch):
            return
        is_new = before is None or heard.epoch != before.epoch
        # Who has resigned leads no more in this epoch: what it said of its last batch may come after its last word.
        if not is_new and before is not None and before.successor is not None and heard.successor is None:
            return
        self._heard = heard
        if heard.successor is None:
            self._heard_at = time.monotonic()
            self._leader_is_known.set()
        else:
            self._leader_is_known.clear()
        if is_new and self._core is None:
            self._drop_relayed()
        self._woken.set()

    async def _say_standing(self) -> None:
        """Say how far we are, now and then."""
        now = time.monotonic()
        if now < self._next_standing:
            return
        self._next_standing = now + _HEARTBEAT_SECONDS
        said = Standing(self._config.node, self._sequencer.number, RULES_NEWEST)
        await self._servers.say(cluster.STANDINGS, msgspec.json.encode(said))

    def _heard_lately(self) -> dict[str, Standing]:
        now = time.monotonic()
        return {
            name: said
            for name, (said, at) in sorted(self._standings.items())
            if now - at < _LATELY_SECONDS and name in self._others
        }

    def _followers(self) -> dict[str, int]:
        """Return how far those are who were heard lately."""
        return {name: said.number for name, said in self._heard_lately().items()}

    def _known_rules(self) -> dict[str, int | None]:
        """Return which rules each other machine knows, None of one that was not heard lately."""
        known = {name: said.rules for name, said in self._heard_lately().items()}
        heard = self._heard
        if heard is not None and self._core is None and time.monotonic() - self._heard_at < _LATELY_SECONDS:
            known[heard.node] = heard.rules
        return {name: known.get(name) for name in self._others}

    def _may_ask(self) -> bool:
        """Return whether it is time to ask for the lead."""
        heard = self._heard
        if not self._config.may_lead:
            return False
        if heard is not None and heard.successor is not None and heard.number <= self._sequencer.number:
            if heard.successor == self._config.node:
                return True
            if not heard.successor:
                return time.monotonic() - self._heard_at > _RANK_SECONDS * (1 + self._config.rank)
        silence = self._config.silence_seconds + _RANK_SECONDS * self._config.rank
        return time.monotonic() - self._heard_at > silence

    # ---- following

    async def _follow(self) -> None:
        """Return when this machine leads, or is asked to stop."""
        while not self._stopping:
            self._woken.clear()
            await self._say_standing()
            try:
                if not await self._take_entries():
                    await self._take_roots()
                    self._is_ready = True
                    if self._may_ask() and await self._ask_for_lead():
                        return
            except StreamUnavailableError as error:
                log.info("the stream does not answer: %s", error)
            self._collect()
            await self._wait()

    async def _wait(self) -> None:
        """Wait until something is told, or shortly if the stream's nearest server lags behind what was told."""
        if self._heard is not None and self._heard.number > self._sequencer.number:
            await asyncio.sleep(_LAG_SECONDS)
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), _LOOK_SECONDS)

    async def _take_entries(self) -> bool:
        """Apply what the stream has; return whether there may be more."""
        entries = await self._stream.read(self._sequencer.number + 1)
        if entries:
            # Somebody writes; whoever has just begun to lead may not have been heard yet.
            self._heard_at = time.monotonic()
        for entry in entries:
            self._begin_root(entry)
            batch = await self._sequencer.follow(entry)
            self._committer.take(batch)
            self._gatekeeper.follow(batch.commands)
            self._gatekeeper.note_what_is_in_force()
            self._wake_lines()
            if (
                self._sequencer.engine.next_sequence - self._sequencer.snapshot_sequence
                >= self._settings.snapshot_commands
            ):
                self._sequencer.begin_snapshot()
        return bool(entries)

    def _begin_root(self, entry: Entry) -> None:
        """Work out a root where the leader began with one."""
        if ROOT_NOTE not in entry.notes:
            return
        self._keep_root(self._committer.collect(now_ns=time.time_ns(), waits=True))
        self._committer.begin_now(now_ns=time.time_ns(), journal=self._sequencer.journal_head)

    def _collect(self) -> None:
        self._keep_root(self._committer.collect(now_ns=time.time_ns()))
        if self._sequencer.collect_snapshot() is False:
            log.error("a snapshot failed; the journal is whole, the next one is tried in a while")

    def _keep_root(self, root: Root | None) -> None:
        if root is not None:
            self._computed[root.sequence] = root, self._committer.collected_since

    async def _take_roots(self) -> None:
        """Put the leader's roots into our chain, those that we have worked out compared. Raises DivergedError."""
        if not self._held:
            self._held = [entry.raw for entry in await self._roots.read(self._committer.roots + 1)]
        while self._held and self._take_root(self._held[0]):
            self._held.pop(0)

    def _take_root(self, raw: bytes) -> bool:
        """Put a root into the chain; False if it has to wait for our own."""
        try:
            theirs = decode_root(raw)
        except RootError as error:
            raise DivergedError(f"the stream of roots holds something else: {error}") from error
        here = self._sequencer.next_sequence
        if theirs.sequence > here:
            return False
        ours = self._computed.pop(theirs.sequence, None)
        if ours is None and self._committer.is_under_way_at(theirs.sequence):
            return False
        if ours is None and theirs.sequence == here and self._committer.begin_now(
            now_ns=time.time_ns(), journal=self._sequencer.journal_head
        ):  # fmt: skip
            return False
        if ours is not None and (different := self._differences(*ours, theirs)):
            raise DivergedError(
                f"the state at sequence {theirs.sequence} is another one here than at the leader: "
                f"{', '.join(different)}. This machine stops; compare `ringfence journal replay` on both."
            )
        try:
            self._committer.put(theirs)
        except ChainError as error:
            raise DivergedError(f"the leader's root does not continue our chain: {error}") from error
        self._gatekeeper.note(theirs)
        if ours is None:
            self._unchecked += 1
            self._committer.start_over()
        return True

    def _differences(self, ours: Root, since: int, theirs: Root) -> list[str]:
        """Return in what two roots differ that say something of the state.

        The events between roots are left out where a root that was begun did not come: the leader died with it.
        Batch by batch they were compared already.
        """
        if since != self._committer.last_sequence:
            ours = ours._replace(events=theirs.events)
        return [name for name in _STATEMENT if getattr(ours, name) != getattr(theirs, name)]

    # ---- leading

    async def _ask_for_lead(self) -> bool:
        log.warning("nobody leads: asking for it after entry %d", self._sequencer.number)
        row = np.zeros(1, COMMAND)
        row["kind"] = Command.TICK
        commands = row.tobytes() + encode_data([(LEADER, self._config.node.encode())])
        try:
            batch = await self._sequencer.lead(commands, timestamp_ns=time.time_ns())
        except FencedError:
            log.info("another machine was let in first")
            self._heard_at = time.monotonic()
            return False
        self._committer.take(batch)
        self._epoch = self._sequencer.number
        return True

    async def _lead(self) -> None:
        """Lead until somebody else does or we are asked to stop or to hand over."""
        self._drop_relayed()
        await self._until(self._catch_up_with_roots)
        core = Core(
            self._sequencer, self._committer, self._gatekeeper, self._settings, write_root=self._write_root,
            on_batch=self._say_soon,
        )  # fmt: skip
        self._core, self.role = core, _LEADER
        # Who came back meanwhile was given a line to the leader of before, which may be frozen and never hang up.
        self._drop_relayed()
        log.warning("leads from entry %d, sequence %d", self._epoch, self._sequencer.next_sequence)
        await self._say()
        beats = asyncio.create_task(self._beat())
        apart = asyncio.create_task(self._keep_apart())
        try:
            await core.run()
        finally:
            beats.cancel()
            apart.cancel()
        self.role = _RESIGNED
        await self._say()
        if not self._stopping:
            await self._follow_again(core)

    async def _follow_again(self, core: Core) -> None:
        """Follow whoever leads next. Nothing is ahead of the stream here: all that was taken is in it."""
        self._core, self.role, self._successor = None, _FOLLOWER, None
        self._heard, self._heard_at = None, time.monotonic()
        self._leader_is_known.clear()
        # Their gateways ask on the next line what became of their commands.
        for line in list(core.lines.values()):
            line.abort()
        await self._until(self._catch_up_with_roots)
        log.warning("follows again from entry %d", self._sequencer.number)

    async def _catch_up_with_roots(self) -> None:
        """Take every root that earlier leaders have signed; what we began with for ourselves is dropped."""
        self._committer.collect(now_ns=time.time_ns(), waits=True)
        self._computed.clear()
        self._held.clear()
        while entries := await self._roots.read(self._committer.roots + 1):
            for root in (decode_root(entry.raw) for entry in entries):
                self._committer.put(root)
                self._gatekeeper.note(root)
        self._committer.start_over()

    async def _write_root(self, root: Root) -> Root:
        """Sign a root and give it to every machine before it is shown to anybody."""
        chained = self._committer.chained(root)
        try:
            await self._roots.append(
                chained.encode(), digest=chained.digest, after=self._committer.roots, notes={}
            )
        except FencedError:
            # The leader before us had one more under way when it was fenced; it is of a state that was published.
            await self._until(self._catch_up_with_roots)
            raise OSError("an earlier leader's last root came first") from None
        await asyncio.get_running_loop().run_in_executor(None, self._committer.put, chained)
        return chained

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(_HEARTBEAT_SECONDS)
            await self._say()

    def _say_soon(self) -> None:
        """Tell followers of a batch, so that they need not wait until they look."""
        self._nudging = asyncio.get_running_loop().create_task(
            self._servers.nudge(cluster.HEARTBEATS, self._heartbeat())
        )

    async def _say(self) -> None:
        await self._servers.say(cluster.HEARTBEATS, self._heartbeat())

    def _heartbeat(self) -> bytes:
        said = Heartbeat(
            node=self._config.node, epoch=self._epoch, number=self._sequencer.number, roots=self._committer.roots,
            successor=(self._successor or "") if self.role == _RESIGNED else None, rules=RULES_NEWEST,
        )  # fmt: skip
        return msgspec.json.encode(said)

    async def _keep_apart(self) -> None:
        """Have the streams led by servers on other machines: the loss of this one then stops neither for long."""
        own = self._config.nodes[self._config.node].server
        while True:
            # To a server whose machine is heard of: one that is away would be waited for by all.
            followers = self._followers()
            await self._servers.keep_off(own, [self._config.nodes[name].server for name in followers])
            if len(followers) == len(self._others):
                with suppress(StreamUnavailableError):
                    await self._stream.trim(min(followers.values()) - _KEEP_ENTRIES)
                    await self._roots.trim(self._committer.roots - _KEEP_ENTRIES)
            await asyncio.sleep(_APART_SECONDS)

    def _resign(self, successor: str) -> None:
        """Take nothing more from anybody, finish what has arrived, and let another machine lead."""
        assert self._core is not None
        self._successor = successor
        for line in self._core.lines.values():
            line.hold(True)
        self._core.stop()

    # ---- `ringfence cluster`

    def _answer(self, line: bytes) -> dict[str, Any] | Awaitable[dict[str, Any]]:
        try:
            asked = msgspec.json.decode(line, type=dict[str, str])
        except msgspec.MsgspecError:
            return {"error": "this is no question"}
        if asked.get("ask") == "status":
            return self._status()
        if asked.get("ask") == "certificates":
            return self._read_certificates_again()
        if asked.get("ask") == "servers":
            return self._meet_servers_again()
        if asked.get("ask") == "hand-over":
            return self._hand_over(asked.get("to", ""))
        return {"error": "nobody knows what is asked"}

    def _status(self) -> dict[str, Any]:
        heard = self._heard
        leader = self._config.node if self._core is not None else heard.node if heard else None
        return {
            "node": self._config.node, "role": self.role, "leader": leader,
            "epoch": self._epoch if self._core is not None else heard.epoch if heard else 0,
            "number": self._sequencer.number, "sequence": self._sequencer.next_sequence,
            "behind": 0 if self._core is not None or heard is None else max(0, heard.number - self._sequencer.number),
            "silentSeconds": 0.0 if self._core is not None else round(time.monotonic() - self._heard_at, 3),
            "followers": self._followers(), "roots": self._committer.roots,
            "rootsUnchecked": self._unchecked, "ready": self._is_ready,
            "rules": self._sequencer.engine.rules, "rulesNewest": RULES_NEWEST, "rulesKnown": self._known_rules(),
        }  # fmt: skip

    def _hand_over(self, to: str) -> dict[str, Any]:
        if self._core is None:
            return {"error": "this machine does not lead; nothing was done"}
        if to and to not in self._others:
            return {"error": f"there is no other machine {to!r}; nothing was done"}
        followers = self._followers()
        behind = self._sequencer.number - followers.get(to, max(followers.values(), default=-1))
        if (to and to not in followers) or not followers or behind > _BEHIND_MAX:
            named = to or "any other machine"
            return {"error": f"{named} is not here or not as far as this one: {followers}; nothing was done"}
        self._resign(to)
        return {"node": self._config.node, "successor": to or "any"}


class _Deaf(asyncio.Protocol):
    """What other machines get from one that does not lead: nothing."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()
