"""Charts as inline SVG: no script, no font, no network; colours by CSS of the page that they stand in.

A chart is as wide as its page: what is data stands in an inner picture that is stretched (lines keep their
width), what is text stands at shares of the width and keeps its size, so a chart reads the same on a phone.
Numbers are rounded to a tenth of a unit of the picture, so equal data give equal bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from pytest_mmgates.report.axes import Axis
from pytest_mmgates.tables import Floats, Ints

WIDTH, HEIGHT = 1000, 190
"""Of the inner picture, in its own units; its height is its height on the page."""
_TOP, _BOTTOM, _BAR = 26, 38, 34
_NARROW = 0.12
"""Of the width: no room for a short text."""
_EDGE = 0.06
"""Texts that stand nearer to an edge than this share of the width begin or end there."""


SHADES = 7
"""Colours of series in the style sheet: `s0` to `s6`."""
UNSHOWN = {code: "\ufffd" for code in (*range(32), 127, *range(0xD800, 0xE000)) if chr(code) not in "\t\n\r"}
"""Characters that no page may hold, and what stands there instead."""


class Mark:
    """Something that a chart shows: `inside` the stretched picture, and `over` it, at its own size. `name` is
    what the legend says; empty where the mark says it itself.
    """

    __slots__ = ()
    css: str
    name: str

    def inside(self, x: Axis, y: Axis) -> str:  # noqa: ARG002 (nothing, unless a mark has something)
        return ""

    def over(self, x: Axis, y: Axis) -> str:  # noqa: ARG002 (nothing, unless a mark has something)
        return ""


@dataclass(frozen=True, slots=True)
class Line(Mark):
    """Values over places; NaN interrupts it."""

    xs: Floats
    ys: Floats
    css: str
    name: str = ""

    def inside(self, x: Axis, y: Axis) -> str:
        path = _path(_across(x, self.xs), _down(y, self.ys))
        return f'<path class="line {self.css}" d="{path}"/>' if path else ""

    def over(self, x: Axis, y: Axis) -> str:
        """A point that no line joins is a dot."""
        alone = _alone(self.ys)
        return "".join(
            f'<circle class="dot {self.css}" cx="{_percent(x.share(at))}" cy="{_pixel(y, value)}" r="3"/>'
            for at, value in zip(self.xs[alone].tolist(), self.ys[alone].tolist(), strict=True)
        )


@dataclass(frozen=True, slots=True)
class Band(Mark):
    """Everything between two lines, of the same places."""

    xs: Floats
    low: Floats
    high: Floats
    css: str = "band"
    name: str = ""

    def inside(self, x: Axis, y: Axis) -> str:
        known = ~(np.isnan(self.low) | np.isnan(self.high))
        ends = np.flatnonzero(np.diff(np.concatenate(([False], known, [False])).astype(np.int8)))
        return "".join(self._piece(x, y, slice(*piece)) for piece in ends.reshape(-1, 2).tolist())

    def _piece(self, x: Axis, y: Axis, piece: slice) -> str:
        across = _across(x, self.xs[piece])
        there, back = _down(y, self.high[piece]), _down(y, self.low[piece])[::-1]
        path = _path(np.append(across, across[::-1]), np.append(there, back))
        return f'<path class="{self.css}" d="{path}Z"/>'


@dataclass(frozen=True, slots=True)
class Limit(Mark):
    """A threshold, across the whole chart."""

    value: float
    text: str
    css: str = "limit"
    name: str = ""

    def inside(self, x: Axis, y: Axis) -> str:  # noqa: ARG002 (lies across)
        at = _down(y, np.array([self.value]))[0]
        return f'<path class="{self.css}" d="M0 {at:g}H{WIDTH}"/>'

    def over(self, x: Axis, y: Axis) -> str:  # noqa: ARG002 (lies across)
        at = round(_pixel(y, self.value) - 4, 1)
        return f'<text class="{self.css}" x="100%" y="{at:g}" text-anchor="end">{_text(self.text)}</text>'


@dataclass(frozen=True, slots=True)
class Span(Mark):
    """A stretch of the x axis."""

    start: float
    end: float
    css: str
    name: str = ""
    title: str = ""

    def inside(self, x: Axis, y: Axis) -> str:  # noqa: ARG002 (lies across)
        left, right = _across(x, np.array([self.start, self.end]))
        title = f"<title>{_text(self.title)}</title>" if self.title else ""
        width = max(round(right - left, 1), 1.0)
        return (
            f'<rect class="{self.css}" x="{left:g}" y="0" width="{width:g}" height="{HEIGHT}">{title}</rect>'
        )


@dataclass(frozen=True, slots=True)
class Dot(Mark):
    """One point, with its text beside it, on the side that was asked for unless that is too narrow."""

    x: float
    y: float
    text: str
    css: str
    name: str = ""
    left: bool = False

    def over(self, x: Axis, y: Axis) -> str:
        across, at = x.share(self.x), _pixel(y, self.y)
        left = across > 1 - _NARROW or (self.left and across > _NARROW)
        dx, anchor = (-7, "end") if left else (7, "start")
        return (
            f'<circle class="dot {self.css}" cx="{_percent(across)}" cy="{at:g}" r="4"/>'
            f'<text x="{_percent(across)}" y="{at + 13:g}" dx="{dx}" text-anchor="{anchor}">'
            f"{_text(self.text)}</text>"
        )


@dataclass(frozen=True, slots=True)
class Bar:
    """A row of a waterfall: from `start` to `middle`, and on to `end`."""

    label: str
    start: float
    middle: float
    end: float


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture with its title, and one line that says the same in numbers. `svg` and `legend` are markup,
    all texts in them escaped; `svg` is empty where there is nothing to draw.
    """

    title: str
    text: str
    svg: str = ""
    legend: str = ""


def charted(title: str, text: str, x: Axis, y: Axis, marks: Sequence[Mark]) -> Chart:
    return Chart(title, text, chart(x, y, marks, f"{title}. {text}"), legend(marks))


def chart(x: Axis, y: Axis, marks: Sequence[Mark], name: str) -> str:
    """`name` is what those hear who do not see it."""
    bottom = _TOP + HEIGHT
    inside = "".join(mark.inside(x, y) for mark in marks)
    over = "".join(mark.over(x, y) for mark in marks)
    ticks = [(value, text, _pixel(y, value)) for value, text in y.ticks]
    return "".join(
        (
            _head(bottom + _BOTTOM, name),
            *(f'<line class="grid" x1="0" x2="100%" y1="{at:g}" y2="{at:g}"/>' for _, _, at in ticks),
            f'<svg y="{_TOP}" width="100%" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" ',
            f'preserveAspectRatio="none">{inside}</svg>',
            *(f'<text x="0" y="{at - 3:g}">{_text(text)}</text>' for _, text, at in ticks),
            *_below(x, bottom),
            f'<text class="axis" x="0" y="12">{_text(y.name)}</text>',
            over,
            "</svg>",
        )
    )


def legend(marks: Sequence[Mark]) -> str:
    """Every name once, each with a piece of its mark."""
    named = {mark.name: mark for mark in marks if mark.name}
    if not named:
        return ""
    items = (f"<li>{_swatch(mark)}{_text(name)}</li>" for name, mark in named.items())
    return f'<ul class="legend">{"".join(items)}</ul>'


def waterfall(x: Axis, bars: Sequence[Bar], name: str) -> str:
    """A row a bar, each under its label."""
    bottom = _TOP + _BAR * len(bars)
    parts = [_head(bottom + _BOTTOM, name)]
    for value, _ in x.ticks:
        at = _percent(x.share(value))
        parts.append(f'<line class="grid" x1="{at}" x2="{at}" y1="{_TOP - 8}" y2="{bottom}"/>')
    for row, bar in enumerate(bars):
        top = _TOP + _BAR * row
        start, middle, end = (x.share(value) for value in (bar.start, bar.middle, bar.end))
        place = f'x="{_percent(start)}" y="{top + 10}" height="11"'
        parts.append(
            f'<rect class="far" {place} width="{_percent(end - start)}"/>'
            f'<rect class="near" {place} width="{_percent(middle - start)}"/>'
            f'<text x="0" y="{top + 5}">{_text(bar.label)}</text>'
        )
    return "".join((*parts, *_below(x, bottom), "</svg>"))


def _head(height: float, name: str) -> str:
    return f'<svg class="chart" width="100%" height="{height:g}" role="img" aria-label="{_text(name)}">'


def _below(x: Axis, bottom: float) -> list[str]:
    """Ticks and the name of the x axis."""
    parts = [f'<line class="axis" x1="0" x2="100%" y1="{bottom:g}" y2="{bottom:g}"/>']
    for value, text in x.ticks:
        share = x.share(value)
        anchor = "start" if share < _EDGE else "end" if share > 1 - _EDGE else "middle"
        parts.append(
            f'<text x="{_percent(share)}" y="{bottom + 15:g}" text-anchor="{anchor}">{_text(text)}</text>'
        )
    name = _text(x.name)
    return [*parts, f'<text class="axis" x="100%" y="{bottom + 32:g}" text-anchor="end">{name}</text>']


def _swatch(mark: Mark) -> str:
    shape = f'<path class="line {mark.css}" d="M0 5H22"/>'
    if isinstance(mark, Band | Span):
        shape = f'<rect class="{mark.css}" width="22" height="10"/>'
    elif isinstance(mark, Limit):
        shape = f'<path class="{mark.css}" d="M0 5H22"/>'
    return f'<svg class="swatch" width="22" height="10" aria-hidden="true">{shape}</svg>'


def _text(text: str) -> str:
    return escape(text.translate(UNSHOWN))


def _across(x: Axis, values: Floats) -> Floats:
    found: Floats = np.round(WIDTH * x.shares(values), 1)
    return found


def _down(y: Axis, values: Floats) -> Floats:
    found: Floats = np.round(HEIGHT * (1 - y.shares(values)), 1)
    return found


def _pixel(y: Axis, value: float) -> float:
    """On the page, from its top."""
    return round(_TOP + HEIGHT * (1 - y.share(value)), 1)


def _percent(share: float) -> str:
    return f"{round(100 * share, 2):g}%"


def _path(across: Floats, down: Floats) -> str:
    """Through all points; a NaN begins a new piece, and a point without neighbours draws nothing."""
    words, letter = [], "M"
    for x, y in zip(across.tolist(), down.tolist(), strict=True):
        if y != y:  # noqa: PLR0124 (NaN)
            letter = "M"
            continue
        words.append(f"{letter}{x:g} {y:g}")
        letter = "L"
    return "".join(words)


def _alone(ys: Floats) -> Ints:
    """Where a value has no neighbour."""
    known = np.concatenate(([False], ~np.isnan(ys), [False]))
    return np.flatnonzero(known[1:-1] & ~known[:-2] & ~known[2:])
