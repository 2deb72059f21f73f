"""A gateway without its sockets: the real views, feed reader, command texts and bookkeeping of outcomes."""

import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ringfence.exchange.feed import FeedReader
from ringfence.exchange.gateway import commands
from ringfence.exchange.gateway.errors import Refused, overloaded, unavailable
from ringfence.exchange.gateway.pending import Pending
from ringfence.exchange.projections import Changes, Result, Views
from ringfence.messages.commands import Command
from ringfence.messages.load import ShedReason
from ringfence.testing.world.loop import Node

if TYPE_CHECKING:
    from ringfence.testing.world.world import World

_RECONNECT_MS = 30
_HOLD_MS = 60
"""So long a request waits for a line; sometimes that is enough."""
_LINE_MS = (0.05, 2.0)


class Line:
    """A gateway's connection to the core: in order, reliable, and gone for both when it is gone."""

    def __init__(self, world: "World", gateway: "Gateway", origin: int) -> None:
        self._world, self._gateway, self.origin = world, gateway, origin
        self.is_up = True
        self._up_ns = self._down_ns = 0
        """When the last message of each direction arrives: none overtakes another."""
        self.under_way = 0

    def send(self, slots: bytes) -> None:
        """Carry slots to the core, which may be gone when they arrive."""
        self._up_ns = self._arrival(self._up_ns)
        self.under_way += 1
        core = self._world.core
        self._world.loop.after(self._up_ns - self._world.loop.now_ns, core, self._arrive, slots)

    def _arrive(self, slots: bytes) -> None:
        self.under_way -= 1
        self._world.core.receive(self, slots)

    def tell(self, next_sequence: int) -> None:
        self._down_ns = self._arrival(self._down_ns)
        delay = self._down_ns - self._world.loop.now_ns
        self._world.loop.after(delay, self._gateway, self._gateway.hear, self, next_sequence)

    def tell_sheds(self, sheds: list[tuple[int, ShedReason]]) -> None:
        self._down_ns = self._arrival(self._down_ns)
        delay = self._down_ns - self._world.loop.now_ns
        self._world.loop.after(delay, self._gateway, self._gateway.hear_sheds, self, sheds)

    def _arrival(self, earliest_ns: int) -> int:
        delay_ms = self._world.network.uniform(*_LINE_MS)
        return max(earliest_ns, self._world.loop.now_ns + int(delay_ms * 1e6))

    def hang_up(self) -> None:
        if self.is_up:
            self.is_up = False
            if self.under_way:
                self._world.reach("line lost with commands on it")
            self._gateway.lost(self)


class Request(NamedTuple):
    """What a trader asks for. `expires_ns` is signed with it."""

    account: int
    operation: str
    parameters: dict[str, Any]
    expires_ns: int


class Answer(NamedTuple):
    """What a trader is told."""

    status: int
    """200, 400 refused by the engine, 401 stale, 503 nothing was done."""
    order_id: str = ""
    reject: int = 0
    token: int = 0


Reply = Callable[[Answer], None]


class Gateway(Node):
    """One gateway process."""

    def __init__(self, world: "World", number: int) -> None:
        super().__init__(f"gateway {number}")
        self._world, self._number = world, number
        self._checkpoint: tuple[Views, dict[str, str]] | None = None
        self.is_up = False
        self._lives = 0

    # ---- life

    def start(self) -> None:
        self._lives += 1
        # Tokens of different gateways and lives are never the same.
        self._tokens = itertools.count((self._number * 1000 + self._lives) * 1_000_000 + 1)
        self.pending = Pending()
        self._line: Line | None = None
        self._is_holding, self._hold = False, 0
        if self._lives > 1:
            self._world.reach("gateway started again")
        if self._checkpoint is None or self._world.schedule.random() < 0.25:
            if self._lives > 1:
                self._world.reach("gateway rebuilt its views")
            self._checkpoint = Views(), {}
        self.views, self.orders = self._checkpoint
        """Orders by clOrdID, for ever: what the history process would know."""
        self._reader = FeedReader(self._world.machine.disks.feed, next_sequence=self.views.next_sequence)
        self.is_up = True
        self._connect()

    def die(self) -> None:
        """End this life. The views stay as a checkpoint of exactly what they held."""
        self.end_life()
        self.is_up = False
        if self._line is not None:
            self._line.hang_up()
        self._world.loop.after_ms(self._world.schedule.uniform(5, 60), self, self.start)

    def _connect(self) -> None:
        core = self._world.core
        if not core.is_serving:
            self._world.loop.after_ms(_RECONNECT_MS, self, self._connect)
            return
        self._awaits_greeting = True
        self._line = Line(self._world, self, self._number)
        core.lines.append(self._line)
        assert core.cycle is not None
        self._line.tell(core.cycle.next_sequence)

    def lost(self, line: Line) -> None:
        if line is not self._line:
            return
        self._line = None
        if self.is_up:
            self.pending.lost()
            if not self._is_holding:
                self._is_holding, self._hold = True, self._hold + 1
                self._world.loop.after_ms(_HOLD_MS, self, self._stop_holding, self._hold)
            self._world.loop.after_ms(_RECONNECT_MS, self, self._connect)

    def _stop_holding(self, hold: int) -> None:
        if self._is_holding and hold == self._hold:
            self._is_holding = False
            self.pending.refuse_held("the matching engine is restarting")

    def _settle(self) -> None:
        self.pending.settle(is_again=self._is_holding)
        self._is_holding = False

    def break_line(self) -> None:
        if self._line is not None:
            line = self._line
            if line in self._world.core.lines:
                self._world.core.lines.remove(line)
            line.hang_up()

    # ---- the feed

    def hear(self, line: Line, next_sequence: int) -> None:
        if line is not self._line:
            return
        if self._awaits_greeting:
            self._awaits_greeting = False
            token = next(self._tokens)
            self.pending.barrier(token, self._settle)
            line.send(commands.pack(Command.TICK, request=token))
        while self.views.next_sequence < next_sequence:
            batch = self._reader.read()
            if batch is None:
                break
            self._take(self.views.apply(batch, reports_for=()))

    def hear_sheds(self, line: Line, sheds: list[tuple[int, ShedReason]]) -> None:
        if line is self._line:
            self.pending.shed(sheds)

    def _take(self, changes: Changes) -> None:
        for order, is_new in changes.orders.values():
            if is_new and order.clordid:
                self.orders[order.clordid] = order.order_id
        self.pending.hear(changes.results)

    # ---- requests

    def receive(self, request: Request, reply: Reply) -> None:
        """Answer a request, now or when its outcome is known."""
        if request.expires_ns < self._world.loop.now_ns:
            self._world.reach("stale request refused")
            reply(Answer(401))
            return
        token = next(self._tokens)
        try:
            self._check_open(request)
            slots = self._command(request, token)
        except Refused as refused:
            reply(Answer(refused.status))
            return

        def done(outcome: Sequence[Result] | Refused) -> None:
            reply(self._outcome(request, token, outcome))

        def again() -> bool:
            line, is_late = self._line, request.expires_ns < self._world.loop.now_ns
            if line is not None and not is_late:
                self._world.reach("sent again over a new line")
                line.send(slots)
            return line is not None and not is_late

        self.pending.add([token], done, again=again, is_held=self._is_holding)
        if not self._is_holding:
            assert self._line is not None
            self._line.send(slots)

    def _check_open(self, request: Request) -> None:
        if self._line is None and not self._is_holding:
            raise unavailable("the matching engine is restarting")
        if request.operation == "place" and len(self.pending) >= self._world.options.pending_max:
            self._world.shed[request.parameters["clOrdID"]] = None
            raise overloaded("queueFull")

    def _command(self, request: Request, token: int) -> bytes:
        account, parameters = request.account, request.parameters
        if account not in self.views.accounts:
            raise unavailable("the account is not known yet")
        match request.operation:
            case "place":
                return commands.place(self.views, account, parameters, token)
            case "amend":
                order = commands.find_open(self.views, account, clordid=parameters["origClOrdID"])
                if order is None:
                    raise Refused(404, "Not Found")
                market = self.views.markets[order.instrument.number]
                return commands.amend(order, account, parameters, market, token)
            case "cancel":
                slots = commands.cancel(account, None, token, clordid=parameters["clOrdID"])
                assert slots is not None
                return slots
            case "find":
                # A barrier: the core takes commands in order of arrival, so what this one finds is final.
                return commands.pack(Command.TICK, request=token)
            case operation:
                return commands.pack(Command[operation], request=token, account=account, **parameters)

    def _outcome(self, request: Request, token: int, outcome: Sequence[Result] | Refused) -> Answer:
        if isinstance(outcome, Refused):
            self._world.oracle.nothing_done(token)
            return Answer(outcome.status, token=token)
        result = outcome[0]
        if request.operation == "find":
            order_id = self.orders.get(request.parameters["clOrdID"], "")
            return Answer(200 if order_id else 404, order_id)
        if result.refusal is not None:
            return Answer(400, reject=int(result.refusal.reject), token=token)
        order_id = result.orders[0].order_id if result.orders else ""
        if order_id and request.parameters.get("clOrdID") in self._world.shed:
            self._world.reach("shed, then accepted")
        return Answer(200, order_id, token=token)
