"""Commands in words: what a record of the journal says, with names for its numbers."""

from collections.abc import Callable
from enum import IntEnum
from typing import Any

import msgspec
import numpy as np

from ringfence.instruments.specification import Instrument, decode
from ringfence.messages.batch import (
    ACCOUNT_NAME,
    CHECKS,
    CLORDID,
    CLORDLINKID,
    CONFIGURATION_TEXT,
    CONSTITUENTS,
    HALT_REASON,
    OPERATOR,
    PEOPLE_LIST,
    REFUSED_BECAUSE,
    RESUME_STATEMENT,
    SIGNATURES,
    SPECIFICATION,
    TEXT,
    WITHOUT,
    Records,
    decode_data,
)
from ringfence.messages.commands import (
    AccountParameter,
    Command,
    Contingency,
    HaltScope,
    IndexStatus,
    InstrumentParameter,
    InstrumentState,
    MissedFunding,
    OrderFlag,
    OrderType,
    Peg,
    SelfTrade,
    TradingState,
    TriggerPrice,
    VenueParameter,
    read_instructions,
)
from ringfence.messages.constituents import WEIGHT_ONE, Hold, Reference, Verdict, decode_constituents
from ringfence.messages.identifiers import order_id
from ringfence.messages.records import DISPLAY_ALL
from ringfence.units.assets import ASSETS
from ringfence.units.limits import INDEX_DECIMALS
from ringfence.units.time import NS_PER_SECOND, iso

Words = dict[str, Any]
"""In wire words; what is not said is not there."""

_TEXTS = {
    CLORDID: "clOrdID",
    CLORDLINKID: "clOrdLinkID",
    TEXT: "text",
    OPERATOR: "operator",
    ACCOUNT_NAME: "accountName",
    HALT_REASON: "reason",
    RESUME_STATEMENT: "statement",
    SIGNATURES: "signatures",
    CHECKS: "checks",
    PEOPLE_LIST: "people",
    CONFIGURATION_TEXT: "configuration",
    REFUSED_BECAUSE: "refusedBecause",
    WITHOUT: "without",
}
_EXEC_INST = {
    OrderFlag.POST_ONLY: "ParticipateDoNotInitiate",
    OrderFlag.REDUCE_ONLY: "ReduceOnly",
    OrderFlag.CLOSE: "Close",
}


def timestamp(timestamp_ns: int) -> str:
    """Return a timestamp to the nanosecond, as the journal has it."""
    return f"{iso(timestamp_ns)[:-5]}.{timestamp_ns % NS_PER_SECOND:09d}Z"


def texts_of(commands: Records, position: int) -> dict[int, bytes]:
    """Return the text items of one command of a batch."""
    end = position + 1
    while end < len(commands) and commands["kind"][end] == Command.DATA:
        end += 1
    return decode_data(commands[position:end], 0)


def name_of(names: type[IntEnum], number: int) -> str:
    return names(number).name if number in set(names) else str(number)


class Describer:
    """Knows the instruments that were listed in the commands that it has seen."""

    def __init__(self) -> None:
        self._instruments: dict[int, Instrument] = {}

    def learn(self, commands: Records) -> None:
        """Take note of what a batch lists."""
        for position in np.flatnonzero(commands["kind"] == Command.LIST).tolist():
            try:
                instrument = decode(texts_of(commands, position).get(SPECIFICATION, b""))
            except msgspec.DecodeError:
                continue  # the engine does not read it either; the record is shown with its number
            self._instruments[int(commands["symbol"][position])] = instrument

    def describe(self, commands: Records, position: int, *, sequence: int, timestamp_ns: int) -> Words:
        """Return one command of a batch in words."""
        row = dict(zip(commands.dtype.names or (), commands[position].tolist(), strict=True))
        kind = int(row["kind"])
        words: Words = {
            "sequence": sequence,
            "timestamp": timestamp(timestamp_ns),
            "kind": name_of(Command, kind),
        }
        if kind in _SAYS:
            words |= _SAYS[Command(kind)](self, row, sequence)
        items = texts_of(commands, position)
        for tag, name in _TEXTS.items():
            if tag in items:
                words[name] = items[tag].decode(errors="replace")
        if CONSTITUENTS in items:
            words |= self._constituents(items[CONSTITUENTS])
        if "clOrdID" not in words and row["clid"]:
            words["clOrdIDHash"] = f"{row['clid']:016x}"
        if row["origin"]:
            words["origin"] = row["origin"]
        return words

    # ---- what each kind says

    def _place(self, row: Words, sequence: int) -> Words:
        flags = row["flags"]
        words = {"account": row["account"], **self._symbol(row), **_side(flags), "orderQty": row["qty"]}
        if row["px"]:
            words |= self._price(row["symbol"], "price", row["px"])
        if row["stop_px"]:
            words |= self._price(row["symbol"], "stopPx", row["stop_px"])
        if row["display"] != DISPLAY_ALL:
            words["displayQty"] = row["display"]
        words["ordType"] = name_of(OrderType, row["type"]).title().replace("_", "")
        words["timeInForce"] = (
            "ImmediateOrCancel" if flags & OrderFlag.IOC
            else "FillOrKill" if flags & OrderFlag.FOK
            else "Day" if flags & OrderFlag.DAY
            else "GoodTillCancel"
        )  # fmt: skip
        inst = ",".join(name for bit, name in _EXEC_INST.items() if flags & bit)
        words |= {"execInst": inst} if inst else {}
        return {**words, **self._conditions(row)} if row["handle"] else words

    def _conditions(self, row: Words) -> Words:
        """Say how an order is triggered, pegged and linked."""
        trigger, peg, offset, contingency, within_mark = read_instructions(row["handle"])
        words: Words = {"triggerPrice": name_of(TriggerPrice, trigger)} if row["stop_px"] or peg else {}
        if peg:
            words |= {"peg": name_of(Peg, peg), **self._price(row["symbol"], "pegOffsetValue", offset)}
        if contingency:
            words["contingency"] = name_of(Contingency, contingency)
        return {**words, "lastWithinMark": True} if within_mark else words

    def _amend(self, row: Words, sequence: int) -> Words:
        flags = row["flags"]
        words = self._cancel(row, sequence)
        if flags & OrderFlag.AMEND_QTY:
            words["orderQty"] = row["qty"]
        if flags & OrderFlag.AMEND_LEAVES:
            words["leavesQty"] = row["qty"]
        if flags & OrderFlag.AMEND_PX:
            words |= self._price(row["symbol"], "price", row["px"])
        if flags & OrderFlag.AMEND_STOP_PX:
            words |= self._price(row["symbol"], "stopPx", row["stop_px"])
        if flags & OrderFlag.AMEND_PEG_OFFSET:
            offset = row["display"] - (row["display"] >> 31 << 32)
            words |= self._price(row["symbol"], "pegOffsetValue", offset)
        return words

    def _cancel(self, row: Words, sequence: int) -> Words:
        words: Words = {"account": row["account"], **self._symbol(row)}
        if row["handle"]:
            # A handle has the low half of the sequence at which the order was placed: before this one.
            low = row["handle"] >> 32
            placed = sequence - ((sequence - low) & 0xFFFFFFFF)
            words["orderID"] = order_id(placed, row["handle"])
        if row["orig_clid"]:
            words["origClOrdIDHash"] = f"{row['orig_clid']:016x}"
        return words

    def _cancel_all(self, row: Words, sequence: int) -> Words:
        words = {"account": row["account"], **self._symbol(row)}
        if row["flags"] & OrderFlag.ONLY_BUYS:
            words["side"] = "Buy"
        if row["flags"] & OrderFlag.ONLY_SELLS:
            words["side"] = "Sell"
        return words

    def _cancel_all_after(self, row: Words, sequence: int) -> Words:
        return {"account": row["account"], "timeout": row["qty"]}

    def _set_leverage(self, row: Words, sequence: int) -> Words:
        leverage = row["qty"] / 100 if row["qty"] else "cross"
        return {"account": row["account"], **self._symbol(row), "leverage": leverage}

    def _set_risk_limit(self, row: Words, sequence: int) -> Words:
        return {"account": row["account"], **self._symbol(row), "riskLimit": row["qty"]}

    def _transfer_margin(self, row: Words, sequence: int) -> Words:
        return {"account": row["account"], **self._symbol(row), "amount": row["qty"]}

    def _open_account(self, row: Words, sequence: int) -> Words:
        words: Words = {"account": row["account"]}
        return {**words, "parent": row["handle"]} if row["handle"] else words

    def _transfer(self, row: Words, sequence: int) -> Words:
        return {**self._coins(row, sequence), "to": row["handle"]}

    def _configure_account(self, row: Words, sequence: int) -> Words:
        value = row["qty"]
        if row["type"] == AccountParameter.SELF_TRADE:
            value = name_of(SelfTrade, value)
        return {
            "account": row["account"],
            "parameter": name_of(AccountParameter, row["type"]),
            "value": value,
        }

    def _coins(self, row: Words, sequence: int) -> Words:
        number = row["symbol"]
        currency = ASSETS[number].currency if number < len(ASSETS) else str(number)
        words = {"account": row["account"], "currency": currency, "amount": row["qty"]}
        return {**words, "demo": True} if row["flags"] & OrderFlag.DEMO else words

    def _mark(self, row: Words, sequence: int) -> Words:
        instrument = self._instruments.get(row["symbol"])
        if instrument is None:
            return {**self._symbol(row), "markSubticks": row["qty"]}
        return {**self._symbol(row), "markPrice": instrument.mark_price(row["qty"])}

    def _index(self, row: Words, sequence: int) -> Words:
        words = {**self._symbol(row), "price": row["qty"] / 10**INDEX_DECIMALS}
        return {**words, "status": name_of(IndexStatus, row["type"])}

    def _constituents(self, data: bytes) -> Words:
        """Return what an index was made of, and why it keeps an old price if it does."""
        try:
            hold, said = decode_constituents(data)
        except ValueError:
            return {"constituents": data.hex()}
        rows = [
            {"reference": name_of(Reference, one.reference), "price": one.price / 10**INDEX_DECIMALS,
             "weight": one.weight / WEIGHT_ONE, "ageMs": one.age_ms, "verdict": name_of(Verdict, one.verdict)}
            for one in said
        ]  # fmt: skip
        words: Words = {"hold": name_of(Hold, hold)} if hold else {}
        return {**words, "constituents": rows}

    def _settle(self, row: Words, sequence: int) -> Words:
        return self._symbol(row)

    def _list(self, row: Words, sequence: int) -> Words:
        instrument = self._instruments.get(row["symbol"])
        words = {**self._symbol(row), "number": row["symbol"]}
        return {**words, "typ": instrument.typ, "tickSize": instrument.price(1)} if instrument else words

    def _configure(self, row: Words, sequence: int) -> Words:
        return {
            **self._symbol(row),
            "parameter": name_of(InstrumentParameter, row["type"]),
            "value": row["qty"],
        }

    def _set_state(self, row: Words, sequence: int) -> Words:
        return {**self._symbol(row), "state": name_of(InstrumentState, row["qty"])}

    def _halt(self, row: Words, sequence: int) -> Words:
        words: Words = {"scope": name_of(HaltScope, row["type"])}
        if row["type"] == HaltScope.CONTRACT:
            words |= self._symbol(row)
        elif row["type"] in (HaltScope.DEPOSITS, HaltScope.WITHDRAWALS):
            number = row["symbol"]
            words["currency"] = ASSETS[number].currency if number < len(ASSETS) else "all"
        if row["kind"] == Command.HALT:
            return {**words, "state": name_of(TradingState, row["qty"])}
        return {**words, "halt": row["handle"], "missedFunding": name_of(MissedFunding, row["qty"])}

    def _configure_venue(self, row: Words, sequence: int) -> Words:
        return {"parameter": name_of(VenueParameter, row["type"]), "value": row["qty"]}

    def _symbol(self, row: Words) -> Words:
        number = row["symbol"]
        if not number:
            return {}
        instrument = self._instruments.get(number)
        return {"symbol": instrument.symbol if instrument else f"#{number}"}

    def _price(self, symbol: int, name: str, px_ticks: int) -> Words:
        instrument = self._instruments.get(symbol)
        return {name: instrument.price(px_ticks)} if instrument else {f"{name}Ticks": px_ticks}


def _side(flags: int) -> Words:
    return {"side": "Sell" if flags & OrderFlag.SELL else "Buy"}


_SAYS: dict[Command, Callable[[Describer, Words, int], Words]] = {
    Command.PLACE: Describer._place,
    Command.AMEND: Describer._amend,
    Command.CANCEL: Describer._cancel,
    Command.CANCEL_ALL: Describer._cancel_all,
    Command.CANCEL_ALL_AFTER: Describer._cancel_all_after,
    Command.SET_LEVERAGE: Describer._set_leverage,
    Command.SET_RISK_LIMIT: Describer._set_risk_limit,
    Command.TRANSFER_MARGIN: Describer._transfer_margin,
    Command.OPEN_ACCOUNT: Describer._open_account,
    Command.CONFIGURE_ACCOUNT: Describer._configure_account,
    Command.DEPOSIT: Describer._coins,
    Command.WITHDRAW: Describer._coins,
    Command.TRANSFER: Describer._transfer,
    Command.MARK: Describer._mark,
    Command.INDEX: Describer._index,
    Command.LIST: Describer._list,
    Command.CONFIGURE: Describer._configure,
    Command.SET_STATE: Describer._set_state,
    Command.CONFIGURE_VENUE: Describer._configure_venue,
    Command.SETTLE: Describer._settle,
    Command.HALT: Describer._halt,
    Command.RESUME: Describer._halt,
}
