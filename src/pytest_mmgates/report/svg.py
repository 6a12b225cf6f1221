"""Charts as inline SVG: no script, no font, no network; colours by CSS of the page that they stand in.

Numbers are rounded to a hundredth of a unit of the picture, so equal data give equal bytes. A series of many
points is reduced to the lowest and highest of each column of the picture: a spike survives.
"""

import math
from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT = 720, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 24, 34
_MOST_POINTS = 600
_TICKS = 5


def band_chart(
    *,
    estimate: Sequence[float],
    low: Sequence[float],
    high: Sequence[float],
    first: int,
    lines: Sequence[tuple[float, str]],
    x_name: str,
    y_name: str,
) -> str:
    """An estimate with its bounds after `first`, `first` + 1, ... observations, and horizontal lines with
    names. Bounds that are far wider than where they end leave the picture at its edge.
    """
    if not estimate:
        return ""
    frame = _Frame.around(estimate, low, high, [value for value, _ in lines], first)
    at = _kept(len(estimate), estimate)
    xs = [frame.x(first + index) for index in at]
    upper = [f"{x},{frame.y(high[index])}" for x, index in zip(xs, at, strict=True)]
    lower = [f"{x},{frame.y(low[index])}" for x, index in zip(xs, at, strict=True)]
    middle = [f"{x},{frame.y(estimate[index])}" for x, index in zip(xs, at, strict=True)]
    name = f"{y_name} over {x_name}: {estimate[-1]:+.3f}, bounds {low[-1]:+.3f} and {high[-1]:+.3f}"
    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(name)}">',
        f"<title>{escape(name)}</title>",
        *_axes(frame, x_name, y_name),
        f'<polygon class="band" points="{" ".join(upper + lower[::-1])}"/>',
        *(_line(frame, value, text) for value, text in lines),
        f'<polyline class="estimate" points="{" ".join(middle)}"/>',
        "</svg>",
    ]
    return "\n".join(parts)


class _Frame:
    """From data to the picture."""

    def __init__(self, x: tuple[float, float], y: tuple[float, float]) -> None:
        self.x_range, self.y_range = x, y

    @classmethod
    def around(
        cls,
        estimate: Sequence[float],
        low: Sequence[float],
        high: Sequence[float],
        lines: Sequence[float],
        first: int,
    ) -> "_Frame":
        """All of the estimate, the lines, and the bounds from the middle of the way on."""
        half = len(estimate) // 2
        seen = [*estimate, *lines, *low[half:], *high[half:]]
        bottom, top = min(seen), max(seen)
        room = 0.08 * (top - bottom) or 1.0
        last = first + len(estimate) - 1
        return cls((first, last if last > first else first + 1), (bottom - room, top + room))

    def x(self, value: float) -> float:
        low, high = self.x_range
        return round(_LEFT + (value - low) / (high - low) * (WIDTH - _LEFT - _RIGHT), 2)

    def y(self, value: float) -> float:
        """Cut off at the edges."""
        low, high = self.y_range
        inside = max(low, min(high, value))
        return round(_TOP + (high - inside) / (high - low) * (HEIGHT - _TOP - _BOTTOM), 2)


def _kept(count: int, values: Sequence[float]) -> list[int]:
    """Which points are drawn: all, or the lowest and highest of each of equal stretches."""
    if count <= _MOST_POINTS:
        return list(range(count))
    stretches = _MOST_POINTS // 2
    kept: set[int] = {0, count - 1}
    for stretch in range(stretches):
        inside = range(stretch * count // stretches, (stretch + 1) * count // stretches)
        kept |= {min(inside, key=values.__getitem__), max(inside, key=values.__getitem__)}
    return sorted(kept)


def _axes(frame: _Frame, x_name: str, y_name: str) -> list[str]:
    bottom = HEIGHT - _BOTTOM
    parts = []
    for value in _round_values(*frame.y_range):
        y = frame.y(value)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text class="label" x="{_LEFT - 6}" y="{y + 4}" text-anchor="end">{value:g}</text>')
    for value in _round_values(*frame.x_range):
        x = frame.x(value)
        parts.append(f'<text class="label" x="{x}" y="{bottom + 16}" text-anchor="middle">{value:g}</text>')
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    parts.append(
        f'<text class="label" x="{middle}" y="{HEIGHT - 2}" text-anchor="middle">{escape(x_name)}</text>'
    )
    parts.append(f'<text class="label" x="4" y="{_TOP - 10}">{escape(y_name)}</text>')
    return parts


def _line(frame: _Frame, value: float, text: str) -> str:
    y = frame.y(value)
    return (
        f'<line class="limit" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>'
        f'<text class="label" x="{WIDTH - _RIGHT - 4}" y="{y - 4}" text-anchor="end">{escape(text)}</text>'
    )


def _round_values(low: float, high: float) -> list[float]:
    """Some round numbers of a range."""
    rough = (high - low) / _TICKS
    scale = 10.0 ** math.floor(math.log10(rough))
    step = next(scale * factor for factor in (1, 2, 5, 10) if scale * factor >= rough)
    return [round(step * n, 10) for n in range(math.ceil(low / step), math.floor(high / step) + 1)]
