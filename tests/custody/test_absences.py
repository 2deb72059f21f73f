"""Co-signers that are down: one is replaced by lot's next, and what cannot be signed waits or comes back."""

import pytest

from ringfence.custody.demonstration import PLACES
from ringfence.custody.quorum.messages import Part
from ringfence.testing.custody import TO, Custody
from ringfence.testing.thieves import XBT


def ask(custody: Custody, sats: int = XBT // 10) -> int:
    custody.deposit(1, XBT // 2)
    return custody.exchange.ask(1, sats, 200_000, TO, now_ns=custody.now_ns)


@pytest.mark.parametrize("name", PLACES)
def test_any_one_may_be_down_from_the_beginning_to_the_end(custody: Custody, name: str) -> None:
    custody.down = {name}
    number = ask(custody)
    custody.go_on(turns=20)
    assert custody.exchange.locked[number] == 0
    (flow,) = custody.batches.flows.values()
    assert flow.given_up == ""
    assert name not in flow.attempts[0].signers
    assert sum(one.startswith("ops") for one in flow.attempts[0].signers) == 2
    assert custody.report().agrees


def test_one_that_goes_down_after_the_draw_is_substituted_in_the_order_of_the_draw(custody: Custody) -> None:
    number = ask(custody)
    for _ in range(10):
        if any(flow.quorum for flow in custody.batches.flows.values()):
            break
        custody.turn()
        custody.mine()
        flow = next(iter(custody.batches.flows.values()), None)
        if flow is not None and flow.witnesses and not flow.quorum:
            custody.down = {"ops-1"}
    custody.down = {"ops-1"}
    custody.go_on(turns=20)
    assert custody.exchange.locked[number] == 0
    (flow,) = custody.batches.flows.values()
    assert "ops-1" not in flow.attempts[0].signers


def test_without_two_of_operations_nothing_is_signed_and_the_coins_stay_put_aside(custody: Custody) -> None:
    """They wait; nobody decides by himself that fewer will do."""
    number = ask(custody)
    custody.down = {"ops-1", "ops-2"}
    custody.go_on(turns=15)
    assert custody.exchange.locked[number] == XBT // 10 + 200_000
    assert not any(flow.attempts for flow in custody.batches.flows.values())
    assert not [answer for _, _, answer in custody.heard if isinstance(answer, Part)]
    custody.down = set()
    custody.go_on(turns=15)
    assert custody.exchange.locked[number] == 0
