"""The security desk: takes sealed reports of holes, and says how far each is.

    python -m ringfence.daemons.security_desk DIRECTORY --url URL [--mail ADDRESS]

It cannot read what it keeps: reports are sealed for the security role, whose key is on no machine of the exchange (in
the demonstration it lies in `people/`, as everybody's does). It believes what the role has signed and nobody else. Over
`security/desk.sock`, one line of JSON a question, which the gateway asks for strangers and `ringfence security` for the
role. It holds one key, which signs `security.txt` and nothing else.

Exit status: 0 asked to stop, 66 the log is not what was written, 74 the disk or the database of the log failed.
"""

import argparse
import asyncio
import logging
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from ringfence.assurance.disclosure import (
    BANDS,
    Case,
    Casebook,
    CasebookError,
    ChangeError,
    SignedChange,
    UnknownReceiptError,
    due,
)
from ringfence.assurance.disclosure.cases import ACKNOWLEDGE_NS, DISCLOSE_NS, TRIAGE_NS, State
from ringfence.assurance.disclosure.changes import role_key_of
from ringfence.assurance.disclosure.sealed import (
    SEALED_BYTES_MAX,
    SealedError,
    new_key_file,
    read_key_file,
    write_key_file,
)
from ringfence.assurance.disclosure.security_txt import new_openpgp_key, public_part, security_txt, signed
from ringfence.chained_log import LogError
from ringfence.daemons.broken_logs import EXIT_AWAY, until_broken
from ringfence.daemons.crashes import forbid_core_dumps
from ringfence.database.addresses import DatabaseAwayError
from ringfence.database.stores import SECURITY, log_lines
from ringfence.files import replace
from ringfence.lines import answering, listen
from ringfence.monitoring import Page, serving, set_up_logs
from ringfence.units.time import NS_PER_DAY, iso

log = logging.getLogger("ringfence.security")
EXIT_INPUT = 66
SOCKET = "desk.sock"
DEMO_ROLE = "demo-security"
_LINE_BYTES_MAX = 4 * SEALED_BYTES_MAX
"""In JSON a character of plain text takes two bytes at most."""
_AGAIN_SECONDS = 24 * 3_600.0
Row = dict[str, Any]


def home_of(directory: Path) -> Path:
    return directory / "security"


def found(directory: Path) -> None:
    """Make what a new exchange needs: the demo role's key, and the one that signs `security.txt`.

    Raises OSError, ValueError, SealedError, LogError.
    """
    home, key = home_of(directory), directory / "people" / f"{DEMO_ROLE}.key"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    openpgp = home / "openpgp.key"
    if not openpgp.exists():
        replace(openpgp, new_openpgp_key())
    book = Casebook(home, log_lines(directory, SECURITY))
    try:
        if book.fold.role is None:
            key.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not key.exists():
                write_key_file(key, new_key_file(DEMO_ROLE), passphrase=None)
            role = role_key_of(read_key_file(key, passphrase=None))
            book.name_first_role(role, now_ns=time.time_ns())
    finally:
        book.close()


class Desk:
    def __init__(self, home: Path, book: Casebook, url: str, mail: str) -> None:
        self._home, self._book, self._url, self._mail = home, book, url, mail

    def answer(self, line: bytes) -> Row:
        """Answer one line. What is wrong is said in words that repeat nothing of it."""
        try:
            asked = msgspec.json.decode(line, type=Row)
            return self._answer(asked)
        except UnknownReceiptError as error:
            return {"error": str(error), "unknown": True}
        except (CasebookError, ChangeError, SealedError) as error:
            return {"error": str(error)}
        except msgspec.ValidationError:
            return {"error": "the change has a field that is none"}
        except (msgspec.MsgspecError, KeyError, TypeError, ValueError, RecursionError):
            return {"error": "this is no question"}
        except OSError as error:
            log.critical("nothing can be written: %s", error.strerror)
            return {
                "error": "the report cannot be kept at the moment: nothing was stored",
                "unavailable": True,
            }

    def _answer(self, asked: Row) -> Row:
        now_ns, ask = time.time_ns(), asked["ask"]
        if ask == "report":
            receipt = self._book.receive(str(asked["sealed"]), now_ns=now_ns)
            log.info("a report came: %s", receipt.id)
            case = self._book.fold.cases[receipt.id]
            return {"id": receipt.id, "secret": receipt.secret, **_shown(case, now_ns)}
        if ask == "follow":
            self._book.follow_up(str(asked["id"]), str(asked["secret"]), str(asked["sealed"]), now_ns=now_ns)
            log.info("something was added to %s", asked["id"])
        if ask in ("look", "follow"):
            case = self._book.find(str(asked["id"]), str(asked["secret"]))
            return {"id": case.id, **_shown(case, now_ns)}
        if ask == "change":
            change = self._book.change(msgspec.convert(asked["signed"], SignedChange), now_ns=now_ns)
            log.info("%s of %s", change.what, change.report or "the role")
            self.publish()
            return {"done": True, "head": self._book.fold.head}
        if ask == "public":
            return self._public(now_ns)
        return {"error": "that is not asked here"}

    def _public(self, now_ns: int) -> Row:
        """Return what everybody may know: how many there are, what was promised, who is thanked."""
        fold = self._book.fold
        assert fold.role is not None
        cases = sorted(fold.cases.values(), key=lambda case: case.steps[-1].at_ns, reverse=True)
        missed = [case for case in cases if (next_ := due(case)) is not None and next_.is_missed(now_ns)]
        return {
            "recipient": fold.role.recipient, "role": fold.role.name, "sealedBytesMax": SEALED_BYTES_MAX,
            "received": len(cases), "open": sum(not case.is_over for case in cases), "overdue": len(missed),
            "deadlines": {
                "acknowledgeDays": ACKNOWLEDGE_NS // NS_PER_DAY, "triageDays": TRIAGE_NS // NS_PER_DAY,
                "disclosureDays": DISCLOSE_NS // NS_PER_DAY,
            },
            "bands": [
                {"band": band, "fixDays": terms.fix_days, "rewardMinUsd": terms.reward_min,
                 "rewardMaxUsd": terms.reward_max, "example": terms.example}
                for band, terms in BANDS.items()
            ],
            "thanks": [{"name": case.name, "band": case.band} for case in cases if case.name],
            "advisories": [
                {"report": case.id, "title": case.title, "advisory": case.advisory, "band": case.band,
                 "vector": case.vector, "timestamp": iso(case.steps[-1].at_ns)}
                for case in cases if case.state == State.DISCLOSED and case.advisory
            ],
            "log": {"entries": fold.count, "head": fold.head},
        }  # fmt: skip

    def publish(self) -> None:
        """Write `security.txt` anew, and the recipient beside it. Raises OSError."""
        folder = self._home / "well-known"
        folder.mkdir(mode=0o700, exist_ok=True)
        private = (self._home / "openpgp.key").read_bytes()
        role = self._book.fold.role
        assert role is not None
        replace(folder / "security.txt", signed(self._text(), private))
        replace(folder / "security-openpgp.asc", public_part(private))
        replace(folder / "security-age.txt", f"{role.recipient}\n".encode())

    def _text(self) -> str:
        return security_txt(self._url, mail=self._mail, now=datetime.now(UTC))

    async def keep_publishing(self) -> None:
        while True:
            try:
                self.publish()
            except OSError as error:
                log.error("security.txt was not renewed: %s", error.strerror)
            await asyncio.sleep(_AGAIN_SECONDS)

    async def serve(self, stop: asyncio.Event) -> bool:
        """Answer until asked to stop, or until the log is broken; return whether it is."""
        server = await listen(self._home / SOCKET, answering(self.answer), line_bytes_max=_LINE_BYTES_MAX)
        publishing = asyncio.create_task(self.keep_publishing())
        async with server:
            is_broken = await until_broken(lambda: self._book.is_broken, stop)
        publishing.cancel()
        return is_broken


def _shown(case: Case, now_ns: int) -> Row:
    """Return what a reporter sees: states, what is due, what was written to them."""
    next_ = due(case)
    return {
        "state": case.state, "received": iso(case.received_ns),
        "steps": [{"state": step.state, "timestamp": iso(step.at_ns)} for step in case.steps],
        "due": next_ and {
            "what": next_.what, "timestamp": iso(next_.at_ns), "isMissed": next_.is_missed(now_ns),
        },
        "band": case.band, "vector": case.vector or None, "rewardUsd": case.reward_usd or None,
        "duplicateOf": case.duplicate_of or None, "followUps": len(case.follow_ups),
        "messages": [{"timestamp": iso(one.at_ns), "by": one.by, "sealed": one.sealed} for one in case.messages],
    }  # fmt: skip


async def run(directory: Path, url: str, mail: str) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    home = home_of(directory)
    book = Casebook(home, log_lines(directory, SECURITY))
    if book.fold.role is None:
        raise LogError("no security role was named: it is made when the exchange is founded")
    async with serving(directory, Page("security-desk")):
        is_broken = await Desk(home, book, url, mail).serve(stop)
    book.close()
    if is_broken:
        log.critical("a line of the log may not be durable; ending, to read anew what is")
    return EXIT_AWAY if is_broken else 0


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="ringfence-security-desk", description="takes sealed reports of holes"
    )
    parser.add_argument("directory", type=Path)
    parser.add_argument("--url", required=True, help="where clients see the exchange")
    parser.add_argument("--mail", default="", help="an alias whose mail comes here as well")
    options = parser.parse_args()
    forbid_core_dumps()
    set_up_logs("security")
    try:
        sys.exit(asyncio.run(run(options.directory.absolute(), options.url, options.mail)))
    except DatabaseAwayError as error:
        log.critical("%s; no report will be taken until it is back", error)
        sys.exit(EXIT_AWAY)
    except (LogError, OSError, ValueError) as error:
        log.critical("%s; no report will be taken", error)
        sys.exit(EXIT_INPUT)


if __name__ == "__main__":
    main()
