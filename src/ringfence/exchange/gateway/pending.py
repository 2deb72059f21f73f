"""What was sent to the core and has no outcome yet. No sockets, no clock: the desk tells what happens."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import cast

from ringfence.exchange.gateway.errors import Refused, overloaded, unavailable
from ringfence.exchange.gateway.load import CORE_REASONS
from ringfence.exchange.projections import Result
from ringfence.messages.load import ShedReason

Outcome = Result | Refused
Done = Callable[[Sequence[Result] | Refused], None]
"""Called once: with the results in the order of the commands, or with why nothing was done."""
DoneEach = Callable[[Sequence[Outcome] | Refused], None]
"""As Done, for commands of which some may be shed and others not: their places hold why."""


class _Submission:
    """Commands that one request sent together."""

    __slots__ = ("account", "connection", "done", "results", "size")

    def __init__(self, size: int, done: DoneEach, connection: int, account: int) -> None:
        self.size, self.done, self.connection, self.account = size, done, connection, account
        self.results: list[tuple[int, Outcome]] = []

    def settle(self) -> None:
        """Answer: in the order of the tokens, since the core may take a close before an order."""
        self.results.sort(key=_token)
        outcomes = [outcome for _, outcome in self.results]
        shed = next((outcome for outcome in outcomes if isinstance(outcome, Refused)), None)
        if shed is not None and all(isinstance(outcome, Refused) for outcome in outcomes):
            self.done(shed)
        else:
            self.done(outcomes)


def _token(heard: tuple[int, Outcome]) -> int:
    return heard[0]


class Pending:
    """Submissions by the tokens of their commands, on one line to the core after another."""

    def __init__(self) -> None:
        self._waiting: dict[int, _Submission] = {}
        self._held: dict[int, int] = {}
        """How many commands await their outcome, by account."""
        self._sent: deque[tuple[int, float]] = deque()
        """(token, when) now and then, so that the age of what waits is known."""
        self._connection = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def held(self, account: int) -> int:
        """Return how many commands of an account await their outcome."""
        return self._held.get(account, 0)

    def add(self, tokens: Sequence[int], done: Done | DoneEach, *, account: int = 0) -> None:
        """Wait for the outcome of commands. With a Done of several, none of them may be one that can be shed."""
        submission = _Submission(len(tokens), cast(DoneEach, done), self._connection, account)
        for token in tokens:
            self._waiting[token] = submission
        self._held[account] = self._held.get(account, 0) + len(tokens)

    def note_time(self, token: int, now: float) -> None:
        """Note when a command was sent; some of them are enough."""
        self._sent.append((token, now))

    def age(self, now: float) -> float:
        """Return how many seconds the oldest command that was noted has waited."""
        while self._sent and self._sent[0][0] not in self._waiting:
            self._sent.popleft()
        return now - self._sent[0][1] if self._sent else 0.0

    def hear(self, results: Iterable[Result]) -> None:
        """Take the results of a batch that was folded; others' are passed over."""
        for result in results:
            submission = self._pop(result.request)
            if submission is None:
                continue
            if submission.size == 1:
                submission.done([result])
            else:
                self._note(submission, result.request, result)

    def shed(self, sheds: Iterable[tuple[int, ShedReason]]) -> None:
        """Take the core's word that it did not take some commands."""
        for token, reason in sheds:
            submission = self._pop(token)
            if submission is not None:
                self._note(submission, token, overloaded(CORE_REASONS[reason]))

    def _pop(self, token: int) -> _Submission | None:
        """Take out what a token belongs to, and give its account the room back."""
        submission = self._waiting.pop(token, None)
        if submission is not None:
            account = submission.account
            left = self._held[account] - 1
            if left:
                self._held[account] = left
            else:
                del self._held[account]
        return submission

    def _note(self, submission: _Submission, token: int, outcome: Outcome) -> None:
        submission.results.append((token, outcome))
        if len(submission.results) == submission.size:
            submission.settle()

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
        for token in [t for t, s in self._waiting.items() if id(s) in dead]:
            self._pop(token)
        for submission in dead.values():
            if submission.results:
                submission.settle()
            else:
                submission.done(unavailable("the command did not reach the journal before a restart"))
