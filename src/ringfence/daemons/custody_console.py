"""The custody console: pages for people who sign and for people who watch, on an origin of their own.

    python -m ringfence.daemons.custody_console DIRECTORY --port PORT

It follows the exchange's feed and the coordinator's log, decodes what it shows, checks who is there by a hardware key,
and passes on what people have signed in their browser. It holds no key that signs. To the core it may say HALT, and
RESUME with signatures; nothing else.

Exit status: 0 asked to stop, 65 its log is not what was written, 66 custody was not founded, 69 the port cannot be had,
74 the disk or the database of its log failed.
"""

import argparse
import asyncio
import logging
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ringfence.assurance.halting.statements import SignedChecks
from ringfence.chained_log import Entry, LogError, entries_of, whole_lines
from ringfence.console.origin import Origin, origin_of
from ringfence.console.outside import NotDoneError
from ringfence.console.record import Record
from ringfence.console.server import Server, Surroundings
from ringfence.console.sight import Sight
from ringfence.custody.cosigner.config import Charter, ConfigurationError
from ringfence.custody.ledger import LedgerGapError
from ringfence.custody.quorum.hot import hot_key, hot_script
from ringfence.custody.quorum.mpc.keys import Keys, KeysHeld
from ringfence.daemons.account_chains import connect, read_annexes, read_nodes
from ringfence.daemons.broken_logs import EXIT_AWAY
from ringfence.daemons.console_outside import ConsoleOutside, transcript_rows
from ringfence.daemons.custody_founding import FoundingError, read_charter
from ringfence.daemons.funds_feed import fold_batch
from ringfence.daemons.nominations import Redraw
from ringfence.daemons.venue import read_venue
from ringfence.database.addresses import DatabaseAwayError
from ringfence.database.stores import CONSOLE, log_lines
from ringfence.exchange.feed import FeedReader
from ringfence.exchange.projections.halts import HaltView
from ringfence.messages.batch import HALT_REASON, PEOPLE_LIST, SIGNATURES, Batch, decode_slots
from ringfence.messages.commands import Command, HaltScope, TradingState, VenueParameter
from ringfence.messages.events import Event
from ringfence.messages.halts import decode_reason, decode_signatures
from ringfence.monitoring import Page, serving, set_up_logs
from ringfence.ports import HOST

log = logging.getLogger("ringfence.console")

EXIT_REFUSED, EXIT_INPUT, EXIT_ADDRESS = 65, 66, 69
_TURN_SECONDS, _SLICE_SECONDS, _ATTACH_SECONDS, _AROUND_SECONDS = 0.1, 0.05, 1.0, 2.0


class Follower:
    """Keeps a `Sight` up to date from feed and files."""

    def __init__(self, directory: Path, charter: Charter) -> None:
        self._directory = directory
        self.sight = Sight(charter)
        self._reader = FeedReader(directory / "feed")
        self._redraw = Redraw(charter)
        self._read_bytes = 0
        self._last: Entry | None = None
        self._symbols: dict[int, str] = {}
        self._halts_seen = 0
        self._gap = ""
        self._next_attach = 0.0

    def turn(self) -> None:
        """Take what there is, for a moment. What cannot be followed is named, and tried again."""
        self._try("feed", self._follow_feed)
        self._try("log", self._follow_log)
        if time.monotonic() >= self._next_attach:
            self._next_attach = time.monotonic() + _ATTACH_SECONDS
            self._try("annexes", self._attach)

    def _try(self, what: str, do: Any) -> None:
        try:
            do()
            self.sight.trouble.pop(what, None)
        except (LedgerGapError, LogError, ConfigurationError, FoundingError, OSError, ValueError) as error:
            if what not in self.sight.trouble:
                log.warning("%s: %s", what, error)
            self.sight.trouble[what] = str(error)

    # ---- the feed

    def _follow_feed(self) -> None:
        """Raises LedgerGapError, again and again: behind a gap nothing that is shown could be relied on."""
        if self._gap:
            raise LedgerGapError(self._gap)
        until = time.monotonic() + _SLICE_SECONDS
        while time.monotonic() < until:
            batch = self._reader.read()
            if batch is None:
                self.sight.is_caught_up = True
                return
            try:
                self._take(batch)
            except LedgerGapError as error:
                self._gap, self.sight.is_caught_up = str(error), False
                raise

    def _take(self, batch: Batch) -> None:
        fold_batch(self.sight.ledger, batch)
        kinds = batch.events["kind"]
        for event in batch.events[np.isin(kinds, (Event.HALT_SET, Event.VENUE_SET))]:
            texts = decode_slots(batch.commands.tobytes(), int(event["sequence"]) - batch.first_sequence)
            if event["kind"] == Event.HALT_SET:
                self._take_halt(batch, event, texts)
            elif event["px"] == VenueParameter.PEOPLE:
                self.sight.halts.people = (int(event["qty"]), texts.get(PEOPLE_LIST, b""))

    def _take_halt(self, batch: Batch, event: np.void, texts: dict[int, bytes]) -> None:
        scope, target = HaltScope(int(event["px"])), int(event["symbol"])
        reason = decode_reason(texts.get(HALT_REASON, b""))
        is_halt = batch.commands[int(event["sequence"]) - batch.first_sequence]["kind"] == Command.HALT
        self._halts_seen += 1
        self.sight.halts.take(HaltView(
            number=self._halts_seen, timestamp_ns=batch.timestamp_ns, halt=int(event["handle"]), scope=scope,
            target=target, symbol=self._symbol(target) if scope == HaltScope.CONTRACT else None,
            state=TradingState(int(event["qty"])), before=TradingState(int(event["amount"])),
            reopens_ns=int(event["maker_amount"]), reason=reason if is_halt else None,
            signatures=tuple(decode_signatures(texts[SIGNATURES])) if SIGNATURES in texts else (),
        ))  # fmt: skip

    def _symbol(self, number: int) -> str:
        if number not in self._symbols and (venue := read_venue(self._directory)) is not None:
            self._symbols = {one.number: one.symbol for one in venue.instruments}
        return self._symbols.get(number, f"instrument {number}")

    # ---- custody's files

    def _follow_log(self) -> None:
        """Read what has come to the coordinator's log; what follows is checked against what was read before."""
        path = self._directory / "custody" / "coordinator" / "log.jsonl"
        if path.stat().st_size < self._read_bytes:
            raise LogError("the coordinator's log is shorter than it was: somebody was there")
        with path.open("rb") as file:
            file.seek(self._read_bytes)
            content = whole_lines(file.read())
        for entry in entries_of(content, after=self._last):
            self._redraw.take(entry)
            self.sight.take(entry)
            self._last = entry
        self._read_bytes += len(content)
        self.sight.draws = self._redraw.rows

    def _attach(self) -> None:
        sight = self.sight
        for annex in read_annexes(self._directory, sight.charter):
            known = sight.annexes.get(annex.chain)
            if known is None or known.digest != annex.digest:
                if annex.is_hot:
                    sight.wallets.add_hot(hot_script(hot_key(annex.public_key, annex.chain_code)))
                else:
                    sight.rooms[annex.chain] = connect(annex, read_nodes(self._directory)).room
                sight.annexes[annex.chain] = annex
        sight.look_ahead()

    def close(self) -> None:
        self._reader.close()


class Around:
    """Finds out, every few seconds, what pages show beside feed and log."""

    def __init__(self, directory: Path, surroundings: Surroundings, outside: ConsoleOutside) -> None:
        self._directory, self._around, self._outside = directory, surroundings, outside

    async def look(self) -> None:
        around = self._around
        around.judges = [
            self._judge(path) for path in sorted((self._directory / "judges").glob("*.report.json"))
        ]
        around.reconciliation = self._reconciliation()
        around.transcripts = transcript_rows(self._directory)
        try:
            around.status = await self._outside.desk(ask="status")
        except NotDoneError as error:
            around.status = {"error": str(error)}
        told = await self._outside.signers(Keys())
        around.keys = {
            name: msgspec.to_builtins(one.keys) if isinstance(one, KeysHeld) else None
            for name, one in told.items()
        }

    def _judge(self, path: Path) -> dict[str, Any]:
        """Return a judge's newest report, with what it has signed of it."""
        try:
            report = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
            checks = msgspec.json.decode(
                path.with_name(path.name.replace(".report.", ".checks.")).read_bytes(), type=SignedChecks
            )
        except (OSError, msgspec.MsgspecError):
            return {"judge": path.name.partition(".")[0], "trouble": "its report cannot be read"}
        return {**report, "green": checks.green, "red": checks.red}

    def _reconciliation(self) -> list[dict[str, Any]]:
        """Return the newest comparison of each asset."""
        names = (
            "asset",
            "chain",
            "height",
            "block",
            "sequence",
            "at",
            "held",
            "backed",
            "demo",
            "items",
            "difference",
        )
        try:
            rows = msgspec.json.decode((self._directory / "custody" / "reconciliation.json").read_bytes())
        except (OSError, msgspec.MsgspecError):
            return []
        newest: dict[str, dict[str, Any]] = {}
        for row in rows:
            newest.setdefault(row[0], dict(zip(names, row, strict=True)))
        return list(newest.values())


async def run(directory: Path, charter: Charter, record: Record, port: int) -> int:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    surroundings = Surroundings()
    outside, follower = ConsoleOutside(directory, charter, surroundings), Follower(directory, charter)
    server = Server(Origin(origin_of(port)), record, follower.sight, outside, surroundings)
    try:
        listening = await loop.create_server(server.connection, HOST, port)
    except OSError as error:
        log.critical("cannot listen on %s:%d: %s; nothing was started", HOST, port, error)
        return EXIT_ADDRESS
    log.info("%s; the log has %d lines, head %s", origin_of(port), record.count, record.head)
    looking = loop.create_task(_look_around(Around(directory, surroundings, outside)))

    def trouble() -> str:
        return "" if follower.sight.is_caught_up else "it follows the feed"

    async with serving(directory, Page("custody-console", trouble=trouble)):
        while not stop.is_set() and not record.is_broken:
            follower.turn()
            # While there is more to follow, requests get their turn and no more.
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _TURN_SECONDS if follower.sight.is_caught_up else 0.001)
    looking.cancel()
    listening.close()
    server.close()
    follower.close()
    record.close()
    if record.is_broken:
        log.critical("a line of the log may not be durable; ending, to read anew what is")
    return EXIT_AWAY if record.is_broken else 0


async def _look_around(around: Around) -> None:
    while True:
        try:
            await around.look()
        except Exception:
            log.exception("something beside the feed cannot be shown")
        await asyncio.sleep(_AROUND_SECONDS)


def main() -> None:
    parser = argparse.ArgumentParser(prog="ringfence-custody-console", description="pages for those who sign")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--port", type=int, required=True)
    given = parser.parse_args()
    set_up_logs("console")
    directory = given.directory.absolute()
    try:
        charter = read_charter(directory)
        record = Record(log_lines(directory, CONSOLE))
    except DatabaseAwayError as error:
        log.critical("%s; nobody can sign in until it is back", error)
        sys.exit(EXIT_AWAY)
    except LogError as error:
        log.critical("%s; look at the log before anybody signs in", error)
        sys.exit(EXIT_REFUSED)
    except (FoundingError, OSError, ValueError) as error:
        log.critical("%s", error)
        sys.exit(EXIT_INPUT)
    sys.exit(asyncio.run(run(directory, charter, record, given.port)))


if __name__ == "__main__":
    main()
