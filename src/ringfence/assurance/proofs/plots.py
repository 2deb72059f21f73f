"""Small line plots as SVG: the same numbers give the same bytes, and paper shows them as well."""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 640, 150, 120, 24, 12


class Line(NamedTuple):
    """One line of a plot: values in one unit, None where nothing is known."""

    name: str
    style: str
    """Its class in the page's style sheet."""
    values: Sequence[int | None]


def plot(title: str, labels: Sequence[str], lines: Sequence[Line], *, unit: str, scale: int) -> str:
    """Return a plot of lines over the same moments; `labels` are those of the first and of the last moment.

    Values are integers with `scale` decimals; nothing is rounded but the place of a point, to a tenth of a pixel.
    """
    known = [value for line in lines for value in line.values if value is not None]
    if not any(known):
        return ""
    low, high = min(known), max(known)
    low, high = (low, high) if low < high else (low - 1, high + 1)
    count = max(len(line.values) for line in lines)
    paths = "".join(_path(line, count, low, high) for line in lines)
    legend = " ".join(f'<tspan class="{line.style}">{escape(line.name)}</tspan>' for line in lines)
    return (
        f'<figure><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">'
        f'<text x="{_LEFT}" y="10" class="legend">{legend}</text>'
        f'<line class="axis" x1="{_LEFT}" y1="{_HEIGHT - _BOTTOM}" x2="{_WIDTH}" y2="{_HEIGHT - _BOTTOM}"/>'
        f'<text class="tick" x="{_LEFT - 6}" y="{_TOP + 12}">{decimal(high, scale)}</text>'
        f'<text class="tick" x="{_LEFT - 6}" y="{_HEIGHT - _BOTTOM}">{decimal(low, scale)}</text>'
        f'<text class="when" x="{_LEFT}" y="{_HEIGHT - 6}">{escape(labels[0])}</text>'
        f'<text class="when end" x="{_WIDTH}" y="{_HEIGHT - 6}">{escape(labels[-1])}</text>'
        f"{paths}</svg><figcaption>{escape(title)}, {escape(unit)}</figcaption></figure>"
    )


def _path(line: Line, count: int, low: int, high: int) -> str:
    """Return a line as pieces: it is broken where nothing is known."""
    pieces, pen_is_down = [], False
    for number, value in enumerate(line.values):
        if value is None:
            pen_is_down = False
            continue
        x = (_LEFT * 10) + (_WIDTH - _LEFT) * 10 * number // max(count - 1, 1)
        room = (_HEIGHT - _BOTTOM - _TOP - 8) * 10
        y = (_HEIGHT - _BOTTOM - 4) * 10 - room * (value - low) // (high - low)
        pieces.append(f"{'L' if pen_is_down else 'M'}{x // 10}.{x % 10},{y // 10}.{y % 10}")
        pen_is_down = True
    return f'<path class="{line.style}" d="{" ".join(pieces)}"/>' if len(pieces) > 1 else ""


def decimal(amount: int, scale: int) -> str:
    """Return an amount of ledger units as whole coins, exactly, with thousands apart and no zeros at its end."""
    sign, digits = "-" if amount < 0 else "", f"{abs(amount):0{scale + 1}d}"
    whole, rest = digits[: len(digits) - scale], digits[len(digits) - scale :].rstrip("0")
    return f"{sign}{int(whole):,}" + (f".{rest}" if rest else "")
