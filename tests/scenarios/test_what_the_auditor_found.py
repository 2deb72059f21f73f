"""What the auditor's laws found: the engine and the shadow agreed on it, and both were wrong."""

from ringfence.messages.commands import Command, HaltScope, InstrumentState, TradingState
from ringfence.testing.market import Market, kinds
from ringfence.testing.play import command

XBTUSD = 1


def test_a_closed_contract_that_is_halted_to_cancels_only_pays_no_funding() -> None:
    """Trading was closed before; its state says that it is halted as well, and CLOSED again afterwards."""
    market = Market()
    market.index(".BXBT", 1_000.0)
    market.trade(1, 2, "XBTUSD", 1_000, 1_000.0)
    market.run(command(Command.SET_STATE, symbol=XBTUSD, qty=InstrumentState.CLOSED))
    halt = command(Command.HALT, type=HaltScope.CONTRACT, symbol=XBTUSD, qty=TradingState.CANCEL_ONLY)
    market.run(halt)
    said = market.after(9 * 3_600)
    assert XBTUSD not in {event.symbol for event in said if event.kind.name in ("FUNDED", "FUNDING_SET")}
    assert "FUNDING_SET" in kinds(said)


def test_an_index_has_no_leverage() -> None:
    market = Market()
    said = market.run(command(Command.SET_LEVERAGE, account=1, symbol=8, qty=0))
    assert kinds(said) == ["REJECTED"]
