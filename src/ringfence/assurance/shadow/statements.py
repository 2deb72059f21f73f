"""The statements of all accounts and of the venue, out of the shadow's state: what a root commits to."""

from collections.abc import Iterator

from ringfence.assurance.shadow import margin
from ringfence.assurance.shadow.accounts import Account
from ringfence.assurance.shadow.orders import Order
from ringfence.assurance.shadow.venue import Venue
from ringfence.commitments.statement import (
    ORDER_IS_UNTRIGGERED,
    ORDER_SELLS,
    InstrumentLine,
    OrderLine,
    PositionLine,
    WalletLine,
    account_statement,
    venue_statement,
)


def account_statements(venue: Venue) -> Iterator[bytes]:
    """Yield the statement of every account, from number 1 on."""
    for number in range(1, len(venue.accounts) + 1):
        yield statement_of(venue.accounts[number])


def statement_of(account: Account) -> bytes:
    wallets, positions, orders = [], [], []
    for asset, holdings in sorted(account.assets.items()):
        locked = margin.locked(account, asset)
        if holdings.wallet or locked:
            wallets.append(WalletLine(asset, holdings.wallet, locked))
        for symbol, held in holdings.positions.items():
            if held.qty or held.leverage or held.tier or held.transferred:
                positions.append(
                    PositionLine(symbol, held.leverage, held.tier, held.qty, held.cost, held.transferred)
                )
            orders += [_line(order) for order in held.orders.values()]
    return account_statement(
        account.number,
        account.parent,
        wallets,
        sorted(positions),
        sorted(orders, key=lambda line: line.handle),
    )


def _line(order: Order) -> OrderLine:
    flags = ORDER_SELLS if order.sell else 0
    leaves, stop_px = order.leaves, 0
    if order.untriggered:
        condition = order.what_it_waits_for
        flags |= ORDER_IS_UNTRIGGERED
        leaves = 0 if condition.whole_position else leaves
        stop_px = condition.stop_px if condition.is_stop else 0
    symbol = order.position.instrument.number
    return OrderLine(symbol, flags, stop_px, order.handle, leaves, order.filled, order.px)


def venue_of(venue: Venue) -> bytes:
    """Return the venue's statement."""
    instruments = [
        InstrumentLine(
            symbol=one.number, state=one.state, funding_rate_e8=one.funding_rate_e8, mark=one.mark,
            index_px=one.index_px, fee_pool=one.fee_pool, next_funding_ns=one.next_funding_ns,
        )
        for _, one in sorted(venue.instruments.items())
    ]  # fmt: skip
    return venue_statement(
        halt_sequence=venue.halt_sequence, reopens_ns=venue.reopens_ns, accounts=len(venue.accounts),
        insurance_account=venue.fund.number if venue.fund else 0, halted=venue.halted,
        deposits_halted=sum(1 << asset for asset in venue.deposits_halted),
        withdrawals_halted=sum(1 << asset for asset in venue.withdrawals_halted),
        signers_halted=venue.signers_halted, people=venue.people, configuration=venue.configuration,
        rules=venue.rules,
        instruments=instruments,
    )  # fmt: skip
