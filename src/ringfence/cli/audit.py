"""`ringfence audit`: the laws that the venue is held to, and the drill that shows that they hold it.

Exit status: 0 as it should be, 70 a lie was not found or the truth was taken for one.
"""

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

if TYPE_CHECKING:
    from rich.table import Table

    from ringfence.testing.drill import Row

app = App(name="audit", help="What the judges check, and whether they would find a lie.")

EXIT_MISSED = 70
AsJson = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON instead, one object a line.")]


@app.command
def laws(*, as_json: AsJson = False) -> None:
    """Print the catalogue: each law, when it is looked at, what it halts, the faults that it must catch."""
    from rich.console import Console
    from rich.table import Table

    from ringfence.assurance.audit.laws import LAWS

    table = Table(
        "law", "what holds", "when", "halts", "faults", box=None, pad_edge=False, header_style="bold"
    )
    for law in LAWS:
        when, halts, faults = [when.value for when in law.when], law.halts.name.lower(), law.faults
        if as_json:
            names = [fault.name for fault in faults]
            print(
                json.dumps({"law": law.id, "says": law.says, "when": when, "halts": halts, "faults": names})
            )
        else:
            table.add_row(law.id, law.says, ", ".join(when), halts, str(len(faults)))
    if not as_json:
        Console(width=None if sys.stdout.isatty() else 200).print(table)


@app.command
def drill(
    *,
    places: Annotated[int, Parameter(help="how many places each kind of lie is told in, at most 20")] = 20,
    clean: Annotated[int, Parameter(help="true stretches that must raise nothing")] = 200,
    kind: Annotated[str, Parameter(help="only kinds whose name holds this")] = "",
    as_json: AsJson = False,
) -> None:
    """Plant every kind of lie into true stretches of a venue's life, and count what the judges find."""
    if not 1 <= places <= 20 or clean < 0:
        raise SystemExit("nothing was planted: --places is 1 to 20, --clean at least 0")
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    console.print("loading the engine and the judges")
    from ringfence.testing import drill as drills

    chosen = [one for one in drills.kinds() if kind in one.name or kind == one.law]
    steps = [place * 20 // places for place in range(places)]
    rows: list[Row] = []
    with Progress(console=console, disable=as_json) as bar:
        task = bar.add_task("living", total=len(chosen) + clean)
        stretches = drills.stretches()
        shadows = drills.witnesses(stretches)
        for one in chosen:
            bar.update(task, description=f"{one.law or 'any'}: {one.name}")
            rows.append(drills.row_of(one, list(drills.run(stretches, one, steps, shadows))))
            bar.advance(task)
            if as_json:
                print(json.dumps(_as_json(rows[-1])), flush=True)
        bar.update(task, description="true stretches")
        halts = drills.false_halts(range(1_000, 1_000 + clean), lambda seed: bar.advance(task))
    for stretch in stretches:
        stretch.close()
    planted, detected = sum(row.planted for row in rows), sum(row.detected for row in rows)
    total = {
        "kinds": len(rows),
        "planted": planted,
        "detected": detected,
        "false_halts": len(halts),
        "clean": clean,
    }
    if as_json:
        print(json.dumps(total))
    else:
        Console(width=None if sys.stdout.isatty() else 160).print(_table(rows))
        print(f"\n{detected} of {planted} lies found, {len(halts)} false halts in {clean} true stretches")
        for finding in halts[:10]:
            print(f"  {finding}")
    if detected < planted or halts:
        sys.exit(EXIT_MISSED)


def _as_json(row: "Row") -> dict[str, Any]:
    return {
        "law": row.kind.law, "kind": row.kind.name, "planted": row.planted, "detected": row.detected,
        "howSoon": row.how_soon, "foundBy": row.laws.split(),
    }  # fmt: skip


def _table(rows: list["Row"]) -> "Table":
    from rich.table import Table

    table = Table("law", "what was planted", box=None, pad_edge=False, header_style="bold")
    table.add_column("found", justify="right")
    table.add_column("how soon")
    table.add_column("by")
    for row in rows:
        style = "" if row.detected == row.planted else "bold red"
        found = f"{row.detected}/{row.planted}"
        table.add_row(row.kind.law or "-", row.kind.name, found, row.how_soon, row.laws, style=style)
    return table
