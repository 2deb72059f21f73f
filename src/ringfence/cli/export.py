"""`ringfence export`: trades, quotes and bins as Parquet files, for research."""

import json as encoder
import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from ringfence.cli.journal import progress
from ringfence.cli.up import DIRECTORY

EXIT_REFUSED, EXIT_NO_INPUT = 65, 66


def export(
    table: Literal["trades", "quotes", "bins"],
    output: Path,
    *,
    start: Annotated[str, Parameter("--from")] = "",
    end: Annotated[str, Parameter("--to")] = "",
    directory: Path = DIRECTORY,
    json: Annotated[bool, Parameter("--json")] = False,
) -> None:
    """Write columns of integers, one file for each instrument and day (zstd, hive layout).

    Another run with the same folder goes on where this one was. The exchange may run meanwhile.

    Parameters
    ----------
    table
        trades, quotes (each change of the best bid or offer) or bins (1m, 5m, 1h, 1d).
    output
        The folder; the table becomes a folder in it.
    start
        The first day or instant, ISO 8601; whole days of UTC are written. From the beginning if not said.
    end
        Up to this day or instant, which is not included; up to now if not said.
    directory
        Where the exchange's files are.
    json
        Say what was written in JSON.
    """
    from ringfence.exchange.projections.research import Export, ExportError
    from ringfence.messages.rules import EXIT_RULES, UnknownRulesError
    from ringfence.units.limits import INT64_MAX
    from ringfence.units.time import parse_iso

    if not (directory / "feed").is_dir():
        print(f"there is no feed in {directory}; nothing was written", file=sys.stderr)
        sys.exit(EXIT_NO_INPUT)
    try:
        from_ns, to_ns = parse_iso(start) if start else 0, parse_iso(end) if end else INT64_MAX
        if not 0 <= from_ns < to_ns:
            raise ValueError("--from is before --to, and both are after 1970")
        with progress(f"exporting {table}") as on_progress:
            done = Export(directory / "feed", output, table, from_ns=from_ns, to_ns=to_ns).run(on_progress)
    except (ExportError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        sys.exit(EXIT_REFUSED)
    except UnknownRulesError as error:
        print(error, file=sys.stderr)
        sys.exit(EXIT_RULES)
    if json:
        print(encoder.dumps({"ok": True, "table": table, "folder": str(output), **done._asdict()}))
        return
    days = f"; days before {done.done_before} are done" if done.done_before else ""
    print(f"{done.rows:,} rows in {done.files:,} files, up to sequence {done.next_sequence - 1}{days}")
