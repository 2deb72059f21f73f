"""Why the engine refused a command, in the wire's words: the same for every door."""

from ringfence.exchange.gateway.errors import Refused, of_reject
from ringfence.exchange.projections import Result, Views
from ringfence.messages.commands import Command
from ringfence.messages.rejects import Reject
from ringfence.units.assets import ASSETS


def refusal_of(views: Views, result: Result) -> Refused:
    """Return why the engine refused a command."""
    assert result.refusal is not None
    reject, figure = result.refusal
    if result.kind in (Command.DEPOSIT, Command.WITHDRAW, Command.TRANSFER):
        currency = ASSETS[result.symbol].currency
    else:
        currency = currency_of(views, result.symbol)
    if reject == Reject.UNKNOWN_ORDER and result.kind == Command.CANCEL:
        return Refused(404, "Not Found")
    return of_reject(reject, figure, currency)


def currency_of(views: Views, symbol: int) -> str:
    """Return what an instrument's refusals are counted in."""
    market = views.markets.get(symbol)
    return market.instrument.settle.currency if market else ASSETS[0].currency
