"""What a gateway says of commands when its line to the core is lost."""

from collections.abc import Callable, Sequence

from ringfence.exchange.gateway.errors import Refused
from ringfence.exchange.gateway.pending import Pending
from ringfence.exchange.projections import Result
from ringfence.messages.commands import Command

Heard = list[Sequence[Result] | Refused]


def refuse_old(waiting: Pending) -> Callable[[], None]:
    return lambda: waiting.settle(is_again=False)


def send_again(waiting: Pending) -> Callable[[], None]:
    return lambda: waiting.settle(is_again=True)


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
    waiting.barrier(3, refuse_old(waiting))
    assert not heard
    waiting.hear([result(2), result(3)])
    assert [type(outcome) for outcome in heard] == [list, Refused]
    assert heard[1].status == 503


def test_a_barrier_on_a_line_that_is_lost_too_settles_nothing() -> None:
    waiting, heard = Pending(), Heard()
    waiting.add([1], heard.append)
    waiting.lost()
    waiting.barrier(2, refuse_old(waiting))
    waiting.lost()
    waiting.add([3], heard.append)
    waiting.barrier(4, refuse_old(waiting))
    waiting.hear([result(1), result(4)])
    assert [r.request for r in heard[0]] == [1]
    assert len(heard) == 1
    waiting.hear([result(3)])
    assert len(heard) == 2


def test_what_a_lost_line_did_not_bring_to_the_core_is_sent_again_in_order() -> None:
    waiting, heard, sent = Pending(), Heard(), list[int]()

    def again(token: int, *, is_here: bool = True) -> Callable[[], bool]:
        return lambda: is_here and not sent.append(token)

    waiting.add([1], heard.append, again=again(1))
    waiting.add([2], heard.append, again=again(2))
    waiting.add([3], heard.append, again=again(3, is_here=False))
    waiting.lost()
    waiting.add([4], heard.append, again=again(4), is_held=True)
    waiting.barrier(5, send_again(waiting))
    waiting.add([6], heard.append, again=again(6), is_held=True)
    # The core had taken the first before the line was lost.
    waiting.hear([result(1), result(5)])
    assert sent == [2, 4, 6]
    assert [type(outcome) for outcome in heard] == [list, Refused]
    waiting.hear([result(2), result(4), result(6)])
    assert [r.request for outcome in heard if isinstance(outcome, list) for r in outcome] == [1, 2, 4, 6]
    assert len(waiting) == 0


def test_what_is_held_outlives_a_second_loss_and_is_refused_in_the_end() -> None:
    waiting, heard, sent = Pending(), Heard(), list[int]()
    waiting.add([1], heard.append, again=lambda: not sent.append(1))
    waiting.lost()
    waiting.add([2], heard.append, again=lambda: not sent.append(2), is_held=True)
    waiting.barrier(3, send_again(waiting))
    waiting.lost()
    waiting.refuse_held("it took too long")
    assert [str(outcome) for outcome in heard if isinstance(outcome, Refused)] == [
        "Service unavailable: it took too long. Nothing was done; please try again."
    ]
    waiting.barrier(4, refuse_old(waiting))
    waiting.hear([result(3)])
    assert len(heard) == 1, "the barrier of a lost line says nothing of the next"
    waiting.hear([result(4)])
    assert (len(heard), sent, len(waiting)) == (2, [], 0)


def test_of_several_commands_none_is_sent_again_when_one_has_its_result() -> None:
    waiting, heard, sent = Pending(), Heard(), list[int]()
    waiting.add([1, 2], heard.append, again=lambda: not sent.append(1))
    waiting.lost()
    waiting.barrier(3, send_again(waiting))
    waiting.hear([result(1), result(3)])
    assert [[r.request for r in results] for results in heard] == [[1]]
    assert (sent, len(waiting)) == ([], 0)
