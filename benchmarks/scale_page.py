"""One page of what `benchmarks/scale.py` has measured: plots and tables in one file that needs nothing else."""

import html
import io
import os
import platform
import subprocess
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure

from ringfence.testing.measure import percentile

if TYPE_CHECKING:
    from benchmarks.scale import Measured, Point

mpl.use("svg")
mpl.rcParams.update({
    "svg.fonttype": "none", "svg.hashsalt": "ringfence", "font.family": "sans-serif", "font.size": 9,
    "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": "#9aa3ad", "axes.labelcolor": "#39424e",
    "xtick.color": "#5b6570", "ytick.color": "#5b6570", "axes.grid": True, "axes.axisbelow": True,
    "grid.color": "#e7eaee",
    "axes.titlesize": 10, "axes.titleweight": "bold", "axes.titlelocation": "left", "legend.frameon": False,
})  # fmt: skip
_COLORS = {"embedded": "#1f6feb", "R1": "#d9822b", "R3": "#238551"}
_KINDS = {
    "gateway": "#1f6feb", "core": "#238551", "followers": "#8fd3a8", "stream": "#d9822b", "history": "#9aa3ad",
}  # fmt: skip
_COLUMNS = ("gateway", "core", "followers", "stream")
_SAID = {
    "embedded": "embedded: the journal in the core's own files",
    "R1": "R1: a stream of one server, three cores",
    "R3": "R3: a stream of three servers, three cores",
}
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1c2530;background:#fff;max-width:1080px;margin:2rem auto;
padding:0 1.2rem}
h1{font-size:1.6rem;margin:0}h2{font-size:1.15rem;margin:2.4rem 0 .3rem;border-top:1px solid #e1e5ea;padding-top:1.2rem}
p{max-width:72ch;margin:.4rem 0}.about{color:#5b6570;font-size:.85rem}.pair{display:flex;flex-wrap:wrap;gap:1.4rem;
align-items:flex-start}.pair>*{flex:1 1 440px;min-width:0}.pair>.small{flex-basis:300px}.pair>.part{max-width:530px}
.pair>.wide{flex-basis:100%}
svg{width:100%;height:auto}
table{border-collapse:collapse;font-size:.8rem;margin:.6rem 0;width:100%}
th{color:#5b6570;font-weight:600;text-align:right;vertical-align:bottom;border-bottom:1px solid #c8ced6}
td{text-align:right;border-bottom:1px solid #eef0f3;font-variant-numeric:tabular-nums}th,td{padding:.22rem .45rem}
th:first-child,td:first-child{text-align:left}.tiles{display:grid;gap:.8rem;margin:1.2rem 0;
grid-template-columns:repeat(auto-fit,minmax(8.2rem,1fr))}
.tile{border:1px solid #e1e5ea;border-radius:8px;padding:.6rem .8rem}
.tile b{display:block;font-size:1.35rem}.tile span{color:#5b6570;font-size:.78rem}.bad b{color:#c23030}
.computed{background:#fff8e6;border-left:3px solid #e8b339;padding:.1rem .8rem}
"""


def escape(text: object) -> str:
    return html.escape(str(text), quote=True)


def figure_text(value: float) -> str:
    """Return a figure with three digits that mean something, and thousands apart."""
    if value != value:
        return "-"
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table. Figures are rounded, text is escaped."""

    def cell(value: object) -> str:
        shown = figure_text(float(value)) if isinstance(value, int | float) else value
        return f"<td>{escape(shown)}</td>"

    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(cell(value) for value in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def svg(figure: Figure) -> str:
    """Return a figure to stand inside a page."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    text = out.getvalue()
    return text[text.index("<svg") :]


def facts() -> dict[str, str]:
    """Return what is measured on, and of which source."""
    model = next(
        (line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
         if line.startswith("model name")), platform.machine(),
    )  # fmt: skip
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / (1 << 20)

    def git(*arguments: str) -> str:
        return subprocess.run(("git", *arguments), capture_output=True, text=True, check=False).stdout.strip()

    revision = git("rev-parse", "--short=12", "HEAD") or "not in a repository"
    return {
        "machine": f"{len(os.sched_getaffinity(0))} processors ({model}), {memory:.0f} GB",
        "system": f"Linux {platform.release()}, Python {platform.python_version()}",
        "revision": revision + (" with changes" if git("status", "--porcelain", "-uno") else ""),
        "measured": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "load before": f"{os.getloadavg()[0]:.1f} runnable (others' work, which waits contain)",
    }


# ---- sections


class Section(NamedTuple):
    title: str
    text: str
    parts: list[str]
    """Plots and tables, side by side."""


def _axes(width: float = 5.2, height: float = 3.1) -> tuple[Figure, Any]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _names(found: "Measured") -> list[str]:
    return [name for name in _COLORS if found.closed(name)]


def _gateways(found: "Measured") -> Section:
    rates, costs = _axes(), _axes()
    rows = []
    for name in _names(found):
        closed = found.closed(name)
        counts = [p.gateways for p in closed]
        rates[1].plot(counts, [p.goodput for p in closed], "o-", color=_COLORS[name], label=name)
        costs[1].plot(counts, [p.cpu_us["gateway"] for p in closed], "o-", color=_COLORS[name], label=name)
        for point in closed:
            peer = next(p for p in found.closed("embedded") if p.gateways == point.gateways)
            rows.append((name, point.gateways, point.goodput, f"{point.goodput / peer.goodput:.2f} x",
                         *(point.cpu_us[kind] or "-" for kind in _COLUMNS), point.total_us))  # fmt: skip
    rates[1].set(ylabel="orders/s", title="Orders acknowledged, closed loop")
    costs[1].set(ylabel="CPU us/order", title="All gateways' processor time for an order")
    for _, axes in (rates, costs):
        axes.set(xlabel="gateways", ylim=(0, None), xticks=sorted({p.gateways for p in found.points}))
        axes.legend()
    head = ("journal", "gateways", "orders/s", "of embedded", "gateways us", "core us", "followers us", "stream us",
            "all us/order")  # fmt: skip
    said = ". ".join(_SAID.values())
    return Section(
        "What it can do, by journal and gateways",
        f"{said}. An order counts when it is acknowledged as durable. All processes and the load share this machine's "
        "processors: more gateways here cost more and add no processor. What holds on other machines is processor "
        "time for each order.",
        [svg(rates[0]), svg(costs[0]), table(head, rows)],
    )


def _computed(found: "Measured") -> Section:
    from benchmarks.scale import ceiling

    figure, axes = _axes()
    rows = []
    counts = (1, 2, 4, 8, 16)
    for name in _names(found):
        line, core = found.fit(name), found.closed(name)[0].cpu_us["core"]
        most = [ceiling(line, core, count) for count in counts]
        axes.plot(counts, most, "o--", color=_COLORS[name], label=name)
        rows.append((name, line.own, line.follow, core, *most))
    axes.set(xlabel="gateways, each with a processor of its own", ylabel="orders/s", title="Computed, not measured",
             ylim=(0, None), xscale="log", xticks=counts, xticklabels=counts)  # fmt: skip
    axes.legend()
    head = ("journal", "own us", "follow us", "core us", *(f"{count} gateways" for count in counts))
    return Section(
        "Computed: what more processors would do",
        "Not a measurement. A gateway's time for an order is fitted as a part that is done once, where the order "
        "comes in, and a part that every gateway does, because each follows the whole journal. With a processor for "
        "the core and one for each gateway, the slowest of them is the bound. It leaves the network and disks out.",
        [f'<div class="computed">{svg(figure)}</div>', table(head, rows)],
    )


def _loads(found: "Measured") -> list[Section]:
    waits, goodput = _axes(), _axes()
    rows: list[Sequence[object]] = []
    for name in _names(found):
        points, color = found.loads(name), _COLORS[name]
        times = [p.times for p in points]
        for share, style in ((50, "o:"), (99, "o-")):
            waits[1].plot(times, [percentile(p.waits, share) * 1e3 for p in points], style, color=color,
                          label=f"{name} p{share}")  # fmt: skip
        goodput[1].plot(times, [p.goodput for p in points], "o-", color=color, label=name)
        rows += [
            (name, f"{p.times:g} x", p.offered, p.goodput, p.shed, percentile(p.waits, 50) * 1e3,
             percentile(p.waits, 99) * 1e3, p.total_us) for p in points
        ]  # fmt: skip
    ticks = sorted({p.times for p in found.points if p.times})
    for axes in (waits[1], goodput[1]):
        axes.set(xscale="log", xlabel="load, times what the closed loop does")
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.legend()
    waits[1].set(yscale="log", ylabel="ms", title="Wait for an order's acknowledgement")
    goodput[1].set(ylabel="orders/s", title="Orders taken", ylim=(0, None))
    head = ("journal", "load", "offered/s", "taken/s", "shed/s", "p50 ms", "p99 ms", "us/order")
    return [
        Section(
            "From a quiet day to ten times too much",
            "Open loop behind one gateway: orders are sent at their time whether or not others were answered. Waits "
            "are those of accounts that mind their own business, from when an order was to be sent. Offered is what "
            "the network took; what the gateway does not read stays with the sender, which has the lowest priority: on "
            "a busy machine less is offered than was meant.",
            [svg(waits[0]), svg(goodput[0]), table(head, rows)],
        ),
        _cost(found),
    ]


def _bars(axes: Any, points: "Sequence[Point]", labels: Sequence[str]) -> None:
    bottom = [0.0] * len(points)
    for kind, color in _KINDS.items():
        heights = [p.cpu_us[kind] for p in points]
        if any(heights):
            axes.bar(labels, heights, bottom=bottom, color=color, label=kind, width=0.7)
        bottom = [low + height for low, height in zip(bottom, heights, strict=True)]


def _cost(found: "Measured") -> Section:
    parts = []
    for name in _names(found):
        figure, axes = _axes(3.6, 3.1)
        points = found.loads(name)
        _bars(axes, points, [f"{p.times:g}x" for p in points])
        axes.set(title=name, ylabel="CPU us for an order taken", xlabel="load")
        axes.grid(axis="x", visible=False)
        figure.legend(loc="outside lower center", ncols=4, fontsize=7)
        parts.append(svg(figure))
    return Section(
        "What an order costs, by process",
        "Processor microseconds of all processes over orders that were taken, behind one gateway. Beyond saturation "
        "what is shed is paid by what is taken.",
        parts,
    )


def _crunch(found: "Measured") -> Section:
    head = ("journal", "cancels p99 ms at 10x", "cancels shed", "cancels unanswered", "hostile offers/s", "is taken/s",
            "others p99 ms alone", "others p99 ms beside it", "others shed")  # fmt: skip
    rows = [
        (c.exchange, c.cancel_p99, c.cancels_shed, c.cancels_lost, c.hostile_offered, c.hostile_goodput, c.idle_p99,
         c.beside_p99, c.others_shed) for c in found.crunches
    ]  # fmt: skip
    return Section(
        "Promises at the limit",
        "At ten times the load every account cancels over a second connection: promised are a p99 of 250 ms and that "
        "no cancel is shed. Then one account alone sends 100 times its share beside ten that mind their own business.",
        [table(head, rows)],
    )


def _failures(found: "Measured") -> Section:
    told = found.failures
    assert told is not None
    figure, axes = _axes()
    kinds = (
        ("leader killed", told.killed),
        ("handed over", told.handed_over),
        ("stream leader killed", told.stream_killed),
    )
    for place, (_, gaps) in enumerate(kinds):
        axes.plot(sorted(gaps), [place] * len(gaps), "o", color="#1f6feb", alpha=0.5, markersize=7)
    axes.set_yticks(range(len(kinds)), [name for name, _ in kinds])
    axes.set(
        xlabel="seconds until the next acknowledgement",
        title="Gaps, one dot each",
        xlim=(0, None),
        ylim=(2.5, -0.5),
    )
    rows: list[Sequence[object]] = [
        (name, len(gaps), percentile(gaps, 50), percentile(gaps, 99), max(gaps)) for name, gaps in kinds
    ]
    counts = (("acknowledged", told.acknowledged), ("of them lost", told.lost), ("of them doubled", told.doubled),
              ("otherwise than told", told.untrue))  # fmt: skip
    rows += [(name, count, "", "", "") for name, count in counts]
    return Section(
        "When machines die",
        f"Three machines, R3, two gateways; traders without pause, {told.acknowledged / told.seconds:,.0f} orders/s on "
        "average with the gaps. With few kills the p99 is the worst of them.",
        [svg(figure), table(("", "times", "p50 s", "p99 s", "worst s"), rows)],
    )


def _crowd(found: "Measured") -> Section:
    from benchmarks.crowd import UPDATES, UPDATES_PER_SECOND, groups

    figure, axes = _axes()
    count = [r.clients for r in found.rounds]
    for point, style in ((50, "o:"), (99, "o-")):
        axes.plot(count, [percentile(r.waits, point) * 1e3 for r in found.rounds], style, color="#1f6feb",
                  label=f"update p{point}")  # fmt: skip
        axes.plot(count, [percentile(r.order_waits, point) * 1e3 for r in found.rounds], style, color="#d9822b",
                  label=f"order p{point}")  # fmt: skip
    axes.set(
        xlabel="connected clients", ylabel="ms", title="Waits beside a crowd", xscale="log", yscale="log"
    )
    axes.set_xticks(count, [f"{c:,}" for c in count])
    axes.minorticks_off()
    axes.legend()
    head = ("clients", "connect/s", "gateway B each", "kernel B each", "delivered", "lost", "CPU us/update",
            "update p50 ms", "p99 ms", "order p50 ms", "p99 ms")  # fmt: skip
    rows = [
        (r.clients, r.connects_per_second, r.gateway_bytes, r.kernel_bytes,
         f"{r.delivered / (r.clients * UPDATES):.1%}", r.lost, r.gateway_us, percentile(r.waits, 50) * 1e3,
         percentile(r.waits, 99) * 1e3, percentile(r.order_waits, 50) * 1e3, percentile(r.order_waits, 99) * 1e3)
        for r in found.rounds
    ]  # fmt: skip
    return Section(
        "A crowd that listens",
        f"Real WebSocket connections over loopback to {groups(max(count))} gateways on one core's feed, each "
        f"subscribed to the trades of one instrument; {UPDATES_PER_SECOND:g} trades a second. A wait is from when "
        "the order that trades was sent until a client has the frame, and contains the turn of the clients' own "
        "processes, which share this machine's processors.",
        [svg(figure), table(head, rows)],
    )


def _tile(value: str, said: str, *, bad: bool = False) -> str:
    return f'<div class="tile{" bad" if bad else ""}"><b>{escape(value)}</b><span>{escape(said)}</span></div>'


def _tiles(found: "Measured") -> str:
    most = {name: max(p.goodput for p in found.closed(name)) for name in _names(found)}
    told = found.failures
    tiles = [
        _tile(f"{rate:,.0f}/s", f"orders, {name}: {rate / most['embedded']:.0%} of embedded")
        for name, rate in most.items()
    ]
    if told is not None:
        wrong = told.lost + told.doubled + told.untrue
        kills = f"orders lost or doubled of {told.acknowledged:,}; {len(told.killed)} leaders killed"
        tiles.append(_tile(str(wrong), kills, bad=wrong > 0))
        tiles.append(
            _tile(f"{percentile(told.killed, 50):.1f} s", "until the next acknowledgement after a kill, p50")
        )
    for one in found.crunches:
        tiles.append(_tile(f"{one.cancel_p99:,.0f} ms", f"cancels p99 at 10x, {one.exchange}; {one.cancels_shed} shed",
                           bad=one.cancel_p99 > 250 or one.cancels_shed > 0))  # fmt: skip
    if found.rounds:
        tiles.append(_tile(f"{found.rounds[-1].clients:,}", "clients connected at once, for real"))
    return '<div class="tiles">' + "".join(tiles) + "</div>"


def _width(part: str, section: Section) -> str:
    """Return a class: tables of many columns take the whole page, three plots stand in one row."""
    if part.startswith("<table") and part.count("<th>") > 6:
        return "wide"
    return "small" if len(section.parts) == 3 and all("<svg" in one for one in section.parts) else "part"


def page(about: dict[str, str], found: "Measured") -> str:
    """Return the page of what was measured so far: the embedded journal at least."""
    sections = [_gateways(found), *_loads(found), _crunch(found)]
    if found.failures is not None:
        sections.append(_failures(found))
    if found.rounds:
        sections.append(_crowd(found))
    sections.append(_computed(found))
    body = ""
    for section in sections:
        parts = "".join(f'<div class="{_width(part, section)}">{part}</div>' for part in section.parts)
        body += (
            f'<h2>{escape(section.title)}</h2><p>{escape(section.text)}</p><div class="pair">{parts}</div>'
        )
    said = " \N{MIDDLE DOT} ".join(f"{escape(name)}: {escape(value)}" for name, value in about.items())
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Ringfence: scale</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>'
        f'<h1>How far one exchange goes</h1><p class="about">{said}</p>{_tiles(found)}{body}</html>\n'
    )
