"""Write the reference pages that follow from the code: `python docs/generate.py`.

`tests/tidy` fails when a page is not what this would write.
"""

import ast
import inspect
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from types import ModuleType

from ringfence.assurance.audit.law import STALE_NS
from ringfence.assurance.audit.laws import LAWS
from ringfence.configuration import FIRST, SETTINGS, tables, toml
from ringfence.exchange.gateway.errors import of_reject
from ringfence.messages import commands, constituents, events, layouts, records
from ringfence.messages.rejects import TEXTS, Reject
from ringfence.monitoring.metrics import METRICS, SECONDS_BUCKETS, SLOTS_BUCKETS

REFERENCE = Path(__file__).parent / "reference"


def rejects_page() -> str:
    """Return the page of numbered refusals."""
    lines = [
        "# Refusals",
        "",
        "What the engine can refuse a command with. The number stands in the REJECTED event for ever: numbers",
        "are appended and never used again. The text is what REST and WebSocket say, word for word where",
        "clients match it. `{amount}` and `{currency}` are filled in from the event.",
        "",
        "The gateway refuses what it cannot even read (a bad signature, a number that is none) before a",
        "command is made; those refusals have no number and leave no trace in the journal.",
        "",
        "| number | name | HTTP | text |",
        "|-------:|------|-----:|------|",
    ]
    for reject in Reject:
        status = of_reject(reject, 0, "").status
        lines.append(f"| {reject.value} | {reject.name} | {status} | {TEXTS[reject]} |")
    lines += [
        "",
        "A cancel of an unknown order is answered with 404 `Not Found` instead.",
    ]
    return "\n".join(lines) + "\n"


def metrics_page() -> str:
    """Return the page of metrics."""
    lines = [
        "# Metrics",
        "",
        "What every process says at its socket in `DIRECTORY/metrics`, and the gatherer at one port for all. Every",
        "sample also has the label `process`. Counters begin at 0 with each start of their process. How they are",
        "watched: [observability](../operating/observability.md).",
        "",
        "| name | type | unit | labels | |",
        "|------|------|------|--------|-|",
    ]
    for metric in METRICS.values():
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        lines.append(f"| `{metric.name}` | {metric.kind} | {metric.unit} | {labels} | {metric.help} |")
    seconds = ", ".join(f"{bound:g}" for bound in SECONDS_BUCKETS)
    slots = ", ".join(f"{bound:g}" for bound in SLOTS_BUCKETS)
    lines += ["", "Buckets of seconds end at", f"{seconds}.", "", "Buckets of slots end at", f"{slots}."]
    return "\n".join(lines) + "\n"


def settings_page() -> str:
    """Return the page of settings."""
    lines = [
        "# Settings",
        "",
        "Every value of `ringfence.toml`, in its order, and what a new exchange has. All of them must be there.",
        "How a change comes into force: [configuration](../operating/configuration.md).",
    ]
    table = ""
    for one in SETTINGS:
        if one.table != table:
            table = one.table
            said = (tables()[table].__doc__ or "").strip()
            lines += ["", f"## {table}", "", said, "", "| setting | new | takes | unit | |", "|-|-|-|-|-|"]
        lines.append(f"| `{one.key}` | `{toml(one.of(FIRST))}` | {one.takes} | {one.unit} | {one.what} |")
    return "\n".join(lines) + "\n"


def records_page() -> str:
    """Return the page of binary records."""
    parts = [
        "# Records",
        "",
        "Commands go in and events come out as records of 64 bytes, little endian. The journal holds",
        "commands, the feed both. The layout is for ever: a field may be added in spare bytes, and nothing",
        "moves.",
        "",
        f"This is version {records.VERSION}. Every frame of the journal names its version.",
        "",
        "A command's sequence number is its place in the journal; its time is that of its frame. So neither",
        "stands in the record.",
    ]
    comments = dict(_field_comments())
    for title, dtype in (("COMMAND", records.COMMAND), ("DATA", records.DATA), ("EVENT", records.EVENT)):
        parts += [
            "",
            f"## {title}",
            "",
            "| offset | bytes | type | field | |",
            "|-------:|------:|------|-------|-|",
        ]
        assert dtype.fields is not None
        for name, (kind, offset, *_) in dtype.fields.items():
            comment = comments.get((title, name), "")
            parts.append(f"| {offset} | {kind.itemsize} | {kind.str[1:]} | {name} | {comment} |")
    parts += [
        "",
        "The text of a command (clOrdID, remarks, the operator's name, a specification) follows it in DATA",
        "slots: items of a tag (1 byte), a length (2 bytes) and the bytes, cut into pieces of 56. Slots have",
        "sequence numbers of their own; the engine passes over them.",
    ]
    for module, title, kind in (
        (commands, "Commands", commands.Command),
        (commands, "Order flags", commands.OrderFlag),
        (commands, "Instrument parameters", commands.InstrumentParameter),
        (constituents, "References of an index", constituents.Reference),
        (constituents, "Verdicts on a constituent", constituents.Verdict),
        (constituents, "Why an index keeps its price", constituents.Hold),
        (events, "Events", events.Event),
        (events, "Event flags", events.EventFlag),
        (events, "Reasons of a cancel", events.CancelReason),
    ):
        said = _member_docs(module, kind.__name__)
        parts += ["", f"## {title}", "", "| number | name | |", "|-------:|------|-|"]
        members: list[IntEnum] = list(kind.__members__.values())  # type: ignore[arg-type]
        parts += [
            f"| {member.value} | {member.name} | {said.get(str(member.name), '')} |" for member in members
        ]
    return "\n".join(parts) + "\n"


def _field_comments() -> Iterator[tuple[tuple[str, str], str]]:
    """Yield ((record, field), comment) from the lines of messages/layouts.py."""
    title = ""
    for line in inspect.getsource(layouts).splitlines():
        if "_FIELDS: Fields = (" in line:
            title = line.split("_FIELDS")[0]
        elif line.startswith("    (") and "  # " in line:
            yield (title, line.split('"')[1]), line.split("  # ", 1)[1].replace("|", "\\|")


def _member_docs(module: ModuleType, name: str) -> dict[str, str]:
    """Return what the source says below each member of an enumeration."""
    tree = ast.parse(inspect.getsource(module))
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    said: dict[str, str] = {}
    member = ""
    for node in body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            member = node.targets[0].id
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and member:
            said[member] = " ".join(str(node.value.value).split()).replace("|", "\\|")
    return said


def laws_page() -> str:
    """Return the catalogue of the auditor's laws."""
    lines = [
        "# Laws",
        "",
        "What the auditor holds the exchange to, when it looks, what it halts when a law is broken, and the lies",
        "that the tests plant to show that it finds them. [How the auditor works](../operating/audit.md).",
        "`I` numbers are those of the catalogue of invariants; `A` laws are the auditor's own additions.",
        "",
        "| law | what holds | looked at | halts | must find |",
        "|-----|------------|-----------|-------|-----------|",
    ]
    for law in LAWS:
        when, faults = ", ".join(law.when), "; ".join(fault.name for fault in law.faults)
        lines.append(f"| {law.id} | {law.says} | {when} | {law.halts.name.lower()} | {faults} |")
    lines += [
        "",
        "A law that was not looked at for too long counts as broken:",
        "",
        "| looked at | stale after |",
        "|-----------|------------:|",
        *(f"| {when.value} | {age // 10**9} s |" for when, age in STALE_NS.items()),
    ]
    return "\n".join(lines) + "\n"


PAGES = {
    "rejects.md": rejects_page, "records.md": records_page, "laws.md": laws_page, "metrics.md": metrics_page,
    "settings.md": settings_page,
}  # fmt: skip

if __name__ == "__main__":
    import public_pages
    import security_page

    for file, make in PAGES.items():
        (REFERENCE / file).write_text(make())
        print(f"wrote docs/reference/{file}")
    for file, make in public_pages.MADE.items():
        (public_pages.PAGES / file).write_text(make())
        print(f"wrote public/{file}")
    security_page.PAGE.write_text(security_page.security_page())
    print("wrote docs/internals/security.md")
