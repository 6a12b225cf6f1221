"""The 24 hours of a day as bars: SVG in line, coloured by the page that it stands in."""

from collections.abc import Sequence
from html import escape

from pytest_mmgates.units import show

_WIDTH, _HEIGHT, _TOP, _BOTTOM = 480, 110, 18, 16
_EVERY = 6
"""Hours that are named."""


def hour_bars(name: str, values: Sequence[float | None]) -> str:
    """One bar an hour, from zero to the largest; an hour without a value is a hatched column."""
    known = [value for value in values if value is not None]
    largest = max(known, default=0.0)
    said = f"{name}: largest {show(largest)}" if known else f"{name}: NO_DATA"
    room, step = _HEIGHT - _TOP - _BOTTOM, _WIDTH / len(values)
    parts = [
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(said)}">',
        f"<title>{escape(said)}</title>",
        f'<text class="label" x="0" y="12">{escape(said)}</text>',
    ]
    for hour, value in enumerate(values):
        height = room if value is None else round(room * value / largest, 2) if largest else 0.0
        kind = "absent" if value is None else "bar"
        x, y = round(hour * step + 1, 2), round(_TOP + room - height, 2)
        parts.append(
            f'<rect class="{kind}" x="{x}" y="{y}" width="{round(step - 2, 2)}" height="{height}">'
            f"<title>{hour:02d}:00 {'NO_DATA' if value is None else show(value)}</title></rect>"
        )
        if hour % _EVERY == 0:
            parts.append(f'<text class="label" x="{x}" y="{_HEIGHT - 3}">{hour:02d}:00</text>')
    return "\n".join([*parts, "</svg>"])
