"""Ports of this machine that nobody listens on, held for whoever asked until it listens itself.

They are not of the range out of which the kernel gives each outgoing connection its own end: there a port is somebody's
at any moment, and a server that is started again would find its own taken.
"""

import random
import socket

HOST = "127.0.0.1"
_FIRST, _END = 10_000, 32_768
"""Below what Linux gives to connections unless it was told otherwise."""
_TRIES = 10_000
_dice = random.SystemRandom()


def free_ports(count: int, *, in_a_row: bool = False) -> list[int]:
    """Return free ports of 127.0.0.1; for a minute nobody else is given them. Raises OSError."""
    if not in_a_row:
        return [_row(1)[0] for _ in range(count)]
    return _row(count)


def listens(port: int) -> bool:
    """Return whether somebody takes connections on a port of this machine."""
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True


def _row(count: int) -> list[int]:
    for _ in range(_TRIES):
        first = _dice.randrange(_FIRST, _END - count)
        ports = list(range(first, first + count))
        if all(map(_hold, ports)):
            return ports
    raise OSError(f"no {count} free ports from {_FIRST} to {_END - 1} were found")


def _hold(port: int) -> bool:
    """Leave a port as a closed connection does: a server can listen there, nobody who looks for a free one finds it."""
    with socket.socket() as server, socket.socket() as client:
        try:
            server.bind((HOST, port))
            # Only now: who binds with it set, as servers do, gets a port that was left like that; this does not.
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.listen(1)
            client.connect((HOST, port))
            # Who closes first waits, and it has to be this end of it.
            server.accept()[0].close()
        except OSError:
            return False
    return True
