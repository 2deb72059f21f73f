"""What the auditor's law I20 found: the engine and the shadow agree on it, and both are wrong."""

import pytest

from ringfence.messages.commands import Command, HaltScope, InstrumentState, TradingState
from ringfence.testing.market import Market, kinds
from ringfence.testing.play import command

XBTUSD = 1


@pytest.mark.xfail(strict=True, reason="a closed contract's state says nothing of a halt to cancels only")
def test_a_closed_contract_that_is_halted_to_cancels_only_pays_no_funding() -> None:
    """Trading was closed before, so its state stays CLOSED, and upkeep does not see the halt."""
    market = Market()
    market.index(".BXBT", 1_000.0)
    market.trade(1, 2, "XBTUSD", 1_000, 1_000.0)
    market.run(command(Command.SET_STATE, symbol=XBTUSD, qty=InstrumentState.CLOSED))
    halt = command(Command.HALT, type=HaltScope.CONTRACT, symbol=XBTUSD, qty=TradingState.CANCEL_ONLY)
    market.run(halt)
    said = market.after(9 * 3_600)
    assert XBTUSD not in {event.symbol for event in said if event.kind.name in ("FUNDED", "FUNDING_SET")}
    assert "FUNDING_SET" in kinds(said)


@pytest.mark.xfail(strict=True, reason="derivative_error asks for spot, not for an index")
def test_an_index_has_no_leverage() -> None:
    market = Market()
    said = market.run(command(Command.SET_LEVERAGE, account=1, symbol=8, qty=0))
    assert kinds(said) == ["REJECTED"]
