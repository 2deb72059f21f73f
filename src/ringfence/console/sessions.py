"""Who is signed in, and for how long; how often strangers may try. In memory: a restart signs everybody out."""

import hashlib
import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

IDLE_SECONDS, ABSOLUTE_SECONDS = 15 * 60.0, 8 * 3600.0
_TOKEN_BYTES = 32
_SESSIONS_MAX = 200
TRIES_PER_MINUTE = 60
_MINUTE = 60.0
Clock = Callable[[], float]


@dataclass
class Session:
    id: str
    """Names it in the log; it opens nothing."""
    seat: str
    credential: str
    began: float
    seen: float


class Sessions:
    """By the digest of its token: who reads the memory of this process cannot sign in with what is there."""

    def __init__(self, now: Clock = time.monotonic) -> None:
        self._now = now
        self._open: dict[bytes, Session] = {}

    def begin(self, seat: str, credential: str) -> str:
        """Return the token of a new session; the oldest one goes if there are too many."""
        token, now = secrets.token_urlsafe(_TOKEN_BYTES), self._now()
        if len(self._open) >= _SESSIONS_MAX:
            self._open.pop(next(iter(self._open)))
        self._open[_digest(token)] = Session(secrets.token_hex(4), seat, credential, now, now)
        return token

    def find(self, token: str, *, is_active: bool) -> Session | None:
        """Return the session of a token; `is_active`: its person does something, which keeps it alive."""
        digest, now = _digest(token), self._now()
        found = self._open.get(digest)
        if found is None:
            return None
        if now - found.seen > IDLE_SECONDS or now - found.began > ABSOLUTE_SECONDS:
            del self._open[digest]
            return None
        if is_active:
            found.seen = now
        return found

    def end(self, token: str) -> None:
        self._open.pop(_digest(token), None)

    def end_of(self, credential: str) -> None:
        """End every session that a hardware key has opened."""
        for digest in [digest for digest, one in self._open.items() if one.credential == credential]:
            del self._open[digest]


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


class Throttle:
    """So many tries a minute, of all together: hardware keys are not guessed, and the log is not to be filled."""

    def __init__(self, now: Clock = time.monotonic) -> None:
        self._now = now
        self._tries: deque[float] = deque()

    def allows(self) -> bool:
        """Return whether one more try is looked at; one that is not looked at does not count."""
        now = self._now()
        while self._tries and now - self._tries[0] > _MINUTE:
            self._tries.popleft()
        if len(self._tries) >= TRIES_PER_MINUTE:
            return False
        self._tries.append(now)
        return True
