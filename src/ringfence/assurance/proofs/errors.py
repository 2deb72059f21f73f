"""How a check ends: what a verifier says, with the exit status of each."""

from enum import IntEnum


class Exit(IntEnum):
    PROVEN = 0
    FAULT = 1
    """The program failed: nothing is known."""
    FORGED = 2
    DIFFERENT = 3
    INCONCLUSIVE = 4


class ProofError(Exception):
    """A check did not end well. The text says where, what was expected and what was found."""

    exit: Exit = Exit.FORGED


class ForgedError(ProofError):
    """A file is damaged or forged: it says at which line, byte or leaf. Nothing in it can be trusted."""


class DifferentError(ProofError):
    """The file is whole, and does not say of this client what the client knows."""

    exit = Exit.DIFFERENT


class InconclusiveError(ProofError):
    """Something that is needed was not given or could not be asked."""

    exit = Exit.INCONCLUSIVE
