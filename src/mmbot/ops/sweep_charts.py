"""The surface of a sweep as SVG, by the rules of `dataset_charts`: the same bytes for the same numbers.

One setting is a line with intervals, two are a map with the best region outlined; of more, each setting has a
line through the best point, the others staying where they are there.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmbot.config.grid import Axis, Value, text
from mmbot.ops.dataset_charts import STYLE, no_data, svg
from mmbot.ops.sweep_verdict import Figures, Judged

_POINT, _REGION, _IN_FORCE = "#2a6f97", "#e07a5f", "black"
_COLOURS = {"in the best region": _REGION, "another is better": _POINT, "not compared": "#bbbbbb"}
_PANELS_A_ROW = 3


def surface(judged: Judged) -> bytes:
    """SVG."""
    axes = judged.sweep.axes
    draw: Callable[[Judged], Figure] = _map if len(axes) == 2 else _lines  # noqa: PLR2004
    with rc_context(STYLE):
        return svg(draw(judged))


def _lines(judged: Judged) -> Figure:
    """A panel a setting."""
    axes = judged.sweep.axes
    rows = -(-len(axes) // _PANELS_A_ROW)
    columns = min(len(axes), _PANELS_A_ROW)
    figure = Figure(figsize=(9 if columns == 1 else 4 * columns, 3.8 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flat
    through = judged.of(judged.best).candidate.point.values if judged.best else {}
    if not through and len(axes) > 1:
        through = judged.sweep.values_in_force.values
    for panel, axis in zip(panels, axes, strict=False):
        _line(panel, judged, axis, through)
    for panel in list(panels)[len(axes) :]:
        panel.set_axis_off()
    return figure


def _line(panel: Axes, judged: Judged, axis: Axis, through: Mapping[str, Value]) -> None:
    """Points that differ from `through` in this setting alone; intervals are of the difference to the point
    in force.
    """
    name = judged.sweep.metric.name
    panel.set_xlabel(axis.key)
    panel.set_ylabel(name)
    others = {key: value for key, value in through.items() if key != axis.key}
    found = ((one, one.metrics[name]) for one in judged.figures[1:] if _agrees(one, others))
    on_line = sorted(
        (_place(axis, one.candidate.point.values[axis.key]), value, _reach(one), _label(one))
        for one, value in found
        if value is not None
    )
    if not on_line:
        no_data(panel)
        return
    panel.plot([at for at, *_ in on_line], [value for _, value, *_ in on_line], color=_POINT, linewidth=0.8)
    for label, colour in _COLOURS.items():
        chosen = [point for *point, of in on_line if of == label]
        if chosen:
            at, values, reach = zip(*chosen, strict=True)
            panel.errorbar(at, values, yerr=reach, fmt="o", color=colour, capsize=3, label=label)
    in_force = judged.of(0).metrics[name]
    if in_force is not None:
        panel.axhline(in_force, color=_IN_FORCE, linewidth=0.8, linestyle=":", label="in force")
    if others:
        fixed = " ".join(f"{key}={text(value)}" for key, value in others.items())
        panel.set_title(f"at {fixed}", fontsize=7)
    _ticks(panel.set_xticks, axis)
    panel.legend()


def _label(one: Figures) -> str:
    if one.in_region:
        return "in the best region"
    return "not compared" if one.improvement is None else "another is better"


def _reach(one: Figures) -> float:
    """Half of its interval; 0 where it has none."""
    return 0.0 if one.improvement is None else one.improvement.high - one.improvement.value


def _map(judged: Judged) -> Figure:
    """The last setting to the right, the first upward; hatched where nothing is known."""
    up, right = judged.sweep.axes
    name = judged.sweep.metric.name
    values = np.full((len(up.values), len(right.values)), np.nan)
    region = np.zeros(values.shape, np.bool_)
    for one in judged.figures[1:]:
        point = one.candidate.point.values
        at = up.values.index(point[up.key]), right.values.index(point[right.key])
        value = one.metrics[name]
        values[at] = np.nan if value is None else value
        region[at] = one.in_region
    figure = Figure(figsize=(9, 5.5), layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(right.key)
    axes.set_ylabel(up.key)
    if not np.isfinite(values).any():
        no_data(axes)
        return figure
    axes.set_facecolor("#f1f1f1")
    scale = "viridis" if judged.sweep.metric.sign > 0 else "viridis_r"
    drawn = axes.pcolormesh(np.ma.masked_invalid(values), cmap=scale)
    figure.colorbar(drawn, ax=axes, label=name)
    _outline(axes, region)
    for number, mark, label in ((judged.best or None, "*", "best"), (0, "o", "in force")):
        place = judged.sweep.values_in_force if number == 0 else None
        if number:
            place = judged.of(number).candidate.point
        if place is not None and all(place.values[one.key] in one.values for one in (up, right)):
            x, y = (one.values.index(place.values[one.key]) + 0.5 for one in (right, up))
            axes.plot(x, y, mark, color="white", markeredgecolor="black", markersize=11, label=label)
    if axes.get_legend_handles_labels()[0]:
        axes.legend()
    axes.set_xticks(np.arange(len(right.values)) + 0.5, list(map(text, right.values)), rotation=45)
    axes.set_yticks(np.arange(len(up.values)) + 0.5, list(map(text, up.values)))
    return figure


def _outline(axes: Axes, region: np.ndarray[tuple[int, int], np.dtype[np.bool_]]) -> None:
    """Along the edges between points that are in the region and points that are not."""
    framed = np.pad(region, 1)
    for row, column in np.argwhere(framed[1:, :] != framed[:-1, :]):
        axes.plot([column - 1, column], [row, row], color=_REGION, linewidth=2.5)
    for row, column in np.argwhere(framed[:, 1:] != framed[:, :-1]):
        axes.plot([column, column], [row - 1, row], color=_REGION, linewidth=2.5)


def _agrees(one: Figures, others: Mapping[str, Value]) -> bool:
    values = one.candidate.point.values
    return all(values[key] == value for key, value in others.items())


def _place(axis: Axis, value: Value) -> float:
    """Where a value lies: numbers to scale, others by their order."""
    return float(value) if axis.is_scale else float(axis.values.index(value))


def _ticks(put: Callable[[Sequence[float], Sequence[str]], object], axis: Axis) -> None:
    """Every value, unless they are many."""
    if not axis.is_scale or len(axis.values) <= 12:  # noqa: PLR2004 (as many as can be read)
        put([_place(axis, value) for value in axis.values], list(map(text, axis.values)))
