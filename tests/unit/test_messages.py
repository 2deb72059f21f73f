"""What is written can be read back, and what nobody wrote is not taken for it."""

import string
import uuid

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.messages.batch import command_positions, decode_data, decode_slots, encode_data
from ringfence.messages.commands import Command
from ringfence.messages.identifiers import (
    ORDER,
    TRADE,
    clid_hash,
    handle_of,
    order_handle,
    order_id,
    parse_wire_id,
    wire_id,
)
from ringfence.messages.records import COMMAND, DATA, EVENT, RECORD_BYTES, record
from ringfence.messages.rejects import TEXTS, Reject
from ringfence.testing.play import command

texts = st.dictionaries(st.integers(1, 255), st.binary(max_size=400), max_size=6)


@given(texts, texts)
def test_text_comes_back_and_belongs_to_its_own_command(
    mine: dict[int, bytes], others: dict[int, bytes]
) -> None:
    raw = b"".join(
        (
            command(Command.PLACE).tobytes(), encode_data(list(mine.items())),
            command(Command.CANCEL).tobytes(), encode_data(list(others.items())),
        )
    )  # fmt: skip
    commands = np.frombuffer(raw, COMMAND)
    first, second = command_positions(commands)
    assert first == 0
    for position, items in ((first, mine), (second, others)):
        assert decode_data(commands, position) == items
        assert decode_slots(raw, position) == items


@given(texts)
def test_text_slots_are_whole_numbered_and_zero_where_unused(items: dict[int, bytes]) -> None:
    raw = encode_data(list(items.items()))
    assert len(raw) % RECORD_BYTES == 0
    slots = np.frombuffer(raw, DATA)
    assert slots["index"].tolist() == list(range(len(slots)))
    assert set(slots["kind"].tolist()) <= {Command.DATA}
    assert sum(slots["length"].tolist()) == sum(3 + len(text) for text in items.values())
    for slot in slots:
        assert not slot["payload"].tobytes()[int(slot["length"]) :].strip(b"\0")
        assert slot["spare"] == 0


@given(st.binary(min_size=64, max_size=640))
def test_slots_that_make_no_sense_do_no_harm(noise: bytes) -> None:
    """A gateway checks what it writes; a reader still must not fall over what it finds."""
    commands = np.zeros(len(noise) // 64, COMMAND)
    commands.view(np.uint8)[:] = np.frombuffer(noise[: len(commands) * 64], np.uint8)
    commands["kind"] = Command.DATA
    raw = command(Command.PLACE).tobytes() + commands.tobytes()
    found = decode_data(np.frombuffer(raw, COMMAND), 0)
    assert all(isinstance(text, bytes) for text in found.values())


@given(st.integers(0, 15), st.integers(0, 2**60 - 1), st.integers(0, 2**56 - 1))
def test_wire_identifiers_are_uuids_and_come_back(tag: int, number: int, low: int) -> None:
    text = wire_id(tag, number, low)
    parsed = uuid.UUID(text)
    assert (str(parsed), parsed.version, parsed.variant) == (text, 8, uuid.RFC_4122)
    assert parse_wire_id(text) == parse_wire_id(text.upper()) == (tag, number, low)


@given(st.integers(0, 2**60 - 1), st.integers(0, 2**60 - 1), st.integers(0, 2**32 - 1))
def test_transactions_sort_as_they_happened(number: int, other: int, low: int) -> None:
    assert (wire_id(TRADE, number, low) < wire_id(TRADE, other, low)) == (number < other)


@given(st.integers(0, 2**60 - 1), st.integers(0, 2**32 - 1))
def test_an_order_id_names_its_handle(sequence: int, slot: int) -> None:
    handle = order_handle(sequence, slot)
    assert 0 <= handle < 2**64
    assert handle_of(order_id(sequence, handle)) == handle


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "00000000-0000-0000-0000-000000000000", str(uuid.UUID(int=2**128 - 1)),
        wire_id(TRADE, 5, 5), wire_id(ORDER, 5, 5)[:-1], wire_id(ORDER, 5, 5) + "0",
        wire_id(ORDER, 5, 5).replace("-", ""), wire_id(ORDER, 5, 5).replace("-", "_"),
        "{" + wire_id(ORDER, 5, 5)[:-2] + "}", " " * 36, "0x" + wire_id(ORDER, 5, 5)[2:],
        wire_id(ORDER, 5, 5)[:-1] + "٣",
    ],
)  # fmt: skip
def test_what_is_no_order_id_names_no_order(text: str) -> None:
    assert handle_of(text) is None


@given(st.text(max_size=40))
def test_any_text_is_no_order_id_or_is_exactly_one(text: str) -> None:
    assert parse_wire_id(text) is None


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=40))
def test_a_client_order_id_has_a_hash_and_it_is_not_none(text: str) -> None:
    assert 0 < clid_hash(text) < 2**64


def test_every_refusal_has_words_and_asks_only_for_what_an_event_has() -> None:
    assert list(TEXTS) == list(Reject)
    assert [reject.value for reject in Reject] == list(range(1, len(Reject) + 1))
    for reject, text in TEXTS.items():
        names = {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}
        assert names <= {"amount", "currency"}, reject
        said = text.format(amount=7, currency="XBt")
        assert said
        assert said == said.strip()
        assert "{" not in said
    assert len(set(TEXTS.values())) == len(TEXTS)


@pytest.mark.parametrize("dtype", [COMMAND, DATA, EVENT])
def test_records_are_one_cache_line_with_aligned_fields_that_do_not_overlap(dtype: np.dtype[np.void]) -> None:
    assert dtype.itemsize == RECORD_BYTES
    assert dtype.fields is not None
    end = 0
    for field, offset in sorted((value[:2] for value in dtype.fields.values()), key=lambda pair: pair[1]):
        assert offset >= end
        assert offset % field.alignment == 0
        end = offset + field.itemsize
    assert end <= RECORD_BYTES


def test_a_record_that_does_not_fit_or_is_not_aligned_is_refused() -> None:
    with pytest.raises(AssertionError, match="b is not aligned"):
        record(("a", "u4"), ("b", "u8"))
    with pytest.raises(AssertionError, match="do not fit"):
        record(*((f"f{number}", "u8") for number in range(9)))
