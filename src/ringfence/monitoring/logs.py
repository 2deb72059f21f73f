"""How every process logs: a line of JSON each, or text for who sits at a terminal, and no secret in either.

Modules log with `logging.getLogger` as ever; what they give as `extra=` becomes fields. Secrets are looked for twice:
by the name of a field (or of what stands before `=` or `:` in a text), and by their shape. Shapes are those of keys,
so a transaction's name is shortened as well: its first characters are enough to find it where it may be read whole.
"""

import json
import logging
import re
import sys
from collections.abc import Callable, MutableMapping
from types import TracebackType
from typing import Any

import structlog
from structlog.stdlib import ProcessorFormatter

REDACTED = "[redacted]"
_NAMES = (
    r"[\w-]*(?:secret|passw(?:or)?d|passphrase|token|signature|cookie|authorization|mnemonic|private[_-]?key"
    r"|api[_-]?key|otp|recovery[_-]?codes?|session[_-]?id)[\w-]*|pin|seed"
)
_SECRET_NAME = re.compile(_NAMES, re.IGNORECASE)
_NAMED = re.compile(
    rf"""(?P<name>["']?\b(?:{_NAMES})\b["']?\s*[=:]\s*)(?P<value>"[^"]*"|'[^']*'|(?:Bearer\s+)?[^\s,;&"'}})\]]+)""",
    re.IGNORECASE,
)
_ARMOUR = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
)
_EXTENDED_KEY = re.compile(r"\b[xyztuv]prv[1-9A-HJ-NP-Za-km-z]{20,}")
_HEX = re.compile(r"\b(?:0x)?[0-9a-fA-F]{48,}\b")
_MIXED = re.compile(
    r"(?<![\w/.-])(?=[\w-]*[a-z])(?=[\w-]*[A-Z])(?=[\w-]*\d)[A-Za-z0-9_-]{32,}={0,2}(?![\w/.])"
)
"""Base 64 for addresses, and base 58. Three kinds of characters: no name that a person gave to a file."""
_BASE64 = re.compile(r"(?<![\w/+.-])(?=[\w+/]*[+=])[A-Za-z0-9+/]{32,}={0,2}")
_KEPT = 6
"""Characters of what has the shape of a key: enough to find a public one, far too few to guess the rest."""

Event = MutableMapping[str, Any]


def redact(text: str) -> str:
    """Return a text without what has the name or the shape of a secret."""
    text = _ARMOUR.sub(REDACTED, text)
    text = _EXTENDED_KEY.sub(REDACTED, text)
    text = _NAMED.sub(lambda found: found["name"] + REDACTED, text)
    for shape in (_HEX, _MIXED, _BASE64):
        text = shape.sub(lambda found: f"{found[0][:_KEPT]}..{REDACTED}", text)
    return text


def _redacted(value: object) -> object:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return REDACTED  # bytes are read by nobody; they may be a key
    if isinstance(value, dict):
        return {
            str(name): REDACTED if _SECRET_NAME.fullmatch(str(name)) else _redacted(one)
            for name, one in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_redacted(one) for one in value]
    return value if value is None or isinstance(value, bool | int | float) else redact(str(value))


def redact_event(logger: object, method: str, event: Event) -> Event:
    """Take secrets out of every field of a line: a processor of structlog, the last before a line is written."""
    for name, value in list(event.items()):
        event[name] = REDACTED if _SECRET_NAME.fullmatch(name) else _redacted(value)
    return event


def _render_json(logger: object, method: str, event: Event) -> str:
    first = {name: event.pop(name, "") for name in ("timestamp", "level", "process", "logger", "event")}
    return json.dumps({**first, **event}, ensure_ascii=True)


def _render_text(logger: object, method: str, event: Event) -> str:
    known = {name: event.pop(name, "") for name in ("timestamp", "level", "process", "logger", "event")}
    exception = event.pop("exception", "")
    more = "".join(f" {name}={value}" for name, value in event.items())
    line = f"{known['timestamp']} {known['process']} {known['level'].upper()} {known['event']}{more}"
    return f"{line}\n{exception}" if exception else line


def set_up_logs(process: str, *, context: Callable[[], dict[str, str]] = dict) -> None:
    """Send what a process logs to stderr. `context` gives fields of the moment, e.g. of the trace at work."""

    def name(logger: object, method: str, event: Event) -> Event:
        event["process"] = process
        event.update(context())
        return event

    is_terminal = sys.stderr.isatty()
    handler = logging.StreamHandler()
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), structlog.stdlib.add_logger_name],
            processors=[
                ProcessorFormatter.remove_processors_meta,
                structlog.stdlib.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                name,
                structlog.processors.format_exc_info,
                redact_event,
                _render_text if is_terminal else _render_json,
            ],
        )
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    sys.excepthook = _last_words_of_an_error


def _last_words_of_an_error(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """What nobody caught is a line like every other: its text may hold what it must not."""
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    logging.getLogger("ringfence").critical(
        "the process ends: %s: %s", kind.__name__, error, exc_info=(kind, error, trace)
    )


def last_words(raw: bytes) -> str:
    """Return what the end of a log says gravest: its last critical line, or its last line."""
    lines = [line for line in raw.decode(errors="replace").strip().splitlines() if line.strip()]
    said = [_said(line) for line in lines]
    grave = [text for text, is_grave in said if is_grave]
    return (grave or [text for text, _ in said] or ["it said nothing"])[-1]


def _said(line: str) -> tuple[str, bool]:
    try:
        event = json.loads(line)
        return str(event["event"]), event["level"] == "critical"
    except (ValueError, KeyError, TypeError):
        return line, " CRITICAL " in line
