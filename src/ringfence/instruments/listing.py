"""The commands that list an instrument: its specification, then every integer that the engine needs."""

import numpy as np

from ringfence.instruments.specification import Instrument, encode
from ringfence.messages.batch import SPECIFICATION, Records, encode_data
from ringfence.messages.commands import Command, InstrumentState
from ringfence.messages.records import COMMAND


def listing_commands(instrument: Instrument) -> Records:
    """Return LIST with its text, a CONFIGURE for every parameter, and the opening of trading.

    An index is listed and that is all: it is not traded.
    """
    specification = np.frombuffer(encode_data([(SPECIFICATION, encode(instrument))]), COMMAND)
    parameters = [] if instrument.is_index else list(instrument.parameters())
    rows = np.zeros(len(parameters) + 2, COMMAND)
    rows["symbol"] = instrument.number
    rows["kind"] = Command.CONFIGURE
    rows[0]["kind"], rows[0]["type"] = Command.LIST, instrument.kind
    for row, (parameter, value) in zip(rows[1:], parameters, strict=False):
        row["type"], row["qty"] = parameter, value
    rows[-1]["kind"], rows[-1]["qty"] = Command.SET_STATE, InstrumentState.OPEN
    if instrument.is_index:
        return np.concatenate([rows[:1], specification])
    return np.concatenate([rows[:1], specification, rows[1:]])
