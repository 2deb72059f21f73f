"""The simulated world: the exchange on a disk, a network and a clock that a seed decides.

The real recovery, sequencing cycle, journal, engine, feed, gateway views and outcomes run in one process
and in virtual time; what fails, and when, follows from the seed. The same seed gives the same run.

| module  | what is in it                                                          |
|---------|------------------------------------------------------------------------|
| world   | one run: trouble, healing, questions                                   |
| options | what a seed turns on                                                   |
| loop    | virtual time and the trace hash                                        |
| machine | the disks and the core process                                         |
| gateway | a gateway without sockets, its line to the core                        |
| trader  | a client that wants every order exactly once; flow: what it orders     |
| venue   | what is listed and who has how much                                    |
| damage  | rot, and backups                                                       |
| judge   | follows the feed with a twin; judges: second opinions                  |
| oracle  | what was told, held against the journal                                |
| reached | states that a batch of runs must have been in                          |
| fence   | keeps the real world out                                               |
| batch   | many seeds on several cores; shrink: the smallest failing run          |
"""

from ringfence.testing.world.options import FAULTS, Options, draw
from ringfence.testing.world.reached import FLOORS, missing
from ringfence.testing.world.world import Outcome, World

__all__ = ["FAULTS", "FLOORS", "Options", "Outcome", "World", "draw", "missing"]
