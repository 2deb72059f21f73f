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
Again = Callable[[], bool]
"""Sends commands again that never reached the core; False if who asked for them is gone: then nothing is done."""


class _Submission:
    """Commands that one request sent together."""

    __slots__ = ("account", "again", "connection", "done", "is_held", "results", "tokens")

    def __init__(
        self, tokens: Sequence[int], done: DoneEach, connection: int, account: int, again: Again | None, *,
        is_held: bool,
    ) -> None:  # fmt: skip
        self.tokens, self.done, self.connection, self.account = tokens, done, connection, account
        self.again, self.is_held = again, is_held
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

    def add(
        self, tokens: Sequence[int], done: Done | DoneEach, *, account: int = 0, again: Again | None = None,
        is_held: bool = False,
    ) -> None:  # fmt: skip
        """Wait for the outcome of commands. With a Done of several, none of them may be one that can be shed.

        is_held: they are not sent now, but by `again` when there is a line.
        """
        connection = self._connection - is_held
        submission = _Submission(tokens, cast(DoneEach, done), connection, account, again, is_held=is_held)
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
            if len(submission.tokens) == 1:
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
        if len(submission.results) == len(submission.tokens):
            submission.settle()

    def lost(self) -> None:
        """The line was lost: what waits is settled by a barrier on the next one."""
        self._connection += 1

    def barrier(self, token: int, passed: Callable[[], None]) -> None:
        """Note a command on a new line that asks for nothing: after its result, earlier lines' have none to come.

        The core takes commands in the order in which they arrive. What it has published by the time it greets
        says less: a line can be lost while the core lives and has taken what came over it. When `passed` is called,
        it is time to `settle`; if this line is lost before, that is left to the next one's.
        """
        connection = self._connection

        def heard(outcome: Sequence[Result] | Refused) -> None:
            if not isinstance(outcome, Refused) and connection == self._connection:
                passed()

        self.add([token], heard)

    def settle(self, *, is_again: bool) -> None:
        """Settle what earlier lines carried, or were to carry: what has no result is in no journal.

        is_again: send it again, in the order in which it came.
        """
        for submission in self._before(self._connection):
            if is_again and not submission.results and submission.again is not None and submission.again():
                submission.connection, submission.is_held = self._connection, False
                continue
            self._give_up(submission, "the command did not reach the journal before a restart")

    def refuse_held(self, why: str) -> int:
        """Refuse what was not sent yet; return how many requests that were."""
        held = [submission for submission in self._before(self._connection + 1) if submission.is_held]
        for submission in held:
            self._give_up(submission, why)
        return len(held)

    def _before(self, connection: int) -> list[_Submission]:
        """Return what waits on lines before one, the first first."""
        return list({id(s): s for s in self._waiting.values() if s.connection < connection}.values())

    def _give_up(self, submission: _Submission, why: str) -> None:
        for token in submission.tokens:
            self._pop(token)
        if submission.results:
            submission.settle()
        else:
            submission.done(unavailable(why))
