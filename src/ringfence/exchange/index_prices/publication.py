"""One second of all indices: ticks in, INDEX commands out, with what every constituent said."""

from collections.abc import Sequence

import numpy as np

from ringfence.exchange.index_prices.average import Average
from ringfence.exchange.index_prices.constituents import AVERAGE_SUFFIX, Index
from ringfence.exchange.index_prices.protection import Decision, State, begin, decide, recall
from ringfence.exchange.index_prices.sources import Source
from ringfence.instruments.specification import Instrument
from ringfence.messages.batch import CONSTITUENTS, Batch, Records, decode_data, encode_data
from ringfence.messages.commands import Command, IndexStatus
from ringfence.messages.constituents import (
    WEIGHT_ONE,
    Hold,
    Reference,
    Said,
    Verdict,
    decode_constituents,
    encode_constituents,
)
from ringfence.messages.records import COMMAND


def averages_of(instruments: Sequence[Instrument]) -> dict[str, Instrument]:
    """Return the averages among the listed indices, by the symbol of the index that they average."""
    symbols = {of.symbol for of in instruments}
    return {
        of.symbol.removesuffix(AVERAGE_SUFFIX): of
        for of in instruments
        if of.symbol.endswith(AVERAGE_SUFFIX) and of.symbol.removesuffix(AVERAGE_SUFFIX) in symbols
    }


class Publication:
    """Remembers what the rules need from one second to the next; `recall` reads it from the journal."""

    def __init__(self, indices: Sequence[Index], averages: dict[str, Instrument]) -> None:
        self._indices = list(indices)
        self._states: dict[int, State] = {index.number: begin(index) for index in indices}
        self._averages = {symbol: (of.number, Average()) for symbol, of in averages.items()}

    def recall(self, batch: Batch) -> None:
        """Take what a batch of the past says of these indices."""
        commands = batch.commands
        for position in np.flatnonzero(commands["kind"] == Command.INDEX).tolist():
            number, price = int(commands["symbol"][position]), int(commands["qty"][position])
            for index in self._indices:
                if index.number != number:
                    continue
                self._states[number] = recall(index, price, _said(commands, position))
                self._average(index, price, batch.timestamp_ns)

    def _average(self, index: Index, price: int, at_ns: int) -> None:
        if index.symbol in self._averages:
            self._averages[index.symbol][1].add(at_ns, price)

    def commands(self, source: Source, *, now_ns: int) -> Records:
        """Return the commands of this second, none for an index that has no price yet."""
        parts: list[bytes] = []
        for index in self._indices:
            ticks = source.ticks(index, now_ns=now_ns)
            decision = decide(index, self._states[index.number], ticks, now_ns=now_ns)
            self._states[index.number] = decision.state
            if not decision.price:
                continue
            parts.append(_encode(index.number, decision))
            if index.symbol in self._averages:
                self._average(index, decision.price, now_ns)
                number, average = self._averages[index.symbol]
                said = (Said(Reference.INDEX, Verdict.COUNTED, WEIGHT_ONE, decision.price, 0),)
                averaged = decision._replace(price=average.value, hold=Hold.NONE, said=said)
                parts.append(_encode(number, averaged))
        return np.frombuffer(b"".join(parts), COMMAND)


def _encode(number: int, decision: Decision) -> bytes:
    row = np.zeros(1, COMMAND)
    row["kind"], row["symbol"] = Command.INDEX, number
    row["qty"], row["type"] = decision.price, IndexStatus(decision.status)
    said = encode_constituents(decision.hold, decision.said)
    return row.tobytes() + encode_data([(CONSTITUENTS, said)])


def _said(commands: Records, position: int) -> tuple[Said, ...]:
    try:
        return decode_constituents(decode_data(commands[position : position + 16], 0)[CONSTITUENTS])[1]
    except (KeyError, ValueError):
        return ()  # an operator's own INDEX command need not have any
