"""The terminal console: panes over one glance after another, and short histories as sparklines."""

import asyncio
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ClassVar

from rich.markup import escape
from rich.table import Table
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.containers import Grid, Vertical, VerticalScroll
from textual.widgets import Footer, Sparkline, Static, TabbedContent, TabPane

from ringfence.monitoring.glance import glance, laws_of
from ringfence.monitoring.scrape import Between, Scrape, ScrapeError

PANES = ("overview", "processes", "gateways", "judges", "custody")
_KEPT = 120
_EVERY_SECONDS = 1.0
_CURVES = (
    ("commands", "commands a second"), ("round_trip", "order round trip p99, ms"), ("sync", "journal sync p99, ms"),
    ("queue", "queue, slots"),
)  # fmt: skip
Row = dict[str, Any]


class TopApp(App[None]):
    """`read` gives the next page and may raise ScrapeError; it is called in a thread."""

    TITLE = "ringfence top"
    CSS = """
    #head { height: 1; background: $primary-darken-2; color: $text; padding: 0 1; }
    #alarms { height: auto; max-height: 8; padding: 0 1; }
    Grid { grid-size: 2 2; grid-gutter: 0 1; height: 14; }
    .curve { border: round $primary; padding: 0 1; height: 7; }
    Sparkline { height: 4; }
    TabPane { padding: 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *((str(number + 1), f"show('{name}')", name) for number, name in enumerate(PANES)),
        ("p", "pause", "pause"), ("q", "quit", "quit"),
    ]  # fmt: skip

    def __init__(
        self, read: Callable[[], Scrape], *, source: str, every_seconds: float = _EVERY_SECONDS
    ) -> None:
        super().__init__()
        self._read, self._source, self._every_seconds = read, source, every_seconds
        self._before: Scrape | None = None
        self._curves: dict[str, deque[float]] = {name: deque([0.0], maxlen=_KEPT) for name, _ in _CURVES}
        self.is_paused = False
        self.latest: Row | None = None

    def compose(self) -> ComposeResult:
        yield Static(f"ringfence top  {escape(self._source)}", id="head")
        yield Static("", id="alarms")
        with TabbedContent(initial=PANES[0]):
            with TabPane("overview", id="overview"):
                yield Static(id="core")
                with Grid():
                    for name, title in _CURVES:
                        with Vertical(classes="curve"):
                            yield Static(title, id=f"{name}_title")
                            yield Sparkline(list(self._curves[name]), id=f"{name}_curve")
            for name in PANES[1:]:
                with TabPane(name, id=name), VerticalScroll():
                    yield Static(id=f"{name}_table")
        yield Footer()

    def on_mount(self) -> None:
        self.run_worker(self._follow(), exclusive=True)

    async def _follow(self) -> None:
        while True:
            if not self.is_paused:
                await self._look()
            await asyncio.sleep(self._every_seconds)

    async def _look(self) -> None:
        try:
            now = await asyncio.to_thread(self._read)
        except ScrapeError as error:
            # What was shown last stays, and says nothing of now.
            self._put("alarms", Text(f"NOBODY TELLS HOW IT IS: {error}", "bold white on red"))
            return
        before, self._before = self._before, now
        if before is None:
            return
        self.latest = glance(Between(before, now))
        self._show(self.latest, now)

    def action_show(self, name: str) -> None:
        self.query_one(TabbedContent).active = name

    def action_pause(self) -> None:
        self.is_paused = not self.is_paused
        self.sub_title = "paused" if self.is_paused else ""
        self._put("head", f"ringfence top  {escape(self._source)}{'  PAUSED' if self.is_paused else ''}")

    def _put(self, name: str, what: object) -> None:
        self.query_one(f"#{name}", Static).update(what)  # type: ignore[arg-type]

    # ---- panes

    def _show(self, said: Row, now: Scrape) -> None:
        at = datetime.fromtimestamp(said["at"], UTC).strftime("%H:%M:%S UTC")
        trading = said["trading"]
        self._put("head", f"ringfence top  {escape(self._source)}  {at}  venue {trading['state']}")
        self._put("alarms", _alarms(said["alarms"]))
        self._put("core", _core(said))
        self._put("processes_table", _processes(said["processes"]))
        self._put("gateways_table", _gateways(said["gateways"]))
        self._put("judges_table", _judges(said["judges"], laws_of(now)))
        self._put("custody_table", _custody(said["custody"]))
        core, gateways = said["core"], said["gateways"]
        self._curve("commands", core["commandsPerSecond"], "")
        self._curve("round_trip", _ms(gateways["roundTrip"]["p99"]), " ms")
        self._curve("sync", _ms(core["sync"]["p99"]), " ms")
        self._curve("queue", core["queueSlots"] or 0.0, "")

    def _curve(self, name: str, value: float, unit: str) -> None:
        curve = self._curves[name]
        curve.append(value)
        self.query_one(f"#{name}_curve", Sparkline).data = list(curve)
        self._put(f"{name}_title", f"{dict(_CURVES)[name]}: {value:,.1f}{unit}, most {max(curve):,.1f}{unit}")


def _ms(seconds: float | None) -> float:
    return 0.0 if seconds is None else seconds * 1000


def _alarms(alarms: list[Row]) -> Text:
    if not alarms:
        return Text("all is well", "green")
    styles = {"page": "bold red", "ticket": "yellow"}
    return Text("\n").join(
        Text(f"{one['severity']:>6}  {one['what']}", styles[one["severity"]]) for one in alarms
    )


def _grid(*columns: str) -> Table:
    table = Table(expand=True, show_edge=False, pad_edge=False, header_style="bold")
    for column in columns:
        left = column in ("", "process", "judge", "law", "chain", "route")
        table.add_column(column, justify="left" if left else "right")
    return table


def _number(value: float | None, form: str = ",.0f") -> str:
    return "-" if value is None else format(value, form)


def _times(quantiles: dict[str, float | None]) -> str:
    return " / ".join("-" if one is None else f"{one * 1000:.1f}" for one in quantiles.values()) + " ms"


def _core(said: Row) -> Table:
    core, gateways, trading, host = said["core"], said["gateways"], said["trading"], said["host"]
    table = Table.grid(expand=True, padding=(0, 2))
    rows = [
        ("role, epoch", f"{core['role'] or '-'}, {_number(core['epoch'])}", "sequence", _number(core["sequence"])),
        ("commands, events a second", f"{core['commandsPerSecond']:,.1f}, {core['eventsPerSecond']:,.1f}",
         "batches a second", f"{core['batchesPerSecond']:,.1f}"),
        ("step p50/p99/p99.9", _times(core["step"]), "sync", _times(core["sync"])),
        ("round trip", _times(gateways["roundTrip"]), "queue", f"{_number(core['queueSlots'])} slots, "
         f"{_number(core['queueAge'], '.3f')} s"),
        ("orders, requests a second", f"{gateways['ordersPerSecond']:,.1f}, {gateways['requestsPerSecond']:,.1f}",
         "turned away", ", ".join(f"{name} {count}" for name, count in gateways["sheds"].items() if count) or "none"),
        ("connections", ", ".join(f"{count:.0f} {kind}" for kind, count in gateways["connections"].items()) or "-",
         "accounts, orders", f"{_number(trading['accounts'])}, {_number(trading['openOrders'])}"),
        ("below maintenance, taken over",
         f"{_number(trading['underMaintenance'])}, {_number(trading['liquidationBacklog'])}",
         "halts now, ever", f"{', '.join(trading['halts']) or 'none'}, {_number(trading['haltsEver'])}"),
        ("oldest index", f"{_number(trading['indexAge'], '.1f')} s", "disk, memory free",
         f"{_gib(host['diskFreeBytes'])}, {_gib(host['memoryAvailableBytes'])}"),
    ]  # fmt: skip
    for row in rows:
        table.add_row(*(Text(cell, "dim" if at % 2 == 0 else "bold") for at, cell in enumerate(row)))
    return table


def _gib(count: float | None) -> str:
    return "-" if count is None else f"{count / 2**30:.1f} GiB"


def _processes(rows: list[Row]) -> Table:
    table = _grid("process", "", "restarts", "CPU %", "MiB", "sequence")
    for row in sorted(rows, key=lambda row: (row["up"], row["name"])):
        if not row["up"]:
            state = Text("DOWN", "bold red")
        elif row["ready"] is False:
            state = Text("not ready", "yellow")
        else:
            state = Text("ready" if row["ready"] else "up", "green")
        memory = None if row["memoryBytes"] is None else row["memoryBytes"] / 2**20
        table.add_row(
            row["name"], state, str(row["restarts"]), f"{row['cpu'] * 100:.1f}", _number(memory),
            _number(row["sequence"]),
        )  # fmt: skip
    return table


def _gateways(gateways: Row) -> Table:
    table = _grid("route", "answers a second")
    for route, rate in sorted(gateways["byRoute"].items(), key=lambda one: -one[1]):
        table.add_row(route, f"{rate:,.1f}")
    for status, rate in sorted(gateways["byStatus"].items()):
        table.add_row(f"status {status}", f"{rate:,.1f}")
    for reason, count in gateways["sheds"].items():
        table.add_row(
            f"turned away: {reason}", f"{gateways['shedsPerSecond'].get(reason, 0):,.1f}, ever {count:,}"
        )
    table.add_row("commands under way", _number(gateways["pending"]))
    table.add_row("slow clients cut, ever", _number(gateways["slowCut"]))
    table.add_row("wrong tries to sign in, ever", _number(gateways["loginFailures"]))
    return table


def _judges(judges: list[Row], laws: list[Row]) -> Table:
    table = _grid("law", "", "oldest check, s", "root, s")
    for one in judges:
        words = ("behind " if one["lag"] and one["lag"] > 1 else "") + (
            "" if one["caughtUp"] else "catching up "
        )
        state = (
            Text(f"{one['findings']} findings", "bold red")
            if one["findings"]
            else Text(words or "well", "green")
        )
        table.add_row(one["judge"], state, _number(one["oldestCheck"], ".1f"), _number(one["rootAge"], ".1f"))
    for law in laws:
        state = Text("RED", "bold red") if law["isRed"] else Text("green", "green")
        ages = ", ".join(f"{when} {age:.1f}" for when, age in law["ages"].items())
        table.add_row(law["law"], state, ages, "")
    return table


def _custody(custody: Row | None) -> Table | Text:
    if custody is None:
        return Text("there is no custody here, or its coordinator is down", "dim")
    table = _grid("chain", "", "tip age, s")
    for one in custody["chains"]:
        state = Text("TROUBLE", "bold red") if one["trouble"] else Text("followed", "green")
        table.add_row(one["chain"], state, _number(one["tipAge"], ".0f"))
    for chain, height in custody["heights"].items():
        table.add_row(f"{chain}: reconciled at block", f"{height:,.0f}", "")
    for asset, difference in custody["difference"].items():
        style = "bold red" if difference else "green"
        table.add_row(
            f"{asset}: chain less ledger",
            Text(f"{difference:,.0f}", style),
            _number(custody["reconciledAge"].get(asset), ".0f"),
        )
    for chain, held in custody["hot"].items():
        table.add_row(f"{chain} holds", f"{held:,.0f}", f"at most {custody['hotCap'].get(chain, 0):,.0f}")
    waiting = ", ".join(f"{age} {count:.0f}" for age, count in custody["withdrawals"].items() if count)
    table.add_row("withdrawals under way", waiting or "none", _number(custody["oldestWithdrawal"], ".0f"))
    return table
