"""Charts of a calibration of spread weights as SVG, by the rules of `dataset_charts`: the same bytes for the
same numbers.
"""

from collections.abc import Callable, Sequence
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmbot.calibration.paired import Block
from mmbot.calibration.spread_need import Interval
from mmbot.calibration.walk_forward import Fold
from mmbot.calibration.weights import Calibration, Regime
from mmbot.ops.dataset_charts import STYLE, no_data, svg
from mmbot.units import SECOND

_OLD, _NEW, _SEEN = "#e07a5f", "#2a6f97", "black"


def charts(found: Calibration) -> dict[str, bytes]:
    """By name."""
    drawn: dict[str, Callable[[Calibration], Figure]] = {
        "regimes": _regimes,
        "walk_forward": _walk_forward,
        "confirmation": _confirmation,
    }
    with rc_context(STYLE):
        return {name: svg(draw(found)) for name, draw in drawn.items()}


def _regimes(found: Calibration) -> Figure:
    """A panel a score: what fills needed, and what is asked, fitted and proposed, by the score at them."""
    names = list(dict.fromkeys(regime.score for regime in found.regimes))
    figure = Figure(figsize=(4.5 * max(len(names), 1), 4), layout="constrained")
    panels: Sequence[Axes] = figure.subplots(1, max(len(names), 1), squeeze=False)[0]
    if not names:
        no_data(panels[0])
    for axes, name in zip(panels, names, strict=False):
        _regime(axes, name, [regime for regime in found.regimes if regime.score == name])
    return figure


def _regime(axes: Axes, name: str, regimes: Sequence[Regime]) -> None:
    at = [regime.mean_score for regime in regimes]
    axes.set_xlabel(f"{name.replace('_', ' ')} of the fills")
    axes.set_ylabel("bps of fair value")
    _points(axes, at, [regime.needed_bps for regime in regimes], "needed to net nothing, 95 %")
    axes.plot(at, [regime.markout_bps for regime in regimes], "x", color=_SEEN, label="markout at 60 s")
    axes.plot(at, [regime.asked_bps for regime in regimes], color=_OLD, label="half spread asked")
    axes.plot(at, [regime.fitted_bps for regime in regimes], ":", color=_NEW, label="need, fitted")
    axes.plot(at, [regime.proposed_bps for regime in regimes], color=_NEW, label="half spread proposed")
    axes.axhline(0.0, color=_SEEN, linewidth=0.8)
    axes.legend()


def _walk_forward(found: Calibration) -> Figure:
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel("stretch of the window that was predicted from what lay before it")
    axes.set_ylabel("gain, bps squared")
    told = [(at, fold) for at, fold in enumerate(found.walk.folds, 1) if fold.gain_bps2 is not None]
    if not told:
        no_data(axes)
        return figure
    _points(
        axes, [at for at, _ in told], [_gain(fold) for _, fold in told], "gain over the old weights, 95 %"
    )
    axes.set_xticks([at for at, _ in told])
    axes.axhline(0.0, color=_SEEN, linewidth=0.8)
    axes.legend()
    return figure


def _gain(fold: Fold) -> Interval:
    assert fold.gain_bps2 is not None  # noqa: S101 (only such folds are drawn)
    return fold.gain_bps2


def _confirmation(found: Calibration) -> Figure:
    """Block by block what both earned, and what the new did by net_bps where both have fills."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    below.set_xlabel("hours into the time held back")
    above.set_ylabel("net bps, new less old")
    below.set_ylabel("earned, settlement currency")
    if found.confirmation is None:
        no_data(above)
        no_data(below)
        return figure
    blocks, begin_ns = found.confirmation.blocks, found.plan.confirm_from_ns
    hours = [(block.start_ns - begin_ns + found.plan.block_ns / 2) / SECOND / 3600 for block in blocks]
    width = found.plan.block_ns / SECOND / 3600
    differences = [_difference(block) for block in blocks]
    above.bar(hours, differences, 0.9 * width, color=_NEW)
    net = found.confirmation.net_bps
    above.axhspan(net.low, net.high, color=_NEW, alpha=0.2, linewidth=0, label="of all, 95 %")
    above.axhline(0.0, color=_SEEN, linewidth=0.8)
    above.legend()
    for shift, colour, label, earned in (
        (-0.225, _OLD, "old", [block.old_earned for block in blocks]),
        (0.225, _NEW, "new", [block.new_earned for block in blocks]),
    ):
        below.bar([hour + shift * width for hour in hours], earned, 0.45 * width, color=colour, label=label)
    below.axhline(0.0, color=_SEEN, linewidth=0.8)
    below.legend()
    return figure


def _difference(block: Block) -> float:
    """NaN, which no bar shows, where one of them has no fill."""
    if block.new_net_bps is None or block.old_net_bps is None:
        return float("nan")
    return block.new_net_bps - block.old_net_bps


def _points(axes: Axes, at: Sequence[Any], values: Sequence[Interval], label: str) -> None:
    """With their intervals, where those have ends."""
    reach = [
        [min(one.value - one.low, _MOST_BPS) for one in values],
        [min(one.high - one.value, _MOST_BPS) for one in values],
    ]
    axes.errorbar(at, [one.value for one in values], yerr=reach, fmt="o", color=_SEEN, capsize=3, label=label)


_MOST_BPS = 1e3
"""An interval without ends is drawn so long."""
