"""The part of FIX 4.4 that is spoken: fields by name, and what each message must and may have.

What is not in a message's table is refused, never passed over: a field that we do not know may be the
one that the order depends on.
"""

import re
from enum import IntEnum
from typing import NamedTuple


class Tag(IntEnum):
    ACCOUNT = 1
    AVG_PX = 6
    BEGIN_SEQ_NO = 7
    BEGIN_STRING = 8
    BODY_LENGTH = 9
    CHECKSUM = 10
    CLORDID = 11
    COMMISSION = 12
    COMM_TYPE = 13
    CUM_QTY = 14
    END_SEQ_NO = 16
    EXEC_ID = 17
    EXEC_INST = 18
    HANDL_INST = 21
    LAST_PX = 31
    LAST_QTY = 32
    MSG_SEQ_NUM = 34
    MSG_TYPE = 35
    NEW_SEQ_NO = 36
    ORDER_ID = 37
    ORDER_QTY = 38
    ORD_STATUS = 39
    ORD_TYPE = 40
    ORIG_CLORDID = 41
    POSS_DUP = 43
    PRICE = 44
    REF_SEQ_NUM = 45
    SENDER = 49
    SENDING_TIME = 52
    SIDE = 54
    SYMBOL = 55
    TARGET = 56
    TEXT = 58
    TIME_IN_FORCE = 59
    TRANSACT_TIME = 60
    RAW_DATA_LENGTH = 95
    RAW_DATA = 96
    POSS_RESEND = 97
    ENCRYPT_METHOD = 98
    STOP_PX = 99
    CXL_REJ_REASON = 102
    ORD_REJ_REASON = 103
    HEART_BT_INT = 108
    MAX_FLOOR = 111
    TEST_REQ_ID = 112
    ORIG_SENDING_TIME = 122
    GAP_FILL = 123
    RESET_SEQ_NUM = 141
    EXEC_TYPE = 150
    LEAVES_QTY = 151
    REF_TAG = 371
    REF_MSG_TYPE = 372
    SESSION_REJECT_REASON = 373
    BUSINESS_REJECT_REF = 379
    BUSINESS_REJECT_REASON = 380
    CXL_REJ_RESPONSE_TO = 434
    COMM_CURRENCY = 479
    SECONDARY_EXEC_ID = 527
    MASS_CANCEL_TYPE = 530
    MASS_CANCEL_RESPONSE = 531
    MASS_CANCEL_REJECT_REASON = 532
    TOTAL_AFFECTED = 533
    USERNAME = 553
    WORKING = 636
    ORD_STATUS_REQ_ID = 790
    COPY_MSG = 797
    LAST_LIQUIDITY = 851
    DISPLAY_QTY = 1138
    # Ours, in the range that the standard leaves to users.
    CANCEL_ON_DISCONNECT = 9001
    TRIGGER_PRICE = 9002
    CLOSE_POSITION = 9003
    HTTP_STATUS = 9004
    EXEC_KIND = 9005


class MsgType:
    HEARTBEAT, TEST_REQUEST, RESEND_REQUEST, REJECT, SEQUENCE_RESET, LOGOUT, LOGON = (
        "0",
        "1",
        "2",
        "3",
        "4",
        "5",
        "A",
    )
    EXECUTION_REPORT, CANCEL_REJECT, BUSINESS_REJECT, MASS_CANCEL_REPORT = "8", "9", "j", "r"
    NEW_ORDER, CANCEL, REPLACE, STATUS, MASS_CANCEL = "D", "F", "G", "H", "q"


class Fault(IntEnum):
    """SessionRejectReason (373)."""

    REQUIRED_TAG = 1
    TAG_NOT_DEFINED = 2
    NO_VALUE = 4
    VALUE = 5
    FORMAT = 6
    COMP_ID = 9
    SENDING_TIME = 10
    MSG_TYPE = 11
    REPEATED_TAG = 13


class Spec(NamedTuple):
    required: frozenset[int]
    optional: frozenset[int] = frozenset()


HEADER_REQUIRED = (
    Tag.BEGIN_STRING, Tag.BODY_LENGTH, Tag.MSG_TYPE, Tag.SENDER, Tag.TARGET, Tag.MSG_SEQ_NUM, Tag.SENDING_TIME,
)  # fmt: skip
HEADER = frozenset((*HEADER_REQUIRED, Tag.POSS_DUP, Tag.POSS_RESEND, Tag.ORIG_SENDING_TIME, Tag.CHECKSUM))

_PARTS = (Tag.ACCOUNT, Tag.TEXT, Tag.ORDER_QTY)
INCOMING = {
    MsgType.HEARTBEAT: Spec(frozenset(), frozenset((Tag.TEST_REQ_ID,))),
    MsgType.TEST_REQUEST: Spec(frozenset((Tag.TEST_REQ_ID,))),
    MsgType.RESEND_REQUEST: Spec(frozenset((Tag.BEGIN_SEQ_NO, Tag.END_SEQ_NO))),
    MsgType.REJECT: Spec(
        frozenset((Tag.REF_SEQ_NUM,)),
        frozenset((Tag.REF_TAG, Tag.REF_MSG_TYPE, Tag.SESSION_REJECT_REASON, Tag.TEXT)),
    ),
    MsgType.SEQUENCE_RESET: Spec(frozenset((Tag.NEW_SEQ_NO,)), frozenset((Tag.GAP_FILL,))),
    MsgType.LOGOUT: Spec(frozenset(), frozenset((Tag.TEXT,))),
    MsgType.LOGON: Spec(
        frozenset((Tag.ENCRYPT_METHOD, Tag.HEART_BT_INT, Tag.USERNAME, Tag.RAW_DATA_LENGTH, Tag.RAW_DATA)),
        frozenset((Tag.RESET_SEQ_NUM, Tag.CANCEL_ON_DISCONNECT)),
    ),
    MsgType.BUSINESS_REJECT: Spec(
        frozenset((Tag.REF_MSG_TYPE, Tag.BUSINESS_REJECT_REASON)),
        frozenset((Tag.REF_SEQ_NUM, Tag.BUSINESS_REJECT_REF, Tag.TEXT)),
    ),
    MsgType.NEW_ORDER: Spec(
        frozenset((Tag.CLORDID, Tag.SYMBOL, Tag.SIDE, Tag.TRANSACT_TIME, Tag.ORD_TYPE)),
        frozenset(
            (
                *_PARTS, Tag.PRICE, Tag.STOP_PX, Tag.TIME_IN_FORCE, Tag.EXEC_INST, Tag.HANDL_INST, Tag.MAX_FLOOR,
                Tag.DISPLAY_QTY, Tag.TRIGGER_PRICE, Tag.CLOSE_POSITION,
            )
        ),
    ),
    MsgType.CANCEL: Spec(
        frozenset((Tag.ORIG_CLORDID, Tag.CLORDID, Tag.SYMBOL, Tag.SIDE, Tag.TRANSACT_TIME)),
        frozenset((*_PARTS, Tag.ORDER_ID)),
    ),
    MsgType.REPLACE: Spec(
        frozenset((Tag.ORIG_CLORDID, Tag.CLORDID, Tag.SYMBOL, Tag.SIDE, Tag.TRANSACT_TIME, Tag.ORD_TYPE)),
        frozenset((*_PARTS, Tag.ORDER_ID, Tag.PRICE, Tag.STOP_PX, Tag.HANDL_INST)),
    ),
    MsgType.STATUS: Spec(
        frozenset((Tag.CLORDID, Tag.SYMBOL, Tag.SIDE)),
        frozenset((Tag.ORDER_ID, Tag.ORD_STATUS_REQ_ID, Tag.ACCOUNT)),
    ),
    MsgType.MASS_CANCEL: Spec(
        frozenset((Tag.CLORDID, Tag.MASS_CANCEL_TYPE, Tag.TRANSACT_TIME)), frozenset((Tag.SYMBOL, Tag.SIDE, Tag.TEXT))
    ),
}  # fmt: skip

# FIX 4.4's other application messages: known to the standard, not done here.
_OTHER = """
6 7 B C E J K L M N P Q R S T V W X Y Z a b c d e f g h i k l m n o p s t u v w x y z
AA AB AC AD AE AF AG AH AI AJ AK AL AM AN AO AP AQ AR AS AT AU AV AW AX AY AZ BA BB BC BD BE BF BG BH
"""
OTHER_TYPES = frozenset(_OTHER.split()) | {
    MsgType.EXECUTION_REPORT, MsgType.CANCEL_REJECT, MsgType.MASS_CANCEL_REPORT,
}  # fmt: skip

_NUMBER = re.compile(r"[0-9]{1,12}")
_DECIMAL = re.compile(r"[0-9]{1,20}(\.[0-9]{0,20})?")
_TIME = re.compile(r"[0-9]{8}-[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{3,9})?")
_FLAG = re.compile(r"[YN]")
_FORMATS = {
    **dict.fromkeys(
        (
            Tag.MSG_SEQ_NUM, Tag.BEGIN_SEQ_NO, Tag.END_SEQ_NO, Tag.NEW_SEQ_NO, Tag.REF_SEQ_NUM, Tag.HEART_BT_INT,
            Tag.ENCRYPT_METHOD, Tag.RAW_DATA_LENGTH,
        ),
        _NUMBER,
    ),
    **dict.fromkeys((Tag.ORDER_QTY, Tag.PRICE, Tag.STOP_PX, Tag.MAX_FLOOR, Tag.DISPLAY_QTY), _DECIMAL),
    **dict.fromkeys((Tag.SENDING_TIME, Tag.ORIG_SENDING_TIME, Tag.TRANSACT_TIME), _TIME),
    **dict.fromkeys(
        (
            Tag.POSS_DUP, Tag.POSS_RESEND, Tag.GAP_FILL, Tag.RESET_SEQ_NUM, Tag.CANCEL_ON_DISCONNECT,
            Tag.CLOSE_POSITION,
        ),
        _FLAG,
    ),
}  # fmt: skip
_VALUES = {
    Tag.SIDE: ("1", "2"),
    Tag.ORD_TYPE: ("1", "2", "3", "4", "J"),
    Tag.TIME_IN_FORCE: ("0", "1", "3", "4"),
    Tag.HANDL_INST: ("1",),
    Tag.ENCRYPT_METHOD: ("0",),
    Tag.MASS_CANCEL_TYPE: ("1", "7"),
    Tag.TRIGGER_PRICE: ("1", "2", "3"),
}


def fault_of_value(tag: int, value: str) -> Fault | None:
    """Return what is wrong with a field's text, None if it may be what it should."""
    wanted = _FORMATS.get(tag)  # type: ignore[call-overload]
    if wanted is not None and wanted.fullmatch(value) is None:
        return Fault.FORMAT
    allowed = _VALUES.get(tag)  # type: ignore[call-overload]
    return Fault.VALUE if allowed is not None and value not in allowed else None
