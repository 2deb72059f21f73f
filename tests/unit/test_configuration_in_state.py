"""Which configuration is in force is part of the state: engine and shadow agree, and the signed root says so."""

from pathlib import Path

import msgspec
import numpy as np
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from ringfence.assurance.shadow import Shadow, figures
from ringfence.assurance.shadow.statements import venue_of as shadows_statement
from ringfence.commitments import venue_statement
from ringfence.commitments.statement import CONFIGURED_VENUE_MAGIC, VENUE_MAGIC
from ringfence.exchange.engine import Engine
from ringfence.exchange.engine.snapshot import Index
from ringfence.exchange.sequencer.statements import venue_of
from ringfence.messages.batch import CONFIGURATION_TEXT, Records, encode_data
from ringfence.messages.commands import Command, VenueParameter
from ringfence.messages.events import Event
from ringfence.messages.records import COMMAND
from ringfence.testing.play import START_NS, command
from ringfence.testing.twins import figures_of

NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.sampled_from((0, 1, -1, 2**63 - 1))
_FIELD_BYTES = 8


def said(number: int, text: bytes = b"a text") -> Records:
    row = command(Command.CONFIGURE_VENUE, type=VenueParameter.CONFIGURATION, qty=number)
    return np.concatenate([row, np.frombuffer(encode_data([(CONFIGURATION_TEXT, text)]), COMMAND)])


@given(st.lists(NUMBERS, max_size=4))
def test_engine_and_shadow_agree_which_is_in_force_and_what_the_root_says(numbers: list[int]) -> None:
    engine, shadow = Engine(), Shadow()
    in_force = 0
    for index, number in enumerate(numbers):
        events = engine.step(said(number), timestamp_ns=START_NS + index)
        assert shadow.step(said(number).tobytes(), timestamp_ns=START_NS + index) == events.tobytes()
        assert [Event(kind) for kind in events["kind"]] == [Event.VENUE_SET if number > 0 else Event.REJECTED]
        in_force = number if number > 0 else in_force
    assert int(engine.state.header["configuration"]) == shadow.venue.configuration == in_force
    assert venue_of(engine.state) == shadows_statement(shadow.venue)
    assert list(figures_of(engine)) == list(figures(shadow.venue))
    assert venue_of(engine.state).startswith(CONFIGURED_VENUE_MAGIC if in_force else VENUE_MAGIC)
    assert (in_force.to_bytes(8, "little") in venue_of(engine.state)) or not in_force


def test_a_statement_without_one_is_the_statement_of_old() -> None:
    """Old journals have to give old roots."""
    facts = {
        "halt_sequence": 1, "reopens_ns": 2, "accounts": 3, "insurance_account": 4, "halted": 1, "deposits_halted": 6,
        "withdrawals_halted": 7, "signers_halted": 1, "people": 9, "rules": 1,
    }  # fmt: skip
    old = venue_statement(**facts, configuration=0, instruments=[])
    assert old.hex() == (
        "524656454e553031" "0100000000000000" "0200000000000000" "03000000" "04000000" "01000000" "06000000"
        "07000000" "01000000" "0900000000000000"
    )  # fmt: skip
    new = venue_statement(**facts, configuration=10, instruments=[])
    assert new == CONFIGURED_VENUE_MAGIC + old[8:] + (10).to_bytes(8, "little")


def test_a_snapshot_of_a_release_that_did_not_know_it_is_read(tmp_path: Path) -> None:
    engine = Engine()
    engine.step(command(Command.TICK), timestamp_ns=START_NS)
    engine.save(tmp_path / "new")
    raw = (tmp_path / "new").read_bytes()
    length = int.from_bytes(raw[8:16], "little")
    index = msgspec.json.decode(raw[16 : 16 + length], type=Index)
    header = bytes.fromhex(index.header)
    assert header.endswith(bytes(_FIELD_BYTES)), "the field is the last of the state"
    shorter = msgspec.json.encode(msgspec.structs.replace(index, header=header[:-_FIELD_BYTES].hex()))
    body = raw[:8] + len(shorter).to_bytes(8, "little") + shorter + raw[16 + length : -16]
    (tmp_path / "old").write_bytes(body + xxhash.xxh3_128(body).digest())
    again = Engine.load(tmp_path / "old")
    assert again.digest() == engine.digest()
    assert int(again.state.header["configuration"]) == 0
