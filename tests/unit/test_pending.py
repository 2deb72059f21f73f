"""What a gateway says of commands when its line to the core is lost."""

from collections.abc import Sequence

from ringfence.exchange.gateway.errors import Refused
from ringfence.exchange.gateway.pending import Pending
from ringfence.exchange.projections import Result
from ringfence.messages.commands import Command

Heard = list[Sequence[Result] | Refused]


def result(token: int) -> Result:
    return Result(Command.PLACE, token, 1, 1)


def test_results_come_once_and_in_the_order_of_the_commands() -> None:
    waiting, heard = Pending(), Heard()
    waiting.add([1, 2], heard.append)
    waiting.hear([result(7), result(1)])
    assert not heard
    waiting.hear([result(2), result(2)])
    assert [[r.request for r in results] for results in heard] == [[1, 2]]
    assert len(waiting) == 0


def test_what_the_core_took_over_a_lost_line_is_not_given_up() -> None:
    """The core lives on and applies it after the gateway was greeted again; seed 8 of the world found it."""
    waiting, heard = Pending(), Heard()
    waiting.add([1], heard.append)
    waiting.add([2], heard.append)
    waiting.lost()
    waiting.barrier(3)
    assert not heard
    waiting.hear([result(2), result(3)])
    assert [type(outcome) for outcome in heard] == [list, Refused]
    assert heard[1].status == 503


def test_a_barrier_on_a_line_that_is_lost_too_settles_nothing() -> None:
    waiting, heard = Pending(), Heard()
    waiting.add([1], heard.append)
    waiting.lost()
    waiting.barrier(2)
    waiting.lost()
    waiting.add([3], heard.append)
    waiting.barrier(4)
    waiting.hear([result(1), result(4)])
    assert [r.request for r in heard[0]] == [1]
    assert len(heard) == 1
    waiting.hear([result(3)])
    assert len(heard) == 2
