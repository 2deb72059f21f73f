"""The bits of commands and events as plain integers.

Python's IntFlag makes an object of every `&` and `|`: that was a quarter of what an order took in a profile.
"""

from ringfence.messages.commands import OrderFlag
from ringfence.messages.events import EventFlag


class OrderBit:
    """See `OrderFlag` in messages/commands.py."""

    SELL = int(OrderFlag.SELL)
    IOC = int(OrderFlag.IOC)
    FOK = int(OrderFlag.FOK)
    DAY = int(OrderFlag.DAY)
    POST_ONLY = int(OrderFlag.POST_ONLY)
    REDUCE_ONLY = int(OrderFlag.REDUCE_ONLY)
    CLOSE = int(OrderFlag.CLOSE)
    AMEND_QTY = int(OrderFlag.AMEND_QTY)
    AMEND_LEAVES = int(OrderFlag.AMEND_LEAVES)
    AMEND_PX = int(OrderFlag.AMEND_PX)
    ONLY_BUYS = int(OrderFlag.ONLY_BUYS)
    ONLY_SELLS = int(OrderFlag.ONLY_SELLS)
    DEMO = int(OrderFlag.DEMO)
    AMEND_STOP_PX = int(OrderFlag.AMEND_STOP_PX)
    AMEND_PEG_OFFSET = int(OrderFlag.AMEND_PEG_OFFSET)


class EventBit:
    """See `EventFlag` in messages/events.py."""

    SELL = int(EventFlag.SELL)
    TAKER_DONE = int(EventFlag.TAKER_DONE)
    MAKER_DONE = int(EventFlag.MAKER_DONE)
    HIDDEN = int(EventFlag.HIDDEN)
    KEPT_PRIORITY = int(EventFlag.KEPT_PRIORITY)
    BY_ENGINE = int(EventFlag.BY_ENGINE)
    DEMO = int(EventFlag.DEMO)
    UNTRIGGERED = int(EventFlag.UNTRIGGERED)
