"""The bytes that are kept for ever: journals, feeds and identifiers written by one release are read by all.

When one of these fails, the layout has changed. Take the change back, and put new fields into spare
bytes and new numbers at the end. If old files really shall not be read any more: raise `VERSION` in
messages/layouts.py, say in `changes/` how a venue gets across, and only then put the new bytes here.
"""

from enum import IntEnum, IntFlag

import numpy as np
import pytest

from ringfence.exchange.feed import segment
from ringfence.exchange.journal import GENESIS, Frame
from ringfence.exchange.journal import frame as frames
from ringfence.exchange.journal.reader import Segment
from ringfence.messages import commands, events, identifiers, rejects
from ringfence.messages.batch import CLORDID, CONSTITUENTS, TEXT, Batch, Records, decode_data, encode_data
from ringfence.messages.constituents import (
    Hold,
    Reference,
    Said,
    Verdict,
    decode_constituents,
    encode_constituents,
)
from ringfence.messages.records import COMMAND, DATA, EVENT, VERSION

REMEDY = (
    "the bytes of {} have changed: files and identifiers of earlier releases would be misread. "
    "Take it back, or do what the top of tests/golden/test_layouts.py says."
)


def check(name: str, raw: bytes, golden: str) -> None:
    assert raw.hex() == golden.replace(" ", "").replace("\n", ""), REMEDY.format(name)


def counting(dtype: np.dtype[np.void]) -> Records:
    """Return one record whose fields hold 1, 2, 3 ... in the order of their names, the signed ones negative.

    By name, so that two fields that changed places are noticed.
    """
    row = np.zeros(1, dtype)
    assert dtype.names is not None
    for number, name in enumerate(sorted(dtype.names), 1):
        if dtype[name].kind == "V":
            row[name] = np.void(bytes(range(dtype[name].itemsize)))
        else:
            row[name] = -number if dtype[name].kind == "i" else number
    return row


COMMAND_GOLDEN = """
0500000000000000 f6ffffffffffffff 0200000000000000 0700000000000000 0b00000000000000 f7fffffff4ffffff
0100000003000000 0d00060e04000800
"""
DATA_GOLDEN = """
0001020304050607 08090a0b0c0d0e0f 1011121314151617 18191a1b1c1d1e1f 2021222324252627 28292a2b2c2d2e2f
3031323334353637 0100020305000000
"""
EVENT_GOLDEN = """
0b00000000000000 0400000000000000 0800000000000000 f6ffffffffffffff feffffffffffffff f9ffffffffffffff
f7ffffff01000000 060000000c000503
"""
CONSTITUENTS_GOLDEN = """
03
0101b80b 0bcd9a3b00000000 fa000000
c903d007 0000000000000000 ffffffff
"""
FRAME_GOLDEN = """
52464a524e4c3031 0100000001000000 0700000000000000 0000f323845bd718 2d1e21c953e6f3ed 91a3281df6872e0f
aae9985a69e2d6f1 746749c0aa172eec 080f87645fb108b3 0000000000000000 0000000000000000 0000000000000000
0000000000000000 0000000000000000 0000000000000000 0000000000000000 0500000000000000 f6ffffffffffffff
0200000000000000 0700000000000000 0b00000000000000 f7fffffff4ffffff 0100000003000000 0d00060e04000800
"""
FRAME_HASH_GOLDEN = "3efd0047a4232186e15527b1993f511211a7d1e6f377a8a07df966bf34b13390"
FEED_GOLDEN = """
5246464545443031 0700000000000000 0000f323845bd718 0b00000000000000 0100000001000000 f5f2f860a0ccb8ee
0000000000000000 0000000000000000 0500000000000000 f6ffffffffffffff 0200000000000000 0700000000000000
0b00000000000000 f7fffffff4ffffff 0100000003000000 0d00060e04000800 0b00000000000000 0400000000000000
0800000000000000 f6ffffffffffffff feffffffffffffff f9ffffffffffffff f7ffffff01000000 060000000c000503
"""
TEXT_GOLDEN = """
0108006d79206f72 6465720237006120 7465787420746861 7420697320746f6f 206c6f6e6720666f 72206f6e6520736c
6f74206f66206669 0000ff3800000000 6674792d73697820 6279746573000000 0000000000000000 0000000000000000
0000000000000000 0000000000000000 0000000000000000 0100ff0d00000000
"""


def test_the_version_is_the_one_whose_bytes_are_here() -> None:
    assert VERSION == 1, REMEDY.format("everything")


@pytest.mark.parametrize(
    ("name", "dtype", "golden"),
    [("COMMAND", COMMAND, COMMAND_GOLDEN), ("DATA", DATA, DATA_GOLDEN), ("EVENT", EVENT, EVENT_GOLDEN)],
)
def test_records(name: str, dtype: np.dtype[np.void], golden: str) -> None:
    assert dtype.itemsize == 64
    check(name, counting(dtype).tobytes(), golden)


def test_a_journal_frame_and_its_hash() -> None:
    raw, digest = frames.encode(
        counting(COMMAND).tobytes(),
        first_sequence=7,
        timestamp_ns=1_790_000_000_000_000_000,
        previous=GENESIS,
    )
    check("a journal frame", raw, FRAME_GOLDEN)
    check("a frame's hash", digest, FRAME_HASH_GOLDEN)
    found = frames.decode(bytes.fromhex(FRAME_GOLDEN), 0)
    assert isinstance(found, Frame), REMEDY.format("a journal frame")
    assert (found.first_sequence, found.timestamp_ns) == (7, 1_790_000_000_000_000_000)
    assert found.digest == digest


def test_a_feed_batch() -> None:
    batch = Batch(7, 1_790_000_000_000_000_000, 11, counting(COMMAND), counting(EVENT))
    check("a feed batch", segment.encode(batch), FEED_GOLDEN)
    found = segment.decode_at(bytes.fromhex(FEED_GOLDEN), 0)
    assert found is not None, REMEDY.format("a feed batch")
    assert found[:3] == batch[:3]
    assert found.events.tobytes() == batch.events.tobytes()


def test_file_names() -> None:
    assert segment.name_of(12_345) == "00000000000000012345.feed", REMEDY.format("a feed file's name")
    name = Segment(3, 12_345).name
    assert name == "00000003-00000000000000012345.journal", REMEDY.format("a journal segment's name")


def test_text_in_data_slots() -> None:
    items = [(CLORDID, b"my order"), (TEXT, b"a text that is too long for one slot of fifty-six bytes")]
    check("text in DATA slots", encode_data(items), TEXT_GOLDEN)
    slots = np.frombuffer(bytes(64) + bytes.fromhex(TEXT_GOLDEN), COMMAND)
    assert decode_data(slots, 0) == dict(items)


@pytest.mark.parametrize(
    ("tag", "number", "low", "text"),
    [
        (identifiers.ORDER, 0, 0, "00000000-0000-8000-8000-000000000000"),
        (identifiers.ORDER, 123_456_789, 42, "00000000-75bc-8d15-8000-00000000002a"),
        (identifiers.TRADE, 2**60 - 1, 2**56 - 1, "ffffffff-ffff-8fff-81ff-ffffffffffff"),
        (identifiers.EXECUTION, 2**40, 7, "00001000-0000-8000-8200-000000000007"),
        (identifiers.TRANSACTION, 1, 0, "00000000-0000-8001-8300-000000000000"),
    ],
)
def test_wire_identifiers(tag: int, number: int, low: int, text: str) -> None:
    assert identifiers.wire_id(tag, number, low) == text, REMEDY.format("wire identifiers")


@pytest.mark.parametrize(
    ("text", "number"),
    [("", 0xB4B2797457A0A6E4), ("mm-1", 0x340788D01C354E3), ("größer", 0xAE3BE64C2ED70516)],
)
def test_hashes_of_client_order_ids(text: str, number: int) -> None:
    assert identifiers.clid_hash(text) == number, REMEDY.format("clOrdID hashes")


# New ones are appended, so an enumeration may know more than is here.
NUMBERS: list[tuple[type[IntEnum] | type[IntFlag], str]] = [
    (
        commands.Command,
        """
            PLACE=1 AMEND=2 CANCEL=3 CANCEL_ALL=4 CANCEL_ALL_AFTER=5 SET_LEVERAGE=6 SET_RISK_LIMIT=7
            TRANSFER_MARGIN=8 OPEN_ACCOUNT=9 CONFIGURE_ACCOUNT=10 DEPOSIT=11 WITHDRAW=12 MARK=20 TICK=21
            LIST=30 CONFIGURE=31 SET_STATE=32 CONFIGURE_VENUE=33 DATA=255
        """,
    ),
    (
        commands.OrderType,
        """
            LIMIT=0 MARKET=1
        """,
    ),
    (
        commands.OrderFlag,
        """
            SELL=1 IOC=2 FOK=4 DAY=8 POST_ONLY=16 REDUCE_ONLY=32 CLOSE=64 AMEND_QTY=128 AMEND_LEAVES=256
            AMEND_PX=512 ONLY_BUYS=1024 ONLY_SELLS=2048 DEMO=4096
        """,
    ),
    (
        commands.ContractKind,
        """
            INVERSE=0 LINEAR=1 SPOT=2
        """,
    ),
    (
        commands.InstrumentState,
        """
            UNLISTED=0 OPEN=1 CLOSED=2 SETTLED=3
        """,
    ),
    (
        commands.InstrumentParameter,
        """
            LOT_SIZE=1 LOT_VALUE_FACTOR=2 SETTLE_ASSET=3 BASE_ASSET=4 PX_TICKS_MAX=5 QTY_MAX=6
            INITIAL_MARGIN_PPM=7 MAINTENANCE_MARGIN_PPM=8 RISK_LIMIT_BASE=9 RISK_LIMIT_STEP=10
            MAKER_FEE_PPM=11 TAKER_FEE_PPM=12 COLLAR_PPM=13 ORDERS_PER_ACCOUNT_MAX=14
        """,
    ),
    (
        commands.AccountParameter,
        """
            SELF_TRADE=1 TRADING_DISABLED=2
        """,
    ),
    (
        commands.SelfTrade,
        """
            CANCEL_RESTING=0 CANCEL_TAKING=1 ALLOW=2
        """,
    ),
    (
        commands.VenueParameter,
        """
            RISK_TIERS_MAX=1
        """,
    ),
    (
        events.Event,
        """
            ACCEPTED=1 TRADE=2 CANCELED=3 AMENDED=4 REJECTED=5 REALISED=6 POSITION_SET=7 ACCOUNT_OPENED=8
            ACCOUNT_SET=9 DEPOSITED=10 WITHDRAWN=11 TIMER_SET=12 TIMER_FIRED=13 MARKED=14 TICKED=15
            LISTED=16 INSTRUMENT_SET=17 STATE_SET=18 VENUE_SET=19
        """,
    ),
    (
        events.EventFlag,
        """
            SELL=1 TAKER_DONE=2 MAKER_DONE=4 HIDDEN=8 KEPT_PRIORITY=16 BY_ENGINE=32 DEMO=64
        """,
    ),
    (
        events.CancelReason,
        """
            REQUESTED=0 CANCEL_ALL=1 IMMEDIATE_OR_CANCEL=2 FILL_OR_KILL=3 POST_ONLY=4 COLLAR=5 SELF_TRADE=6
            TIMER=7 DAY_ENDED=8 REDUCE_ONLY=9 CLOSE=10 INSUFFICIENT_MARGIN=11 INSTRUMENT_CLOSED=12
        """,
    ),
    (
        rejects.Reject,
        """
            INVALID_SYMBOL=1 INVALID_ACCOUNT=2 INVALID_ORDER_QTY=3 INVALID_PRICE=4 UNKNOWN_ORDER=5
            INSUFFICIENT_BALANCE=6 DUPLICATE_CLORDID=7 MARKET_NOT_OPEN=8 NO_MARK_PRICE=9 RISK_LIMIT=10
            IMMEDIATE_LIQUIDATION=11 REDUCE_ONLY=12 TOO_MANY_ORDERS=13 INVALID_DISPLAY_QTY=14
            PRICE_ABOVE_COLLAR=15 PRICE_BELOW_COLLAR=16 INVALID_LEVERAGE=17 LEVERAGE_TOO_HIGH=18
            INVALID_RISK_LIMIT=19 POSITION_IS_CROSS=20 INSUFFICIENT_ISOLATED_MARGIN=21 INVALID_AMOUNT=22
            ACCOUNT_DISABLED=23 INVALID_PARAMETER=24 INVALID_EXEC_INST=25 INSTRUMENT_LIMITS=26
            UNKNOWN_COMMAND=27 NOTHING_TO_AMEND=28 INVALID_TIMEOUT=29 NO_LIQUIDITY=30
        """,
    ),
    (
        Reference,
        """
        INDEX=0 COINBASE=1 KRAKEN=2 BITSTAMP=3 GEMINI=4 BINANCE=5 OKX=6 BYBIT=7 SIMULATED_A=201 SIMULATED_B=202
        SIMULATED_C=203 SIMULATED_D=204 SIMULATED_E=205
        """,
    ),
    (
        Verdict,
        "COUNTED=0 LIMITED=1 NO_PRICE=2 NOT_A_PRICE=3 OUT_OF_RANGE=4 STALE=5 OUTLIER=6 RETURNING=7",
    ),
    (Hold, "NONE=0 TOO_FEW=1 TWO_DISAGREE=2 STEP_WITHOUT_QUORUM=3"),
]


def test_what_an_index_says_of_its_constituents() -> None:
    said = (
        Said(Reference.COINBASE, Verdict.LIMITED, 3_000, 1_000_000_779, 250),
        Said(Reference.SIMULATED_A, Verdict.NOT_A_PRICE, 2_000, 0, 2**32 - 1),
    )
    check("CONSTITUENTS", encode_constituents(Hold.STEP_WITHOUT_QUORUM, said), CONSTITUENTS_GOLDEN)
    raw = bytes.fromhex(CONSTITUENTS_GOLDEN)
    assert decode_constituents(raw) == (Hold.STEP_WITHOUT_QUORUM, said)
    assert CONSTITUENTS == 7


@pytest.mark.parametrize(("names", "golden"), NUMBERS, ids=lambda value: getattr(value, "__name__", ""))
def test_numbers_are_never_reused(names: type[IntEnum] | type[IntFlag], golden: str) -> None:
    expected = dict(pair.split("=") for pair in golden.split())
    found = {name: str(member.value) for name, member in names.__members__.items() if name in expected}
    assert found == expected, REMEDY.format(f"the numbers of {names.__name__}")
