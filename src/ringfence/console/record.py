"""The console's audit log, folded: hardware keys, drafts that people sign together, what came of each deed.

Every line is durable before what it tells of is passed on, and nothing is passed on that could not be written down. The
log is hash-chained and read whole at every start; its end is held by nobody else, so its head is shown, to be noted.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ringfence.chained_log import Entry, Lines, Log
from ringfence.console.hardware import KnownKey, NewKey

SHOWN_MAX = 2_000
_DRAFTED = {"resume drafted": "resume", "policy drafted": "policy", "order drafted": "order"}
_SIGNED = ("resume signed", "policy signed", "order signed")
_SENT = ("resume sent", "policy announced", "order given")
Body = dict[str, Any]


@dataclass
class Draft:
    """What people of different roles sign, each in a session of their own."""

    number: int
    """Of its line in the log."""
    what: str
    """`resume`, `policy` or `order`."""
    seat: str
    at_ns: int
    body: Body
    signatures: dict[str, str] = field(default_factory=dict)
    """By seat, hexadecimal."""
    sent: int = 0
    """How often it was passed on."""
    is_done: bool = False
    outcome: str = ""


class Record:
    """The log and what is in it."""

    def __init__(self, lines: Lines | Path, now_ns: Callable[[], int] = time.time_ns) -> None:
        """Raises LogError, OSError."""
        self.keys: dict[str, KnownKey] = {}
        """By credential."""
        self.drafts: dict[int, Draft] = {}
        self.thaws: dict[tuple[str, str], dict[str, str]] = {}
        """By co-signer and the line by which it froze: signatures, by seat."""
        self.newest: deque[Entry] = deque(maxlen=SHOWN_MAX)
        self._draft_of: dict[int, int] = {}
        self._now_ns = now_ns
        self._log = Log(lines, on_entry=self._take)

    @property
    def head(self) -> str:
        return self._log.head

    @property
    def is_broken(self) -> bool:
        return self._log.is_broken

    @property
    def count(self) -> int:
        return self._log.count

    def write(self, kind: str, **body: Any) -> int:
        """Write a line; return its number when it is durable. Raises OSError: then nothing may be done."""
        return self._log.append(kind, body, now_ns=self._now_ns()).number

    def close(self) -> None:
        self._log.close()

    def _take(self, entry: Entry) -> None:
        self.newest.append(entry)
        kind, body = entry.kind, entry.body
        if kind == "key enrolled":
            self.keys[body["credential"]] = KnownKey(
                body["credential"], body["seat"], body["key"], body["count"], body["signedBy"]
            )
        elif kind == "key removed":
            self.keys.pop(body["credential"], None)
        elif kind == "signed in":
            known = self.keys[body["credential"]]
            self.keys[body["credential"]] = known._replace(signed=body["count"])
        elif kind in _DRAFTED:
            self.drafts[entry.number] = Draft(
                entry.number, _DRAFTED[kind], body["seat"], entry.at_ns, body["draft"]
            )
        elif kind in _SIGNED:
            self.drafts[body["draft"]].signatures[body["seat"]] = body["signature"]
        elif kind in _SENT:
            self.drafts[body["draft"]].sent += 1
            self._draft_of[entry.number] = body["draft"]
        elif kind == "thaw signed":
            for signer, frozen, signature in body["signatures"]:
                self.thaws.setdefault((signer, frozen), {})[body["seat"]] = signature
        elif kind == "outcome" and body["of"] in self._draft_of:
            draft = self.drafts[self._draft_of.pop(body["of"])]
            draft.is_done, draft.outcome = body["isDone"], body["said"]

    # ---- what is written

    def enrolled(self, key: NewKey, *, seat: str, signed_by: str, signature: str) -> None:
        self.write(
            "key enrolled", seat=seat, credential=key.credential, key=key.public_key, digest=key.digest,
            count=key.signed, challenge=key.challenge, signedBy=signed_by, signature=signature,
        )  # fmt: skip

    def outcome(self, of: int, said: str, *, is_done: bool) -> None:
        """Say what came of what an earlier line tells of."""
        self.write("outcome", of=of, isDone=is_done, said=said)
