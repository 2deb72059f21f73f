"""The terminal console, on pages that processes really serve; and the sums that it shows."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from textual.widgets import Sparkline, Static, TabbedContent

from ringfence.cli.top_screen import PANES, TopApp
from ringfence.monitoring import Histogram, Page, Sample, metrics, serving
from ringfence.monitoring.gather import gather
from ringfence.monitoring.glance import alarms, glance
from ringfence.monitoring.samples import expose, sample
from ringfence.monitoring.scrape import Between, Scrape, ScrapeError


class Exchange:
    """A few processes that say what a test wants them to."""

    def __init__(self) -> None:
        self.commands = self.state = self.red = self.findings = self.shed = 0
        self.sync, self.round_trip = Histogram(metrics.SYNC), Histogram(metrics.ROUND_TRIP)

    def core(self) -> Iterator[Sample]:
        yield sample(metrics.COMMANDS, self.commands)
        yield sample(metrics.SEQUENCE, self.commands)
        yield sample(metrics.ROLE, 1, "leader")
        yield sample(metrics.EPOCH, 0)
        yield sample(metrics.SYNC, self.sync)
        yield sample(metrics.QUEUE_SLOTS, 3)

    def gateway(self) -> Iterator[Sample]:
        yield sample(metrics.ROUND_TRIP, self.round_trip)
        yield sample(metrics.SHEDS, self.shed, "queue_full")
        yield sample(metrics.REQUESTS, self.commands, "order", 200)

    def history(self) -> Iterator[Sample]:
        yield sample(metrics.STATE, self.state)
        yield sample(metrics.HALTED, 0, "venue")
        yield sample(metrics.INDEX_AGE, 1.0, ".BXBT")

    def auditor(self) -> Iterator[Sample]:
        yield sample(metrics.FINDINGS, self.findings)
        yield sample(metrics.JUDGE_LAG, 0.0)
        yield sample(metrics.JUDGE_CAUGHT_UP, 1)
        yield sample(metrics.CHECK_AGE, 0.5, "I03", "second")
        yield sample(metrics.CHECK_RED, self.red, "I03", "second")

    def shadow(self) -> Iterator[Sample]:
        yield sample(metrics.FINDINGS, 0)
        yield sample(metrics.JUDGE_LAG, 0.0)
        yield sample(metrics.JUDGE_CAUGHT_UP, 1)

    @asynccontextmanager
    async def served(self, directory: Path) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for name in ("core", "gateway", "history", "auditor", "shadow"):
                await stack.enter_async_context(serving(directory, Page(name, getattr(self, name))))
            yield


async def _pages(directory: Path, exchange: Exchange) -> Between:
    before = Scrape(await gather(directory), at=100.0)
    exchange.commands += 500
    for seconds in (0.0004, 0.004, 0.004, 0.02):
        exchange.sync.observe(seconds)
        exchange.round_trip.observe(seconds)
    return Between(before, Scrape(await gather(directory), at=110.0))


async def test_a_glance_has_rates_and_quantiles_of_what_was_in_between(tmp_path: Path) -> None:
    exchange = Exchange()
    exchange.sync.observe(9.0)  # before: not of now
    async with exchange.served(tmp_path):
        said = glance(await _pages(tmp_path, exchange))
    assert said["core"]["commandsPerSecond"] == 50.0
    assert said["gateways"]["byRoute"] == {"order": 50.0}
    assert 0.0025 <= said["core"]["sync"]["p50"] <= 0.005
    assert 0.01 <= said["core"]["sync"]["p99"] <= 0.025
    assert said["trading"]["state"] == "running"
    assert said["custody"] is None
    assert {one["name"]: one["up"] for one in said["processes"]} == dict.fromkeys(
        ("auditor", "core", "gateway", "history", "shadow"), True
    )
    assert [one["judge"] for one in said["judges"]] == ["auditor", "shadow"]
    assert json.loads(json.dumps(said)) == said


async def test_a_process_that_began_again_counts_from_nothing(tmp_path: Path) -> None:
    before = Scrape(expose([sample(metrics.COMMANDS, 1_000)], process="core"), at=0.0)
    now = Scrape(expose([sample(metrics.COMMANDS, 30)], process="core"), at=10.0)
    assert Between(before, now).rate(metrics.COMMANDS) == 3.0


async def test_what_is_grave_is_an_alarm(tmp_path: Path) -> None:
    exchange = Exchange()
    async with exchange.served(tmp_path):
        between = await _pages(tmp_path, exchange)
        assert [one for one in alarms(between) if one.severity == "page"] == []
        before = between.now
        exchange.state, exchange.red, exchange.findings, exchange.shed = 2, 1, 1, 5
        now = Scrape(await gather(tmp_path), at=120.0)
    found = {one.what for one in alarms(Between(before, now))}
    assert {
        "the venue is HALTED", "law I03 is red", "auditor halts for 1 findings", "requests are turned away: queue_full",
    } <= found  # fmt: skip
    # And when they are gone altogether: silence is no calm.
    gone = {one.what for one in alarms(Between(now, Scrape(await gather(tmp_path), at=130.0)))}
    assert {
        "nobody says whether the venue trades", "the shadow says nothing: nobody checks",
        "the auditor says nothing: nobody checks",
    } <= gone  # fmt: skip


def test_what_is_no_page_is_said() -> None:
    with pytest.raises(ScrapeError, match="no page"):
        Scrape("<html>{</html>", at=0.0)


@pytest.mark.slow
async def test_the_console_shows_it_and_its_keys_switch_panes(tmp_path: Path) -> None:
    exchange = Exchange()
    pages: list[Scrape] = []

    def read() -> Scrape:
        if not pages:
            raise ScrapeError("http://127.0.0.1:1 does not answer")
        return pages.pop(0) if len(pages) > 1 else pages[0]

    async with exchange.served(tmp_path):
        between = await _pages(tmp_path, exchange)
        exchange.red = 1
        red = Scrape(await gather(tmp_path), at=120.0)
    pages += [between.before, between.now]
    app = TopApp(read, source="a test", every_seconds=0.02)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause(0.3)
        assert app.latest is not None
        assert "running" in str(app.query_one("#head", Static).render())
        assert max(app.query_one("#commands_curve", Sparkline).data or [0]) == 50.0
        for number, name in enumerate(PANES):
            await pilot.press(str(number + 1))
            await pilot.pause()
            assert app.query_one(TabbedContent).active == name
        assert "I03" in app.export_screenshot() or await _is_on(app, "4", "I03", pilot)
        pages[:] = [between.now, red]
        await pilot.pause(0.3)
        assert "law I03 is red" in str(app.query_one("#alarms", Static).render())
        await pilot.press("p")
        assert app.is_paused
        await pilot.press("p")
        pages.clear()
        await pilot.pause(0.3)
        assert "NOBODY TELLS" in str(app.query_one("#alarms", Static).render())
        await pilot.press("q")


async def _is_on(app: TopApp, key: str, text: str, pilot: object) -> bool:
    await pilot.press(key)  # type: ignore[attr-defined]
    await pilot.pause()  # type: ignore[attr-defined]
    return text in app.export_screenshot()
