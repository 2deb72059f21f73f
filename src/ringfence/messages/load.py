"""How much is taken, and why something was not. The numbers go over the line between core and gateways."""

from enum import IntEnum


class LoadState(IntEnum):
    OPEN = 0
    SHEDDING = 1
    """More waits than is taken at once: who sends more than their share is shed."""
    CANCEL_ONLY = 2
    """There is no room for orders at all: cancels and closes are taken."""


class ShedReason(IntEnum):
    """Why the core did not take a command. A gateway adds reasons of its own at its door."""

    SHARE = 0
    """The account has as much waiting as it may."""
    AGE = 1
    """It has waited for too long."""
    WITHDRAWN = 2
    """The account's own cancel or Close came before its turn."""
