"""Whatever comes over the wire: nothing breaks, nothing is done, and the next good message is taken."""

import contextlib
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ringfence.exchange.fix.dictionary import INCOMING
from ringfence.exchange.fix.framing import Framer, TooLong
from ringfence.exchange.fix.message import Message, Unreadable
from ringfence.exchange.fix.session import Session
from ringfence.exchange.fix.store import Asked, Begun, Out, Store
from ringfence.testing.client import Client
from ringfence.testing.fix import frame, stamp
from ringfence.testing.venue import Venue
from tests.fix.conftest import Make

GOOD = frame((35, "1"), (49, "A"), (56, "RINGFENCE"), (34, 1), (52, "20261201-00:00:00.000"), (112, "good"))
PIECES = [b"8=FIX.4.4\x01", b"9=5\x01", b"9=90\x01", b"10=000\x01", b"8=FI", b"35=D\x01", b"\x01"]
NOISE = st.one_of(
    st.binary(max_size=60),
    st.lists(st.sampled_from(PIECES), max_size=8).map(b"".join),
    st.integers(0, len(GOOD) - 1).map(lambda at: GOOD[:at]),
)


@settings(deadline=None)
@given(st.lists(NOISE, max_size=5), st.integers(1, 40))
def test_the_framer_finds_a_good_message_after_any_noise_in_any_pieces(noise: list[bytes], step: int) -> None:
    framer, found = Framer(), []
    # Two, because what was cut off may have claimed the bytes of the first.
    data = b"".join(noise) + GOOD + GOOD + b"8=FIX.4.4\x019=999\x01" + b"\x01" * 1_100
    try:
        for at in range(0, len(data), step):
            found += framer.feed(data[at : at + step])
    except TooLong:
        return
    assert found.count(GOOD) == 2
    for raw in found:
        Message(raw) if raw == GOOD else None


@given(st.binary(max_size=200))
def test_any_body_with_the_right_length_and_checksum_is_a_message_or_unreadable(body: bytes) -> None:
    head = b"8=FIX.4.4\x019=%d\x01" % (len(body) + 1) + body + b"\x01"
    raw = head + b"10=%03d\x01" % (sum(head) & 0xFF)
    for found in Framer().feed(raw):
        with contextlib.suppress(Unreadable):
            Message(found)


class Nobody:
    """An application that must not be asked while a message is wrong."""

    def __init__(self) -> None:
        self.taken: list[Message] = []

    def take(self, message: Message) -> Asked | None:
        assert message.problem is None
        self.taken.append(message)
        return None


class Wire:
    is_full = False

    def __init__(self) -> None:
        self.ended = ""

    def write(self, raw: bytes) -> None:
        (again,) = Framer().feed(raw)
        Message(again)

    def end(self, why: str) -> None:
        self.ended = why


VALUES = st.one_of(
    st.sampled_from(["Y", "N", "0", "1", "2", "XBTUSD", "A", "99999999999999", "-1", "1.5", "x"]),
    st.text(st.characters(codec="utf-8", exclude_characters="\x01"), min_size=1, max_size=12),
)
TAGS = st.sampled_from(
    sorted({int(t) for s in INCOMING.values() for t in (*s.required, *s.optional)} | {43, 97, 122, 110})
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from([*INCOMING, "ZZ", "V"]),
            st.integers(1, 6),
            st.lists(st.tuples(TAGS, VALUES), max_size=8),
        ),
        max_size=12,
    )
)
def test_a_session_survives_any_messages_and_remembers_its_numbers(
    tmp_path: Path, messages: list[tuple[str, int, list[tuple[int, str]]]]
) -> None:
    path = tmp_path / "any.session"
    store = Store.create(path, Begun(1, "A", "RINGFENCE", 0), sync=False)
    session, wire = Session(store, Nobody(), lambda: 1_796_083_200_000_000_000), Wire()
    session.line = wire
    for kind, seq, pairs in messages:
        before = store.next_in
        raw = frame(
            (35, kind), (49, "A"), (56, "RINGFENCE"), (34, seq), (52, "20261201-00:00:00.000"), *pairs
        )
        for found in Framer().feed(raw):
            try:
                session.take(Message(found))
            except Unreadable:
                continue
        assert store.next_in >= before, "numbers never go back"
        session.flush()
    again = Store(path, sync=False)
    assert (again.next_in, again.next_out) == (store.next_in, store.next_out)
    for seq in range(1, store.next_out):
        assert again.message(seq) == store.message(seq)
    again.close()
    store.close()


@settings(deadline=None)
@given(st.integers(0, 400))
def test_a_store_that_is_cut_anywhere_is_a_store_of_what_came_before(cut: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cut.session"
        store = Store.create(path, Begun(1, "A", "B", 3, [5]), sync=False)
        begun = path.stat().st_size
        for seq in range(1, 9):
            store.sent(
                Out(seq, key=seq + 3, handle=seq, clordid=f"c{seq}", is_owned=True), b"message %d" % seq
            )
            store.heard(seq + 1)
        store.close()
        raw = path.read_bytes()
        path.write_bytes(raw[: begun + cut])
        found = Store(path, sync=False)
        assert found.next_out - found.next_in in (0, 1)
        assert found.position == max(3, found.next_out + 2)
        assert found.handles == {5, *range(1, found.next_out)}
        assert [found.message(seq) for seq in range(1, found.next_out)] == [
            b"message %d" % seq for seq in range(1, found.next_out)
        ]
        found.close()


@pytest.mark.parametrize("seed", range(4))
def test_garbage_on_a_session_has_no_effect_on_the_venue(make: Make, fix_venue: Venue, seed: int) -> None:
    chance, client, rest = random.Random(seed), make(6), Client(fix_venue.port, 6)
    client.log_on()
    before = rest.get("/execution?count=500&reverse=true")
    order = client.raw(
        "D", (11, "g"), (55, "XBTUSD"), (54, 1), (60, stamp()), (38, 100), (40, 2), (44, 9000), seq=2
    )
    for _ in range(150):
        raw = bytearray(order)
        for _ in range(chance.randint(1, 4)):
            raw[chance.randrange(len(raw))] = chance.randrange(256)
        # One that is right by accident is another order, which is something else.
        if not list(Framer().feed(bytes(raw))):
            client.send_raw(bytes(raw))
    client.send("1", (112, "still here"))
    client.until(lambda m: m.get(112) == "still here")
    assert rest.get("/execution?count=500&reverse=true") == before
