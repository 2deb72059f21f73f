"""A trader that wants every order exactly once, over connections that break at any moment.

The rule that every client can follow: an order without an answer may or may not be there. Wait until
the signature of the request has expired, ask what became of its clOrdID, and send it again only if it is not
there. An order that is sure to rest may be sent again at once: it is refused as a duplicate.
"""

from typing import TYPE_CHECKING, Any

from ringfence.messages.rejects import Reject
from ringfence.testing.world.gateway import Answer, Request
from ringfence.testing.world.loop import Node
from ringfence.units.time import NS_PER_MS

if TYPE_CHECKING:
    from ringfence.testing.world.flow import Operation
    from ringfence.testing.world.world import World

EXPIRES_MS = 400
_PATIENCE_MS = 120
"""How long a trader waits for an answer."""
_MARGIN_MS = 250
"""How long after the expiry a trader believes that a request may still take effect: longer than any line."""


class Placing:
    """One order on its way to being certain."""

    def __init__(self, clordid: str, parameters: dict[str, Any], *, rests: bool) -> None:
        self.clordid, self.parameters, self.rests = clordid, parameters, rests
        self.attempt = 0
        self.sent_twice = False
        """It was sent again without asking, so a duplicate is no surprise."""
        self.expires_ns = 0


class Trader(Node):
    """One account's owner."""

    def __init__(self, world: "World", account: int) -> None:
        super().__init__(f"trader {account}")
        self._world, self.account = world, account
        self.under_way = 0
        self.known: list[str] = []
        """clOrdIDs that were accepted, newest last."""
        self.unresolved: dict[str, Placing] = {}

    def begin(self, operation: "Operation") -> None:
        self.under_way += 1
        if operation.kind == "place":
            placing = Placing(operation.parameters["clOrdID"], operation.parameters, rests=operation.rests)
            self.unresolved[placing.clordid] = placing
            self._place(placing)
            return
        request = Request(self.account, operation.kind, operation.parameters, self._expiry())
        heard = False

        def hear(answer: Answer) -> None:
            nonlocal heard
            if not heard:
                heard = True
                self.under_way -= 1
                self._world.oracle.told(answer)

        self._world.carry(self, request, hear)
        # Without an answer it is given up: nobody knows, and nothing is sent twice.
        self._world.loop.after_ms(_PATIENCE_MS, self, self._give_up, lambda: hear(Answer(0)))

    def _give_up(self, hear: Any) -> None:
        hear()

    def _expiry(self) -> int:
        return self._world.loop.now_ns + EXPIRES_MS * NS_PER_MS

    # ---- an order

    def _place(self, placing: Placing) -> None:
        placing.attempt += 1
        placing.expires_ns = max(placing.expires_ns, self._expiry())
        attempt = placing.attempt
        request = Request(self.account, "place", placing.parameters, self._expiry())
        self._world.carry(
            self, request, lambda answer: self._hear(placing, attempt, answer), may_double=placing.rests
        )
        self._world.loop.after_ms(_PATIENCE_MS, self, self._impatient, placing, attempt)

    def _hear(self, placing: Placing, attempt: int, answer: Answer) -> None:
        if placing.clordid not in self.unresolved:
            return
        self._world.oracle.told(answer)
        if answer.status == 200:
            self._settle(placing, answer.order_id)
        elif answer.status == 400 and answer.reject == Reject.DUPLICATE_CLORDID:
            assert placing.sent_twice, f"{placing.clordid} is there though we were told that it is not"
            self._world.reach("retry refused as duplicate")
            if attempt == placing.attempt:
                self._ask(placing)
        elif answer.status == 400:
            if placing.sent_twice or attempt != placing.attempt:
                # One of several was refused; the other may have been taken.
                if attempt == placing.attempt:
                    self._ask_later(placing)
            else:
                self._settle(placing, "")
        elif answer.status in (503, 401) and attempt == placing.attempt and not placing.sent_twice:
            # Nothing was done, they say: it may be sent again, whatever it is.
            self._world.reach("nothing was done, sent again")
            placing.attempt += 1
            self._world.loop.after_ms(
                self._world.clients.uniform(20, 80), self, self._again, placing, placing.attempt
            )
        elif attempt == placing.attempt:
            self._ask_later(placing)

    def sends_again(self, placing: Placing) -> None:
        placing.sent_twice = True
        self._world.oracle.doubled(placing.clordid)

    def _again(self, placing: Placing, attempt: int) -> None:
        if attempt == placing.attempt and placing.clordid in self.unresolved:
            self._place(placing)

    def _impatient(self, placing: Placing, attempt: int) -> None:
        """No answer came in time."""
        if attempt != placing.attempt or placing.clordid not in self.unresolved:
            return
        if placing.rests and placing.attempt < 3 and self._world.clients.random() < 0.7:
            self.sends_again(placing)
            self._place(placing)
        else:
            self._ask_later(placing)

    def _ask_later(self, placing: Placing) -> None:
        """Ask once nothing that was sent can take effect any more."""
        placing.attempt += 1
        wait = placing.expires_ns + _MARGIN_MS * NS_PER_MS - self._world.loop.now_ns
        self._world.loop.after(max(wait, 80 * NS_PER_MS), self, self._ask_now, placing, placing.attempt)

    def _ask_now(self, placing: Placing, attempt: int) -> None:
        if attempt == placing.attempt and placing.clordid in self.unresolved:
            self._ask(placing)

    def _ask(self, placing: Placing) -> None:
        placing.attempt += 1
        attempt = placing.attempt
        self._world.reach("outcome asked for")
        request = Request(self.account, "find", {"clOrdID": placing.clordid}, self._expiry())
        is_final = self._world.loop.now_ns >= placing.expires_ns + _MARGIN_MS * NS_PER_MS
        self._world.carry(self, request, lambda answer: self._found(placing, attempt, answer, is_final))
        self._world.loop.after_ms(2 * _PATIENCE_MS, self, self._ask_again, placing, attempt)

    def _ask_again(self, placing: Placing, attempt: int) -> None:
        if attempt == placing.attempt and placing.clordid in self.unresolved:
            self._ask(placing)

    def _found(self, placing: Placing, attempt: int, answer: Answer, is_final: bool) -> None:
        if attempt != placing.attempt or placing.clordid not in self.unresolved:
            return
        if answer.status == 200:
            self._settle(placing, answer.order_id)
        elif answer.status == 404 and is_final:
            placing.sent_twice = False
            if self._world.is_healing:
                self._settle(placing, "")
            else:
                self._place(placing)
        else:
            self._ask_later(placing)

    def _settle(self, placing: Placing, order_id: str) -> None:
        """Now it is certain."""
        del self.unresolved[placing.clordid]
        self.under_way -= 1
        if order_id:
            self.known.append(placing.clordid)
            self._world.oracle.accepted(placing.clordid, order_id)
        else:
            self._world.oracle.not_there(placing.clordid)
