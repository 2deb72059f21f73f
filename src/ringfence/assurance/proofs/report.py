"""The auditor's report of a snapshot: one page for the screen and for paper. The same facts give the same bytes."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

from ringfence.assurance.proofs.header import Header
from ringfence.assurance.proofs.index import FileEntry, Index, SnapshotEntry, entry_of
from ringfence.assurance.proofs.minutes import Minute
from ringfence.assurance.proofs.plots import Line, decimal, plot
from ringfence.units.assets import BY_CURRENCY

_MILLION = 1_000_000
_POINTS_MAX = 500
_STYLE = """
:root{color-scheme:light dark;--ink:#1b1f24;--paper:#fff;--faint:#5b6670;--rule:#d0d7de;--good:#1a7f37;--bad:#b42318;
--a:#1f6feb;--b:#9a6700}
@media (prefers-color-scheme:dark){:root{--ink:#e6edf3;--paper:#0d1117;--faint:#9aa4af;--rule:#30363d;--good:#3fb950;
--bad:#ff7b72;--a:#79b8ff;--b:#e3b341}}
*{box-sizing:border-box}body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);
max-width:62rem;margin:0 auto;padding:1.5rem}
h1{font-size:1.6rem;margin:0 0 .2rem}h2{font-size:1.1rem;margin:2rem 0 .4rem;
border-bottom:1px solid var(--rule)}p{margin:.4rem 0}table{border-collapse:collapse;width:100%;margin:.4rem 0}
th,td{text-align:right;padding:.25rem .5rem;border-bottom:1px solid var(--rule);font-variant-numeric:tabular-nums}
th:first-child,td:first-child{text-align:left}.wide{overflow-x:auto}code{font-size:.85em;overflow-wrap:anywhere}
.faint{color:var(--faint)}.good{color:var(--good)}.bad{color:var(--bad)}td.hash{text-align:left}figure{margin:.8rem 0}
svg{width:100%;height:auto}svg text{font-size:10px;fill:var(--faint)}.tick,.end{text-anchor:end}
.axis{stroke:var(--rule)}path{fill:none;stroke-width:1.6}path.owed{stroke:var(--b)}path.held{stroke:var(--a)}tspan.owed{fill:var(--b)}
tspan.held{fill:var(--a)}figcaption{font-size:.8rem;color:var(--faint)}
@media print{body{font-size:10pt;padding:0;max-width:none}h2{break-after:avoid}table,figure{break-inside:avoid}
a{color:inherit;text-decoration:none}:root{--ink:#000;--paper:#fff}}
""".strip()


class Report(NamedTuple):
    """What a report is made of."""

    entry: SnapshotEntry
    headers: Mapping[str, Header]
    before: Index
    """The index as it was before this snapshot."""
    minutes: Sequence[Minute]
    """Of the period that ends with it."""
    files: Mapping[str, bytes]


def report_page(report: Report) -> bytes:
    """Return the page."""
    entry = report.entry
    parts = [
        f"<h1>Proof of reserves and liabilities, snapshot {entry.snapshot}</h1>",
        f'<p class="faint">{escape(entry.timestamp)}, Bitcoin block {entry.height:,}, every command below sequence '
        f"{entry.sequence:,}. Exchange <code>{report.before.venue}</code></p>",
        _summary(report), *(_coverage(report, currency) for currency in sorted(entry.assets)), _sums(report),
        _house(report), _history(report), _openings(report), _repeat(report), _limits(),
    ]  # fmt: skip
    return _page(f"Snapshot {entry.snapshot}", parts)


def _page(title: str, parts: Sequence[str]) -> bytes:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
        f'content="width=device-width,initial-scale=1"><title>{escape(title)}</title><style>{_STYLE}</style></head><body>'
        f"{''.join(parts)}</body></html>\n"
    ).encode()


def coverage_ppm(*, reserves: int, demo: int, total: int) -> int | None:
    """Return coins by what is owed, rounded down; None where nothing is owed. Demo coins stand for themselves."""
    return (reserves + demo) * _MILLION // total if total else None


def _percent(ppm: int | None) -> str:
    if ppm is None:
        return "nothing is owed"
    text = f"{ppm // 10_000:,}.{ppm % 10_000:04d} %"
    return f'<strong class="{"good" if ppm >= _MILLION else "bad"}">{text}</strong>'


def _summary(report: Report) -> str:
    rows = []
    for currency, one in sorted(report.entry.assets.items()):
        asset = BY_CURRENCY[currency]
        total, demo, reserves = int(one.total), int(one.demo), int(one.reserves)
        cells = (
            f"{asset.asset} <span class=faint>({asset.name})</span>", decimal(total, asset.scale),
            decimal(reserves, asset.scale), decimal(demo, asset.scale), decimal(int(one.negative), asset.scale),
            _percent(coverage_ppm(reserves=reserves, demo=demo, total=total)),
        )  # fmt: skip
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    heads = (
        "asset",
        "owed to clients and house",
        "coins on chains",
        "demo coins",
        "owed by accounts",
        "covered",
    )
    return (
        '<h2>Summary, each asset for itself</h2><div class="wide"><table><thead><tr>'
        + "".join(f"<th>{head}</th>" for head in heads)
        + f"</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
        "<p>Owed is gross: an account below zero counts as zero and is shown apart, and no asset is netted against "
        "another. Demo coins are made for demonstration; no chain holds them, they are owed as they were given, and a "
        "venue with real clients has none. Coins of third parties and of the company do not count.</p>"
    )


def _coverage(report: Report, currency: str) -> str:
    """Return the line of coins and debts over the period, minute by minute and block by block."""
    minutes = _thinned([one for one in report.minutes if currency in one.totals])
    if len(minutes) < 2:
        return ""
    asset, demo = BY_CURRENCY[currency], int(report.entry.assets[currency].demo)
    owed = [int(one.totals[currency][0]) for one in minutes]
    held = [
        int(one.totals[currency][2] or 0) + demo if one.totals[currency][2] is not None else None
        for one in minutes
    ]
    lines = (Line("owed", "owed", owed), Line("coins, with demo coins", "held", held))
    title = f"{asset.asset} over the period, {len(report.minutes):,} lines of the chain of minutes"
    return plot(
        title, [minutes[0].timestamp, minutes[-1].timestamp], lines, unit=asset.asset, scale=asset.scale
    )


def _thinned(minutes: Sequence[Minute]) -> list[Minute]:
    step = max(1, -(-len(minutes) // _POINTS_MAX))
    return [*minutes[:-1:step], *minutes[-1:]]


def _sums(report: Report) -> str:
    names = (
        ("wallets", "wallets"), ("unrealised", "unrealised profit at the marks"), ("pending", "withdrawals under way"),
        ("fees", "fees earned, not taken"), ("net_deposits", "= came in less went out"),
        ("in_flight", "+ deposits in flight"), ("negative", "+ owed by accounts"),
    )  # fmt: skip
    currencies = sorted(report.headers)
    heads = "".join(f"<th>{BY_CURRENCY[one].asset}</th>" for one in currencies)
    rows = []
    for name, words in names:
        cells = (
            decimal(int(getattr(report.headers[one].figures.sums, name)), BY_CURRENCY[one].scale)
            for one in currencies
        )
        rows.append(f"<tr><td>{words}</td>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    totals = "".join(
        f"<td><strong>{decimal(int(report.headers[one].figures.total), BY_CURRENCY[one].scale)}</strong></td>"
        for one in currencies
    )
    marks = "; ".join(
        f"{symbol} {price}" for one in currencies for symbol, price in report.headers[one].cut.marks.items()
    )
    return (
        f'<h2>Where the totals come from</h2><div class="wide"><table><thead><tr><th></th>{heads}</tr></thead><tbody>'
        f"{''.join(rows)}<tr><td><strong>= owed</strong></td>{totals}</tr></tbody></table></div>"
        "<p>The first four lines add up to the fifth to the unit, at any mark: profit follows from what positions "
        f"have cost. Marks: {escape(marks) or 'none'}.</p>"
    )


def _house(report: Report) -> str:
    rows = [
        f"<tr><td>{escape(one.name)}</td><td>{BY_CURRENCY[currency].asset}</td><td>{one.account}</td>"
        f"<td>{decimal(int(one.balance), BY_CURRENCY[currency].scale)}</td></tr>"
        for currency, header in sorted(report.headers.items())
        for one in header.figures.house
        if one.balance != "0"
    ]
    return (
        '<h2>Owners that are no clients</h2><div class="wide"><table><thead><tr><th>owner</th><th>asset</th>'
        f"<th>account</th><th>balance</th></tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
        "<p>They are inside the totals, and the headers name the keys that open their leaves.</p>"
    )


def _history(report: Report) -> str:
    """Return coverage over time, and how much what is owed and held has moved since the snapshot before."""
    snapshots = (*report.before.snapshots, report.entry)
    parts = []
    for currency in sorted(report.entry.assets):
        asset = BY_CURRENCY[currency]
        of = [one.assets[currency] for one in snapshots if currency in one.assets]
        if len(of) < 2:
            continue
        owed = [int(one.total) for one in of]
        held = [int(one.reserves) + int(one.demo) for one in of]
        lines = (Line("owed", "owed", owed), Line("coins, with demo coins", "held", held))
        labels = [f"snapshot {snapshots[-len(of)].snapshot}", f"snapshot {snapshots[-1].snapshot}"]
        parts.append(
            plot(f"{asset.asset}, snapshot by snapshot", labels, lines, unit=asset.asset, scale=asset.scale)
        )
        parts.append(
            f"<p>{asset.asset}: owed changed by {decimal(owed[-1] - owed[-2], asset.scale)}, coins by "
            f"{decimal(held[-1] - held[-2], asset.scale)} since the snapshot before.</p>"
        )
    withheld = [one for one in report.before.snapshots if one.withheld]
    parts += [
        f"<p class=bad>Snapshot {one.snapshot} was withheld: {escape(one.withheld or '')}</p>"
        for one in withheld
    ]
    return "<h2>History</h2>" + ("".join(parts) or "<p>This is the first snapshot.</p>")


def _openings(report: Report) -> str:
    opened = sorted({path.rsplit("/", 1)[0].removeprefix("openings/") for path in report.before.openings})
    items = "".join(
        f"<li>period {one.split('/')[0]}, line {int(one.split('/')[1])}</li>" for one in opened[-30:]
    )
    said = f"<ul>{items}</ul>" if items else "<p>No period before this snapshot has ended.</p>"
    return (
        "<h2>Minutes that a later block has opened</h2><p>Every minute of a period was committed to and chained before "
        "the block was mined that chose these. Each was replayed from the journal and is what was committed to.</p>"
        + said
    )


def _repeat(report: Report) -> str:
    listed: dict[str, FileEntry] = {name: entry_of(content) for name, content in sorted(report.files.items())}
    rows = "".join(
        f'<tr><td>{escape(name)}</td><td>{one.bytes:,}</td><td class="hash"><code>{one.sha256}</code></td></tr>'
        for name, one in listed.items()
    )
    folder, venue = report.entry.folder, report.before.venue
    return (
        "<h2>How to repeat all of it</h2><p>You need not run our code: BitMEX's own tool reads the "
        "<code>.liabilities.csv</code> files and <code>reserves.yaml</code>. With ours, on your own machine:</p>"
        f"<pre><code>ringfence verify liabilities {folder}/XBt.porl2 --venue {venue}\n"
        f"ringfence verify reserves {folder} --node URL --venue {venue}\n"
        f"ringfence verify history . --venue {venue}</code></pre>"
        f'<div class="wide"><table><thead><tr><th>file</th><th>bytes</th><th>SHA-256</th></tr></thead><tbody>{rows}'
        "</tbody></table></div>"
    )


def _limits() -> str:
    return (
        "<h2>What this does not show</h2><p>That nobody was left out: each client sees that for themselves, by finding "
        "their own balance, and whoever does not find it has a proof of that. Debts and liens outside of the exchange. "
        "That coins are not borrowed for long: the chain of minutes makes it dear. That keys are not lost tomorrow.</p>"
    )


def withheld_page(entry: SnapshotEntry) -> bytes:
    """Return the page that takes a snapshot's place."""
    return _page(
        f"Snapshot {entry.snapshot} was withheld",
        [
            f"<h1>Snapshot {entry.snapshot} was withheld</h1>",
            f'<p class="faint">{escape(entry.timestamp)}, sequence {entry.sequence:,}</p>',
            f"<p>A judge of the exchange is not content, so no figures are published that might be wrong: "
            f"<strong>{escape(entry.withheld or '')}</strong></p>",
            "<p>The chain of minutes goes on. What the judges say stands at <code>/api/v1/audit</code>, halts and who "
            "lifted them at <code>/api/v1/halt</code>. The snapshot is tried again as soon as they are content.</p>",
        ],
    )
