"""What one session has asked for, what came of it, and which reports are its own.

Everything that happens comes through the fold of the feed, `hear` and then `report`, live as after a restart: what
the store has already is passed over by its number, so each report is in a session once.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from ringfence.exchange.fix import entry, reports
from ringfence.exchange.fix.dictionary import MsgType, Tag
from ringfence.exchange.fix.message import Message, fields_of
from ringfence.exchange.fix.session import Session
from ringfence.exchange.fix.store import Asked, Out, Store
from ringfence.exchange.gateway import commands
from ringfence.exchange.gateway.authentication import require
from ringfence.exchange.gateway.errors import Refused, invalid
from ringfence.exchange.gateway.refusals import refusal_of
from ringfence.exchange.gateway.rest.order import check_place
from ringfence.exchange.projections import Execution, Order, Result
from ringfence.exchange.projections.orders import Movement
from ringfence.exchange.users.keys import ApiKey, Permission
from ringfence.messages.rejects import TEXTS, Reject

if TYPE_CHECKING:
    from ringfence.exchange.fix.house import House

ORDERS, COPIES = "RINGFENCE", "RINGFENCE-DC"
"""TargetCompIDs: order entry, and drop copies of everything that an account does."""
_NOT_AUTHORISED = "6"


class Trading:
    """The application of one session."""

    def __init__(self, house: "House", store: Store) -> None:
        self._house, self.store = house, store
        self.session = Session(store, self, house.clock_ns)
        self.key: ApiKey | None = None
        """Of who is logged on."""
        self.outbox: list[tuple[int, bytes]] = []
        """What is sent to the core once the store has it."""
        self._placed: dict[int, Asked] = {}
        self._moved: dict[int, Asked] = {}
        self._settled_later: list[tuple[Asked, Result]] = []

    @property
    def is_copy(self) -> bool:
        return self.store.target == COPIES

    @property
    def account(self) -> int:
        return self.store.account

    # ---- what is asked

    def take(self, message: Message) -> Asked | None:
        """Carry out an order message that came in order."""
        if self.is_copy:
            self.session.refuse_business(
                message, _NOT_AUTHORISED, "a drop copy only listens; nothing was done"
            )
            return None
        asked = self._read(message)
        if message.type == MsgType.STATUS:
            self._tell_status(asked)
            return None
        if asked.clordid in self.store.clordids:
            if message.has_flag(Tag.POSS_RESEND):
                # It may be new to us or not; it is not, so its outcome is the answer.
                self._tell_status(asked)
            else:
                self._refuse(
                    asked, invalid(TEXTS[Reject.DUPLICATE_CLORDID]), Reject.DUPLICATE_CLORDID, is_new=True
                )
            return None
        try:
            entry.check_account(message, self.account)
            command = self._builders[message.type](self, message, asked)
        except Refused as refused:
            self._refuse(asked, refused, None, is_new=True)
            return None
        self.outbox.append((asked.token, command))
        return asked

    def _read(self, message: Message) -> Asked:
        return Asked(
            self._house.desk.token(), message.type, message.get(Tag.CLORDID), message.get(Tag.ORIG_CLORDID),
            message.get(Tag.SYMBOL), message.get(Tag.SIDE), message.get(Tag.ORDER_QTY) or "0",
            message.get(Tag.ORDER_ID), message.get(Tag.MASS_CANCEL_TYPE),
        )  # fmt: skip

    def _may(self, permission: Permission) -> None:
        """Raise Refused if the key may not, or does so too often."""
        assert self.key is not None
        require(self.key, permission)
        self._house.count_order(self.key)

    def _place(self, message: Message, asked: Asked) -> bytes:
        parameters = entry.new_order(message)
        self._may(Permission.ORDER)
        check_place(self._house.desk, self.account, (parameters,))
        return commands.place(self._house.desk.views, self.account, parameters, asked.token)

    def _open_order(self, asked: Asked) -> Order | None:
        return commands.find_open(
            self._house.desk.views, self.account, order_id=asked.order_id or None,
            clordid=None if asked.order_id else asked.orig or asked.clordid,
        )  # fmt: skip

    def _cancel(self, message: Message, asked: Asked) -> bytes:
        self._may(Permission.ORDER_CANCEL)
        self._house.desk.check_open()
        order = self._open_order(asked)
        if order is not None:
            entry.check_same(order, message)
        return entry.cancel(asked.order_id, asked.orig, self.account, message.get(Tag.TEXT), asked.token)

    def _replace(self, message: Message, asked: Asked) -> bytes:
        self._may(Permission.ORDER)
        self._house.desk.check_room(self.account)
        views, order = self._house.desk.views, self._open_order(asked)
        if order is None:
            raise Refused(400, TEXTS[Reject.UNKNOWN_ORDER])
        entry.check_same(order, message)
        parameters = entry.replacement(order, message, views)
        return commands.amend(
            order, self.account, parameters, views.markets[order.instrument.number], asked.token
        )

    def _mass_cancel(self, message: Message, asked: Asked) -> bytes:
        self._may(Permission.ORDER_CANCEL)
        self._house.desk.check_open()
        return entry.mass_cancel(message, self.account, self._house.desk.views, asked.token)

    _builders: dict[str, Callable[["Trading", Message, Asked], bytes]] = {  # noqa: RUF012
        MsgType.NEW_ORDER: _place, MsgType.CANCEL: _cancel, MsgType.REPLACE: _replace,
        MsgType.MASS_CANCEL: _mass_cancel,
    }  # fmt: skip

    def _tell_status(self, asked: Asked) -> None:
        """Say how an order stands: from the views if it is open, from what was said of it last if it is over."""
        order = self._open_order(asked) if not asked.orig else None
        if order is not None:
            self._say(reports.of_status(order, asked.clordid))
            return
        if any(waiting.clordid == asked.clordid for waiting in self.store.waiting.values()):
            return  # its outcome is on its way
        last = self.store.message(self.store.clordids.get(asked.clordid, 0))
        if last is None:
            self._say(reports.of_unknown(asked, self._house.clock_ns()))
            return
        kind, fields, _ = fields_of(last)
        if kind == MsgType.EXECUTION_REPORT:
            fields = reports.of_last(fields)
        self.session.send(kind, fields)

    # ---- what came of it

    def hear(self, result: Result) -> None:
        """Take the result of a command; the reports of the same batch follow."""
        asked = self.store.waiting.get(result.request)
        if asked is None:
            return
        if result.refusal is not None:
            self._refuse(asked, refusal_of(self._house.desk.views, result), result.refusal.reject)
        elif asked.kind == MsgType.NEW_ORDER:
            self._placed[result.orders[0].handle] = asked
        else:
            for order in result.orders:
                if asked.kind == MsgType.MASS_CANCEL:
                    break
                if asked.order_id == order.order_id or order.clordid in (asked.orig, asked.clordid):
                    self._moved[order.handle] = asked
            self._settled_later.append((asked, result))

    def refuse(self, token: int, refused: Refused) -> None:
        """Take the word that a command never reached the journal."""
        asked = self.store.waiting.get(token)
        if asked is not None:
            self._refuse(asked, refused, None)

    def report(self, execution: Execution | Movement) -> None:
        """Take one execution of the account, in order of their numbers."""
        key = 2 * execution.number + execution.side_index
        if key <= self.store.position:
            return
        if isinstance(execution, Movement):
            if self.is_copy and execution.kind != "Funding":
                self._say(reports.of_movement(execution), Out(0, key))
            return
        handle = execution.order.handle
        placed = self._placed.pop(handle, None) if execution.kind == "New" else None
        moved = self._moved.pop(handle, None) if execution.kind in ("Canceled", "Replaced") else None
        owned = placed is not None or handle in self.store.handles
        if not self.is_copy and not owned and moved is None:
            return
        known = execution.state.clordid if moved is None else moved.clordid
        asked = placed or moved
        self._say(
            reports.of_execution(execution, moved, is_copy=self.is_copy),
            Out(
                0, key, handle, is_final=execution.state.leaves == 0, token=asked.token if asked else 0,
                clordid="" if self.is_copy else known or "", is_owned=owned and not self.is_copy,
                orig=moved.orig if moved else "",
            ),
        )  # fmt: skip

    def settle(self) -> None:
        """Answer, after the reports of a batch, what none of them has answered."""
        for asked, result in self._settled_later:
            if asked.token not in self.store.waiting:
                continue
            if asked.kind == MsgType.MASS_CANCEL:
                fields = reports.of_mass_cancel(asked, len(result.orders), None)
                self._say(fields, Out(0, token=asked.token), kind=MsgType.MASS_CANCEL_REPORT)
            else:
                order = result.orders[0]
                self._say(reports.of_status(order, asked.clordid), Out(0, token=asked.token))
        self._settled_later.clear()
        self._moved.clear()

    def _say(
        self, fields: reports.Pairs, meta: Out | None = None, kind: str = MsgType.EXECUTION_REPORT
    ) -> None:
        self.session.send(kind, fields, meta)

    def _refuse(self, asked: Asked, refused: Refused, reject: Reject | None, *, is_new: bool = False) -> None:
        """Say that nothing was done. `is_new` if it was not sent to the core: then its ClOrdID is not used up."""
        meta = Out(0, token=asked.token, clordid="" if is_new else asked.clordid)
        if asked.kind == MsgType.NEW_ORDER:
            self._say(reports.of_refusal(asked, refused, reject, self._house.clock_ns()), meta)
        elif asked.kind == MsgType.MASS_CANCEL:
            self._say(reports.of_mass_cancel(asked, 0, refused), meta, kind=MsgType.MASS_CANCEL_REPORT)
        else:
            fields = reports.of_cancel_refusal(
                asked, refused, reject, self._open_order(asked), was_known=asked.orig in self.store.clordids,
                is_replace=asked.kind == MsgType.REPLACE,
            )  # fmt: skip
            self._say(fields, meta, kind=MsgType.CANCEL_REJECT)
