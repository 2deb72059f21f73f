"""Who may sit at the console: people whom the charter names, and people who may lift halts.

A seat is one line of one of the two lists. Who stands on both has two seats, with a hardware key enrolled for each: one
list cannot speak for the other. Judges have no seat; they sign nothing here.
"""

from typing import Literal, NamedTuple

from ringfence.assurance.halting import People, Role, verifies
from ringfence.assurance.halting import Person as Lifter
from ringfence.custody.clients import signs
from ringfence.custody.cosigner.config import Charter, Person
from ringfence.messages.halts import Scheme

List = Literal["custody", "halts"]


class Seat(NamedTuple):
    """One person in one role."""

    of: List
    person: Person | Lifter

    @property
    def name(self) -> str:
        return self.person.name

    @property
    def role(self) -> str:
        """A charter's person has a group, which is the same thing."""
        return self.person.group if isinstance(self.person, Person) else str(self.person.role)

    @property
    def id(self) -> str:
        return f"{self.of}/{self.name}/{self.role}"

    @property
    def scheme(self) -> str:
        return str(Scheme.ED25519 if isinstance(self.person, Person) else self.person.scheme)

    def has_signed(self, said: bytes, signature: str) -> bool:
        """Return whether it is this person's signature, by the key that the list has."""
        if isinstance(self.person, Person):
            return signs(self.person.public_key, said, signature)
        try:
            return verifies(self.person, said, bytes.fromhex(signature))
        except ValueError:
            return False


def seats_of(charter: Charter, people: People | None) -> dict[str, Seat]:
    """Return the seats of the lists in force, by id."""
    seats = [Seat("custody", one) for one in charter.people]
    seats += [Seat("halts", one) for one in (people.people if people else ()) if one.role != Role.JUDGE]
    return {seat.id: seat for seat in seats}
