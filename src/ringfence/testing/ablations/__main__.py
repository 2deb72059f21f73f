"""python -m ringfence.testing.ablations [--page FILE] [NAME...]: take safeguards away and see who misses them."""

import argparse
import json
import sys
from pathlib import Path

from ringfence.testing.ablations.hook import ablated, edit
from ringfence.testing.ablations.register import ABLATIONS
from ringfence.testing.ablations.runner import Caught, by_name, run_all, run_here, write_page


def main() -> None:
    parser = argparse.ArgumentParser(prog="ablations", description=__doc__)
    parser.add_argument("names", nargs="*", help="these alone")
    parser.add_argument("--page", type=Path, help="write the table there")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--first", action="store_true", help="stop at the first failing seed")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--iron", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.iron:
        ablation = by_name(given.iron)
        edit(ablation.module, ablated(ablation))
        from ringfence.testing import iron

        sys.exit(iron.run(Path(given.names[0]), batches=10**9))
    if given.one:
        ablation = by_name(given.one)
        caught = run_here(ablation.name, ablation.catcher, ablation.seeds, first_only=given.first)
        print("\n" + json.dumps(caught._asdict()))
        return
    chosen = [by_name(name) for name in given.names] or list(ABLATIONS)
    done = 0

    def on_progress(caught: Caught) -> None:
        nonlocal done
        done += 1
        verdict = "caught" if caught.is_caught else "NOT CAUGHT"
        seeds = f"{caught.failures} of {caught.seeds} seeds: " if caught.seeds else ""
        print(
            f"[{done}/{len(chosen)}] {verdict}: {caught.name} ({seeds}{caught.how})",
            file=sys.stderr,
            flush=True,
        )

    results = run_all(chosen, workers=given.workers, on_progress=on_progress, first_only=given.first)
    if given.page and not given.names:
        write_page(results, given.page)
    missed = [caught.name for caught in results if not caught.is_caught]
    print(f"{len(results) - len(missed)} of {len(results)} ablations were caught")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
