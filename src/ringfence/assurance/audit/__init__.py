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

What is compiled or speaks SQL is imported by who needs it alone: not by the shadow, whose process asks what a law is.

Nothing here reads a clock, a socket or a live table. docs/operating/audit.md has the catalogue.
"""
