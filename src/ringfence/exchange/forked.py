"""Work on a copy of this moment: a forked child, while the parent goes on at once."""

import os
import sys
from collections.abc import Callable, Collection


def in_forked_child(work: Callable[[], object], *, keep: Collection[int] = ()) -> int:
    """Run `work` in a child and return its process number; it exits with 0 if `work` returned.

    The child keeps standard output and error, the descriptors in `keep` and nothing else that is open:
    if the parent dies now, its lock and its connections must not live on in the child.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            _close_all_but(keep)
            work()
            status = 0
        finally:
            os._exit(status)
    return child


def _close_all_but(keep: Collection[int]) -> None:
    begin = 3
    for descriptor in sorted(keep):
        os.closerange(begin, descriptor)
        begin = descriptor + 1
    os.closerange(begin, os.sysconf("SC_OPEN_MAX"))
