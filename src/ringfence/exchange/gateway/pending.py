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
        self._awaits_greeting = True
        self._settle_at: int | None = None

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

    def wake(self, next_sequence: int) -> None:
        """Take what the core says is durable; the first such word on a line is its greeting."""
        if self._awaits_greeting:
            # Everything that became durable lies below what the core greets with: what has no result
            # when the views are there never reached the journal.
            self._awaits_greeting = False
            self._settle_at = next_sequence

    def lost(self) -> None:
        """The line was lost: what waits is settled when the next one was greeted."""
        self._connection += 1
        self._awaits_greeting = True

    def settle(self, views_sequence: int) -> None:
        """Give up what an earlier line carried, once the views hold all that it can have done."""
        if self._settle_at is None or views_sequence < self._settle_at:
            return
        self._settle_at = None
        dead = {id(s): s for s in self._waiting.values() if s.connection < self._connection}
        self._waiting = {t: s for t, s in self._waiting.items() if s.connection >= self._connection}
        for submission in dead.values():
            if submission.results:
                submission.done(submission.results)
            else:
                submission.done(unavailable("the command did not reach the journal before a restart"))
