"""The whole state of the exchange, and how it says what happens."""

from dataclasses import dataclass, field
from typing import NamedTuple

from ringfence.assurance.shadow.accounts import Account, PositionNumbers
from ringfence.assurance.shadow.instrument import Instrument
from ringfence.assurance.shadow.orders import Order
from ringfence.messages.commands import TradingState
from ringfence.messages.events import Event
from ringfence.messages.layouts import COMMAND_NAMES, EVENT_STRUCT
from ringfence.messages.rules import RULES_FIRST
from ringfence.units.limits import INT64_MAX


class Asked(NamedTuple):
    """A command's fields: what messages/layouts.py says of COMMAND."""

    handle: int
    qty: int
    clid: int
    orig_clid: int
    request: int
    px: int
    stop_px: int
    account: int
    display: int
    symbol: int
    kind: int
    type: int
    flags: int
    origin: int


assert Asked._fields == COMMAND_NAMES


@dataclass(slots=True)
class Timer:
    """A cancel-all-after."""

    account: int
    fires_ns: int


@dataclass(slots=True)
class Venue:
    sequence: int = 0
    """Of the command that is being applied."""
    timestamp_ns: int = 0
    event_count: int = 0
    events: list[bytes] = field(default_factory=list)
    """Of the frame that is being applied."""
    instruments: dict[int, Instrument] = field(default_factory=dict)
    accounts: dict[int, Account] = field(default_factory=dict)
    position_numbers: PositionNumbers = field(default_factory=PositionNumbers)
    # Orders.
    orders: dict[int, Order] = field(default_factory=dict)
    """Open orders by slot."""
    by_client_id: dict[tuple[int, int], Order] = field(default_factory=dict)
    """Open orders by (account, hash of the clOrdID)."""
    reduce_only: set[int] = field(default_factory=set)
    """Slots of the open orders that only reduce."""
    linked: set[int] = field(default_factory=set)
    """Slots of the open orders that are linked."""
    slots_used: int = 1
    free_slots: list[int] = field(default_factory=list)
    last_in_slot: dict[int, int] = field(default_factory=dict)
    """Sequence bits of the last order that had the slot."""
    # Settings.
    risk_tiers_max: int = 0
    fund: Account | None = None
    """The insurance account; without one nothing is liquidated."""
    custody: Account | None = None
    """The account that holds the coins of withdrawals under way; without one coins come and go by command."""
    instruction_next: int = 0
    """Number of custody's next instruction."""
    fee_discounts: dict[int, int] = field(default_factory=dict)
    """Per cent, by fee tier."""
    # Halts.
    halted: int = TradingState.RUNNING
    halt_sequence: int = 0
    """Of the last HALT of any scope."""
    reopens_ns: int = 0
    """When the venue trades again, 0 = not before a RESUME."""
    skips_funding: bool = False
    """What was missed in the halt is not paid when the venue goes on."""
    cancel_only_ns: int = 0
    """How long cancels only are taken after a halt was lifted."""
    deposits_halted: set[int] = field(default_factory=set)
    """Asset numbers."""
    withdrawals_halted: set[int] = field(default_factory=set)
    signers_halted: int = TradingState.RUNNING
    people: int = 0
    """What VenueParameter.PEOPLE says of who may lift a halt."""
    configuration: int = 0
    """What VenueParameter.CONFIGURATION says of the settings in force."""
    rules: int = RULES_FIRST
    """Version of the rules in force."""
    # Time.
    timers: list[Timer] = field(default_factory=list)
    next_timer_ns: int = 0
    """When timers are looked at next, 0 = none; an alarm that was taken back is still looked at."""
    day_ends_ns: int = 0
    sampled_ns: int = 0
    """The minute of the last premium samples."""
    # What commands left to be done.
    stops_to_look_at: bool = False
    accounts_to_check: bool = False
    fund_has_work: bool = False
    must_deleverage: bool = False
    assets_to_check: set[int] = field(default_factory=set)
    next_account_to_check: int = 0
    instruments_worked: int = 0
    """How far the insurance account's turn through the instruments has come."""

    # ---- saying

    def say(
        self, kind: Event, *, flags: int = 0, handle: int = 0, account: int = 0, symbol: int = 0, qty: int = 0,
        px: int = 0, amount: int = 0, maker_handle: int = 0, maker_account: int = 0, maker_amount: int = 0,
    ) -> None:  # fmt: skip
        """Write the next event."""
        self.events.append(
            EVENT_STRUCT.pack(
                self.sequence, handle, maker_handle, qty, amount, maker_amount, px, account, maker_account,
                symbol, kind, flags,
            )
        )  # fmt: skip

    def refuse(self, asked: Asked, reject: int, figure: int = 0) -> None:
        self.say(
            Event.REJECTED, handle=asked.handle, account=asked.account, symbol=asked.symbol, qty=asked.qty,
            px=asked.px, amount=reject, maker_amount=_signed(figure),
        )  # fmt: skip

    # ---- finding

    def account(self, number: int) -> Account | None:
        return self.accounts.get(number)

    def is_fund(self, account: Account) -> bool:
        return account is self.fund

    def check_accounts_of(self, asset: int) -> None:
        """Have all accounts looked at that hold something in an asset: its wallets or marks have moved."""
        self.assets_to_check.add(asset)
        self.next_account_to_check = 0
        self.accounts_to_check = True

    # ---- slots

    def take_slot(self, *, fresh: bool = False) -> int:
        """Return a slot for a new order: the one freed last, else the next new one.

        `fresh`: not one in which this very command had an order: its handle would be used twice.
        """
        if self.free_slots and not (
            fresh and self.last_in_slot[self.free_slots[-1]] == self.sequence & 0xFFFFFFFF
        ):
            slot = self.free_slots.pop()
        else:
            slot = self.slots_used
            self.slots_used += 1
        self.last_in_slot[slot] = self.sequence & 0xFFFFFFFF
        return slot

    def give_back_slot(self, slot: int) -> None:
        self.free_slots.append(slot)


def _signed(figure: int) -> int:
    """Return a figure as the record carries it: 64 bits, signed."""
    return figure if figure <= INT64_MAX else figure - (1 << 64)
