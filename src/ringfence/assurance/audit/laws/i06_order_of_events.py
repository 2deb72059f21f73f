"""I06: sequence, time and numbers go on without a gap, and nothing has a number twice."""

from collections.abc import Mapping

import numpy as np

from ringfence.assurance.audit.books import Books, Look, Said
from ringfence.assurance.audit.evidence import Evidence
from ringfence.assurance.audit.law import Fault, Findings, Law, When
from ringfence.messages.batch import Batch
from ringfence.messages.commands import Command, HaltScope
from ringfence.messages.events import Event

_HALF = 32
_LOW = 0xFFFF_FFFF


def _drop_event(evidence: Evidence) -> None:
    """Leave an event out; the batches after it still count it."""
    candidates = [number for number, batch in enumerate(evidence.batches[:-1]) if len(batch.events)]
    number = evidence.planted_batch = evidence.pick(candidates)
    batch = evidence.batches[number]
    evidence.batches[number] = batch._replace(events=np.delete(batch.events, len(batch.events) // 2))


def _swap_commands(evidence: Evidence) -> None:
    def spans(batch: Batch) -> bool:
        return len(batch.events) > 1 and batch.events["sequence"][0] != batch.events["sequence"][-1]

    evidence.planted_batch = evidence.pick([n for n, batch in enumerate(evidence.batches) if spans(batch)])
    batch = evidence.batches[evidence.planted_batch]
    batch.events[[0, -1]] = batch.events[[-1, 0]]


def _go_back_in_time(evidence: Evidence) -> None:
    number = evidence.planted_batch = evidence.pick(range(1, len(evidence.batches)))
    batch = evidence.batches[number]
    evidence.batches[number] = batch._replace(timestamp_ns=evidence.batches[number - 1].timestamp_ns - 1)


def _skip_batch(evidence: Evidence) -> None:
    number = evidence.planted_batch = evidence.pick(range(1, len(evidence.batches) - 1))
    del evidence.batches[number]


def _use_handle_twice(evidence: Evidence) -> None:
    evidence.event(Event.ACCEPTED)["handle"] ^= 1 << _HALF


class OrderOfEvents(Law):
    id = "I06"
    says = "Sequences, times and event numbers go on without a gap, and an order's handle names its command."
    when = (When.BATCH,)
    halts = HaltScope.VENUE
    faults = (
        Fault("an event left out", _drop_event),
        Fault("events in another order", _swap_commands),
        Fault("a time before the last", _go_back_in_time),
        Fault("a batch left out", _skip_batch),
        Fault("a handle of another command", _use_handle_twice),
    )

    def begin(self, books: Books, batch: Batch) -> Findings:
        at = batch.first_sequence
        if at != books.next_sequence:
            yield self.broken(at, "the first sequence of a batch", books.next_sequence, at)
        if batch.first_event != books.next_event:
            yield self.broken(
                at, "the number of the first event of a batch", books.next_event, batch.first_event
            )
        if batch.timestamp_ns < books.timestamp_ns:
            yield self.broken(at, "the time of a batch", f"at least {books.timestamp_ns}", batch.timestamp_ns)
        causes = batch.events["sequence"].astype(np.int64) - at
        if not len(causes):
            return
        if (np.diff(causes) < 0).any():
            yield self.broken(at, "the causes of the events of a batch", "in sequence", "out of order")
        if causes[0] < 0 or causes.max() >= len(batch.commands):
            yield self.broken(at, "the causes of the events of a batch", "commands of it", "another sequence")
        elif (batch.commands["kind"][causes] == Command.DATA).any():
            yield self.broken(at, "the cause of an event", "a command", "a slot of text")

    def at(self) -> Mapping[Event, Look]:
        return {Event.ACCEPTED: self.accepted}

    def accepted(self, books: Books, event: Said) -> Findings:
        if event.handle >> _HALF != event.sequence & _LOW:
            yield self.broken(
                event.sequence, "the handle of an order", event.sequence & _LOW, event.handle >> _HALF
            )
        if event.handle in books.orders:
            yield self.broken(event.sequence, "the handle of a new order", "a new one", event.handle)

    def misfit(self, sequence: int, why: str) -> Findings:
        """An event could not be entered at all."""
        return [self.broken(sequence, "an event that fits what was said before", "one", why)]
