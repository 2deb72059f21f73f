"""Lifting a halt: two people of different roles, who sign the state that they saw, and judges that are content.

| module     | what is in it                                                            |
|------------|--------------------------------------------------------------------------|
| people     | who they are, their roles and public keys                                |
| statements | the texts that are signed: what is to go on, from which state            |
| authority  | what the core asks before it lets a RESUME through                       |
"""

from ringfence.assurance.halting.authority import Authority, Facts
from ringfence.assurance.halting.people import (
    People,
    Person,
    Role,
    decode_people,
    new_private_key,
    person_of,
    read_private_key,
    sign,
    verifies,
    write_private_key,
)
from ringfence.assurance.halting.statements import (
    ChecksReport,
    PeopleStatement,
    ResumeStatement,
    SignedChecks,
    StatementError,
    parse_resume,
    readable,
)

__all__ = [
    "Authority", "ChecksReport", "Facts", "People", "PeopleStatement", "Person", "ResumeStatement", "Role",
    "SignedChecks", "StatementError", "decode_people", "new_private_key", "parse_resume", "person_of",
    "read_private_key", "readable", "sign", "verifies", "write_private_key",
]  # fmt: skip
