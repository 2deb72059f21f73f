"""The auditor: re-checks everything that the exchange wrote down, with its own books, and can only halt.

| module     | what is in it                                                                     |
|------------|-----------------------------------------------------------------------------------|
| auditor    | `Auditor`: takes batches, cuts, frames, rows, chains and the time; gives findings |
| laws       | one law a file, with the faults that it must catch                                |
| law        | what a law is and when it is looked at                                            |
| finding    | `Finding`: what is broken, both values, what has to stop                          |
| books,     | the auditor's own fold of the feed; one instrument in it                          |
|   contract |                                                                                   |
| arithmetic | its own formulas, in Python integers                                              |
| margins    | the same for all accounts at once, compiled                                       |
| cuts       | `Cut`: the engine's own tables at one sequence number, from a file                |
| rows       | what the history database should hold, and reading it back                        |
| chains     | `ChainReader`: what has to be known of a chain                                    |
| evidence   | a stretch of a venue's life that faults can be planted in                         |

Nothing here reads a clock, a socket or a live table. docs/operating/audit.md has the catalogue.
"""

from ringfence.assurance.audit.auditor import Auditor, Standing
from ringfence.assurance.audit.chains import ChainError, ChainReader, Tip
from ringfence.assurance.audit.cuts import Cut
from ringfence.assurance.audit.finding import Finding
from ringfence.assurance.audit.law import Fault, Law, When
from ringfence.assurance.audit.laws import LAWS
from ringfence.assurance.audit.rows import Ledger, Place, Sweep, read_sweep

__all__ = [
    "LAWS", "Auditor", "ChainError", "ChainReader", "Cut", "Fault", "Finding", "Law", "Ledger",
    "Place", "Standing", "Sweep", "Tip", "When", "read_sweep",
]  # fmt: skip
