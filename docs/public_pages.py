"""Makes what the public pages share, and what of them is written elsewhere: the statement of risks, the laws' words.

A page's own part is what stands between `<main` and `</main>` of its file; head, menu and foot around it are made here,
and so is the line for browsers without scripts, from what the page's script asks for.

Of Markdown it knows what docs/using/risk-disclosure.md uses: headings, paragraphs, lists, bold, code, links.
"""

import re
from functools import partial
from html import escape
from pathlib import Path
from typing import NamedTuple

import msgspec

from ringfence.assurance.audit.laws import LAWS

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "src" / "ringfence" / "exchange" / "gateway" / "pages" / "public"
RISKS = ROOT / "docs" / "using" / "risk-disclosure.md"
_LINKS = {
    "margin-and-liquidation.md": "", "proofs.md": "proofs.html", "../operating/security-reports.md": "security.html",
    "api.md#coins-out": "",
}  # fmt: skip
"""Where a link of the text leads on the pages; what has no page there keeps its words alone."""


class Page(NamedTuple):
    """What differs from page to page around its own part."""

    title: str
    script: str = ""
    is_below: str = ""
    """The page of the menu that leads here; empty = it is in the menu itself."""


FRAMED = {
    "index.html": Page("Status", "status"), "coins.html": Page("Coins", "coins"),
    "proofs.html": Page("Proofs", "proofs"), "markets.html": Page("Markets", "markets"),
    "risk.html": Page("Statement of risks"), "security.html": Page("Security", "security"),
    "report.html": Page("Report a hole", "report", is_below="security.html"),
}  # fmt: skip
MENU = {
    "index.html": "Status", "coins.html": "Coins", "proofs.html": "Proofs", "markets.html": "Markets",
    "risk.html": "Risk", "security.html": "Security",
}  # fmt: skip
_HEAD = """<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>{title} – Ringfence</title>
    <link rel="icon" href="icon.svg" type="image/svg+xml">
    <link rel="stylesheet" href="style.css">
{script}  </head>
  <body>
    <a class="skip" href="#main">To the content</a>
    <header>
      <div>
        <a class="brand" href="./">Ringfence</a>
        <nav aria-label="Public pages">
        <ul>
{menu}        </ul>
        </nav>
      </div>
    </header>
"""
_FOOT = """
    <footer>
      Times are UTC. Every figure is what the public <a href="/api/explorer/swagger.json">API</a> answers, digit by
      digit; nothing here needs an account. Found a hole? <a href="report.html">Report it</a>.
    </footer>
  </body>
</html>
"""
_CURRENT = ' aria-current="page"'
_OWN_PART = re.compile(r"(?:    <!--[^\n]*-->\n)?    <main.*?</main>", re.DOTALL)
_WITHOUT_SCRIPTS = re.compile(r"<noscript><p>This page asks .*?</noscript>")
_ASKED = re.compile(r"\b(get|custody|text)\([\"`](/[\w/.]+)")
_PREFIXES = {"get": "/api/v1", "custody": "/api/v1", "text": ""}


def framed(name: str, own: str = "") -> str:
    """Return a page: its own part, of its file if none is given, within what all pages share."""
    page = FRAMED[name]
    if not own:
        own = _OWN_PART.findall((PAGES / name).read_text())[0]
        own = _WITHOUT_SCRIPTS.sub(lambda _: _without_scripts(page.script), own)
    script = f'    <script type="module" src="js/{page.script}.js"></script>\n' if page.script else ""
    current = page.is_below or name
    menu = "".join(
        f'          <li><a href="{"./" if one == "index.html" else one}"'
        f"{_CURRENT if one == current else ''}>{words}</a></li>\n"
        for one, words in MENU.items()
    )
    return _HEAD.format(title=page.title, script=script, menu=menu) + own + _FOOT


def _without_scripts(script: str) -> str:
    """Return the line for browsers without scripts: where the figures of the page are."""
    asked = _ASKED.findall((PAGES / "js" / f"{script}.js").read_text())
    addresses = dict.fromkeys(_PREFIXES[kind] + path for kind, path in asked)
    listed = ", ".join(f"<code>{address}</code>" for address in addresses)
    return (
        "<noscript><p>This page asks the exchange's API for its figures with a script of its own. Without scripts, ask "
        f"yourself: {listed}.</p></noscript>"
    )


def risk_page() -> str:
    """Return the page of risks: its own part is a document."""
    made = "<!-- Made from docs/using/risk-disclosure.md by docs/generate.py -->"
    own = f'    {made}\n    <main id="main" class="prose">\n{html_of(RISKS.read_text())}    </main>'
    return framed("risk.html", own)


def html_of(text: str) -> str:
    """Return paragraphs, headings and lists as HTML; everything else in the text is text."""
    parts = []
    for block in re.split(r"\n\n+", text.strip()):
        if block.startswith("#"):
            level, _, title = block.partition(" ")
            parts.append(f"      <h{len(level)}>{_inline(title)}</h{len(level)}>\n")
        elif block.startswith("- "):
            items = "".join(
                f"        <li>{_inline(item)}</li>\n" for item in re.split(r"(?:^|\n)- ", block)[1:]
            )
            parts.append(f"      <ul>\n{items}      </ul>\n")
        elif shown := _inline(block):
            parts.append(f"      <p>{shown}</p>\n")
    return "".join(parts)


def _inline(text: str) -> str:
    shown = escape(" ".join(text.split()), quote=False)
    shown = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", shown)
    shown = re.sub(r"`(.+?)`", r"<code>\1</code>", shown)
    alone = re.fullmatch(r"\[([^]]+)\]\(([^)]+)\)", shown)
    if alone and not _LINKS[alone[2]]:
        return ""  # a pointer to another document, and nothing besides
    return re.sub(r"\[([^]]+)\]\(([^)]+)\)", lambda found: _link(found[1], found[2]), shown)


def _link(words: str, target: str) -> str:
    leads = _LINKS[target]
    return f'<a href="{leads}">{words}</a>' if leads else words


def laws_json() -> str:
    """Return what each law of the auditor says, by its number."""
    return msgspec.json.format(msgspec.json.encode({law.id: law.says for law in LAWS})).decode() + "\n"


MADE = {
    **{name: partial(framed, name) for name in FRAMED}, "risk.html": risk_page, "laws.json": laws_json
}  # fmt: skip
