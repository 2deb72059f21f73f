"""What was sent to the core and has no outcome yet. No sockets, no clock: the desk tells what happens."""

from collections.abc import Callable, Iterable, Sequence

from ringfence.exchange.gateway.errors import Refused, unavailable
from ringfence.exchange.projections import Result

Done = Callable[[Sequence[Result] | Refused], None]
"""Called once: with the results in the order of the commands, or with why nothing was done."""


class _Submission:
    """Commands that one request sent together; their results come in the order in which they were sent."""

    __slots__ = ("connection", "done", "results", "size")

    def __init__(self, size: int, done: Done, connection: int) -> None:
        self.size, self.done, self.connection = size, done, connection
        self.results: list[Result] = []


class Pending:
    """Submissions by the tokens of their commands, on one line to the core after another."""

    def __init__(self) -> None:
        self._waiting: dict[int, _Submission] = {}
        self._connection = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, tokens: Sequence[int], done: Done) -> None:
        submission = _Submission(len(tokens), done, self._connection)
        for token in tokens:
            self._waiting[token] = submission

    def hear(self, results: Iterable[Result]) -> None:
        """Take the results of a batch that was folded; others' are passed over."""
        for result in results:
            submission = self._waiting.pop(result.request, None)
            if submission is None:
                continue
            submission.results.append(result)
            if len(submission.results) == submission.size:
                submission.done(submission.results)

    def lost(self) -> None:
        """The line was lost: what waits is settled by a barrier on the next one."""
        self._connection += 1

    def barrier(self, token: int) -> None:
        """Note a command on a new line that asks for nothing: after its result, earlier lines' have none to come.

        The core takes commands in the order in which they arrive. What it has published by the time it greets
        says less: a line can be lost while the core lives and has taken what came over it.
        """
        connection = self._connection

        def passed(outcome: Sequence[Result] | Refused) -> None:
            if not isinstance(outcome, Refused):
                self._give_up(connection)

        self.add([token], passed)

    def _give_up(self, connection: int) -> None:
        """Settle what lines before this one carried: what has no result never reached the journal."""
        dead = {id(s): s for s in self._waiting.values() if s.connection < connection}
        self._waiting = {t: s for t, s in self._waiting.items() if s.connection >= connection}
        for submission in dead.values():
            if submission.results:
                submission.done(submission.results)
            else:
                submission.done(unavailable("the command did not reach the journal before a restart"))
