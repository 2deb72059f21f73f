"""Numbered refusals. Numbers are feed format: append, never reuse. Texts are the wire's words.

Where clients match a text exactly (ccxt, the market maker) it is that text; `{amount}` and
`{currency}` are filled from the event.
"""

from enum import IntEnum


class Reject(IntEnum):
    INVALID_SYMBOL = 1
    INVALID_ACCOUNT = 2
    INVALID_ORDER_QTY = 3
    INVALID_PRICE = 4
    UNKNOWN_ORDER = 5
    INSUFFICIENT_BALANCE = 6
    DUPLICATE_CLORDID = 7
    MARKET_NOT_OPEN = 8
    NO_MARK_PRICE = 9
    RISK_LIMIT = 10
    IMMEDIATE_LIQUIDATION = 11
    REDUCE_ONLY = 12
    TOO_MANY_ORDERS = 13
    INVALID_DISPLAY_QTY = 14
    PRICE_ABOVE_COLLAR = 15
    PRICE_BELOW_COLLAR = 16
    INVALID_LEVERAGE = 17
    LEVERAGE_TOO_HIGH = 18
    INVALID_RISK_LIMIT = 19
    POSITION_IS_CROSS = 20
    INSUFFICIENT_ISOLATED_MARGIN = 21
    INVALID_AMOUNT = 22
    ACCOUNT_DISABLED = 23
    INVALID_PARAMETER = 24
    INVALID_EXEC_INST = 25
    INSTRUMENT_LIMITS = 26
    UNKNOWN_COMMAND = 27
    NOTHING_TO_AMEND = 28
    INVALID_TIMEOUT = 29
    NO_LIQUIDITY = 30
    INVALID_STOP_PX = 31
    INVALID_PEG = 32
    TOO_MANY_STOPS = 33
    INVALID_CONTINGENCY = 34
    NOT_ONE_FAMILY = 35
    NO_INDEX = 36
    VENUE_HALTED = 37
    CANCEL_ONLY = 38
    FUNDS_HALTED = 39
    NOT_THAT_HALT = 40
    INSTRUCTION_OUT_OF_ORDER = 41
    CUSTODY_ONLY = 42


TEXTS: dict[Reject, str] = {
    Reject.INVALID_SYMBOL: "Invalid symbol",
    Reject.INVALID_ACCOUNT: "Invalid account",
    Reject.INVALID_ORDER_QTY: "Invalid orderQty",
    Reject.INVALID_PRICE: "Invalid price",
    Reject.UNKNOWN_ORDER: "Invalid ordStatus",
    Reject.INSUFFICIENT_BALANCE: "Account has insufficient Available Balance, {amount} {currency} required",
    Reject.DUPLICATE_CLORDID: "Duplicate clOrdID",
    Reject.MARKET_NOT_OPEN: "Market is not open",
    Reject.NO_MARK_PRICE: "Instrument has no mark price",
    Reject.RISK_LIMIT: "Value of position and orders exceeds position Risk Limit",
    Reject.IMMEDIATE_LIQUIDATION: "Executing at order price would lead to immediate liquidation",
    Reject.REDUCE_ONLY: "Order had execInst of Close|ReduceOnly but current position is {amount}",
    Reject.TOO_MANY_ORDERS: "Too many open orders, at most {amount} per symbol",
    Reject.INVALID_DISPLAY_QTY: "Invalid displayQty",
    Reject.PRICE_ABOVE_COLLAR: "Price greater than limitUpPrice",
    Reject.PRICE_BELOW_COLLAR: "Price less than limitDownPrice",
    Reject.INVALID_LEVERAGE: "Invalid leverage",
    Reject.LEVERAGE_TOO_HIGH: "Cannot exceed the maximum entry leverage",
    Reject.INVALID_RISK_LIMIT: "Invalid riskLimit",
    Reject.POSITION_IS_CROSS: "Position has cross margin enabled",
    Reject.INSUFFICIENT_ISOLATED_MARGIN: "Position has insufficient isolated margin",
    Reject.INVALID_AMOUNT: "Invalid amount",
    Reject.ACCOUNT_DISABLED: "Account is restricted",
    Reject.INVALID_PARAMETER: "Invalid parameter",
    Reject.INVALID_EXEC_INST: "Invalid execInst",
    Reject.INSTRUMENT_LIMITS: "Instrument limits do not fit: {amount}",
    Reject.UNKNOWN_COMMAND: "Unknown command",
    Reject.NOTHING_TO_AMEND: "Nothing to amend",
    Reject.INVALID_TIMEOUT: "Invalid timeout",
    Reject.NO_LIQUIDITY: "No liquidity to execute against",
    Reject.INVALID_STOP_PX: "Invalid stopPx",
    Reject.INVALID_PEG: "Invalid pegOffsetValue",
    Reject.TOO_MANY_STOPS: "Too many stop orders, at most {amount} per symbol",
    Reject.INVALID_CONTINGENCY: "Invalid contingencyType",
    Reject.NOT_ONE_FAMILY: "Accounts do not belong to one family",
    Reject.NO_INDEX: "Instrument has no index price",
    Reject.VENUE_HALTED: "Trading is halted",
    Reject.CANCEL_ONLY: "Trading is halted: only cancels are accepted",
    Reject.FUNDS_HALTED: "Transfers of this asset are halted",
    Reject.NOT_THAT_HALT: "Not halted, or not by that halt: the last one is of sequence {amount}",
    Reject.INSTRUCTION_OUT_OF_ORDER: "Not custody's next instruction, which is number {amount}",
    Reject.CUSTODY_ONLY: "Coins leave on a chain through custody alone",
}

assert set(TEXTS) == set(Reject)
