"""`ringfence verify`: what a stranger can check alone, with a file and nothing else."""

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from ringfence.cli.journal import AsJson
from ringfence.cli.verify_history import history, shards, watch
from ringfence.cli.verify_liabilities import liabilities
from ringfence.cli.verify_reserves import reserves

if TYPE_CHECKING:
    from ringfence.assurance.replay import Outcome
    from ringfence.assurance.replay.verify import Judge

app = App(name="verify", help="Check a published file on your own machine: nothing is asked of the exchange.")
app.command(liabilities)
app.command(history)
app.command(watch)
app.command(shards)
app.command(reserves)
EXIT_DAMAGED, EXIT_DIFFERENT = 65, 70


@app.command
def replay(
    file: Path,
    *,
    shadow: Annotated[
        bool, Parameter(help="Replay by the second implementation of the rules: slower.")
    ] = False,
    every: Annotated[
        int, Parameter(help="Compute the accounts' root at every n-th root and at the last.")
    ] = 1,
    venue: Annotated[str | None, Parameter(help="The public key that the exchange is known by.")] = None,
    as_json: AsJson = False,
) -> None:
    """Replay a public journal: every root, mark, funding, liquidation and deleveraging follows, or you are told."""
    from ringfence.assurance.replay import FileError, VerifyError, verify
    from ringfence.cli.journal import progress
    from ringfence.messages.rules import EXIT_RULES, UnknownRulesError

    begun = time.monotonic()
    try:
        with progress("replaying") as on_progress:
            outcome = verify(file, _judge(shadow=shadow), every=max(1, every), on_progress=on_progress)
        if venue is not None and outcome.venue != venue:
            raise VerifyError(f"the file is signed by another exchange: {outcome.venue}")
    except FileError as error:
        _fail(EXIT_DAMAGED, "damaged", str(error), as_json=as_json)
    except VerifyError as error:
        _fail(EXIT_DIFFERENT, "different", str(error), as_json=as_json)
    except UnknownRulesError as error:
        _fail(EXIT_RULES, "unknown rules", str(error), as_json=as_json)
    except (AssertionError, IndexError) as error:
        why = f"the rules cannot take what the file says: {error}"
        _fail(EXIT_DIFFERENT, "different", why, as_json=as_json)
    except OSError as error:
        sys.exit(f"{file} cannot be read: {error}")
    _show(outcome, time.monotonic() - begun, as_json=as_json)


def _judge(*, shadow: bool) -> "Judge | None":
    if not shadow:
        return None
    from ringfence.assurance.replay.shadow import ShadowJudge

    return ShadowJudge()


def _fail(code: int, verdict: str, why: str, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"ok": False, "verdict": verdict, "why": why}))
    print(f"{verdict}: {why}", file=sys.stderr)
    sys.exit(code)


def _show(outcome: "Outcome", seconds: float, *, as_json: bool) -> None:
    from ringfence.configuration import in_words
    from ringfence.units.time import iso

    last = outcome.last
    found: dict[str, Any] = {
        "ok": True, "venue": outcome.venue, "frames": outcome.frames, "commands": outcome.commands,
        "roots": outcome.roots, "everyRoot": outcome.every_root, "resumed": outcome.resumed,
        "sequence": last.sequence if last else None, "accountsRoot": last.accounts_root.hex() if last else None,
        "events": outcome.events, "seconds": round(seconds, 3),
        "configurations": [
            {
                "sequence": one.sequence, "timestamp": iso(one.timestamp_ns), "number": in_words(one.number),
                "text": one.text,
            }
            for one in outcome.configurations
        ],
    }  # fmt: skip
    if as_json:
        print(json.dumps(found))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("what", "how many", title="replayed, and everything follows")
    table.add_row("commands", f"{outcome.commands:,} in {outcome.frames:,} frames")
    table.add_row(
        "signed roots", f"{outcome.roots:,}, {'each' if outcome.every_root else 'some of them'} computed"
    )
    for kind in ("TRADE", "MARKED", "FUNDED", "LIQUIDATION", "DELEVERAGED", "COVERED", "SETTLED", "HALT_SET"):
        table.add_row(kind.lower(), f"{outcome.events.get(kind, 0):,}")
    table.add_row("halts lifted", f"{outcome.resumed}, signatures checked")
    for one in found["configurations"]:
        table.add_row(
            "configuration", f"{one['number']} from sequence {one['sequence']} on, {one['timestamp']}"
        )
    table.add_row("last root", f"{found['accountsRoot']} at sequence {found['sequence']}")
    table.add_row("exchange", outcome.venue)
    Console().print(table)
    print(f"in {seconds:.1f} s")
