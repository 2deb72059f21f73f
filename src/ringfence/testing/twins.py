"""The engine and its shadow side by side: the same commands, and nothing may differ."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from ringfence.assurance.shadow import Figures, Shadow, disagreement, figures
from ringfence.exchange.engine import Engine
from ringfence.exchange.engine.records import (
    BLOCK_SMALL,
    FEE_EXEMPT,
    MARGIN_CLASSIC,
    MARGIN_DISABLED,
    MARGIN_FEE_TIER_SHIFT,
    MARGIN_SELF_TRADE_MASK,
    MARGIN_SELF_TRADE_SHIFT,
    ORDER_DAY,
    ORDER_LINKED,
    ORDER_POST_ONLY,
    ORDER_REDUCE_ONLY,
    ORDER_SELL,
    ORDER_UNTRIGGERED,
    ORDER_WAITING,
    PENDING_ADL,
    PENDING_SCAN,
    PENDING_TRIGGERS,
    PENDING_WORK,
)
from ringfence.messages.batch import Records
from ringfence.messages.commands import Command, OrderType
from ringfence.messages.events import Event
from ringfence.messages.rules import RULES_FIRST
from ringfence.testing.play import command
from ringfence.units.assets import ASSETS

_TICKS_MAX = 5_000


class ShadowedEngine(Engine):
    """An engine that is held against its shadow: AssertionError at the first event that is not the same."""

    def __init__(self, *, accounts: int = 1 << 10, orders: int = 1 << 14) -> None:
        super().__init__(accounts=accounts, orders=orders)
        self.shadow = Shadow()
        self.seen: Counter[Event] = Counter()
        """Events compared, by kind."""

    def step(self, commands: Records, *, timestamp_ns: int) -> Records:
        events = super().step(commands, timestamp_ns=timestamp_ns)
        mine, theirs = self.shadow.step(commands.tobytes(), timestamp_ns=timestamp_ns), events.tobytes()
        found = disagreement(mine, theirs)
        assert found is None, f"the shadow does not agree: {found}"
        for name in ("next_sequence", "event_count", "has_more_to_do", "wake_at_ns"):
            here, there = getattr(self.shadow, name), getattr(self, name)
            assert here == there, (
                f"the shadow does not agree at {self.next_sequence}: {name} {here}, there {there}"
            )
        self.seen.update(map(Event, events["kind"].tolist()))
        return events

    def settle_down(self, *, timestamp_ns: int) -> None:
        """Send TICKs until nothing is left over or due."""
        for _ in range(_TICKS_MAX):
            if not self.has_more_to_do and not 0 < self.wake_at_ns <= timestamp_ns:
                return
            self.step(command(Command.TICK), timestamp_ns=timestamp_ns)
        raise AssertionError("there is always something left to do")

    def compare_state(self) -> None:
        """Raise AssertionError where a figure of the state is not the same."""
        mine, theirs = dict(figures(self.shadow.venue)), dict(figures_of(self))
        assert mine.keys() == theirs.keys(), f"only one has {mine.keys() ^ theirs.keys()}"
        for subject, values in theirs.items():
            for name, value in values.items():
                here = mine[subject][name]
                assert here == value, f"{subject}: {name} is {here} for the shadow, {value} for the engine"


def figures_of(engine: Engine) -> Iterator[Figures]:
    """Yield the engine's state in the figures of the shadow; unrealised profit only where the engine knows it."""
    header = engine.state.header
    yield Figures("venue", _of_venue(header))
    for symbol in range(1, int(header["n_instruments"]) + 1):
        yield Figures(f"instrument {symbol}", _of_instrument(engine.instrument(symbol)))
    for account in range(1, int(header["n_accounts"]) + 1):
        margins = [engine.margin(asset.number, account) for asset in ASSETS]
        yield Figures(f"account {account}", _of_account(margins[0]))
        for asset, margin in zip(ASSETS, margins, strict=True):
            values = {"wallet": int(margin["wallet"]), "locked": int(margin["locked"])}
            if margin["epoch"] == header["epoch"]:
                values["unrealised"] = int(margin["unrealised"])
            yield Figures(f"account {account} in {asset.currency}", values)
        for margin in margins:
            base = int(margin["base"])
            size = max(int(margin["slots"]), BLOCK_SMALL) if margin["slots"] else 0
            for number in range(base, base + size):
                row = engine.state.positions[number]
                if row["account"] == account:
                    yield Figures(
                        f"account {account} in instrument {row['symbol']}", _of_position(number, row)
                    )
    orders = engine.state.orders[: header["n_orders"]]
    for slot in np.flatnonzero(orders["leaves"] > 0).tolist():
        row = orders[slot]
        yield Figures(f"order {row['sequence']}/{slot}", _of_order(engine, slot, row))


def _of_venue(header: Any) -> dict[str, int]:
    pending, discounts = int(header["pending"]), int(header["fee_discounts"])
    same = (
        "sequence", "event_count", "timestamp_ns", "risk_tiers_max", "halted", "halt_sequence", "cancel_only_ns",
        "deposits_halted", "withdrawals_halted", "signers_halted", "people", "configuration", "next_reopen_ns",
        "next_timer_ns", "day_ends_ns", "next_due_ns", "sampled_ns", "custody_account", "instruction_next",
    )  # fmt: skip
    return {
        **{name: int(header[name]) for name in same},
        **{f"fee_discount_{tier}": discounts >> 8 * tier & 0xFF for tier in range(1, 7)},
        "insurance_account": int(header["fund_account"]),
        "rules": max(int(header["rules"]), RULES_FIRST),
        "stops_to_look_at": int(bool(pending & PENDING_TRIGGERS)),
        "accounts_to_check": int(bool(pending & PENDING_SCAN)),
        "fund_has_work": int(bool(pending & PENDING_WORK)),
        "must_deleverage": int(bool(pending & PENDING_ADL)),
        "assets_to_check": int(header["scan_assets"]),
        "next_account_to_check": int(header["scan_account"]),
        "instruments_worked": int(header["work_symbol"]),
        "slots_used": int(header["n_orders"]),
        "next_position_number": int(header["n_positions"]),
        "open_orders": int(header["n_live"]),
        "reduce_only_orders": int(header["n_reduce_only"]),
        "linked_orders": int(header["n_linked"]),
        "timers": int(header["n_timers"]),
    }


_NOT_OF_INSTRUMENT = {
    "spare", "number", "ticks", "per_lot", "collar_up", "collar_down", "n_bids", "n_asks", "stop_above",
    "stop_below", "n_untriggered", "trailing", "adl_due", "skip_funding", "narrow_until_ns", "ask",
    *(f"heap{k}" for k in range(8)), "p_levels", "p_words", "cap_levels", "cap_words",
}  # fmt: skip


def _of_instrument(row: Any) -> dict[str, int]:
    return {
        **{name: int(row[name]) for name in row.dtype.names if name not in _NOT_OF_INSTRUMENT},
        "must_be_deleveraged": int(row["adl_due"]),
        "ask": int(row["ask"]) if row["ask"] <= row["px_max"] else 0,
        "bids": int(row["n_bids"]),
        "asks": int(row["n_asks"]),
    }


def _of_account(margin: Any) -> dict[str, int]:
    flags = int(margin["flags"])
    return {
        "parent": int(margin["parent"]),
        "self_trade": (flags & MARGIN_SELF_TRADE_MASK) >> MARGIN_SELF_TRADE_SHIFT,
        "disabled": int(bool(flags & MARGIN_DISABLED)),
        "fee_tier": flags >> MARGIN_FEE_TIER_SHIFT & FEE_EXEMPT,
        "classic": int(bool(flags & MARGIN_CLASSIC)),
    }


def _of_position(number: int, row: Any) -> dict[str, int]:
    same = ("qty", "cost", "leverage", "tier", "transferred", "open_buys", "open_sells", "locked")
    return {"number": number, **{name: int(row[name]) for name in same}, "orders": int(row["n_orders"])}


def _of_order(engine: Engine, slot: int, row: Any) -> dict[str, int]:
    flags, trigger = int(row["flags"]), engine.state.triggers[slot]
    bits = {
        "sell": ORDER_SELL, "post_only": ORDER_POST_ONLY, "reduce_only": ORDER_REDUCE_ONLY, "day": ORDER_DAY,
        "untriggered": ORDER_UNTRIGGERED, "linked": ORDER_LINKED, "waits_for_primary": ORDER_WAITING,
    }  # fmt: skip
    values = {
        "account": int(engine.state.positions[int(row["position"])]["account"]),
        **{name: int(row[name]) for name in ("symbol", "px", "leaves", "filled", "display", "clid")},
        **{name: int(bool(flags & bit)) for name, bit in bits.items()},
        "shown": int(row["shown"]) if row["display"] >= 0 else 0,
    }
    if flags & ORDER_UNTRIGGERED:
        same = ("type", "peg", "peg_offset", "reference", "contingency", "group", "is_primary")
        values |= {name: int(trigger[name]) for name in same}
        is_stop = OrderType.STOP <= trigger["type"] <= OrderType.LIMIT_IF_TOUCHED
        values["stop_px"] = int(trigger["stop_px"]) if is_stop else 0
    return values
