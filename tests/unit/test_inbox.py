"""A queue before the engine: what a cancel does to an order that still waits."""

import numpy as np

from ringfence.exchange.sequencer import Inbox
from ringfence.messages.commands import Command
from ringfence.messages.load import ShedReason
from ringfence.messages.records import COMMAND
from ringfence.testing.play import command


def test_a_cancel_takes_back_the_order_that_it_names_and_no_other() -> None:
    inbox = Inbox(batch_slots=4, queue_slots=40)
    placed = [command(Command.PLACE, account=1, request=n, clid=n, symbol=1, qty=5) for n in range(1, 9)]
    cancel = command(Command.CANCEL, account=1, request=9, orig_clid=8)
    inbox.submit(np.concatenate([*placed, cancel]).tobytes(), origin=1, now_ns=0)
    assert [(shed.token, shed.reason) for shed in inbox.collect_sheds()] == [(8, ShedReason.WITHDRAWN)]
    taken: list[int] = []
    while inbox:
        taken += np.frombuffer(inbox.take(now_ns=0), COMMAND)["request"].tolist()
    assert taken[0] == 9
    assert sorted(taken) == [1, 2, 3, 4, 5, 6, 7, 9]
