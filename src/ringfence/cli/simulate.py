"""`ringfence simulate`: what the venue would do in a bad hour, with pictures of it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

if TYPE_CHECKING:
    from ringfence.testing.cascade import Outcome

app = App(name="simulate", help="Run the engine through a bad hour, and see what it does.")


@app.command
def cascade(
    *,
    accounts: Annotated[int, Parameter(help="leveraged traders")] = 10_000,
    instruments: Annotated[int, Parameter(help="contracts that fall, at most 30")] = 10,
    fall: Annotated[float, Parameter(help="how far prices fall, as a share")] = 0.3,
    seconds: Annotated[int, Parameter(help="within how many seconds")] = 60,
    fund: Annotated[int, Parameter(help="the insurance fund, in whole USDT")] = 2_000_000,
    adl: Annotated[
        Literal["pro-rata", "ranked"], Parameter(help="who is asked when the fund is used up")
    ] = "pro-rata",
    seed: int = 1,
    out: Annotated[Path, Parameter(help="folder for cascade.svg and cascade.png")] = Path("cascade"),
    json: Annotated[
        bool, Parameter(help="one JSON object on standard output, no pictures of progress")
    ] = False,
) -> None:
    """Let prices fall on leveraged accounts: liquidations, what the fund pays, who is deleveraged."""
    import msgspec
    from rich.console import Console
    from rich.progress import Progress

    from ringfence.messages.commands import AdlMethod
    from ringfence.testing.cascade import Cascade, Second, run_cascade

    if (
        not 1 <= instruments <= 30
        or not 1 <= accounts <= 1_000_000
        or not 0 < fall < 1
        or seconds < 1
        or fund < 0
    ):
        raise SystemExit(
            "nothing was simulated: --instruments is 1 to 30, --accounts 1 to 1,000,000, --fall between 0 and 1,"
            " --seconds at least 1, --fund at least 0"
        )
    shape = Cascade(
        accounts=accounts, instruments=instruments, fall=fall, seconds=seconds, fund_units=fund * 10**6, seed=seed,
        adl_method=AdlMethod.RANKED if adl == "ranked" else AdlMethod.PRO_RATA,
    )  # fmt: skip
    console = Console(stderr=True)
    with Progress(console=console, disable=json) as bar:
        task = bar.add_task("prices fall", total=seconds + 10)

        def show(second: Second) -> None:
            bar.update(task, advance=1, description=f"{second.liquidated} liquidated")

        outcome = run_cascade(shape, show)
    out.mkdir(parents=True, exist_ok=True)
    pictures = draw(outcome, out)
    if json:
        print(msgspec.json.encode(summary(outcome) | {"pictures": pictures}).decode())
        return
    for name, value in summary(outcome).items():
        console.print(f"{name.replace('_', ' '):<28}{value:>20,}")
    console.print("pictures: " + ", ".join(pictures))


def summary(outcome: "Outcome") -> dict[str, float | int]:
    """Return the figures of a cascade, by name with their unit."""
    return {
        "engine_seconds": round(outcome.engine_seconds, 3),
        "longest_batch_ms": round(outcome.longest_batch_ms, 2),
        "commands": outcome.commands,
        "events": outcome.events,
        "trades": outcome.trades,
        "liquidated_accounts": outcome.liquidated,
        "deleveraged_accounts": outcome.deleveraged,
        "contracts_taken_beyond_need": outcome.taken_beyond_need,
        "fund_before_usdt": outcome.fund_start_units / 10**6,
        "fund_after_usdt": outcome.fund_end_units / 10**6,
        "residue_units": outcome.residue_units,
    }


def draw(outcome: "Outcome", folder: Path) -> list[str]:
    """Write cascade.svg and cascade.png: mark, liquidations, fund and deleveraging over time."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    seconds = [row.second for row in outcome.timeline]
    figure, ((mark, gone), (fund, asked)) = pyplot.subplots(
        2, 2, figsize=(11, 7), sharex=True, layout="constrained"
    )
    shape = outcome.shape
    figure.suptitle(
        f"{shape.accounts:,} accounts, {shape.instruments} contracts, {shape.fall:.0%} in {shape.seconds} s"
    )
    mark.plot(seconds, [row.mark * 100 for row in outcome.timeline], color="#1f5f8b")
    mark.set_title("mark, % of the start")
    gone.plot(seconds, [row.liquidated for row in outcome.timeline], color="#b03a2e")
    gone.set_title("accounts taken over, in all")
    fund.fill_between(seconds, [row.fund_units / 1e6 for row in outcome.timeline], color="#2e7d5b", alpha=0.6)
    fund.set_title("insurance fund, USDT")
    asked.plot(seconds, [row.deleveraged for row in outcome.timeline], color="#7d5ba6")
    asked.set_title("accounts deleveraged, in all")
    for axes in (fund, asked):
        axes.set_xlabel("seconds")
    for axes in (mark, gone, fund, asked):
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    written = []
    for ending in ("svg", "png"):
        path = folder / f"cascade.{ending}"
        figure.savefig(path)
        written.append(str(path))
    pyplot.close(figure)
    return written
