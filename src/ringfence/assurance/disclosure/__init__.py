"""Holes that strangers report: sealed for one role, with deadlines that everybody sees kept or missed.

| module       | what is in it                                                           |
|--------------|-------------------------------------------------------------------------|
| severity     | CVSS v4 vectors, bands, and what each band has: days to a fix, a reward |
| cases        | a report's way: states, what may follow, what is due when               |
| sealed       | age: reports to the role, answers to who reported, the role's key file  |
| changes      | what the role says of a report, and signs                               |
| casebook     | the chained log folded, and the sealed blobs beside it                  |
| security_txt | the file of RFC 9116, signed as it says                                 |

Nothing in here can read a report but `sealed.unseal`, which wants the role's key.
"""

from ringfence.assurance.disclosure.casebook import (
    Casebook,
    CasebookError,
    UnknownReceiptError,
    read_casebook,
)
from ringfence.assurance.disclosure.cases import Case, State, due
from ringfence.assurance.disclosure.changes import Change, ChangeError, RoleKey, SignedChange
from ringfence.assurance.disclosure.severity import BANDS, Band, check_vector

__all__ = [
    "BANDS", "Band", "Case", "Casebook", "CasebookError", "Change", "ChangeError", "RoleKey", "SignedChange", "State",
    "UnknownReceiptError", "check_vector", "due", "read_casebook",
]  # fmt: skip
