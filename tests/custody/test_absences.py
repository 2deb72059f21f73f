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


class Priced:
    """A node that says what blocks cost as it is told to."""

    def __init__(self, node: object, rate: int) -> None:
        self._node, self.rate = node, rate

    def fee_rate_sats_per_kvb(self, target_blocks: int) -> int:
        return self.rate

    def __getattr__(self, name: str) -> object:
        return getattr(self._node, name)


@pytest.mark.parametrize("is_still_high", [False, True])
def test_a_payment_that_was_built_when_blocks_were_dear_is_built_again(
    custody: Custody, is_still_high: bool
) -> None:
    number = ask(custody)
    for one in custody.cosigners.values():
        one.sources.node = Priced(one.sources.node, 1_000)  # type: ignore[assignment]
    dear = Priced(custody.rail._node, 100_000)
    custody.rail._node = dear  # type: ignore[assignment]
    for _ in range(12):
        custody.turn()
        custody.mine()
        (flow,) = custody.batches.flows.values()
        if flow.unsigned:
            break
    assert flow.fee > 20_000
    dear.rate = 100_000 if is_still_high else 2_000
    custody.go_on(turns=20)
    assert custody.exchange.locked[number] == 0
    if is_still_high:
        assert "P13" in flow.given_up
    else:
        assert (len(flow.attempts), flow.attempts[0].fee < 1_000) == (1, True)
    assert custody.report().agrees
