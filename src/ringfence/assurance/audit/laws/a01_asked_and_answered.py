"""A01: every command is answered, and nothing happens that nobody asked for."""

from collections.abc import Callable, Mapping

import numpy as np

from ringfence.assurance.audit.books import SELL, UNTRIGGERED, Asked, Books, Look, Said
from ringfence.assurance.audit.evidence import Evidence
from ringfence.assurance.audit.law import Fault, Findings, Law, When
from ringfence.messages.batch import Batch
from ringfence.messages.commands import Command, HaltScope, OrderFlag, TradingState
from ringfence.messages.events import Event, EventFlag

_ANSWERED = np.array(
    [
        Command.PLACE, Command.AMEND, Command.CANCEL, Command.CANCEL_ALL_AFTER, Command.SET_LEVERAGE,
        Command.SET_RISK_LIMIT, Command.TRANSFER_MARGIN, Command.OPEN_ACCOUNT, Command.CONFIGURE_ACCOUNT,
        Command.DEPOSIT, Command.WITHDRAW, Command.TRANSFER, Command.MARK, Command.INDEX, Command.LIST,
        Command.CONFIGURE, Command.SET_STATE, Command.CONFIGURE_VENUE, Command.HALT, Command.RESUME,
    ]
)  # fmt: skip
"""Commands that always cause an event: what was asked for, or a refusal."""
_TIME = (Command.TICK, Command.MARK, Command.INDEX)
_CAUSES: dict[Event, tuple[Command, ...]] = {
    Event.TRADE: (Command.PLACE, Command.AMEND, *_TIME),
    Event.TRIGGERED: _TIME,
    Event.FUNDED: (Command.TICK,),
    Event.FUNDING_SET: (Command.TICK,),
    Event.MARKED: _TIME,
    Event.INDEXED: (Command.INDEX,),
    Event.LIQUIDATION: _TIME,
    Event.DELEVERAGED: (Command.TICK,),
    Event.ADL_BEGUN: (Command.TICK,),
    Event.COVERED: _TIME,
    Event.SETTLED: (Command.TICK, Command.SETTLE),
    Event.SETTLEMENT: (Command.TICK, Command.SETTLE),
    Event.TICKED: (Command.TICK,),
    Event.TIMER_FIRED: (Command.TICK,),
    Event.LISTED: (Command.LIST,),
}
"""What may cause an event that no customer asks for by name."""


def _asked_deposit(asked: Asked) -> tuple[int, ...]:
    return asked.account, asked.symbol, asked.qty, int(bool(asked.flags & OrderFlag.DEMO))


def _said_deposit(event: Said) -> tuple[int, ...]:
    return event.account, event.symbol, event.amount, int(bool(event.flags & EventFlag.DEMO))


_ECHOES: dict[
    Event, tuple[Command, Callable[[Asked], tuple[int, ...]], Callable[[Said], tuple[int, ...]]]
] = {
    Event.DEPOSITED: (Command.DEPOSIT, _asked_deposit, _said_deposit),
    Event.WITHDRAWN: (Command.WITHDRAW, _asked_deposit, _said_deposit),
    Event.TRANSFERRED: (
        Command.TRANSFER,
        lambda asked: (asked.account, asked.handle, asked.symbol, asked.qty),
        lambda event: (event.account, event.maker_account, event.symbol, event.amount),
    ),
    Event.ACCOUNT_OPENED: (
        Command.OPEN_ACCOUNT,
        lambda asked: (asked.account, asked.handle),
        lambda event: (event.account, event.maker_account),
    ),
    Event.ACCOUNT_SET: (
        Command.CONFIGURE_ACCOUNT,
        lambda asked: (asked.account, asked.type, asked.qty),
        lambda event: (event.account, event.px, event.qty),
    ),
    Event.INSTRUMENT_SET: (
        Command.CONFIGURE,
        lambda asked: (asked.symbol, asked.type, asked.qty),
        lambda event: (event.symbol, event.px, event.qty),
    ),
    Event.VENUE_SET: (
        Command.CONFIGURE_VENUE,
        lambda asked: (asked.type, asked.qty),
        lambda event: (event.px, event.qty),
    ),
    Event.LISTED: (
        Command.LIST,
        lambda asked: (asked.symbol, asked.type),
        lambda event: (event.symbol, event.px),
    ),
}
"""Events that say again what was asked for, word for word."""


def _invent_deposit(evidence: Evidence) -> None:
    """A deposit that nobody asked for, with everything that follows it counted on."""
    evidence.event(Event.TICKED)
    batch = evidence.batches[evidence.planted_batch]
    extra = batch.events[:1].copy()
    extra["kind"], extra["account"], extra["symbol"], extra["amount"] = Event.DEPOSITED, 1, 0, 10**6
    extra["sequence"] = batch.events["sequence"][-1]
    evidence.replace_events(np.concatenate([batch.events, extra]))


def _credit_another(evidence: Evidence) -> None:
    event = evidence.event(Event.DEPOSITED)
    event["account"] = event["account"] % 3 + 1 if event["account"] > 1 else 2


def _not_answered(evidence: Evidence) -> None:
    """A refusal is left out, and everything after it counted on."""
    evidence.event(Event.REJECTED, lambda e: e["sequence"] > 0)
    batch = evidence.batches[evidence.planted_batch]
    at = int(np.flatnonzero(batch.events["kind"] == Event.REJECTED)[0])
    evidence.replace_events(np.delete(batch.events, at))


def _other_order(evidence: Evidence) -> None:
    evidence.event(Event.ACCEPTED, lambda e: e["qty"] > 0 and e["account"] != 2)["account"] = 2


def _another_leverage(evidence: Evidence) -> None:
    evidence.event(Event.POSITION_SET)["qty"] += 100


class AskedAndAnswered(Law):
    id = "A01"
    says = "Every command is answered, and an event says what its command asked for and nothing else."
    when = (When.BATCH,)
    halts = HaltScope.VENUE
    faults = (
        Fault("a deposit that nobody asked for", _invent_deposit),
        Fault("a deposit credited to another account", _credit_another),
        Fault("a command without an answer", _not_answered),
        Fault("an order taken for another account", _other_order),
        Fault("another leverage than was asked for", _another_leverage),
    )

    def begin(self, books: Books, batch: Batch) -> Findings:
        must = np.isin(batch.commands["kind"], _ANSWERED)
        causes = batch.events["sequence"].astype(np.int64) - batch.first_sequence
        must[causes[(causes >= 0) & (causes < len(must))]] = False
        for place in np.flatnonzero(must)[:4].tolist():
            kind = Command(int(batch.commands["kind"][place])).name
            yield self.broken(batch.first_sequence + place, f"the answer to a {kind}", "an event", "none")

    def at(self) -> Mapping[Event, Look]:
        looks: dict[Event, Look] = dict.fromkeys(_CAUSES, self.caused)
        looks |= dict.fromkeys(_ECHOES, self.echoed)
        looks |= {
            Event.ACCEPTED: self.accepted, Event.REJECTED: self.rejected, Event.AMENDED: self.amended,
            Event.CANCELED: self.canceled, Event.POSITION_SET: self.position_set,
            Event.STATE_SET: self.state_set, Event.HALT_SET: self.halt_set,
        }  # fmt: skip
        return looks

    def caused(self, books: Books, event: Said) -> Findings:
        causes = _CAUSES[Event(event.kind)]
        if books.asked.kind in causes:
            return ()
        return self._say(event, f"what causes {Event(event.kind).name}", _names(causes), books.asked.kind)

    def echoed(self, books: Books, event: Said) -> Findings:
        kind, of_command, of_event = _ECHOES[Event(event.kind)]
        asked, said = of_command(books.asked), of_event(event)
        if books.asked.kind == kind and asked == said:
            return ()
        return self._say(event, f"what {Event(event.kind).name} says", f"{kind.name} {asked}", said)

    def accepted(self, books: Books, event: Said) -> Findings:
        asked = books.asked
        if asked.kind != Command.PLACE:
            # The engine places orders of its own: for the fund, and to close a part of a short position.
            if asked.kind in _TIME and not event.flags & UNTRIGGERED:
                return ()
            return self._say(event, "what causes an order of the engine's own", _names(_TIME), asked.kind)
        expected = (asked.account, asked.symbol, asked.flags & OrderFlag.SELL)
        said = (event.account, event.symbol, event.flags & SELL)
        most = asked.qty or event.qty  # a closing order may come without a quantity
        if expected != said or not event.qty <= most:
            return self._say(event, "the order that was accepted", (*expected, asked.qty), (*said, event.qty))
        if asked.px and asked.type == 0 and event.px != asked.px:
            return self._say(event, "the price of the order that was accepted", asked.px, event.px)
        return ()

    def rejected(self, books: Books, event: Said) -> Findings:
        if (event.account, event.symbol) == (books.asked.account, books.asked.symbol):
            return ()
        return self._say(
            event, "who is refused", (books.asked.account, books.asked.symbol), (event.account, event.symbol)
        )

    def amended(self, books: Books, event: Said) -> Findings:
        if event.flags & EventFlag.BY_ENGINE:
            return ()
        if books.asked.kind == Command.AMEND and books.asked.account == event.account:
            return ()
        return self._say(event, "an amend that the engine did not make", "an AMEND", books.asked.kind)

    def canceled(self, books: Books, event: Said) -> Findings:
        if event.flags or (books.asked.kind == Command.CANCEL and books.asked.account == event.account):
            return ()
        return self._say(event, "a cancel on request", "a CANCEL", books.asked.kind)

    def position_set(self, books: Books, event: Said) -> Findings:
        """One of leverage, risk limit and transferred margin is what was asked for; the others stay."""
        asked, of = books.asked, books.contracts[event.symbol]
        slot = books.slot_of.get(event.account << 6 | event.symbol, 0)
        leverage, tier = books.leverage[slot], books.tier[slot]
        transferred = books.transferred[slot]
        if asked.kind == Command.SET_LEVERAGE:
            leverage, transferred = asked.qty, transferred if asked.qty else 0
        elif asked.kind == Command.SET_RISK_LIMIT:
            tier = -(-max(asked.qty - of.risk_base, 0) // max(of.risk_step, 1))
        elif asked.kind == Command.TRANSFER_MARGIN:
            transferred += asked.qty
        else:
            return self._say(event, "what causes POSITION_SET", "a setting of the account's", asked.kind)
        expected = (asked.account, asked.symbol, leverage, of.risk_base + tier * of.risk_step, transferred)
        said = (event.account, event.symbol, event.qty, event.amount, event.maker_amount)
        return () if expected == said else self._say(event, "the setting of a position", expected, said)

    def state_set(self, books: Books, event: Said) -> Findings:
        asked = books.asked
        if asked.kind in (Command.TICK, Command.SETTLE, Command.HALT, Command.RESUME):
            return ()
        said = (asked.kind, event.symbol, event.qty)
        wanted = event.qty if books.is_halted(books.contracts[event.symbol]) else asked.qty
        expected = (int(Command.SET_STATE), asked.symbol, wanted)
        return () if expected == said else self._say(event, "the state of a market", expected, said)

    def halt_set(self, books: Books, event: Said) -> Findings:
        """A halt follows from a HALT; it is lifted by a RESUME, or by the time that one has set."""
        asked = books.asked
        if asked.kind == Command.TICK and event.qty == TradingState.RUNNING:
            return ()
        expected = (asked.type, asked.symbol)
        lifted = asked.kind == Command.RESUME
        tightened = asked.kind == Command.HALT and event.qty >= event.amount
        if (lifted or tightened) and expected == (event.px, event.symbol):
            return ()
        return self._say(event, "a halt, or its end", f"a HALT or RESUME of {expected}", asked.kind)

    def _say(self, event: Said, what: str, expected: object, found: object) -> Findings:
        return [self.broken(event.sequence, what, expected, found)]


def _names(commands: tuple[Command, ...]) -> str:
    return ", ".join(command.name for command in commands)
