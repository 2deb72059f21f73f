"""The judges. They read what everybody can read, and the only thing that they can do is halt.

| package | what is in it                                                                     |
|---------|-----------------------------------------------------------------------------------|
| shadow  | the exchange again: slow, exact, obvious                                          |
| audit   | one law a file, the auditor's own books, findings                                 |
| halting | who may lift a halt, what they sign, and what the core asks before it obeys       |
| disclosure | holes that strangers report: sealed for one role, with deadlines               |
"""
