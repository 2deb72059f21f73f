"""Makes the parts of the public pages that are written elsewhere: the statement of risks, the sentences of the laws.

Of Markdown it knows what docs/using/risk-disclosure.md uses: headings, paragraphs, lists, bold, code, links.
"""

import re
from html import escape
from pathlib import Path

import msgspec

from ringfence.assurance.audit import LAWS

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "src" / "ringfence" / "exchange" / "gateway" / "pages" / "public"
RISKS = ROOT / "docs" / "using" / "risk-disclosure.md"
_BEGIN, _END = '<main id="main">', "</main>"
_LINKS = {
    "margin-and-liquidation.md": "", "proofs.md": "proofs.html", "../operating/security-reports.md": "security.html",
    "api.md#coins-out": "",
}  # fmt: skip
"""Where a link of the text leads on the pages; what has no page there keeps its words alone."""


def risk_page() -> str:
    """Return the page of risks: another page's head and foot, and the text between them."""
    frame = (PAGES / "proofs.html").read_text()
    head, _, rest = frame.partition(_BEGIN)
    foot = rest.partition(_END)[2]
    head = head.replace("<title>Proofs", "<title>Statement of risks")
    head = re.sub(r'\n *<script type="module"[^\n]*</script>', "", head)
    head = head.replace(' aria-current="page"', "").replace(
        'href="risk.html"', 'href="risk.html" aria-current="page"'
    )
    made = "<!-- Made from docs/using/risk-disclosure.md by docs/generate.py -->"
    return f'{head}{made}\n    <main id="main" class="prose">\n{html_of(RISKS.read_text())}    {_END}{foot}'


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


MADE = {"risk.html": risk_page, "laws.json": laws_json}
